"""What every stage is and is given. Readable without torch; stages import it inside `run`.

Two families. A *model stage* takes a PyTorch network and returns a new one. A *deployment stage*
takes an ONNX file and writes a new one, in the tool child. Neither keeps state between runs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from core.common.control import RunControl
from core.common.errors import Problem
from core.common.params import Params, param
from core.data.settings import Augmentation, Balance
from core.machine.jobs import RunJob
from core.models.settings import BackboneSettings
from core.records.events import Listener, Note, PhaseStarted
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import nn

    from core.data.preprocess import Preprocess
    from core.data.store import ImageData
    from core.training.loop import Hooks, LossFunction, TrainingResult


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What is known of the network that a stage will receive, before anything runs.

    Attributes:
        title, blocks: name and class names of the residual blocks of a network that is not in the
            catalogue; None where only the network itself can tell.
    """

    network: BackboneSettings | None
    classes: int | None = None
    image_size: int | None = None
    title: str = ""
    blocks: tuple[str, ...] | None = None

    def structure(self) -> tuple[str, tuple[str, ...]] | None:
        """The network's name and the class names of its residual blocks, or None where they are not known."""
        from core.models.catalogue import BACKBONES

        if self.blocks is not None:
            return self.title, self.blocks
        if self.network is None or self.network.backbone not in BACKBONES:
            return None
        found = BACKBONES[self.network.backbone]
        return found.title, found.blocks


@dataclass(frozen=True, slots=True)
class StageContext:
    """What a running stage is given.

    Attributes:
        key: what made the result, hashed; seeds every draw together with `seed`.
        scratch: folder for resume states; emptied when the stage is done.
        reference: loads another network by the reference in a setting (a teacher).
        on_fraction: told the done part of the stage's own work, 0…1.
        balance: `DataSettings.balance`, for the training images.
    """

    stage: str
    seed: int
    key: str
    device: str
    network: BackboneSettings
    data: "ImageData"
    preprocess: "Preprocess"
    augmentation: Augmentation
    scratch: Path
    control: RunControl
    emit: Listener
    reference: Callable[[str], "nn.Module"]
    on_fraction: Callable[[float], None] = lambda fraction: None
    balance: Balance = "none"

    def say(self, text: str, level: str = "info") -> None:
        """A sentence for the person who watches."""
        self.emit(Note(self.stage, level, text))

    def phase(self, phase: str, text: str) -> None:
        """A new part of the stage begins."""
        self.emit(PhaseStarted(self.stage, phase, text))

    def part(self, start: float, length: float) -> "StageContext":
        """The context of one of several trainings, which together are the stage's work."""
        return replace(self, on_fraction=lambda fraction: self.on_fraction(start + length * fraction))


@dataclass(frozen=True, slots=True)
class DeployContext:
    """What a running deployment stage is given.

    Attributes:
        target: the .onnx file to write.
        scratch: folder for whatever else it writes; emptied when the stage is done.
        inputs: arguments that every job of the tool child takes to open the data set:
            data (`DataSettings` as a mapping), data_cache, base, threads.
        job: runs a job in the tool child with arguments and gives its result.
    """

    stage: str
    seed: int
    key: str
    target: Path
    scratch: Path
    inputs: Mapping[str, Any]
    control: RunControl
    emit: Listener
    job: RunJob

    def phase(self, phase: str, text: str) -> None:
        """A new part of the stage begins."""
        self.emit(PhaseStarted(self.stage, phase, text))


@dataclass(frozen=True, slots=True)
class DeployedFile:
    """An ONNX file that a stage wrote.

    Attributes:
        precision: id of the artefact: "int8", "float16", "mixed".
        label: what tables call it: "ONNX INT8, static".
    """

    path: Path
    precision: str
    label: str


@dataclass(slots=True)
class DeployResult:
    """What a deployment stage gave.

    Attributes:
        skipped: layers left alone, each with the reason.
        facts: method-specific results as plain data.
        seconds: time spent, calibration and search included.
    """

    file: DeployedFile
    notes: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(slots=True)
class StageResult:
    """What a stage gave.

    Attributes:
        skipped: layers left alone, each with the reason.
        facts: method-specific results as plain data.
        cut_at: the training step at which a person finished the stage, else None.
        deployed: an ONNX file that the stage itself made (quantization-aware training); it then
            stands for the stage, and only deployment follows it.
    """

    model: "nn.Module"
    notes: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    training_seconds: float = 0.0
    cut_at: int | None = None
    deployed: "DeployedFile | None" = None

    def add_training(self, training: "TrainingResult") -> None:
        """Take over what a training phase reported."""
        self.history += training.history
        self.training_seconds += training.seconds
        self.cut_at = training.cut_at if training.cut_at is not None else self.cut_at
        if training.history:
            self.notes.append(training.precision.sentence)
            self.facts["trained_in"] = training.precision.name
            self.facts["best_epoch"] = training.best_epoch
            self.facts["best_val_top1"] = training.best_top1
        if training.finished_early:
            self.notes.append(f"Training ended early: {training.finished_early}.")


S = TypeVar("S", bound=Params)

Effect = Literal["weights", "structure", "ranks", "zeros", "codebook", "quantized", "file", "as-given"]

_VALIDATION_BATCH = 256


def batch_norm_batches() -> Any:
    """The setting of every stage that estimates batch norms again after surgery."""
    return param(
        20,
        "Batch norm batches",
        "Batches of training images on which batch norm statistics are estimated again; 0 leaves the old ones.",
        unit="batches",
        ge=0,
        le=10_000,
        advanced=True,
    )


class Stage(ABC, Generic[S]):
    """A technique.

    Attributes:
        id: stable name in pipeline files.
        version: raised when the same settings give another result; part of the cache key.
        group: heading in the palette.
        effect: what it does to what it is given; `core.document.order_rules` orders stages by it. "weights" trains;
            "structure" removes channels or layers; "ranks" splits layers into factors; "zeros" and
            "codebook" leave constraints; "quantized" trains on the INT8 grid; "file" goes on to
            the exported file, "as-given" leaves it as it is.
        Settings: the one declaration of its parameters.
    """

    id: ClassVar[str]
    version: ClassVar[int] = 1
    title: ClassVar[str]
    group: ClassVar[str]
    effect: ClassVar[Effect] = "weights"
    help: ClassVar[str]
    Settings: ClassVar[type[Params]]

    def check(self, settings: S, given: NetworkFacts) -> list[Problem]:
        """Everything that would stop this stage, found before work starts."""
        return []

    def references(self, settings: S) -> dict[str, str]:
        """Settings that name other networks: field → reference. They enter the cache key by content."""
        return {}

    def epochs(self, settings: S) -> float:
        """Training epochs' worth of work, for the estimate of time."""
        return 0.0

    def training(self, settings: S) -> TrainingSettings | None:
        """How it trains; None where it cannot or, with 0 epochs, does not."""
        training = getattr(settings, "training", None)
        return training if isinstance(training, TrainingSettings) and training.epochs else None

    def precision(self, settings: S) -> str:
        """`TrainingSettings.precision` of its training; "" where it trains nothing."""
        training = self.training(settings)
        return training.precision if training else ""

    def in_precision(self, settings: S, precision: str) -> S:
        """The same settings with another precision for its training."""
        training = self.training(settings)
        assert training is not None
        return settings.model_copy(update={"training": with_precision(training, precision)})


class ModelStage(Stage[S]):
    """A technique on the PyTorch network.

    Attributes:
        half_artefact: an FP16 file stands beside the float32 one.
    """

    half_artefact: ClassVar[bool] = False

    @abstractmethod
    def run(self, model: "nn.Module", settings: S, context: StageContext) -> StageResult:
        """Apply the technique to `model`, which the stage may change and which it returns."""


class DeploymentStage(Stage[S]):
    """A technique on the exported graph."""

    effect: ClassVar[Effect] = "file"

    @abstractmethod
    def deploy(self, source: Path, settings: S, context: DeployContext) -> DeployResult:
        """Write `context.target` from the ONNX file `source`, which stays as it is."""


def run_training(
    model: "nn.Module",
    settings: TrainingSettings,
    context: StageContext,
    phase: str = "train",
    loss: "LossFunction | None" = None,
    hooks: "Hooks | None" = None,
) -> "TrainingResult":
    """Train with the stage's data, seed and resume state; `phase` keeps several trainings apart.

    What `model.constraints` names is kept as it is in the weights given here.
    """
    import torch

    from core.data.batches import Batches
    from core.training.loop import TrainingContext, train

    model.to(context.device, memory_format=torch.channels_last)
    key = f"{context.key}/{phase}"
    training, validation = (
        Batches(
            context.data, split, size, context.preprocess, changes, context.device, context.seed, key,
            channels_last=True, shuffle=split == "train", balance=context.balance,
        )
        for split, size, changes in (
            ("train", settings.batch_size, context.augmentation),
            ("validation", _VALIDATION_BATCH, None),
        )
    )  # fmt: skip
    if settings.epochs:
        context.phase("train", "Training")
    return train(
        model,
        training,
        validation,
        settings,
        TrainingContext(
            stage=context.stage,
            seed=context.seed,
            key=key,
            device=context.device,
            control=context.control,
            emit=context.emit,
            state=context.scratch / f"{phase}.resume",
            on_fraction=context.on_fraction,
        ),
        loss,
        _keeping_constraints(model, hooks),
    )


def _keeping_constraints(model: "nn.Module", hooks: "Hooks | None") -> "Hooks | None":
    """The hooks, and after them what keeps the network's zeros and shared values as they are now."""
    from core.models.constraints import keeper
    from core.training.loop import Hooks

    keep = keeper(model)
    if keep is None:
        return hooks
    given = hooks or Hooks()
    return replace(
        given,
        after_backward=_one_after_the_other(given.after_backward, keep.after_backward),
        after_step=_one_after_the_other(given.after_step, keep.after_step),
    )


def _one_after_the_other(
    first: Callable[["nn.Module"], None] | None, second: Callable[["nn.Module"], None]
) -> Callable[["nn.Module"], None]:
    def both(model: "nn.Module") -> None:
        if first is not None:
            first(model)
        second(model)

    return both


def with_precision(settings: TrainingSettings, precision: str) -> TrainingSettings:
    """The same training in another precision."""
    return settings.model_copy(update={"precision": precision})
