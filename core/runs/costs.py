"""What stages took in earlier runs on this machine: seconds of training an image, and of what comes before and after training.

The latter is given at the speed of now: where a process starts slower, as on a busy machine, exporting and measuring are slower too.
"""

import logging
import statistics
from dataclasses import dataclass, replace

from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.data.image_data import Opened
from core.document.pipeline import Pipeline, StageNode
from core.machine.fingerprint import fingerprint
from core.records.reports import StageReport
from core.runs.finding import find_runs
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from core.stages.base import ModelStage

_log = logging.getLogger(__name__)

_LOOKED_AT = 12  # runs, the latest first
_SAME_MACHINE = ("processor", "logical_cores", "gpu")


@dataclass(frozen=True, slots=True)
class StageCost:
    """Of one stage.

    Attributes:
        rate: seconds of training an image; None where nothing was trained.
        fixed: seconds of evaluation, export, verification and measuring.
        process: seconds that its run's tool process took to start; 0 where that is not known.
    """

    rate: float | None
    fixed: float
    process: float = 0.0

    def fixed_at(self, process: float) -> float:
        """`fixed` where that process takes so long to start."""
        return self.fixed * process / self.process if process and self.process else self.fixed


class EarlierCosts:
    """What the latest runs on this machine took; what of them cannot be read is passed over.

    Args:
        run: the run that begins; it is no earlier one.
        epoch_images: images of an epoch, as of the data of the run that begins.
    """

    def __init__(self, home: Home, pipeline: Pipeline, run: RunFolder, epoch_images: int):
        self._pipeline, self._run, self._images = pipeline, run, epoch_images
        self._machine = fingerprint()
        self._alike: dict[str, StageCost] = {}
        self._every: dict[bool, list[StageCost]] = {True: [], False: []}  # of stages on networks; on files
        others = [one for one in find_runs(home) if one.folder != run.folder]
        for one in sorted(others, key=lambda folder: folder.name, reverse=True)[:_LOOKED_AT]:
            with passed_over(
                _log, f"The times of {one.name} do not count", EspalierError, OSError, ValueError, KeyError
            ):
                self._take(one)

    def rate(self, node: StageNode) -> float | None:
        """Seconds of training an image, where a stage like this was run; else None."""
        cost = self._alike.get(node.id)
        return cost.rate if cost is not None else None

    def fixed(self, node: StageNode, process: float) -> float | None:
        """Seconds of what comes before and after training: of a stage like this, else as in most stages of its family; None
        where there were none.

        Args:
            process: seconds that the tool process took to start; 0 where that is not known.
        """
        cost, others = self._alike.get(node.id), self._every[isinstance(node.stage, ModelStage)]
        if cost is not None:
            return cost.fixed_at(process)
        return statistics.median(other.fixed_at(process) for other in others) if others else None

    def _take(self, one: RunFolder) -> None:
        info, here = one.info, self._run.info
        if any(info.machine.get(key) != self._machine.get(key) for key in _SAME_MACHINE):
            return
        if (info.device, info.threads) != (here.device, here.threads):
            return
        opened, before = Opened.from_plain(info.data), one.pipeline
        for report in one.reports():
            if report.cached or report.id not in before.stage_ids:
                continue
            node = before.stage(report.id)
            cost = replace(_cost(node, report, opened, self._images), process=info.process_seconds)
            self._every[isinstance(node.stage, ModelStage)].append(cost)
            known = report.id in self._pipeline.stage_ids and report.id not in self._alike
            if known and _alike(before, self._pipeline, report.id):
                self._alike[report.id] = cost


def _alike(before: Pipeline, now: Pipeline, id: str) -> bool:
    """Whether a stage does the same to the same network at the same image size."""
    one, other = before.stage(id), now.stage(id)
    return (
        one.kind == other.kind
        and _network(before, one) == _network(now, other)
        and before.data.image_size == now.data.image_size
        and before.data.source == now.data.source
        and all(grid.stage != id for grid in before.axes.grids)
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
