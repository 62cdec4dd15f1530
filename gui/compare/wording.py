"""The sentences of the comparison desk (no widgets)."""

from collections.abc import Sequence

from core.analysis.interval_support import measurable, uncertain, wide
from core.analysis.rows import Row
from core.analysis.wording import NOT_PAIRED, UNCERTAIN
from gui.base.translation import tr
from gui.compare.state import ComparisonState
from gui.runs.run_results import Results
from gui.runs.status_words import status_word


def title(state: ComparisonState) -> str:
    """What is compared."""
    names = list(dict.fromkeys(run.title for run in state.runs))
    if not names:
        return tr("Compare")
    if len(names) == 1:
        return names[0]
    return tr("{runs} runs of {pipelines} pipelines", runs=len(state.runs), pipelines=len(names))


def about(state: ComparisonState, results: Results | None) -> str:
    """One line below the title."""
    if not state.runs:
        return tr("Every figure is measured on the exported file itself.")
    if len(state.runs) == 1:
        run = state.runs[0]
        if results is not None and str(results.run.folder) == run.folder:
            return results.about
        return tr(
            "{when} · {status} · {count} of {total} stages · {processor}",
            when=run.when,
            status=status_word(run.status),
            count=len(run.reports),
            total=run.total,
            processor=run.processor,
        )
    names = list(dict.fromkeys(run.title for run in state.runs))
    return ", ".join(names) if len(names) > 1 else tr("{count} runs", count=len(state.runs))


def legend(rows: Sequence[Row]) -> str:
    """What the signs in the table mean, as far as they stand there."""
    changes = [change for row in rows for change in row.change.values()]
    same = any(not measurable(change) and not wide(change) for change in changes)
    parts = [tr("≈ no measurable difference")] if same else []
    if any(uncertain(name, metric) for row in rows for name, metric in row.metrics.items()):
        parts.append(tr("{mark} a range, measured on a busy machine", mark=UNCERTAIN))
    if any(not measurable(change) and wide(change) for change in changes):
        parts.append(tr("? cannot be told"))
    if any(row.loose for row in rows):
        parts.append(
            tr("{not_paired} ratio of medians that were not measured in alternation", not_paired=NOT_PAIRED)
        )
    return " · ".join(parts)
