"""The figures of a run's result, as lists of runs show them."""

from dataclasses import dataclass
from pathlib import Path

from core.common.errors import EspalierError
from core.document.stage_keys import stage_key
from core.runs.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class FinalFigures:
    """Of the pipeline's final stage, its headline file, with the first seed; None where it is not known.

    Attributes:
        top1: on the test images, in percent.
        latency_ms: of one image on one thread, in milliseconds.
        size_mb: of the file, in megabytes.
    """

    top1: float | None = None
    latency_ms: float | None = None
    size_mb: float | None = None


def final_figures(folder: Path) -> FinalFigures:
    """The figures of the run in `folder` so far; reads its pipeline and one report."""
    try:
        run = RunFolder(folder)
        pipeline = run.pipeline
        report = run.report(stage_key(pipeline, pipeline.final_id, pipeline.axes.seed[0]))
    except (EspalierError, OSError, ValueError):  # Compare reports the fault
        return FinalFigures()
    metrics = {name: report.metric(name) if report else None for name in FinalFigures.__slots__}
    return FinalFigures(**{name: metric.value for name, metric in metrics.items() if metric is not None})
