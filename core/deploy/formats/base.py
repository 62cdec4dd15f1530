"""What a file format is: what it can hold, how it is written, and how it is opened again to be verified.

Readable without torch; formats import their library inside their jobs. `b` images in a batch,
`k` classes, `s` pixels a side.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from core.machine.jobs import RunJob
from core.records.reports import Artefact, StageReport

if TYPE_CHECKING:
    import numpy as np

    from core.data.preprocess import Preprocess


class FormatSettings(Protocol):
    """What a format reads of an export's settings (`core.deploy.formats.settings.ExportSettings` declares them)."""

    @property
    def opset(self) -> int | None:
        """ONNX operator set; None keeps the file's own."""

    @property
    def batch(self) -> int | None:
        """Images in a call; None leaves it open."""

    @property
    def preprocessing(self) -> bool:
        """Whether the file prepares images itself."""

    @property
    def describe(self) -> bool:
        """Whether the ONNX file holds where it comes from."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A stage's file that is to be exported.

    Attributes:
        file: the ONNX file in the run folder.
        checkpoint: folder of the network that `file` is the float32 export of; None where the file is
            something else than that: quantized, half precision, or a person's own ONNX file.
    """

    report: StageReport
    artefact: Artefact
    file: Path
    checkpoint: Path | None

    @property
    def precision(self) -> str:
        return self.artefact.precision


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """An exported file, opened in the process that verifies it.

    Attributes:
        answer: logits, float32 [b, k], of a batch: float32 [b, c, s, s] as `preprocess` makes it; or
            uint8 [b, h, w, 3], as images are stored, where the file prepares them itself.
        preprocess: how images are prepared, by the caller or inside the file.
        classes: in the order of the logits; empty where the file does not say.
        batch: images that a call takes; None for any number.
        prepares: whether the file prepares images itself.
    """

    answer: Callable[["np.ndarray"], "np.ndarray"]
    preprocess: "Preprocess"
    classes: tuple[str, ...]
    batch: int | None = None
    prepares: bool = False


class Format(ABC):
    """A file format.

    Attributes:
        id: stable name on the command line. title: for people. help: one sentence: what for.
        suffix: that file names end with; "" for a folder.
        runtime: what opens the file, in words.
        process: the kind of child that times it: "measure" has no torch in it.
        bundle: whether the file travels with its card, test images and a script in one archive.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    suffix: ClassVar[str]
    runtime: ClassVar[str]
    process: ClassVar[Literal["tool", "measure"]] = "tool"
    bundle: ClassVar[bool] = False

    def reason_against(self, subject: Subject, settings: FormatSettings) -> str:
        """Why this file cannot be exported like that, in a sentence or two; "" where it can."""
        return ""

    @abstractmethod
    def write(
        self,
        subject: Subject,
        settings: FormatSettings,
        about: Mapping[str, str],
        target: Path,
        job: RunJob,
    ) -> None:
        """Write `target`, by jobs of the tool child.

        Args:
            about: texts for the file's description (the pipeline's hash, the run, the stage).
        """

    @abstractmethod
    def open(self, path: Path, threads: int) -> OpenedModel:
        """Open a file that `write` wrote; called in a child.

        Args:
            threads: to compute with; 0 leaves the choice to the library.

        Raises:
            EspalierError: when the file cannot be opened.
        """

    def model_of(self, target: Path) -> Path:
        """The file whose SHA-256 stands for `target`."""
        return target

    def parts(self, target: Path) -> tuple[Path, ...]:
        """The files that `target` consists of; it alone unless the format has several."""
        return (target,)
