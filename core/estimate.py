"""What a pipeline will cost on this machine, from a few measured training steps.

The steps run in the tool child with the real training loop on the real images: the network of
every stage is made (pruned, too, but untrained) and trained for a few steps, so that the
estimate follows from what will happen and not from a formula.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core import pipeline as documents
from core.child import Child
from core.control import RunControl
from core.data.balance import epoch_images
from core.engine import Options
from core.pipeline import Pipeline, StageNode
from core.runs import Home
from core.stages.base import ModelStage

_STEPS = 4
_FORWARD_SHARE = 0.35  # of a training step: a forward pass without gradients
_MEASURING_SECONDS = 15.0  # export and timing of one file
_FILES_PER_STAGE = 4  # checkpoint and exported file, each in the run and in the cache


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """Expected cost of one stage; `steps` says what it rests on."""

    name: str
    seconds: float
    disk_mb: float
    steps: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected cost of a pipeline on this machine, at most: early stopping can only shorten it."""

    stages: tuple[StageEstimate, ...]
    seeds: int
    memory_mb: float
    device: str

    @property
    def seconds(self) -> float:
        return self.seeds * sum(stage.seconds for stage in self.stages)

    @property
    def disk_mb(self) -> float:
        return self.seeds * sum(stage.disk_mb for stage in self.stages)

    def lines(self) -> list[str]:
        """The estimate in words."""
        shown = [
            f"  {stage.name}: {_duration(stage.seconds)}, {stage.disk_mb:.0f} MB on disk"
            for stage in self.stages
        ]
        total = f"At most {_duration(self.seconds)} on {self.device}, {self.disk_mb:.0f} MB on disk, {self.memory_mb:.0f} MB of memory while training"
        seeds = f" ({self.seeds} seeds)" if self.seeds > 1 else ""
        return [*shown, f"{total}{seeds}; measured on {_STEPS} training steps per stage."]


def estimate(
    pipeline: Pipeline,
    base: Path,
    home: Home,
    options: Options,
    on_progress: Callable[[float, str], None] | None = None,
    control: RunControl | None = None,
) -> Estimate:
    """Measure a few steps of every stage in a child process.

    Raises:
        EspalierError: when the data or the weights cannot be read, or the device is not there.
        Stopped: a person asked to stop.
    """
    options = options.resolved()
    home.folder.mkdir(parents=True, exist_ok=True)
    arguments = {
        "pipeline": documents.dumps(pipeline),
        "base": str(base),
        "data_cache": str(home.data),
        "device": options.device,
        "threads": options.threads,
    }
    with Child("tool", home.folder / "estimate.log") as tool:
        plain = tool.call("core.estimate:measure_steps", arguments, control, on_progress)
    stages = tuple(StageEstimate(**stage) for stage in plain["stages"])
    return Estimate(stages, len(pipeline.axes.seed), plain["memory_mb"], options.device)


def measure_steps(arguments: dict[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
    """Job of the tool child: seconds per image of every stage, and the process's peak memory.

    Args (as plain data): pipeline (YAML text), base, data_cache, device, threads.
    """
    import torch

    from core.data.store import open_data
    from core.profiling.session import peak_bytes

    torch.set_num_threads(arguments["threads"])
    pipeline = documents.loads(arguments["pipeline"])
    data = open_data(pipeline.data, Path(arguments["data_cache"]), Path(arguments["base"]))
    trial = _Trial(pipeline, data, Path(arguments["base"]), arguments["device"])
    stages = []
    for index, node in enumerate(pipeline.active):
        progress(index / len(pipeline.active), f"Measuring a few steps of {node.title}")
        stages.append(trial.stage(node))
    cuda = arguments["device"].startswith("cuda")
    memory = torch.cuda.max_memory_allocated() / 1e6 if cuda else peak_bytes() / 1e6
    return json.loads(json.dumps({"stages": stages, "memory_mb": memory}))


class _Trial:
    """The networks of a pipeline, untrained, and how long their steps take."""

    def __init__(self, pipeline: Pipeline, data: Any, base: Path, device: str):
        self.pipeline, self.data, self.base, self.device = pipeline, data, base, device
        self.models: dict[str, Any] = {}

    def stage(self, node: StageNode) -> dict[str, Any]:
        import torch

        model, network, preprocess = self._input(node)
        model = copy.deepcopy(model)
        settings = node.parameters
        training = getattr(settings, "training", None)
        untrained = (
            settings
            if training is None
            else settings.model_copy(update={"training": training.model_copy(update={"epochs": 0})})
        )
        context = self._context(node, network, preprocess)
        assert isinstance(node.stage, ModelStage)
        half = node.stage.half_artefact
        model = node.stage.run(model, untrained, context).model
        self.models[node.id] = (copy.deepcopy(model), network, preprocess)
        size_mb = sum(p.numel() for p in model.parameters()) * 4 / 1e6
        labels, test = self.data.labels[self.data.split("train")], len(self.data.split("test"))
        images = epoch_images(labels, self.pipeline.data.balance)
        per_image, steps = 0.0, 0
        if training is not None:
            one = training.model_copy(update={"epochs": 1, "patience": 0})
            if half:
                one = one.model_copy(update={"precision": "mixed"})
            steps = _STEPS
            for _ in range(2):  # the first warms up
                per_image = self._seconds_per_image(model, one, context, steps)
        validation = len(self.data.split("validation")) * _FORWARD_SHARE * per_image
        epochs = node.stage.epochs(settings)
        files = 2 if half else 1
        seconds = epochs * (images * per_image + validation) + (1 + files) * (
            test * _FORWARD_SHARE * per_image + _MEASURING_SECONDS
        )
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return {"name": node.title, "seconds": seconds, "disk_mb": _FILES_PER_STAGE * size_mb, "steps": steps}

    def _seconds_per_image(self, model: Any, settings: Any, context: Any, steps: int) -> float:
        import time

        from core.stages.base import run_training

        count = settings.batch_size * steps
        splits = {name: rows[: count if name == "train" else 32] for name, rows in self.data.splits.items()}
        few = replace(context, data=replace(self.data, splits=splits))
        started = time.monotonic()
        run_training(model, settings, few, phase=f"trial-{started}")
        return (time.monotonic() - started) / max(1, min(count, len(splits["train"])))

    def _input(self, node: StageNode) -> tuple[Any, Any, Any]:
        from core.data.preprocess import make_preprocess
        from core.models.catalogue import backbone
        from core.models.settings import BackboneSettings, CheckpointSettings
        from core.models.source import build_network

        parent = self.pipeline.parent(node)
        if parent in self.models:
            return self.models[parent]
        parameters = self.pipeline.source(parent).parameters
        if isinstance(parameters, CheckpointSettings):
            from core.checkpoint import load_checkpoint

            given = load_checkpoint(self.base / parameters.path)
            return given.model, given.network, given.preprocess
        assert isinstance(parameters, BackboneSettings)
        normalisation = (
            backbone(parameters.backbone).normalisation if parameters.weights != "random" else None
        )
        model, _ = build_network(parameters, len(self.data.classes), self.base, seed=0)
        return model, parameters, make_preprocess(self.pipeline.data, self.data, normalisation)

    def _context(self, node: StageNode, network: Any, preprocess: Any) -> Any:
        import tempfile

        from core.stages.base import StageContext

        return StageContext(
            stage=node.id, seed=0, key=node.id, device=self.device, network=network, data=self.data, preprocess=preprocess,
            augmentation=self.pipeline.data.augmentation, balance=self.pipeline.data.balance, scratch=Path(tempfile.mkdtemp(prefix="espalier-trial-")),
            control=RunControl(), emit=lambda event: None, reference=self._reference,
        )  # fmt: skip

    def _reference(self, reference: str) -> Any:
        from core.checkpoint import load_checkpoint

        if reference in self.models:
            return copy.deepcopy(self.models[reference][0])
        return load_checkpoint(self.base / reference).model


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
