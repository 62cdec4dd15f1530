"""The inputs of a running stage. Readable without torch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.common.control import RunControl
from core.data.access import DataAccess
from core.data.settings import Augmentation, Balance
from core.machine.jobs import RunJob
from core.models.settings import BackboneSettings
from core.records.events import Listener, Note, PhaseStarted

if TYPE_CHECKING:
    from torch import nn

    from core.data.preprocess import Preprocess
    from core.data.store import ImageData


@dataclass(frozen=True, slots=True)
class StageContext:
    """The inputs of a running model stage.

    Attributes:
        key: hash of everything that the result depends on; with `seed` it seeds every random draw.
        scratch: folder for what it writes and for resume states; emptied when the stage is done.
        compiled: training passes go through `torch.compile`.
        resumes: whether its trainings keep states to go on from; what is only tried does not, as they are as large as several networks.
        resume: folder of resume states where several processes train together, which have scratch folders of their own.
        reference: loads another network by the reference in a setting (a teacher).
        on_fraction: called with the done part of the stage's own work, 0…1.
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
    resume: Path | None = None
    resumes: bool = True
    compiled: bool = False

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
    """The inputs of a running deployment stage.

    Attributes:
        target: the .onnx file to write.
        scratch: folder for whatever else it writes; emptied when the stage is done.
        data: the data set, as jobs of the tool child open it.
        job: runs a job in the tool child with arguments and gives its result.
    """

    stage: str
    seed: int
    key: str
    target: Path
    scratch: Path
    data: DataAccess
    control: RunControl
    emit: Listener
    job: RunJob

    def phase(self, phase: str, text: str) -> None:
        """A new part of the stage begins."""
        self.emit(PhaseStarted(self.stage, phase, text))
