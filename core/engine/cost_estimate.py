"""What a pipeline will cost on this machine, from a few measured training steps.

The steps run in the tool child with the real training loop on the real images: the network of
every stage is made (pruned, too, but untrained) and trained for a few steps, so that the
estimate follows from what will happen and not from a formula.
"""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.common.control import RunControl
from core.common.durations import rough_duration
from core.common.temporary import temporary_folder
from core.data.access import DataAccess
from core.data.balance import epoch_images
from core.document import dimensions
from core.document import pipeline as documents
from core.document.expansion import expanded
from core.document.pipeline import Pipeline, StageNode
from core.engine.options import Options
from core.machine.child import Child
from core.models.checkpoint_files import checkpoint_at
from core.runs.home import Home
from core.sources.base import FileSource, NetworkSource, OpenContext
from core.stages.base import ModelStage
from core.training.settings import FORWARD_SHARE, with_precision

_FEW_STEPS, _STEPS = 1, 4  # what four take longer than one are steps; the rest comes once an epoch
_TRIALS = 3  # the fastest counts: the first warms up, and other programs only slow down
MEASURING_SECONDS = 15.0  # export and timing of one file
PYTORCH_SECONDS = 3.0  # timing of the network itself
FILE_SECONDS = 20.0  # converting a file, calibration included; a search for sensitive layers takes longer
_FILES_PER_STAGE = 4  # checkpoint and exported file, each in the run and in the cache


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """Expected cost of one stage; `steps` says what it rests on."""

    id: str
    name: str
    seconds: float
    disk_mb: float
    steps: int


@dataclass(frozen=True, slots=True)
class SearchEstimate:
    """Expected cost of a search beside that of the pipeline as it stands.

    Attributes:
        trials: of the budget; None where only hours are set. each, confirming: seconds of a trial, of all finalists.
    """

    trials: int | None
    hours: float | None
    each: float
    confirming: float

    @property
    def seconds(self) -> float:
        """Of all of it; trials that are refused or known cost nothing."""
        ways = [self.trials * self.each] if self.trials is not None else []
        ways += [self.hours * 3600] if self.hours is not None else []
        return min(ways) + self.confirming

    @property
    def line(self) -> str:
        """It in words."""
        many = f"{self.trials} trials" if self.trials is not None else f"trials for {self.hours:g} h"
        return f"  Search: {many} of about {rough_duration(self.each)} each, finalists {rough_duration(self.confirming)}"


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected cost of a pipeline on this machine, at most: early stopping can only shorten it.

    Attributes:
        data: `ImageData.kept`. data_sets: how many the pipeline runs on; the stages' figures are of all.
    """

    stages: tuple[StageEstimate, ...]
    seeds: int
    memory_mb: float
    device: str
    search: SearchEstimate | None = None
    data: str = ""
    data_sets: int = 1

    @property
    def seconds(self) -> float:
        searching = self.search.seconds if self.search is not None else 0.0
        return self.seeds * sum(stage.seconds for stage in self.stages) + searching

    @property
    def disk_mb(self) -> float:
        return self.seeds * sum(stage.disk_mb for stage in self.stages)

    def lines(self) -> list[str]:
        """The estimate in words."""
        shown = [
            f"  {stage.name}: {rough_duration(stage.seconds)}, {stage.disk_mb:.0f} MB on disk"
            for stage in self.stages
        ]
        shown += [self.search.line] if self.search is not None else []
        total = f"At most {rough_duration(self.seconds)} on {self.device}, {self.disk_mb:.0f} MB on disk, {self.memory_mb:.0f} MB of memory while training"
        counts = ((self.data_sets, "data sets"), (self.seeds, "seeds"))
        repeated = ", ".join(f"{count} {what}" for count, what in counts if count > 1)
        seeds = f" ({repeated})" if repeated else ""
        shown += [f"  {self.data}"] if self.data else []
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
    options, pipeline = options.resolved(), expanded(pipeline)
    arguments = {
        **DataAccess(pipeline.data, home.data, base, options.threads).as_plain(),
        "pipeline": documents.dumps(pipeline),
        "device": options.device,
    }
    with Child("tool") as tool:
        plain = tool.call(measure_steps, arguments, control, on_progress)
    stages = tuple(StageEstimate(**stage) for stage in plain["stages"])
    return Estimate(
        stages,
        len(_seeds(pipeline)),
        plain["memory_mb"],
        options.device,
        of_search(pipeline, stages),
        plain["data"],
    )


def _seeds(pipeline: Pipeline) -> tuple[int, ...]:
    """The seeds that its stages are made with in the end."""
    return (pipeline.search.seeds if pipeline.search is not None else ()) or pipeline.axes.seed


def of_search(pipeline: Pipeline, stages: tuple[StageEstimate, ...]) -> SearchEstimate | None:
    """Of a search, from its stages as they stand in the file: what differs between trials is made for each."""
    search = pipeline.search
    if search is None:
        return None
    varying, wanted = dimensions.varying(pipeline), {node.id for node in dimensions.needed(pipeline)}
    full = sum(stage.seconds for stage in stages if stage.id in varying & wanted)
    budget: float = search.budget
    if search.sampler == "grid":
        budget = min(budget, math.prod(len(one.values() or ()) for one in dimensions.dimensions(pipeline)))
    seeds = len(_seeds(pipeline))
    return SearchEstimate(
        int(budget) if math.isfinite(budget) else None, search.hours, full * search.fidelity.epochs,
        full * seeds * search.finalists,
    )  # fmt: skip


def measure_steps(arguments: dict[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
    """Job of the tool child: seconds per image of every stage, and the process's peak memory.

    Args (as plain data): pipeline (YAML text), device; data, data_cache, base, threads of `DataAccess.as_plain`.
    """
    import torch

    from core.profiling.session import peak_bytes

    access = DataAccess.from_plain(arguments)
    torch.set_num_threads(access.threads)
    pipeline, data = documents.loads(arguments["pipeline"]), access.open()
    stages = []
    with temporary_folder() as scratch:
        timer = _StepTimer(pipeline, data, Path(arguments["base"]), arguments["device"], scratch)
        for index, node in enumerate(pipeline.active):
            progress(index / len(pipeline.active), f"Measuring a few steps of {node.title}")
            stages.append(timer.stage(node))
    cuda = arguments["device"].startswith("cuda")
    memory = torch.cuda.max_memory_allocated() / 1e6 if cuda else peak_bytes() / 1e6
    return json.loads(json.dumps({"stages": stages, "memory_mb": memory, "data": data.kept}))


def _shapes(model: Any) -> tuple[Any, ...]:
    """What the time of a network's step depends on: the kinds of its layers and the shapes of its weights."""
    layers = tuple((name, type(layer).__name__) for name, layer in model.named_modules())
    return layers, tuple((name, tuple(weights.shape)) for name, weights in model.named_parameters())


class _StepTimer:
    """The networks of a pipeline, untrained, and how long their steps take."""

    def __init__(self, pipeline: Pipeline, data: Any, base: Path, device: str, scratch: Path):
        self.pipeline, self.data, self.base, self.device = pipeline, data, base, device
        self.scratch = scratch
        self.models: dict[str, Any] = {}
        self._known: dict[tuple[Any, ...], tuple[dict[str, Any], Any]] = {}

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
        model = copy.deepcopy(model)
        settings = node.parameters
        training = getattr(settings, "training", None)
        untrained = (
            settings
            if training is None
            else settings.model_copy(update={"training": training.model_copy(update={"epochs": 0})})
        )
        context = self._context(node, network, preprocess)
        half_artefact = stage.half_artefact
        model = stage.run(model, untrained, context).model
        self.models[node.id] = (copy.deepcopy(model), network, preprocess)
        size_mb = sum(p.numel() for p in model.parameters()) * 4 / 1e6
        labels, test = self.data.labels[self.data.split("train")], len(self.data.split("test"))
        images = epoch_images(labels, self.pipeline.data.balance)
        per_image, per_epoch, steps = 0.0, 0.0, 0
        if training is not None:
            one_epoch = training.model_copy(update={"epochs": 1, "patience": 0})
            steps = _STEPS
            per_image, per_epoch = min(
                self._seconds(model, with_precision(one_epoch, precision), context)
                for precision in self._precisions(stage.precision(settings))
            )
        validation_seconds = len(self.data.split("validation")) * FORWARD_SHARE * per_image
        epochs = stage.epochs(settings)
        files = 2 if half_artefact else 1
        test_seconds = test * FORWARD_SHARE * per_image
        seconds = epochs * (images * per_image + validation_seconds + per_epoch)
        seconds += test_seconds + PYTORCH_SECONDS + files * (test_seconds + MEASURING_SECONDS)
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return {
            "id": node.id,
            "name": node.title,
            "seconds": seconds,
            "disk_mb": _FILES_PER_STAGE * size_mb,
            "steps": steps,
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

    def _seconds(self, model: Any, settings: Any, context: Any) -> tuple[float, float]:
        """Seconds of training per image, and once an epoch beside it."""
        fastest: dict[int, float] = {}
        for steps in (_FEW_STEPS, _STEPS) * _TRIALS:
            images, seconds = self._epoch(model, settings, context, steps)
            fastest[images] = min(seconds, fastest.get(images, seconds))
        few, many = min(fastest), max(fastest)
        short, long = fastest[few], fastest[many]
        if long <= short:  # so few images that both are the same, or a machine that was disturbed
            return long / max(1, many), 0.0
        per_image = (long - short) / (many - few)
        return per_image, max(0.0, short - few * per_image)

    def _epoch(self, model: Any, settings: Any, context: Any, steps: int) -> tuple[int, float]:
        """How many images a short epoch has, and how many seconds it takes."""
        import time

        from core.stages.fine_tune import run_training

        count = settings.batch_size * steps
        splits = {name: rows[: count if name == "train" else 32] for name, rows in self.data.splits.items()}
        few = replace(context, data=replace(self.data, splits=splits))
        started = time.monotonic()
        run_training(model, settings, few, phase=f"trial-{started}")
        return len(splits["train"]), time.monotonic() - started

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
            control=RunControl(), emit=lambda event: None, reference=self._reference,
        )  # fmt: skip

    def _reference(self, reference: str) -> Any:
        from core.models.checkpoint import load_checkpoint

        if reference in self.models:
            return copy.deepcopy(self.models[reference][0])
        return load_checkpoint(checkpoint_at(reference, self.base)).model
