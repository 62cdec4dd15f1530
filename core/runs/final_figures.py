"""What the lists of runs show of a run's result: figures, data set, network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.common.errors import EspalierError
from core.data.catalogue import SOURCES
from core.document.pipeline import Pipeline, SourceNode
from core.document.stage_keys import stage_key
from core.models.catalogue import BACKBONES
from core.runs.run_folder import RunFolder

_METRICS = ("top1", "latency_ms", "size_mb")
_NAMES = (
    "path",
    "weights_file",
    "folder",
    "run",
)  # settings that tell a source's network where no backbone does
_read: dict[Path, tuple[tuple[float, ...], Path, "FinalFigures"]] = {}  # by folder: what it was read from


@dataclass(frozen=True, slots=True)
class FinalFigures:
    """Of the pipeline's final stage, its headline file, with the first seed; None or empty where not known.

    Attributes:
        top1: on the test images, in percent.
        latency_ms: of one image on one thread, in milliseconds.
        size_mb: of the file, in megabytes.
        data, network: what people call the data set and what the final stage was made from.
    """

    top1: float | None = None
    latency_ms: float | None = None
    size_mb: float | None = None
    data: str = ""
    network: str = ""


def final_figures(folder: Path) -> FinalFigures:
    """The figures of the run in `folder` so far; reads its pipeline and one report, unless they are as before."""
    known = _read.get(folder)
    if known is not None and known[0] == _stamps(folder, known[1]):
        return known[2]
    try:
        run = RunFolder(folder)
        pipeline = run.pipeline
        key = stage_key(pipeline, pipeline.final_id, pipeline.axes.seed[0])
        file = run.stage_folder(key).report_file
        stamps = _stamps(folder, file)
        report = run.report(key)
    except (EspalierError, OSError, ValueError):  # Compare reports the fault
        return FinalFigures()
    metrics = {name: report.metric(name) if report else None for name in _METRICS}
    values: dict[str, Any] = {name: metric.value for name, metric in metrics.items() if metric is not None}
    root = pipeline.root(pipeline.stage(pipeline.final_id))
    figures = FinalFigures(**values, data=data_name(pipeline), network=network_name(root))
    _read[folder] = stamps, file, figures
    return figures


def data_name(pipeline: Pipeline) -> str:
    """What people call a pipeline's data set: the name of its files, or of the set itself."""
    place = pipeline.data.path.strip().rstrip("/\\")
    if place:
        return Path(place).name or place
    source = SOURCES.get(pipeline.data.source)
    return source.title if source is not None else pipeline.data.source


def network_name(root: SourceNode) -> str:
    """What people call the network that a source gives."""
    settings = root.parameters.model_dump(mode="json")
    backbone = settings.get("backbone")
    if backbone:
        return BACKBONES[backbone].title if backbone in BACKBONES else str(backbone)
    named = next((str(settings[name]) for name in _NAMES if settings.get(name)), "")
    return Path(named).name or root.source.title


def _stamps(folder: Path, report: Path) -> tuple[float, ...]:
    """When what the figures are read from was last written; 0 for what is not there."""
    stamps = []
    for path in (folder / "pipeline.yaml", report):
        try:
            stamps.append(path.stat().st_mtime)
        except OSError:
            stamps.append(0.0)
    return tuple(stamps)
