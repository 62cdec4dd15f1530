"""Parallel coordinates: what tells files (or the points of a grid) apart, one axis for each, figures last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.analysis.heat_map import HeatMap
from core.analysis.rows import Row
from core.analysis.settings_table import Line
from core.records.metrics import METRICS

_FIGURES = ("size_mb", "macs", "latency_ms", "top1")
_MOST_AXES = 7


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its name, and the words at its places from the lowest to the highest."""

    name: str
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Polyline:
    """One file or point: its id, its name, what its colour goes by (its run's folder), and a place 0…1 on every axis, with its
    value in words (None: not known)."""

    id: str
    label: str
    group: str
    places: tuple[float | None, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coordinates:
    axes: tuple[Axis, ...]
    lines: tuple[Polyline, ...]


def of_rows(
    rows: Sequence[Row], settings: Mapping[str, Sequence[Line]], most: int = _MOST_AXES
) -> Coordinates:
    """Files over the settings that differ between them and over their figures; `settings` by the row's id.

    `most`: axes at most, of which the figures come first to be kept.
    """
    tables = [{line.label: line.value for line in settings.get(row.id, ()) if line.label} for row in rows]
    names = list(dict.fromkeys(name for table in tables for name in table))
    differing = [name for name in names if len({table[name] for table in tables if name in table}) > 1]
    if any("@" in row.report.key for row in rows if row.report is not None):
        differing = ["Seed", *(name for name in differing if name != "Seed")]
    figures = [name for name in _FIGURES if any(_value(row, name) is not None for row in rows)]
    chosen = differing[: max(0, min(most, _MOST_AXES) - len(figures))]
    columns = [_words([table.get(name) for table in tables], name) for name in chosen]
    columns += [_numbers([_value(row, name) for row in rows], _heading(name)) for name in figures]
    lines = [
        (row.id, row.label, row.origin.folder if row.origin else "") for row in rows
    ]  # fmt: skip
    return _together(lines, columns)


def of_grid(grid: HeatMap, folder: str) -> Coordinates:
    """The points of a grid over its settings and what they reached."""
    points = [
        (r, c)
        for r in range(len(grid.rows))
        for c in range(len(grid.columns))
        if grid.cells[r][c] is not None
    ]
    values = [grid.cells[r][c] for r, c in points]
    columns = [_words([grid.rows[r] for r, _ in points], grid.row_name)]
    if len(grid.columns) > 1:
        columns.append(_words([grid.columns[c] for _, c in points], grid.column_name))
    columns.append(
        _numbers(values, f"{grid.title.partition(',')[0]} [{grid.unit}]" if grid.unit else grid.title)
    )
    return _together(
        [(f"{folder}|{r}|{c}", f"{grid.rows[r]}, {grid.columns[c]}", folder) for r, c in points], columns
    )


_Column = tuple[Axis, list[float | None], list[str]]


def _together(lines: Sequence[tuple[str, str, str]], columns: Sequence[_Column]) -> Coordinates:
    return Coordinates(
        tuple(axis for axis, _, _ in columns),
        tuple(
            Polyline(id, label, folder, tuple(places[n] for _, places, _ in columns),
                     tuple(words[n] for _, _, words in columns))
            for n, (id, label, folder) in enumerate(lines)
        ),
    )  # fmt: skip


def _words(values: Sequence[str | None], name: str) -> _Column:
    """A setting: numbers by their size, words one beside the other."""
    try:
        return _numbers([None if value is None else float(value) for value in values], name)
    except ValueError:
        kinds = list(dict.fromkeys(value for value in values if value is not None))
        places = {value: (n + 0.5) / len(kinds) for n, value in enumerate(kinds)}
        ticks = tuple((place, value) for value, place in places.items())
        return (
            Axis(name, ticks),
            [places.get(value or "") for value in values],
            [value or "" for value in values],
        )


def _numbers(values: Sequence[float | None], name: str) -> _Column:
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    width = high - low
    places = [None if value is None else (value - low) / width if width else 0.5 for value in values]
    ends = ((0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")) if width else ((0.5, f"{low:.4g}"),)
    return Axis(name, ends), places, ["" if value is None else f"{value:.4g}" for value in values]


def _value(row: Row, name: str) -> float | None:
    metric = row.metrics.get(name)
    return None if metric is None or metric.value is None else metric.value * METRICS[name].scale


def _heading(name: str) -> str:
    kind = METRICS[name]
    unit = kind.shown_unit or kind.unit
    return f"{kind.label} [{unit}]" if unit else kind.label
