"""What the stages of a run will cost, before they begin.

What comes after training is export, verification and timing. The protocol sets how long files are timed; the rest is starting
processes and work of their kind, and is counted in starts of the run's tool process, which is timed before the first stage that is made.
Answering the test images takes as long as the network makes it. Where earlier runs of this machine say what all this took, they are
believed, corrected by how fast that process starts now.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.data.image_data import ImageData
from core.document.pipeline import Grid, Pipeline, StageNode
from core.document.stage_keys import stage_key
from core.engine.grid import combinations_of
from core.engine.options import Options, resolve
from core.machine.child import Child
from core.records.time_left import StagePlan
from core.runs.costs import EarlierCosts
from core.sources.base import NetworkSource, OpenContext
from core.stages.base import ModelStage, Stage
from core.training.settings import FORWARD_SHARE

_log = logging.getLogger(__name__)

_TIMED, _TIMED_NETWORK = 10.0, 8.0  # seconds that the protocol times a file, and the network in PyTorch
_STARTS, _STARTS_NETWORK = (
    5.0,
    1.0,
)  # starts of the tool process that take as long as the rest for a file, and for exporting
_USUAL_START = 2.0  # seconds, where it is not known


def process_seconds(tool: Child, options: Options, control: RunControl) -> float:
    """How long a run's tool process takes to start and to load PyTorch now; 0 where it had started before.

    Raises:
        EspalierError: it does not start.
        Stopped: a person asked to stop.
    """
    began = time.monotonic()
    if tool.pid is not None:
        return 0.0
    tool.call(resolve, asdict(options), control)
    return time.monotonic() - began


def fixed_seconds(stage: Stage, process: float) -> float:
    """What comes before and after a stage's training takes about so long where no earlier run says it.

    Args:
        process: seconds of `process_seconds`.
    """
    files = _files(stage)
    timed = files * _TIMED + (_TIMED_NETWORK if isinstance(stage, ModelStage) else 0.0)
    starts = files * _STARTS + (_STARTS_NETWORK if isinstance(stage, ModelStage) else 0.0)
    return timed + starts * (process or _USUAL_START)


def answering(stage: Stage, test_images: int) -> float:
    """What answering the test images takes, by the network and by each file, as images that are trained on."""
    return FORWARD_SHARE * test_images * (_files(stage) + isinstance(stage, ModelStage))


def _files(stage: Stage) -> int:
    return 2 if isinstance(stage, ModelStage) and stage.half_artefact else 1


def stage_plans(
    pipeline: Pipeline,
    jobs: Sequence[tuple[StageNode, int, Sequence[Grid]]],
    images: tuple[int, int],
    known: EarlierCosts,
    sources: Mapping[str, float],
    process: float,
) -> list[StagePlan]:
    """What every stage will cost, as far as earlier runs on this machine and its speed say it.

    Args:
        jobs: the stages in their order, each with its seed and the grids that are tried there.
        images: of an epoch, and of the test split.
        sources: of `source_costs`. process: seconds of `process_seconds`.
    """
    return [
        StagePlan(
            stage_key(pipeline, node.id, seed),
            *training_work(node, grids, images[0]),
            fixed_seconds(node.stage, process) if before is None else before,
            known.rate(node),
            step_cost(pipeline, node, sources),
            answering(node.stage, images[1]) if before is None else 0.0,
        )
        for node, seed, grids in jobs
        for before in [known.fixed(node, process)]
    ]


def source_costs(pipeline: Pipeline, base: Path, data: ImageData) -> dict[str, float]:
    """What an image costs in each network that the pipeline starts from: its MACs, as a share of the first one's.

    Empty where there is only one, or where one of them cannot be counted.
    """
    from core.machine.torch_rng import isolated_rng
    from core.surgery.meta_copy import count

    roots = {
        root.id: root
        for root in map(pipeline.root, pipeline.active)
        if isinstance(root.source, NetworkSource)
    }
    macs: dict[str, int] = {}
    with passed_over(
        _log, "The networks are not counted for the time left", EspalierError, OSError, RuntimeError
    ):
        for id, root in roots.items() if len(roots) > 1 else ():
            assert isinstance(root.source, NetworkSource)
            with isolated_rng():  # new layers draw weights
                opened = root.source.open(root.parameters, OpenContext(base, data, pipeline.data, seed=0))
            macs[id] = max(1, count(opened.model, opened.preprocess.size).macs)
    first = next(iter(macs.values()), 1)
    return {id: one / first for id, one in macs.items()} if len(macs) == len(roots) else {}


def step_cost(pipeline: Pipeline, node: StageNode, sources: Mapping[str, float]) -> float:
    """What training an image costs at a stage, as a share of what it costs in the first network that the pipeline starts from."""
    cost, parent = node.stage.step_cost(node.parameters), pipeline.parent(node)
    if parent in pipeline.stage_ids:
        return cost * step_cost(pipeline, pipeline.stage(parent), sources)
    return cost * sources.get(parent, 1.0)


def training_work(node: StageNode, grids: Sequence[Grid], epoch_images: int) -> tuple[float, float]:
    """Images that a stage passes forward and backward, and its passes over the training images."""
    points = [len(combinations_of(grid)) for grid in grids]
    times = node.stage.epochs(node.parameters) * (1 + sum(points))
    looked_at = sum(count * grid.images for count, grid in zip(points, grids, strict=True))
    return times * epoch_images + looked_at * FORWARD_SHARE, times
