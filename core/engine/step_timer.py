"""How long a stage's training steps take here: the real networks, untrained, and a few steps of the real loop."""

import copy
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.common.control import RunControl
from core.data.balance import epoch_images
from core.document.pipeline import Pipeline, StageNode
from core.engine.small_settings import capped
from core.models.checkpoint_files import checkpoint_at
from core.models.memory_format import to_channels_last
from core.sources.base import FileSource, NetworkSource, OpenContext
from core.stages.base import ModelStage
from core.training.settings import FORWARD_SHARE, with_precision

STEPS = 4
"""Of the longer of two epochs: what they take longer than one step is steps; the rest comes once an epoch."""

_FEW_STEPS = 1
_TRIALS = 3  # the fastest counts: the first warms up, and other programs only slow down
_ENOUGH = 15.0  # seconds of trials after which there is no further one
_LONG = 8.0  # seconds of one step from which it is timed alone: what comes once an epoch is little beside it
_FEW_IMAGES = 32  # to validate with
_FEWEST = 4  # of a step that only warms up
NO_MATTER = frozenset(
    (
        "epochs",
        "learning_rate",
        "weight_decay",
        "schedule",
        "restart_epochs",
        "warmup_epochs",
        "label_smoothing",
        "patience",
    )
)
"""Settings of a training that a step takes as long with."""
MEASURING_SECONDS = 15.0  # export and timing of one file
PYTORCH_SECONDS = 3.0  # timing of the network itself
FILE_SECONDS = 20.0  # converting a file, calibration included; a search for sensitive layers takes longer
_FILES_PER_STAGE = 4  # checkpoint and exported file, each in the run and in the cache


def _shapes(model: Any) -> tuple[Any, ...]:
    """What the time of a network's step depends on: the kinds of its layers and the shapes of its weights."""
    layers = tuple((name, type(layer).__name__) for name, layer in model.named_modules())
    return layers, tuple((name, tuple(weights.shape)) for name, weights in model.named_parameters())


def epochs_of(stage: ModelStage, settings: Any) -> float:
    """Epochs' worth of a stage's own network's work; that of other networks beside it is no part of them."""
    if stage.references(settings) and settings.training.epochs:
        return float(settings.training.epochs)
    return stage.epochs(settings)


class StepTimer:
    """The networks of a pipeline, untrained, and how long their steps take."""

    def __init__(self, pipeline: Pipeline, data: Any, base: Path, device: str, scratch: Path):
        self.pipeline, self.data, self.base, self.device = pipeline, data, base, device
        self.scratch = scratch
        self.models: dict[str, Any] = {}
        self._known: dict[tuple[Any, ...], tuple[dict[str, Any], Any]] = {}
        self._steps: dict[tuple[Any, ...], tuple[float, float]] = {}
        self._warm = False

    def stage(self, node: StageNode) -> dict[str, Any]:
        """The stage's expected cost; `StageEstimate` as plain data. Equal stages on equal networks are measured once."""
        if not isinstance(node.stage, ModelStage):
            return self._file(node)
        given = self._input(node)
        key = (
            node.kind,
            json.dumps(node.settings, sort_keys=True),
            self.pipeline.root(node).id,
            _shapes(given[0]),
        )
        if key not in self._known:
            self._known[key] = self._network_stage(node, node.stage, given), self.models[node.id]
        cost, self.models[node.id] = self._known[key]
        return {**cost, "id": node.id, "name": node.title}

    def _network_stage(
        self, node: StageNode, stage: ModelStage, given: tuple[Any, Any, Any]
    ) -> dict[str, Any]:
        import torch

        model, network, preprocess = given
        settings = node.parameters
        training = getattr(settings, "training", None)
        context = self._context(node, network, preprocess)
        model = self._changed(node, copy.deepcopy(model), context)
        self.models[node.id] = (copy.deepcopy(model), network, preprocess)
        size_mb = sum(p.numel() for p in model.parameters()) * 4 / 1e6
        labels, test = self.data.labels[self.data.split("train")], len(self.data.split("test"))
        images = epoch_images(labels, self.pipeline.data.balance)
        per_image, per_epoch, steps = 0.0, 0.0, 0
        if training is not None:
            one_epoch = training.model_copy(update={"epochs": 1, "patience": 0})
            steps = STEPS
            per_image, per_epoch = min(
                self._remembered(model, with_precision(one_epoch, precision), context)
                for precision in self._precisions(stage.precision(settings))
            )
        validation_seconds = len(self.data.split("validation")) * FORWARD_SHARE * per_image
        epochs, teachers = self._epochs(stage, settings, context)
        files = 2 if stage.half_artefact else 1
        test_seconds = test * FORWARD_SHARE * per_image
        epoch_seconds = images * (per_image + teachers) + validation_seconds + per_epoch
        seconds = epochs * epoch_seconds
        seconds += test_seconds + PYTORCH_SECONDS + files * (test_seconds + MEASURING_SECONDS)
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return {
            "id": node.id,
            "name": node.title,
            "seconds": seconds,
            "disk_mb": _FILES_PER_STAGE * size_mb,
            "steps": steps,
            "epoch_seconds": epoch_seconds,
        }

    def _file(self, node: StageNode) -> dict[str, Any]:
        """A stage on the exported file trains nothing: it converts the file and measures what it made."""
        root = self.pipeline.root(node)
        if isinstance(root.source, FileSource):
            root.source.form(root.parameters, self.base, len(self.data.classes))
            size_mb = root.source.file(root.parameters, self.base).stat().st_size / 1e6
        else:
            self.models[node.id] = self._input(node)
            size_mb = sum(p.numel() for p in self.models[node.id][0].parameters()) * 4 / 1e6
        return {
            "id": node.id,
            "name": node.title,
            "seconds": FILE_SECONDS + MEASURING_SECONDS,
            "disk_mb": _FILES_PER_STAGE * size_mb,
            "steps": 0,
        }

    def _precisions(self, precision: str) -> tuple[str, ...]:
        """What a stage may train in: either where the run will try which is faster."""
        from core.training.precision import undecided

        if precision == "auto" and undecided(self.device):
            return ("float32", "mixed")
        return (precision or "float32",)

    def _epochs(self, stage: ModelStage, settings: Any, context: Any) -> tuple[float, float]:
        """As `epochs_of`, and seconds an image that other networks take beside it."""
        references = stage.references(settings)
        if not references or not settings.training.epochs:
            return epochs_of(stage, settings), 0.0
        others = (self._reference(reference) for reference in references.values())
        mixed = settings.training.precision != "float32"
        seconds = sum(self._forward(other, context, mixed) for other in others)
        return epochs_of(stage, settings), seconds

    def _forward(self, model: Any, context: Any, mixed: bool) -> float:
        """Seconds that a network takes to answer for an image."""
        import numpy as np
        import torch

        from core.training.precision import autocast, resolve_precision

        rows = self.data.split("train")[:_FEW_IMAGES]
        images = context.preprocess(np.asarray(self.data.images[rows]), context.device)
        to_channels_last(model, context.device).eval()
        precision = resolve_precision("mixed" if mixed else "float32", context.device)
        seconds = []
        for _ in range(2):  # the first prepares its kernels
            started = time.monotonic()
            with torch.no_grad(), autocast(precision, context.device.partition(":")[0]):
                model(images)
            if context.device != "cpu":
                torch.cuda.synchronize()
            seconds.append(time.monotonic() - started)
        return min(seconds) / len(rows)

    def _changed(self, node: StageNode, model: Any, context: Any) -> Any:
        """The network as the stage leaves it, untrained: with one batch of images, and as few passes as it allows."""
        small = node.model_copy(update={"settings": capped(type(node.parameters), node.settings)})
        settings, stage = small.parameters, small.stage
        assert isinstance(stage, ModelStage)
        training = getattr(settings, "training", None)
        if training is not None:
            untrained = training.model_copy(update={"epochs": 0})
            settings = settings.model_copy(update={"training": untrained})
        images = training.batch_size if training is not None else _FEW_IMAGES
        return stage.run(model, settings, self._few(context, images)).model

    def _remembered(self, model: Any, settings: Any, context: Any) -> tuple[float, float]:
        """`_seconds`, once for all stages whose steps are alike."""
        alike = settings.model_dump_json(exclude=NO_MATTER)
        size = json.dumps(context.preprocess.as_dict(), sort_keys=True)
        key = (_shapes(model), bool(getattr(model, "constraints", None)), alike, size)
        if key not in self._steps:
            if not self._warm:  # what the first training loads is no step's
                one = settings.model_copy(update={"batch_size": min(_FEWEST, settings.batch_size)})
                self._epoch(copy.deepcopy(model), one, context, 1)
                self._warm = True
            self._steps[key] = self._seconds(model, settings, context)
        return self._steps[key]

    def _seconds(self, model: Any, settings: Any, context: Any) -> tuple[float, float]:
        """Seconds of training per image, and once an epoch beside it; of steps that take long, from fewer of them."""
        fastest: dict[int, float] = {}
        spent = 0.0
        for number, steps in enumerate((_FEW_STEPS, STEPS) * _TRIALS):
            if spent > _ENOUGH and number % 2 == 0:
                break
            images, seconds = self._epoch(model, settings, context, steps)
            if steps == _FEW_STEPS and seconds > _LONG:
                looked_at = min(_FEW_IMAGES, len(self.data.split("validation")))
                return seconds / (images + FORWARD_SHARE * looked_at), 0.0
            fastest[images] = min(seconds, fastest.get(images, seconds))
            spent += seconds
        few, many = min(fastest), max(fastest)
        short, long = fastest[few], fastest[many]
        if long <= short:  # so few images that both are the same, or a machine that was disturbed
            return long / max(1, many), 0.0
        per_image = (long - short) / (many - few)
        return per_image, max(0.0, short - few * per_image)

    def _epoch(self, model: Any, settings: Any, context: Any, steps: int) -> tuple[int, float]:
        """How many images a short epoch has, and how many seconds it takes."""
        from core.stages.fine_tune import run_training

        few = self._few(context, settings.batch_size * steps)
        started = time.monotonic()
        run_training(model, settings, few, phase=f"trial-{started}")
        return len(few.data.splits["train"]), time.monotonic() - started

    def _few(self, context: Any, images: int) -> Any:
        """The context with so many images to train with, and few for all else."""
        splits = {
            name: rows[: images if name == "train" else _FEW_IMAGES]
            for name, rows in self.data.splits.items()
        }
        return replace(context, data=replace(self.data, splits=splits))

    def _input(self, node: StageNode) -> tuple[Any, Any, Any]:
        parent = self.pipeline.parent(node)
        if parent in self.models:
            return self.models[parent]
        root = self.pipeline.source(parent)
        assert isinstance(root.source, NetworkSource)
        context = OpenContext(self.base, self.data, self.pipeline.data, seed=0)
        opened = root.source.open(root.parameters, context)
        return opened.model, opened.network, opened.preprocess

    def _context(self, node: StageNode, network: Any, preprocess: Any) -> Any:
        from core.stages.context import StageContext

        scratch = self.scratch / node.id
        scratch.mkdir(exist_ok=True)

        return StageContext(
            stage=node.id, seed=0, key=node.id, device=self.device, network=network, data=self.data, preprocess=preprocess,
            augmentation=self.pipeline.data.augmentation, balance=self.pipeline.data.balance, scratch=scratch,
            control=RunControl(), emit=lambda event: None, reference=self._reference, resumes=False,
        )  # fmt: skip

    def _reference(self, reference: str) -> Any:
        from core.models.checkpoint import load_checkpoint

        if reference in self.models:
            return copy.deepcopy(self.models[reference][0])
        return load_checkpoint(checkpoint_at(reference, self.base)).model
