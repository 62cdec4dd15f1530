"""Plots as inline SVG for reports: points of two metrics with their front, and learning curves.

Colours come from the surrounding page's style sheet (classes, `currentColor`), so that one
picture serves light and dark.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from core.analysis.interval_support import uncertain
from core.analysis.pareto import front
from core.analysis.rows import Row
from core.analysis.wording import format_metric, heading
from core.common.numbers import grouped
from core.records.metrics import METRICS, MetricKind

_WIDTH, _HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 18, 18, 48
_NAMED = 24  # at most so many points carry their names
_LETTER = 6.4  # width of a letter, about
_SERIES = 6


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: its name, values in order (None makes a gap), whether it is dashed."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    colour: int = 0
    dashed: bool = False


class _Frame:
    """The mapping from values to pixels, with axes."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float], labels: tuple[str, str], height: int):
        self.height = height
        self.x, self.y = _range(xs), _range(ys)
        self.labels = labels

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        plot_width, plot_height = _WIDTH - _LEFT - _RIGHT, self.height - _TOP - _BOTTOM
        return round(_LEFT + across * plot_width, 1), round(_TOP + (1 - up) * plot_height, 1)

    def axes(self) -> list[str]:
        bottom, right = self.height - _BOTTOM, _WIDTH - _RIGHT
        parts = []
        for value in ticks(*self.x):
            x, _ = self.at(value, self.y[0])
            parts.append(f'<line class="grid" x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}"/>')
            parts.append(f'<text class="tick" x="{x}" y="{bottom + 16}" text-anchor="middle">{_tick(value)}</text>')  # fmt: skip
        for value in ticks(*self.y):
            _, y = self.at(self.x[0], value)
            parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}"/>')
            parts.append(f'<text class="tick" x="{_LEFT - 7}" y="{y + 4}" text-anchor="end">{_tick(value)}</text>')  # fmt: skip
        middle = (_LEFT + right) / 2
        parts.append(f'<text class="label" x="{middle}" y="{self.height - 10}" text-anchor="middle">{escape(self.labels[0])}</text>')  # fmt: skip
        y = (_TOP + bottom) / 2
        parts.append(f'<text class="label" x="14" y="{y}" text-anchor="middle" transform="rotate(-90 14 {y})">{escape(self.labels[1])}</text>')  # fmt: skip
        return parts


def pareto_plot(rows: Sequence[Row], x: str, y: str) -> str:
    """Rows as points of two metrics, with intervals, names and the front; "" without two points."""
    first, second = METRICS[x], METRICS[y]
    points = [(index, row) for index, row in enumerate(rows) if _has(row, x) and _has(row, y)]
    if len(points) < 2:
        return ""
    metrics = [row.metrics for _, row in points]
    frame = _Frame(
        [bound for _, row in points for bound in _extent(row, first)],
        [bound for _, row in points for bound in _extent(row, second)],
        (heading(first, metrics), heading(second, metrics)),
        _HEIGHT,
    )
    best = front(rows, x, y)
    parts = [*frame.axes(), _front_line(frame, [rows[index] for index in best], first, second)]
    spots = {index: frame.at(_scaled(row, first), _scaled(row, second)) for index, row in points}
    for index, row in points:
        parts += _point(frame, row, first, second, index in best)
    parts += _names(
        {index: (rows[index].label, *spots[index]) for index in sorted(spots, key=lambda n: n not in best)}
    )
    title = f"{second.label} against {first.label}; filled points are on the Pareto front"
    return _svg(title, _HEIGHT, parts)


def curve_plot(curves: Sequence[Curve], bounds: Sequence[tuple[float, str]], x: str, y: str) -> str:
    """Curves over one axis with named boundaries; "" without any value."""
    xs = [value for curve in curves for value in curve.x] + [at for at, _ in bounds]
    ys = [value for curve in curves for value in curve.y if value is not None and math.isfinite(value)]
    if not ys:
        return ""
    height = 300
    frame = _Frame(xs, ys, (x, y), height)
    parts = frame.axes()
    for number, (at, name) in enumerate(bounds):
        across, _ = frame.at(at, frame.y[0])
        parts.append(f'<line class="bound" x1="{across}" y1="{_TOP}" x2="{across}" y2="{height - _BOTTOM}"/>')
        parts.append(
            f'<text class="tick" x="{across + 4}" y="{_TOP + 11 + 15 * (number % 2)}">{escape(name)}</text>'
        )
    for curve in curves:
        parts += _line(frame, curve)
    return _svg("; ".join(curve.name for curve in curves), height, parts) + _legend(curves)


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round values within a range, about `count` of them."""
    step = (high - low) / count
    power = 10.0 ** math.floor(math.log10(step))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [
        round((first + index) * step, 12) for index in range(int((high + step * 1e-6) // step) - first + 1)
    ]


def _names(spots: Mapping[int, tuple[str, float, float]]) -> list[str]:
    """Names next to the points, the first ones first, where there is room; others have their tooltip."""
    occupied = [(x - 6, y - 6, x + 6, y + 6) for _, x, y in spots.values()]
    parts = []
    for name, x, y in list(spots.values())[:_NAMED]:
        wide = _LETTER * len(name)
        for left, middle in ((x + 9, y - 8), (x + 9, y + 10), (x - 9 - wide, y - 8), (x - 9 - wide, y + 10)):
            box = (left, middle - 7, left + wide, middle + 7)
            inside = box[0] > _LEFT and box[2] < _WIDTH - _RIGHT and box[1] > 0
            if inside and not any(_overlap(box, other) for other in occupied):
                occupied.append(box)
                parts.append(f'<text class="name" x="{left:.1f}" y="{middle + 4:.1f}">{escape(name)}</text>')
                break
    return parts


def _overlap(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def _point(frame: _Frame, row: Row, first: MetricKind, second: MetricKind, best: bool) -> list[str]:
    across, up = _scaled(row, first), _scaled(row, second)
    x, y = frame.at(across, up)
    (left, right), (low, high) = _extent(row, first), _extent(row, second)
    parts = []
    if right > left:
        (x1, _), (x2, _) = frame.at(left, up), frame.at(right, up)
        parts.append(f'<line class="spread" x1="{x1}" y1="{y}" x2="{x2}" y2="{y}"/>')
    if high > low:
        (_, y1), (_, y2) = frame.at(across, low), frame.at(across, high)
        parts.append(f'<line class="spread" x1="{x}" y1="{y1}" x2="{x}" y2="{y2}"/>')
    run = [row.origin.run] if row.origin else []
    tip = "\n".join([row.label, *run, *(f"{heading(k)}: {format_metric(k, row.metrics.get(k.id))}" for k in (first, second))])  # fmt: skip
    kind = "point best" if best else "point"
    kind += " unsure" if any(uncertain(k.id, row.metrics.get(k.id)) for k in (first, second)) else ""
    parts.append(f'<circle class="{kind}" cx="{x}" cy="{y}" r="5"><title>{escape(tip)}</title></circle>')
    return parts


def _front_line(frame: _Frame, best: Sequence[Row], first: MetricKind, second: MetricKind) -> str:
    places = [frame.at(_scaled(row, first), _scaled(row, second)) for row in best]
    return f'<polyline class="front" points="{" ".join(f"{x},{y}" for x, y in places)}"/>'


def _line(frame: _Frame, curve: Curve) -> list[str]:
    pieces: list[list[str]] = [[]]
    for x, y in zip(curve.x, curve.y, strict=True):
        if y is None or not math.isfinite(y):
            pieces.append([])
        else:
            pieces[-1].append("{},{}".format(*frame.at(x, y)))
    kind = f"curve s{curve.colour % _SERIES}" + (" dashed" if curve.dashed else "")
    name = f"<title>{escape(curve.name)}</title>"
    lines = [f'<polyline class="{kind}" points="{" ".join(piece)}">{name}</polyline>' for piece in pieces if len(piece) > 1]  # fmt: skip
    for piece in pieces:
        if len(piece) == 1:
            across, up = piece[0].split(",")
            lines.append(
                f'<circle class="dot s{curve.colour % _SERIES}" cx="{across}" cy="{up}" r="3">{name}</circle>'
            )
    return lines


def _legend(curves: Sequence[Curve]) -> str:
    items = [
        f'<span class="key s{curve.colour % _SERIES}">{"╌╌" if curve.dashed else "──"}</span> {escape(curve.name)}'
        for curve in curves
    ]
    return f'<p class="legend">{" &nbsp; ".join(items)}</p>'


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">\n'
        + "\n".join(part for part in parts if part)
        + "\n</svg>\n"
    )


def _has(row: Row, name: str) -> bool:
    metric = row.metrics.get(name)
    return metric is not None and metric.value is not None and math.isfinite(metric.value)


def _scaled(row: Row, kind: MetricKind) -> float:
    return (row.metrics[kind.id].value or 0.0) * kind.scale


def _extent(row: Row, kind: MetricKind) -> tuple[float, float]:
    metric, value = row.metrics[kind.id], _scaled(row, kind)
    if metric.low is None or metric.high is None:
        return value, value
    return metric.low * kind.scale, metric.high * kind.scale


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
    return low - margin if low < 0 or low - margin >= 0 else 0.0, high + margin


def _tick(value: float) -> str:
    return grouped(value, ".10g").replace("-", "−")
