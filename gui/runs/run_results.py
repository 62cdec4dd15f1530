"""A run as the window shows it: what its folder holds, read once (no widgets)."""

import time
from dataclasses import dataclass

from core.analysis.rows import Row
from core.analysis.table import table_rows
from core.comparison.compared_runs import ComparedRun, from_parts
from core.document.pipeline import Pipeline
from core.records.reports import StageReport
from core.runs.run_folder import RunFolder
from gui.base.translation import tr
from gui.runs.status_words import status_word


@dataclass(frozen=True, slots=True)
class Results:
    """Finished stages of one run.

    Attributes:
        started: seconds since 1970. machine: its processor. compared: the run as a comparison takes it, without
            who answered which image right.
    """

    run: RunFolder
    pipeline: Pipeline
    reports: list[StageReport]
    status: str
    started: float
    machine: str
    compared: ComparedRun

    @property
    def rows(self) -> list[Row]:
        """One row a file, changes against the baseline beside."""
        return table_rows(self.reports, self.pipeline.baseline_of_each())

    @property
    def title(self) -> str:
        return self.pipeline.name

    @property
    def about(self) -> str:
        """When, how far, where."""
        when = time.strftime("%d %b %Y, %H:%M", time.localtime(self.started)) if self.started else ""
        total = len(self.pipeline.active) * len(self.pipeline.axes.seed)
        count = tr("{done} of {all} stages", done=len(self.reports), all=total)
        return " · ".join(part for part in (when, status_word(self.status), count, self.machine) if part)


def read_results(run: RunFolder) -> Results:
    """The state of a run folder now.

    Raises:
        EspalierError: when it is no run folder, or cannot be read.
    """
    info = run.info
    name = str(info.machine.get("processor") or "")
    pipeline = run.pipeline
    reports = run.reports(pipeline)
    compared = from_parts(run, pipeline, reports, predictions=False)
    return Results(run, pipeline, reports, run.status, info.started, name, compared)
