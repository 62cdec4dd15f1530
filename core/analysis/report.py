"""The report of a run as Markdown, from the files in its folder; and the paper's rows for tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.analysis import claims
from core.analysis.claims import Answer
from core.analysis.heat_map import HeatMap
from core.analysis.rows import Row
from core.analysis.table import as_markdown
from core.common.shown_text import plain_markdown
from core.records.metrics import METRICS, TABLE_COLUMNS
from core.records.reports import Metric, StageReport


def paper_rows(paper: Any) -> list[Row]:
    """A `PaperTable` as rows for the same tables as the results."""
    rows = []
    for row in paper.rows:
        metrics = {
            name: Metric(value=value, unit=METRICS[name].unit if name in METRICS else "", how=paper.source)
            for name, value in row.values.items()
        }
        rows.append(Row(f"{row.name} (paper)", metrics, {}))
    return rows


@dataclass(frozen=True, slots=True)
class RunTexts:
    """What the pipeline's author wrote: name, description, what papers report, notes; and answers to the papers' claims."""

    name: str
    about: str
    papers: Sequence[Any]
    notes: Sequence[str]
    answers: Sequence[Answer] = ()


def run_report(
    texts: RunTexts,
    rows: Sequence[Row],
    reports: Sequence[StageReport],
    machine: dict[str, Any],
    device: str,
    grids: Mapping[str, HeatMap] | None = None,
    search: Sequence[str] = (),
) -> str:
    """The report's text.

    Args:
        grids: by the name of their files, without the ending.
        search: the paragraphs on a search, where the run made one.
    """
    parts = [f"# {texts.name}", "## Comparison", as_markdown(rows)]
    parts.append(
        "Every figure is of the exported file named in its row, on the test images, in ONNX Runtime on the processor; "
        "latency is the median for one image on one thread. ≈ marks a change that the measurement cannot tell from none."
    )
    parts += search
    for name, grid in (grids or {}).items():
        parts += [
            "## Grid",
            f"{grid.title}. As a picture: `{name}.svg`; as data: `{name}.csv`.",
            grid.as_markdown(),
        ]
    for paper in texts.papers:
        parts += [
            "## What the paper reports",
            paper.about,
            as_markdown(paper_rows(paper), TABLE_COLUMNS),
        ]
        parts.append("\n".join(f"- {remark}" for remark in paper.remarks))
    if texts.answers:
        parts += ["## What the paper claims, and what was measured", claims.as_markdown(texts.answers)]
    parts += ["## Stages", *(_stage(report) for report in reports)]
    written = [text for text in (texts.about, *texts.notes) if text]
    if written:
        parts += [
            "## What the author of the pipeline wrote about it",
            "\n".join(f"- {text}" for text in written),
        ]
    parts += [
        "## Machine",
        "\n".join(f"- {label}: {_plain(value)}" for label, value in {**machine, "device": device}.items()),
    ]
    return plain_markdown("\n\n".join(part for part in parts if part) + "\n")


def _stage(report: StageReport) -> str:
    lines = [f"### {report.name}" + (f" · seed {report.seed}" if "@" in report.key else "")]
    for artefact in report.artefacts:
        lines.append(
            f"- `{artefact.path}` ({artefact.label}): {artefact.verification.sentence if artefact.verification else 'not verified'}"
        )
        lines += [f"  - {note}" for note in artefact.notes]
    lines += [f"- {sentence}" for sentence in why_lines(report)]
    lines += [f"- {note}" for note in report.notes]
    torch = [
        f"{METRICS[name].label} {metric.value:.4g} {metric.unit}".strip()
        for name, metric in (report.pytorch | report.figures_in_pytorch).items()
        if name in METRICS and metric.value is not None and f"pytorch_{name}" not in METRICS
    ]
    if torch:
        lines.append(f"- In PyTorch: {', '.join(torch)}")
    if report.skipped:
        lines.append(f"- Left alone: {'; '.join(f'{path} ({reason})' for path, reason in report.skipped)}")
    return "\n".join(lines)


def why_lines(report: StageReport) -> list[str]:
    """Why the stage's figures are what they are, and what to do next; empty where nothing is known."""
    if report.why is None or not report.why.paragraph:
        return []
    advice = [f"What to do: {' '.join(report.why.advice)}"] if report.why.advice else []
    return [f"Why: {report.why.paragraph}", *advice]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return str(value)
