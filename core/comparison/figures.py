"""Pictures of a comparison for print: SVG, PDF or PNG, as wide as a column or a page.

Drawn by Matplotlib, imported when a picture is asked for. Error bars are the intervals of the
figures; of a mean over seeds, those of the mean.
"""

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

from core.analysis.rows import Row, stage_rows
from core.analysis.wording import heading
from core.common.errors import EspalierError
from core.common.files import written_beside
from core.comparison.compared_runs import ComparedRun, run_labels
from core.comparison.run_curves import bands
from core.records.metrics import METRICS
from core.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

Theme = Literal["light", "dark"]
Width = Literal["column", "page"]

_INCHES: dict[Width, float] = {"column": 3.35, "page": 6.9}  # 85 and 175 mm
SUFFIXES = (".svg", ".pdf", ".png")
_DOTS_PER_INCH = 300
_DASHES = ("-", "--", ":", "-.")
_COLOURED = 6  # lines of colours of their own
_LONGEST = 44  # letters of a stage's name
_INSIDE = 4  # entries of a legend that find room beside the curves
_SIDES = ((3, 3), (-3, 3), (3, -8), (-3, -8))  # points, of words from what they name
_FAR = 10.0  # times as much: shown on a logarithmic axis
_LETTERS = 13  # of a title, in an inch
_ROW = 0.13  # inches, of a legend below them
_BARS = ("top1", "size_mb", "params", "macs")
_COLOURS: dict[Theme, tuple[str, ...]] = {
    "light": ("#1f66c1", "#c2570c", "#7b4fc9", "#0b7f8a", "#a8326e", "#5f6b00"),
    "dark": ("#6ea8f7", "#f09a5b", "#b79bf2", "#55c3cf", "#ee88b8", "#c3cc5a"),
}
_INKS: dict[Theme, tuple[str, str]] = {"light": ("#ffffff", "#1b2422"), "dark": ("#1a1e1d", "#e7edea")}


def save(
    path: Path, name: str, runs: Sequence[ComparedRun], theme: Theme = "light", width: Width = "column"
) -> None:
    """Draw the figure `name` of `FIGURES` and write it; the file's ending says in which form.

    Raises:
        EspalierError: for an unknown name or ending, when the runs have nothing to draw, or when the
            file cannot be written.
    """
    if name not in FIGURES:
        raise EspalierError(
            f"Expected the name of a figure, received {name!r}.", f"Choose from: {', '.join(FIGURES)}."
        )
    if path.suffix.lower() not in SUFFIXES:
        raise EspalierError(
            f"Expected a file that ends in {', '.join(SUFFIXES)}, received {path.name!r}.",
            "Choose another name.",
        )
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_style(theme)):
        figure = Figure(layout="constrained", dpi=_DOTS_PER_INCH)
        FIGURES[name][1](figure, runs, _INCHES[width])
        _write(figure, path)


def _write(figure: "Figure", path: Path) -> None:
    ending = path.suffix.lower()
    try:
        with written_beside(path) as temporary:
            figure.savefig(temporary, format=ending[1:], metadata=_METADATA.get(ending))
    except OSError as error:
        raise EspalierError(
            f"{path} could not be written: {error.strerror or error}.", "Choose another file."
        ) from error


_METADATA: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def _style(theme: Theme) -> dict[str, Any]:
    from cycler import cycler

    page, ink = _INKS[theme]
    return {
        "figure.facecolor": page, "axes.facecolor": page, "savefig.facecolor": page, "text.color": ink,
        "axes.labelcolor": ink, "axes.edgecolor": ink, "xtick.color": ink, "ytick.color": ink,
        "legend.frameon": False, "font.size": 8, "axes.titlesize": 8, "axes.spines.top": False,
        "axes.spines.right": False, "axes.prop_cycle": cycler(color=_COLOURS[theme]), "lines.linewidth": 1.4,
        "lines.markersize": 4, "svg.fonttype": "none", "svg.hashsalt": "espalier", "pdf.fonttype": 42,
    }  # fmt: skip


def _accuracy_over_stages(figure: "Figure", runs: Sequence[ComparedRun], width: float) -> None:
    """A point a stage, joined with the one that it goes on from."""
    figure.set_size_inches(width, 2.8)
    axes = figure.subplots()
    names: list[str] = []
    lines = [(run, *line) for run in runs for line in _lines(run, runs)]
    for number, (run, label, rows) in enumerate(lines):
        names += [name for name in rows if name not in names]
        points = {row.stage: (names.index(name), _value(row, "top1")) for name, row in rows.items()}
        spread, colour = _spread(list(rows.values()), "top1"), f"C{number % _COLOURED}"
        across, up = ([point[axis] for point in points.values()] for axis in (0, 1))
        axes.errorbar(across, up, yerr=spread, fmt="o", capsize=2, color=colour, label=label)
        for stage, (x, y) in points.items():
            if (before := _goes_on_from(run, stage, points)) is not None:
                axes.plot([points[before][0], x], [points[before][1], y], color=colour)
    _need(names)
    axes.set_xticks(range(len(names)), [_short(name) for name in names])
    axes.tick_params(axis="x", labelrotation=40, labelsize=6)
    for text in axes.get_xticklabels():
        text.set(ha="right", rotation_mode="anchor")
    axes.set_ylabel(heading(METRICS["top1"]))
    _legend(figure, axes)


def _goes_on_from(run: ComparedRun, stage: str, shown: Container[str]) -> str | None:
    """The nearest stage before this one that is shown."""
    before = {report.id: report.source.partition("@")[0] for report in run.reports}
    while (stage := before.get(stage, "")) and stage not in shown:
        pass
    return stage or None


def _lines(run: ComparedRun, runs: Sequence[ComparedRun]) -> list[tuple[str, dict[str, Row]]]:
    """One line a run, or one a backbone where it is over several: its label, and its rows by their names in the file."""
    rows, name = _measured(run, "top1"), run_labels(runs)[run.folder]
    lines: dict[str, dict[str, Row]] = {}
    for shown, row in rows.items():
        title, backbone = run.branches.get(row.stage, (shown, ""))
        lines.setdefault(backbone, {})[title] = row
    of_several = {backbone: f"{name}: {backbone}" if len(runs) > 1 else backbone for backbone in lines}
    return [(of_several[backbone] if backbone else name, found) for backbone, found in lines.items()]


def _before_and_after(figure: "Figure", runs: Sequence[ComparedRun], width: float) -> None:
    by_run = [(run, _measured(run, "top1")) for run in runs]
    _need([name for _, rows in by_run for name in rows])
    shown = [
        metric for metric in _BARS if any(_has(row, metric) for _, rows in by_run for row in rows.values())
    ]
    names = [_short(name) for _, rows in by_run for name in rows]
    lines = (len(shown) + 1) // 2
    figure.set_size_inches(width, (0.5 + 0.13 * len(names)) * lines)
    places = figure.subplots(lines, 2, squeeze=False, sharey=True)
    for axes in places.flat[len(shown) :]:
        axes.remove()
    for axes, metric in zip(places.flat, shown, strict=False):
        bars = [(place, row) for place, row in enumerate(row for _, rows in by_run for row in rows.values())]
        bars = [(place, row) for place, row in bars if _has(row, metric)]
        where, values = (
            [place for place, _ in bars],
            [_value(row, metric) * METRICS[metric].scale for _, row in bars],
        )
        spread = _spread([row for _, row in bars], metric)
        axes.barh(where, values, height=0.7)
        if any(map(any, spread)):
            ink = axes.yaxis.label.get_color()
            axes.errorbar(values, where, xerr=spread, fmt="none", ecolor=ink, capsize=1.5, elinewidth=0.8)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(labelsize=6)
        axes.set_title(heading(METRICS[metric]))
    places.flat[0].invert_yaxis()  # the first stage above


def _against(metric: str) -> "Callable[[Figure, Sequence[ComparedRun], float], None]":
    def draw(figure: "Figure", runs: Sequence[ComparedRun], width: float) -> None:
        figure.set_size_inches(width, 2.6)
        axes, labels = figure.subplots(), run_labels(runs)
        points: list[tuple[str, float, float]] = []
        for run in runs:
            rows = {name: row for name, row in _measured(run, "top1").items() if _has(row, metric)}
            x = [_value(row, metric) for row in rows.values()]
            y = [_value(row, "top1") for row in rows.values()]
            axes.errorbar(
                x, y, xerr=_spread(list(rows.values()), metric), yerr=_spread(list(rows.values()), "top1"),
                fmt="o", capsize=2, elinewidth=0.8, label=labels[run.folder],
            )  # fmt: skip
            points += zip(rows, x, y, strict=True)
        _need([name for name, _, _ in points])
        across = [x for _, x, _ in points]
        if min(across) > 0 and max(across) > _FAR * min(across):
            _logarithmic(axes)
        axes.set_xlabel(heading(METRICS[metric]))
        axes.set_ylabel(heading(METRICS["top1"]))
        _legend(figure, axes)
        _name_points(figure, axes, points)

    return draw


def _logarithmic(axes: "Axes") -> None:
    """A logarithmic axis across, with plain numbers at 1, 2 and 5 of each power of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _name_points(figure: "Figure", axes: "Axes", points: Sequence[tuple[str, float, float]]) -> None:
    """Write each point's name beside it; where names would lie over each other numbers, with the names below the figure."""
    figure.draw_without_rendering()
    if _written(axes, [(_short(name), across, up) for name, across, up in points]):
        return
    from matplotlib.lines import Line2D

    for text in list(axes.texts):
        text.remove()
    _written(axes, [(str(number), across, up) for number, (_, across, up) in enumerate(points, 1)])
    key = [
        Line2D([], [], linestyle="none", label=f"{number}  {name}")
        for number, (name, _, _) in enumerate(points, 1)
    ]
    _below(figure, key, handlelength=0, handletextpad=0)


def _written(axes: "Axes", points: Sequence[tuple[str, float, float]]) -> bool:
    """Write words beside points, each where nothing is written yet; whether there was such a place for all."""
    taken: list[Bbox] = []
    everywhere = True
    for words, across, up in points:
        for right, above in _SIDES:
            text = axes.annotate(
                words,
                (across, up),
                (right, above),
                textcoords="offset points",
                fontsize=6,
                ha="left" if right > 0 else "right",
            )
            box = text.get_window_extent()
            if box.x0 >= axes.bbox.x0 and not any(box.overlaps(other) for other in taken):
                break
            text.remove()
        else:
            everywhere = False
            text = axes.annotate(words, (across, up), _SIDES[0], textcoords="offset points", fontsize=6)
            box = text.get_window_extent()
        taken.append(box)
    return everywhere


def _training_curves(figure: "Figure", runs: Sequence[ComparedRun], width: float) -> None:
    """Validation top-1 of every stage that trained; of several seeds the mean, with a band from lowest to highest."""
    figure.set_size_inches(width, 2.6)
    axes, labels, drawn = figure.subplots(), run_labels(runs), []
    for number, run in enumerate(runs):
        for stage, band in enumerate(bands(Path(run.folder))):
            across = range(1, len(band.mean) + 1)
            several = len(runs) > 1  # then a colour a run, as in the other figures, and a dash a stage
            label = f"{labels[run.folder]}: {band.name}" if several else band.name
            colour, turn = (number, stage) if several else (stage % _COLOURED, stage // _COLOURED)
            dash = _DASHES[turn % len(_DASHES)]
            [line] = axes.plot(across, band.mean, label=label, color=f"C{colour}", linestyle=dash)
            if band.seeds > 1:
                axes.fill_between(across, band.low, band.high, color=line.get_color(), alpha=0.2, linewidth=0)
            drawn.append(label)
    _need(drawn)
    axes.set_xlabel("Epoch")
    axes.locator_params(axis="x", integer=True)
    axes.set_ylabel("Validation top-1 [%]")
    _legend(figure, axes)


def _widths(figure: "Figure", runs: Sequence[ComparedRun], width: float) -> None:
    """Channels of every layer group before and after each stage that removed some."""
    stages = [(name, layers) for run in runs for name, layers in _pruned(run)]
    _need([name for name, _ in stages])
    figure.set_size_inches(width, 1.8 * len(stages))
    for axes, (name, layers) in zip(figure.subplots(len(stages), 1, squeeze=False).flat, stages, strict=True):
        before, after = ([layer[key] for layer in layers] for key in ("before", "after"))
        axes.bar(range(len(layers)), before, width=0.8, alpha=0.35, label="before")
        axes.bar(range(len(layers)), after, width=0.8, color="C0", label="after")
        axes.set_title(name, loc="left")
        axes.set_xlabel("Layer group")
        axes.locator_params(axis="x", integer=True)
        axes.set_ylabel("Channels")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, fontsize=6)


def _heat_maps(figure: "Figure", runs: Sequence[ComparedRun], width: float) -> None:
    maps = [grid for run in runs for grid in run.grids]
    _need([grid.title for grid in maps])
    figure.set_size_inches(width, 0.85 * width * len(maps))
    for axes, grid in zip(figure.subplots(len(maps), 1, squeeze=False).flat, maps, strict=True):
        cells = [[float("nan") if value is None else value for value in row] for row in grid.cells]
        axes.imshow(cells, cmap="viridis", aspect="auto")
        middle = (max(map(max, cells)) + min(map(min, cells))) / 2
        for row, values in enumerate(cells):
            for column, value in enumerate(values):
                colour = "black" if value > middle else "white"
                axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=6, color=colour)
        axes.set_xticks(range(len(grid.columns)), grid.columns)
        axes.set_yticks(range(len(grid.rows)), grid.rows)
        axes.set_xlabel(grid.column_name)
        axes.set_ylabel(grid.row_name)
        axes.set_title(fill(grid.title, round(_LETTERS * width)))


FIGURES: "dict[str, tuple[str, Callable[[Figure, Sequence[ComparedRun], float], None]]]" = {
    "stages": ("Accuracy over the stages, a line for each run or backbone", _accuracy_over_stages),
    "bars": ("Accuracy, size, parameters and MACs as bars", _before_and_after),
    "size": ("Accuracy against size", _against("size_mb")),
    "latency": ("Accuracy against latency", _against("latency_ms")),
    "curves": ("Training curves of all stages, with bands over seeds", _training_curves),
    "widths": ("Channels of every layer before and after pruning", _widths),
    "heat-maps": ("The grids of settings", _heat_maps),
}


def _measured(run: ComparedRun, metric: str) -> dict[str, Row]:
    """The main row of each stage that has the metric, by the stage's name."""
    names = {report.id: report.name for report in run.reports}
    return {names[id]: row for id, row in stage_rows(run.rows()).items() if _has(row, metric)}


def _has(row: Row, metric: str) -> bool:
    found = row.metrics.get(metric)
    return found is not None and found.value is not None


def _value(row: Row, metric: str) -> float:
    value = row.metrics[metric].value
    assert value is not None
    return value


def _spread(rows: Sequence[Row], metric: str) -> list[list[float]]:
    """How far the intervals reach below and above the values; 0 where there is none."""
    scale = METRICS[metric].scale
    metrics = [row.metrics[metric] for row in rows]
    below = [0.0 if m.low is None or m.value is None else max(0.0, m.value - m.low) * scale for m in metrics]
    above = [
        0.0 if m.high is None or m.value is None else max(0.0, m.high - m.value) * scale for m in metrics
    ]
    return [below, above]


def _pruned(run: ComparedRun) -> list[tuple[str, list[dict[str, Any]]]]:
    reports = RunFolder(Path(run.folder)).reports() if Path(run.folder).is_dir() else []
    seeds = {report.seed for report in reports}
    first = next((report.seed for report in reports), 0)
    label = " · seed {}" if len(seeds) > 1 else ""
    return [
        (report.name + label.format(report.seed), report.facts["layers"])
        for report in reports
        if report.seed == first and _are_widths(report.facts.get("layers"))
    ]


def _are_widths(layers: Any) -> bool:
    return isinstance(layers, list) and bool(layers) and isinstance(layers[0], dict) and "before" in layers[0]


def _short(name: str) -> str:
    """A name that leaves room for the figure."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1].rstrip()}…"


def _legend(figure: "Figure", axes: "Axes") -> None:
    """What the lines are: beside them where they are few, else below."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > _INSIDE:
        _below(figure, handles)
    elif len(labels) > 1:
        axes.legend(fontsize=6)


def _below(figure: "Figure", handles: Sequence["Artist"], **form: float) -> None:
    """A legend below the figure, which becomes higher by it; `form` is of Matplotlib's legend."""
    columns = 2 if max(len(str(handle.get_label())) for handle in handles) <= _LONGEST // 2 else 1
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + _ROW * -(-len(handles) // columns) + _ROW)
    figure.legend(handles=handles, loc="outside lower left", ncols=columns, fontsize=6, **form)


def _need(drawn: Sequence[str]) -> None:
    if not drawn:
        raise EspalierError(
            "These runs have nothing that this figure shows.",
            "Choose another figure, or runs with finished stages.",
        )
