"""What this program makes of a network beside what other tools make of it, from one run's folder.

A *rival* is a stage that another tool makes: its settings name one. It is held against the last stage of ours in the same
group that stands before it in the pipeline file, so that the file, and no result, decides which of ours that is.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.analysis.changes import against, ratio
from core.analysis.interval_support import measurable, wide
from core.analysis.report import why_lines
from core.analysis.rows import Row, stage_rows
from core.analysis.wording import format_change, format_metric, verdict
from core.common.text_tables import markdown
from core.comparison.compared_runs import read_run
from core.deploy.artefact_folder import ArtefactFolder
from core.deploy.quantization.sessions import agreement, sqnr
from core.deploy.quantizers.catalogue import QUANTIZERS
from core.document.pipeline import StageNode
from core.records.metrics import METRICS
from core.records.reports import Metric
from core.runs.run_folder import RunFolder

_TIMES = ("latency_ms", "latency_ms_all_cores")


@dataclass(frozen=True, slots=True)
class Beside:
    """One file that is shown beside others of its network.

    Attributes:
        tool: who made it; "" where we did.
        agreement: percent of the test images that keep float's class. noise: signal to noise of its logits against float's, dB.
        seconds: that making it took, without measuring; None where that is not known.
        change: of ours against a rival, by metric. None for one of ours.
        ours: the last of ours before it: for a rival the row that it is held against.
    """

    row: Row
    tool: str
    agreement: float | None
    noise: float | None
    seconds: float | None
    ours: Row | None = None
    change: dict[str, Metric] | None = None


def tool_of(node: StageNode) -> str:
    """The other tool that makes a stage, for people; "" where we make it ourselves."""
    quantizer = QUANTIZERS.get(getattr(node.parameters, "quantizer", ""))
    if quantizer is not None:
        return quantizer.title
    return "torch-pruning" if getattr(node.parameters, "pruner", "") == "torch-pruning" else ""


def beside(run: RunFolder) -> list[Beside]:
    """The rivals of a finished run and ours of the same kinds of stages, in the file's order."""
    nodes = run.pipeline.active
    groups = {node.stage.group for node in nodes if tool_of(node)}
    rows = stage_rows(read_run(run).rows())
    facts = {report.id: report.facts for report in run.reports()}
    found, last = list[Beside](), dict[str, Row]()
    for node in nodes:
        row = rows.get(node.id)
        if row is None or node.stage.group not in groups:
            continue
        tool, ours = tool_of(node), last.get(node.stage.group)
        if not tool:
            last[node.stage.group] = row
        change = _change(ours, row) if tool and ours is not None else None
        base = rows.get(run.pipeline.baseline_of(node.id))
        found.append(
            Beside(
                row, tool, *_answers(run, row, base), _seconds(facts[node.id].get("seconds")), ours, change
            )
        )
    return found


def _change(ours: Row, rival: Row) -> dict[str, Metric]:
    """Ours against a rival: accuracy in pairs; times by what both were against the same baseline, measured in alternation."""
    change, _ = against(ours, rival)
    for name in _TIMES:
        mine, theirs = (row.artefact.change.get(name) if row.artefact else None for row in (ours, rival))
        if mine is not None and theirs is not None and mine.value and theirs.value:
            change[name] = ratio(theirs, mine)
    return change


def _answers(run: RunFolder, row: Row, base: Row | None) -> tuple[float | None, float | None]:
    """Agreement with the baseline and signal to noise, from the logits that are kept; None where they are not."""
    try:
        reference, logits = (np.load(_logits(run, one)) for one in (base, row))
    except OSError:
        return None, None
    return agreement(reference, logits), sqnr(reference, logits)


def _logits(run: RunFolder, row: Row | None) -> Path:
    """What a row's file answered on the test images: .npy [n, k]."""
    if row is None or row.artefact is None:
        raise FileNotFoundError
    file = run.folder / row.artefact.path
    return ArtefactFolder.around(file).logits(file.stem)


def _seconds(told: Any) -> float | None:
    """Time that quantizing took, in one or several parts, as its job tells it; of other stages none is told."""
    return float(sum(told.values())) if isinstance(told, dict) else told


def table(found: Sequence[Beside]) -> str:
    """The files of one network in Markdown: against float, and ours against each rival."""
    kinds = [METRICS[name] for name in (*_TIMES, "size_mb")]
    head = [
        "", "Top-1 against the baseline", "Ours against it, top-1", "Same class as float [%]", "Logits' signal to noise [dB]",
        *(f"{kind.label} [{kind.unit}]" for kind in kinds), "Made in [s]",
    ]  # fmt: skip
    lines = [
        [
            one.row.label, _interval(one.row.change.get("top1")), _interval((one.change or {}).get("top1")),
            _number(one.agreement, 2), _number(one.noise, 1), *(format_metric(kind, one.row.metrics.get(kind.id)) for kind in kinds),
            _number(one.seconds, 0),
        ]
        for one in found
    ]  # fmt: skip
    return markdown(head, lines)


def _number(value: float | None, digits: int) -> str:
    return "—" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _interval(change: Metric | None) -> str:
    """A change in points with its bounds, "≈" before one that may be none."""
    if change is None or change.value is None:
        return "—"
    text = f"{change.value:+.2f}"
    if change.low is not None and change.high is not None:
        text += f" ({change.low:+.2f} to {change.high:+.2f})"
    return ("" if measurable(change) else "≈ ") + text.replace("-", "−")


@dataclass(frozen=True, slots=True)
class Cell:
    """Ours against a rival on one network. `answer`: "better", "worse", "same" or "" (of top-1)."""

    answer: str
    text: str


def cell(one: Beside) -> Cell:
    """What the measurements say of ours against a rival."""
    change = one.change or {}
    answer = verdict(METRICS["top1"], change.get("top1"))
    words = {"better": "**better** ", "worse": "**worse** "}.get(answer, "")
    return Cell(answer, f"{words}{_interval(change.get('top1'))}; {_latency(change.get('latency_ms'))}")


def _latency(change: Metric | None) -> str:
    if change is None or change.value is None:
        return "latency not compared"
    if wide(change):
        return "latency too uncertain"
    return f"latency {format_change(change)}"


def summary(networks: Sequence[tuple[str, Sequence[Beside], Sequence[tuple[str, str]]]]) -> str:
    """The table of rivals and networks with a verdict in each cell, how many there are of each, and why where ours is worse.

    Args:
        networks: title, files, and the rivals that made none: tool and reason.
    """
    tools = list(
        dict.fromkeys(
            tool for _, files, failed in networks for tool in (*(one.tool for one in files), *(name for name, _ in failed)) if tool
        )
    )  # fmt: skip
    if not tools:
        return ""
    lines, answers = [], list[str]()
    for title, files, failed in networks:
        cells = {one.tool: cell(one) for one in files if one.tool and one.change is not None}
        answers += [one.answer for one in cells.values()]
        texts = {name: "made no file" for name, _ in failed} | {tool: one.text for tool, one in cells.items()}
        if texts:
            lines.append([title, *(texts.get(tool, "—") for tool in tools)])
    parts = [
        markdown(["Ours in points of top-1 against", *tools], lines),
        f"Measurably better in {answers.count('better')} of {len(answers)} cells, worse in {answers.count('worse')}.",
        "\n".join(_worse(networks)),
    ]
    return "\n\n".join(part for part in parts if part)


def _worse(networks: Sequence[tuple[str, Sequence[Beside], Sequence[tuple[str, str]]]]) -> Iterator[str]:
    for title, files, failed in networks:
        for one in files:
            if one.tool and one.change is not None and cell(one).answer == "worse":
                reasons = why_lines(one.ours.report) if one.ours is not None and one.ours.report else []
                yield f"- {title}, worse than {one.tool}. {reasons[0] if reasons else 'No cause was found.'}"
        for tool, reason in failed:
            yield f"- {title}, {tool} made no file: {reason}"
