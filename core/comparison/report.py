"""A comparison of runs as text for other programs: CSV, Markdown, LaTeX, and a page in HTML.

The command line and the window make them here.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.analysis.html_report import Content, RunPart, html_report
from core.analysis.latex import as_latex
from core.analysis.pareto import fits, limit_words
from core.analysis.report import paper_rows, why_lines
from core.analysis.rows import Row, row_id
from core.analysis.settings_table import SettingRow, side_by_side
from core.analysis.svg import Curve, curve_plot
from core.analysis.table import any_uncertain, as_csv, as_markdown, as_text, by_run, columns_with_values
from core.analysis.wording import NOT_PAIRED_MEANS, RANGES_MEAN
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.files import write_atomically
from core.common.shown_text import plain_markdown
from core.comparison.changed_images import evidence_of
from core.comparison.compared_runs import (
    ComparedRun,
    mixed_conditions,
    mixed_images,
    mixed_protocols,
    run_labels,
)
from core.comparison.headline import headline
from core.comparison.html_lead import lead
from core.document.paper import PaperTable
from core.records.metrics import METRICS, MetricKind
from core.records.reports import StageReport
from core.runs.home import Home
from core.runs.run_folder import RunFolder

MIXED = (
    "These runs come from different machines or versions of the runtime. "
    "Their times and memory cannot be compared with one another."
)
MIXED_IMAGES = "These runs were judged on different test images. Their accuracies cannot be compared."
MIXED_PROTOCOLS = (
    "Some of these files were measured by an earlier version, which took times otherwise and set no interrupted runs "
    "aside. Measure them again to compare their times."
)
_SETTINGS_COLUMNS = 24  # more stages than that side by side can no longer be read
_CURVES = 24  # runs whose curves are drawn
_LED = 6  # runs whose results are told in a sentence
FORMATS = ("table", "csv", "markdown", "latex", "html")


def as_format(
    name: str,
    runs: Sequence[ComparedRun],
    rows: Sequence[Row],
    kinds: Sequence[MetricKind] | None = None,
    home: Home | None = None,
) -> str:
    """The comparison in one of `FORMATS`; `kinds` are the columns, all usual ones unless given; `home` as of `as_html`."""
    kinds = columns_with_values(rows) if kinds is None else kinds
    labelled = by_run(rows)
    match name:
        case "table":
            return _as_terminal(runs, rows, kinds)
        case "csv":
            return as_csv(rows)
        case "markdown":
            return plain_markdown(as_markdown(labelled, kinds=kinds) + "\n")
        case "latex":
            return as_latex(labelled, kinds, caption=title(runs), label="tab:comparison")
        case _:
            return as_html(runs, rows, kinds, home=home)


def as_html(
    runs: Sequence[ComparedRun],
    rows: Sequence[Row],
    kinds: Sequence[MetricKind],
    axes: tuple[str, str] = ("latency_ms", "top1"),
    limits: Mapping[str, float] | None = None,
    home: Home | None = None,
    control: RunControl | None = None,
) -> str:
    """The page; curves and notes are read from the run folders.

    Args:
        home: where the images of the data sets are kept; without it none are shown.

    Raises:
        Stopped: a person asked to stop.
    """
    limits, labels = limits or {}, run_labels(runs)
    outside = frozenset(row.id for row in rows if not fits(row, limits))
    return html_report(
        Content(
            title=title(runs),
            byline=f"Made with Espalier on {time.strftime('%d %B %Y, %H:%M')}",
            rows=rows, kinds=kinds, axes=axes,
            runs=[_run(run, labels[run.folder], index < _CURVES) for index, run in enumerate(runs)],
            warnings=warnings(runs),
            outside=outside, limits=_limits(limits, len(rows) - len(outside), len(rows)),
            settings=_settings(runs, rows),
            papers=[_paper(paper) for paper in papers_of(runs)],
            answers=[(labels[run.folder], answers) for run in runs if (answers := run.answers())],
            lead=_lead(runs, rows, labels, home, control or RunControl()),
        )
    )  # fmt: skip


def _lead(
    runs: Sequence[ComparedRun],
    rows: Sequence[Row],
    labels: Mapping[str, str],
    home: Home | None,
    control: RunControl,
) -> list[str]:
    """What each of the first runs achieved, with the images that turned."""
    parts = []
    for run in runs[:_LED]:
        result = headline(run, rows)
        if result is None:
            continue
        shown = Path(run.folder).is_dir() and home is not None
        evidence = evidence_of(Path(run.folder), home, control) if shown and home is not None else None
        parts.append((labels[run.folder] if len(runs) > 1 else "", result, evidence))
    return lead(parts)


def _as_terminal(runs: Sequence[ComparedRun], rows: Sequence[Row], kinds: Sequence[MetricKind]) -> str:
    """The table for a terminal, with the papers' tables below."""
    parts = [as_text(by_run(rows), kinds=kinds)]
    parts += [NOT_PAIRED_MEANS] if any(row.loose for row in rows) else []
    parts += [RANGES_MEAN] if any_uncertain(rows, kinds) else []
    for paper in papers_of(runs):
        remarks = "\n".join(f"  · {remark}" for remark in paper.remarks)
        parts.append(f"\n{paper.about}\n{as_text(paper_rows(paper))}\n{remarks}")
    return "\n".join(parts) + "\n"


def columns_of(text: str | None, rows: Sequence[Row]) -> list[MetricKind]:
    """The columns that a person names by metric ids between commas; the usual ones without a name.

    Raises:
        EspalierError: when there is no such metric.
    """
    if not text:
        return columns_with_values(rows)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise EspalierError(
            f"Expected names of metrics, received {', '.join(unknown)}.",
            f"Choose from: {', '.join(METRICS)}.",
        )
    return [METRICS[name] for name in names]


def baseline_row_id(text: str, runs: Sequence[ComparedRun]) -> str:
    """The id of the row that `STAGE` or `RUN:STAGE` means.

    Raises:
        EspalierError: when no run has that stage.
    """
    run_name, _, stage = text.rpartition(":")
    for run in runs:
        for report in run.reports:
            if stage in (report.key, report.id) and run_name in ("", run.name, run.title, run.folder):
                return row_id(run.folder, report.key, report.headline)
    names = ", ".join(dict.fromkeys(report.key for run in runs for report in run.reports))
    raise EspalierError(
        f"Expected a stage of these runs as the baseline, received {text!r}.", f"Stages: {names}."
    )


def warnings(runs: Sequence[ComparedRun]) -> list[str]:
    """What has to be known before runs are compared, in sentences."""
    sentences = [MIXED] if mixed_conditions(runs) else []
    sentences += [MIXED_IMAGES] if mixed_images(runs) else []
    return sentences + ([MIXED_PROTOCOLS] if mixed_protocols(runs) else [])


def title(runs: Sequence[ComparedRun]) -> str:
    """What is compared, in a heading."""
    names = list(dict.fromkeys(run.title for run in runs))
    if len(names) == 1:
        return names[0] + (f": {len(runs)} runs" if len(runs) > 1 else "")
    return ", ".join(names) if len(names) <= 3 else f"Comparison of {len(runs)} runs"


def papers_of(runs: Sequence[ComparedRun]) -> list[PaperTable]:
    """The papers' tables of these runs, each once."""
    return list({(paper.source, paper.setting): paper for run in runs for paper in run.papers}.values())


def write(path: Path, text: str) -> None:
    """Write a report that a person asked for.

    Raises:
        EspalierError: when the file cannot be written.
    """
    if not path.parent.is_dir():
        raise EspalierError(
            f"{path} could not be written: there is no folder {path.parent}.", "Choose another file."
        )
    write_atomically(path, text)


def _limits(limits: Mapping[str, float], fitting: int, total: int) -> str:
    if not limits:
        return ""
    parts = []
    for name, bound in limits.items():
        kind = METRICS[name]
        value = f"{bound * kind.scale:.{kind.decimals}f} {kind.shown_unit or kind.unit}".strip()
        parts.append(f"{kind.label} {limit_words(name)} {value}")
    return f"Limits: {'; '.join(parts)}. {fitting} of {total} files fit; the others are pale."


def _settings(runs: Sequence[ComparedRun], rows: Sequence[Row]) -> tuple[list[str], list[SettingRow]]:
    by_folder = {run.folder: run for run in runs}
    stages: dict[str, Row] = {}
    for row in by_run(rows):
        if row.report is not None and row.origin is not None and row.origin.folder in by_folder:
            stages.setdefault(f"{row.origin.folder}|{row.report.id}", row)  # once for all seeds
    chosen = [row for row in stages.values() if row.report and row.origin][:_SETTINGS_COLUMNS]
    lines = [
        by_folder[row.origin.folder].settings_of(row.report) for row in chosen if row.report and row.origin
    ]
    return [row.label for row in chosen], side_by_side(lines) if len(chosen) > 1 else []


def _paper(paper: PaperTable) -> tuple[str, list[Row], Sequence[str]]:
    words = paper.about
    return words, paper_rows(paper), paper.remarks


def _run(run: ComparedRun, label: str, curves: bool) -> RunPart:
    return RunPart(
        label,
        " · ".join(
            part for part in (run.when, run.status, f"{len(run.reports)} of {run.total} stages") if part
        ),
        machine_words(run),
        _plots(run) if curves else (),
        [
            *([("What the author of the pipeline wrote about it", _written(run))] if _written(run) else []),
            *((_stage_name(report), _notes(report)) for report in run.reports),
        ],
        run.grids,
    )


def _written(run: ComparedRun) -> list[str]:
    """Description and notes: of the pipeline as a whole, and perhaps of the one that it was made from."""
    return [words for words in (run.about, *run.notes) if words] if Path(run.folder).is_dir() else []


def machine_words(run: ComparedRun) -> str:
    """The machine of a run in one line."""
    machine = run.machine
    versions = machine.get("versions") or {}
    memory = machine.get("memory_bytes")
    parts = [
        run.processor,
        f"{machine['physical_cores']} cores" if machine.get("physical_cores") else "",
        f"{memory / 1e9:.0f} GB" if memory else "",
        *machine.get("gpu", []),
        str(machine.get("system", "")),
        *(f"{name} {versions[name]}" for name in ("onnxruntime", "torch") if versions.get(name)),
    ]
    return " · ".join(part for part in parts if part)


def _stage_name(report: StageReport) -> str:
    return report.name + (f" · seed {report.seed}" if "@" in report.key else "")


def _notes(report: StageReport) -> list[str]:
    notes = []
    for artefact in report.artefacts:
        sentence = artefact.verification.sentence if artefact.verification else "not verified"
        notes.append(f"{artefact.label} ({artefact.path}): {sentence}")
        notes += [f"{artefact.label}: {note}" for note in artefact.notes]
    notes += [*why_lines(report), *report.notes]
    if report.skipped:
        notes.append(f"Left alone: {'; '.join(f'{path} ({reason})' for path, reason in report.skipped)}")
    return notes


def _plots(run: ComparedRun) -> list[str]:
    """Accuracy and loss of all stages on one line of epochs; none of a device's report."""
    if not Path(run.folder).is_dir():
        return []
    reports = [report for report in RunFolder(Path(run.folder)).reports() if report.history]
    if not reports:
        return []
    bounds, x, start = [], [], 0.0
    for report in reports:
        bounds.append((start, _stage_name(report)))
        x.append([start + float(epoch.get("epoch", index + 1)) for index, epoch in enumerate(report.history)])
        start = x[-1][-1]
    plots = []
    for label, names in (("Top-1 [%]", ("val_top1", "train_top1")), ("Loss", ("val_loss", "train_loss"))):
        curves = [_curve(reports, x, name, index) for index, name in enumerate(names)]
        plots.append(curve_plot(curves, bounds, "Epoch, stage after stage", label))
    return [plot for plot in plots if plot]


_CURVE_NAMES = {
    "val_top1": "validation", "train_top1": "training", "val_loss": "validation", "train_loss": "training",
}  # fmt: skip


def _curve(reports: Sequence[StageReport], x: Sequence[Sequence[float]], name: str, index: int) -> Curve:
    """One quantity over all stages, with a gap between two."""
    xs: list[float] = []
    ys: list[float | None] = []
    for report, at in zip(reports, x, strict=True):
        xs += [*at, at[-1]]
        ys += [*(epoch.get(name) for epoch in report.history), None]
    return Curve(_CURVE_NAMES[name], xs, ys, index, dashed=index == 1)
