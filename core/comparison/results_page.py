"""Finished runs as a page in Markdown: the papers' claims and what answers them, tables with intervals, grids, the papers' figures, notes."""

import time
from collections.abc import Sequence

from core.analysis import claims
from core.analysis.report import paper_rows
from core.analysis.rows import Row
from core.analysis.table import as_markdown, columns_with_values
from core.analysis.wording import NOT_PAIRED_MEANS, measurable
from core.common.text_tables import markdown
from core.comparison.compared_runs import ComparedRun, read_run
from core.comparison.report import machine_words
from core.records.metrics import METRICS, TABLE_COLUMNS
from core.records.reports import Metric
from core.runs.grid_results import read_grids
from core.runs.run_folder import RunFolder

_COLUMNS = tuple(name for name in TABLE_COLUMNS if name not in ("latency_ms_p90", "compression_ratio"))


def section(folder: RunFolder, command: str) -> str:
    """One run, from its heading to its notes; `command` is what made it. Of several seeds it shows the means."""
    run = read_run(folder)
    rows = _without_members(run.rows())
    started = time.localtime(folder.info.started)
    date = f"{started.tm_mday} {time.strftime('%B %Y', started)}"
    parts = [
        f"## {run.title}",
        run.about,
        " · ".join(part for part in (f"`{command}`", date, _duration(folder), machine_words(run)) if part),
        *_answers(run),
        as_markdown(rows, _COLUMNS),
        _intervals(rows),
    ]
    if any(row.loose for row in rows):
        parts.append(f"{NOT_PAIRED_MEANS}.")
    for grid in read_grids(folder).values():
        parts += [f"{grid.title}:", grid.as_markdown()]
    parts += [
        *_papers(run),
        *(["**Notes.**", "\n".join(f"- {note}" for note in run.notes)] if run.notes else []),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _duration(folder: RunFolder) -> str:
    """How long a run took, and how much of it an earlier run had done; "" of one on its way."""
    if not folder.info.seconds:
        return ""
    minutes, seconds = divmod(round(folder.info.seconds), 60)
    reports = folder.reports()
    cached = sum(report.cached for report in reports)
    known = f" ({cached} of {len(reports)} stages came from the cache)" if cached else ""
    return f"{minutes} min {seconds:02d} s{known}"


def _intervals(rows: Sequence[Row]) -> str:
    """The changes of accuracy and latency with their intervals."""
    lines = [
        [row.label, *(_interval(row.change.get(name)) for name in ("top1", "latency_ms"))]
        for row in rows
        if row.change
    ]
    head = ("Change against the baseline", "Top-1, 95 % interval", "Latency, 99 % interval")
    return markdown(head, lines) if lines else ""


def _interval(change: Metric | None) -> str:
    """A change with its bounds, in its own unit."""
    if change is None or change.value is None:
        return "—"
    text = f"{change.value:+.2f} {change.unit}"
    if change.low is not None and change.high is not None:
        text += f" ({change.low:+.2f} to {change.high:+.2f})"
    text = text.replace("-", "−")
    return text if measurable(change) else f"≈ {text}"


def _papers(run: ComparedRun) -> list[str]:
    """What the papers report, what is to be said about it, and what the measurements answer."""
    parts = []
    for paper in run.papers:
        rows = paper_rows(paper)
        names = dict.fromkeys(name for row in rows for name in row.metrics if name in METRICS)
        parts += [
            f"**The paper.** {paper.about}",
            as_markdown(rows, kinds=columns_with_values(rows, tuple(names))),
            "\n".join(f"- {remark}" for remark in paper.remarks),
        ]
    return parts


def _answers(run: ComparedRun) -> list[str]:
    """The papers' claims, each with what the measurements say."""
    answers = run.answers()
    return (
        ["**What the measurements say to the paper's claims.**", claims.as_markdown(answers)]
        if answers
        else []
    )


def _without_members(rows: Sequence[Row]) -> list[Row]:
    """The rows but those that a mean was taken of."""
    members = {member.id for row in rows for member in row.members}
    return [row for row in rows if row.members or row.id not in members]
