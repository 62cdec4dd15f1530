"""What the lists of runs show of a run's result: figures, data set, network."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.analysis.interval_support import uncertain
from core.analysis.wording import UNCERTAIN, time_range
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.numbers import significant
from core.data.catalogue import SOURCES
from core.document.pipeline import Pipeline, SourceNode
from core.document.stage_keys import stage_key
from core.models.catalogue import BACKBONES
from core.runs.home import Home
from core.runs.index import Kept
from core.runs.run_folder import RunFolder

_METRICS = ("top1", "latency_ms", "size_mb")
_NAMES = (
    "path",
    "weights_file",
    "folder",
    "run",
)  # settings that tell a source's network where no backbone does
_VERSION = 2  # raised when the same files give other figures


@dataclass(frozen=True, slots=True)
class FinalFigures:
    """Of the pipeline's final stage, its headline file, with the first seed; None or empty where not known.

    Attributes:
        top1: on the test images, in percent.
        latency_ms: of one image on one thread, in milliseconds.
        size_mb: of the file, in megabytes.
        latency_range: lower and upper end of a latency that was measured on so busy a machine that it is a range.
        data, network: what people call the data set and what the final stage was made from.
    """

    top1: float | None = None
    latency_ms: float | None = None
    size_mb: float | None = None
    data: str = ""
    network: str = ""
    latency_range: tuple[float, float] | None = None

    @property
    def latency(self) -> str:
        """The latency in milliseconds in a few digits, its range where it is one; "" where it is not known."""
        if self.latency_range is not None:
            return f"{UNCERTAIN} {time_range(*self.latency_range)}"
        return "" if self.latency_ms is None else significant(self.latency_ms, 3)


def read_figures(home: Home, folders: Sequence[Path], control: RunControl) -> Iterator[FinalFigures]:
    """The figures of the runs in these folders so far, one after the other, from the index where nothing has changed.

    Raises:
        Stopped: a person asked to stop.
    """
    with Kept.opened(home, "figures") as kept:
        for folder in folders:
            control.checkpoint()
            yield _obtained(kept, folder)


def forget_other_figures(home: Home, folders: Iterable[Path]) -> None:
    """Forget what is kept of runs that lie in none of these folders."""
    with Kept.opened(home, "figures") as kept:
        kept.forget_others(str(folder) for folder in folders)


def _obtained(kept: Kept, folder: Path) -> FinalFigures:
    stamp, key = _stamp(folder / "pipeline.yaml"), str(folder)
    text = kept.get(key, stamp) if stamp else None
    if text is not None:
        content = json.loads(text)
        if _stamp(folder / content["report"]) == content["stamp"]:
            kept_range = content["figures"].pop("latency_range")
            return FinalFigures(**content["figures"], latency_range=kept_range and tuple(kept_range))
    report, figures = _read(folder)
    if stamp and report:
        content = {"report": report, "stamp": _stamp(folder / report), "figures": asdict(figures)}
        kept.put(key, stamp, json.dumps(content))
    return figures


def _read(folder: Path) -> tuple[str, FinalFigures]:
    """Where the report of the final stage lies or will lie, below the folder, and the figures."""
    try:
        run = RunFolder(folder)
        pipeline = run.pipeline
        key = stage_key(pipeline, pipeline.final_id, pipeline.axes.seed[0])
        file = run.stage_folder(key).report_file.relative_to(run.folder)
        report = run.report(key)
    except (EspalierError, OSError, ValueError):  # Compare reports the fault
        return "", FinalFigures()
    metrics = {name: report.metric(name) if report else None for name in _METRICS}
    values: dict[str, Any] = {name: metric.value for name, metric in metrics.items() if metric is not None}
    latency = metrics["latency_ms"]
    if latency is not None and uncertain("latency_ms", latency):
        values["latency_range"] = (latency.low, latency.high)
    root = pipeline.root(pipeline.stage(pipeline.final_id))
    return str(file), FinalFigures(**values, data=data_name(pipeline), network=network_name(root))


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


def _stamp(path: Path) -> str:
    """Changes whenever a file is written anew; "" where there is none."""
    try:
        about = path.stat()
    except OSError:
        return ""
    return f"{_VERSION} {about.st_ino} {about.st_mtime_ns} {about.st_size}"
