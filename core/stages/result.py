"""The result of a stage. Readable without torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from core.training.loop import TrainingResult


@dataclass(frozen=True, slots=True)
class DeployedFile:
    """An ONNX file that a stage wrote.

    Attributes:
        precision: id of the artefact: "int8", "float16", "mixed".
        label: its name in tables: "ONNX INT8, static".
    """

    path: Path
    precision: str
    label: str


@dataclass(slots=True)
class DeployResult:
    """The result of a deployment stage.

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
    """The result of a stage.

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
        """Add the report of a training phase."""
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
