"""One colour a run, the same in every plot."""

from collections.abc import Sequence
from html import escape

from core.comparison.compared_runs import ComparedRun, run_labels
from gui.base import theme


def run_colours(runs: Sequence[ComparedRun]) -> dict[str, str]:
    """By folder, in the order in which the runs were chosen; empty for a single one, which needs none."""
    series = theme.colours().series
    return {run.folder: series[n % len(series)] for n, run in enumerate(runs)} if len(runs) > 1 else {}


def legend(runs: Sequence[ComparedRun]) -> str:
    """The runs beside their colours, as rich text; "" for a single one."""
    colours, labels = run_colours(runs), run_labels(runs)
    return " &nbsp; ".join(
        f'<span style="color:{colour}">■</span>&nbsp;{escape(labels[folder])}'
        for folder, colour in colours.items()
    )
