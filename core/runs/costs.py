"""What stages took in earlier runs on this machine: seconds of training an image, and of what comes after training."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.data.image_data import Opened
from core.document.pipeline import Pipeline, StageNode
from core.machine.fingerprint import fingerprint
from core.records.reports import StageReport
from core.runs.home import Home
from core.runs.run_folder import RunFolder, find_runs

_log = logging.getLogger(__name__)

_LOOKED_AT = 12  # runs, the latest first
_SAME_MACHINE = ("processor", "logical_cores", "gpu")


@dataclass(frozen=True, slots=True)
class StageCost:
    """Of one stage.

    Attributes:
        rate: seconds of training an image; None where nothing was trained.
        fixed: seconds of evaluation, export, verification and measuring.
    """

    rate: float | None
    fixed: float


def earlier_costs(home: Home, pipeline: Pipeline, run: RunFolder, epoch_images: int) -> dict[str, StageCost]:
    """By stage id, from the latest runs whose stages are like those of `pipeline`; what cannot be read is passed over.

    Args:
        run: the run that begins; it is no earlier one.
        epoch_images: images of an epoch, as of this pipeline's data.
    """
    found: dict[str, StageCost] = {}
    here = fingerprint()
    others = [one for one in find_runs(home) if one.folder != run.folder]
    for one in sorted(others, key=lambda folder: folder.name, reverse=True)[:_LOOKED_AT]:
        with passed_over(
            _log, f"The times of {one.name} do not count", EspalierError, OSError, ValueError, KeyError
        ):
            _take(found, one, pipeline, run, here, epoch_images)
    return found


def _take(
    found: dict[str, StageCost],
    one: RunFolder,
    pipeline: Pipeline,
    run: RunFolder,
    here: Mapping[str, Any],
    epoch_images: int,
) -> None:
    info = one.info
    if any(info.machine.get(key) != here.get(key) for key in _SAME_MACHINE):
        return
    if (info.device, info.threads) != (run.info.device, run.info.threads):
        return
    opened, before = Opened.from_plain(info.data), one.pipeline
    for report in one.reports():
        known = report.id in pipeline.stage_ids and report.id not in found
        if known and not report.cached and _alike(before, pipeline, report.id):
            found[report.id] = _cost(before.stage(report.id), report, opened, epoch_images)


def _alike(before: Pipeline, now: Pipeline, id: str) -> bool:
    """Whether a stage does the same to the same network at the same image size."""
    one, other = before.stage(id), now.stage(id)
    return (
        one.kind == other.kind
        and _network(before, one) == _network(now, other)
        and before.data.image_size == now.data.image_size
        and before.data.source == now.data.source
        and (before.axes.grid is None or before.axes.grid.stage != id)
    )


def _network(pipeline: Pipeline, node: StageNode) -> tuple[str, str]:
    root = pipeline.root(node)
    return root.kind, root.parameters.model_dump_json()


def _cost(node: StageNode, report: StageReport, opened: Opened, epoch_images: int) -> StageCost:
    """A stage whose epochs count more than once (a teacher answers too) has as many images more."""
    training = sum(float(epoch.get("seconds", 0.0)) for epoch in report.history)
    settings, epochs = node.stage.training(node.parameters), len(report.history)
    planned = max(settings.epochs if settings is not None else 0, epochs, 1)
    images = (
        epochs * node.stage.epochs(node.parameters) / planned * (opened.images.get("train") or epoch_images)
    )
    rate = training / images if images and training else None
    return StageCost(rate, max(0.0, report.seconds - training))
