"""What every runtime offers: whether it is there, its version, and a session that runs a model.

A runtime is one file beside this one and one line in `__init__`. Nothing here and nothing that
those files import at their top may load a library: the catalogue is read by the window and by the
measuring child. `b` images in a batch, `c` channels, `s` pixels a side.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from core.common.errors import EspalierError
from core.machine.optional_packages import extra, reason_absent

Run = Callable[[], object]
"""One run on the images that it was bound to; gives something that holds the logits [b, classes]."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a session computes.

    Attributes:
        threads: inside an operator, on a processor.
        device: for the runtimes that can choose: "cpu" or "cuda[:N]".
        precision: "float32", or "float16" / "bfloat16" for PyTorch's autocast.
    """

    threads: int = 1
    device: str = "cpu"
    precision: str = "float32"

    @property
    def gpu(self) -> int | None:
        """The number of the GPU; None on a processor."""
        return int(self.device.partition(":")[2] or 0) if self.device.startswith("cuda") else None


class Session(ABC):
    """A model that is open."""

    shape: Sequence[int | None]
    """The shape that it takes, [b, c, s, s]; None where any size goes."""
    about: dict[str, str]
    """What the file says of itself (an ONNX file's metadata)."""
    gpu: int | None = None
    """Number of the GPU that it computes on."""

    @abstractmethod
    def bind(self, images: np.ndarray) -> Run:
        """A call that runs the model once on `images` [b, c, s, s], which stay in memory; it ran once.

        On a processor float32 images are read anew at every run, so that a caller may write the next ones into them.

        Raises:
            EspalierError: when the model does not take that shape.
        """

    def device_peak(self) -> int | None:
        """Peak bytes of device memory so far; None where there is no device or nobody counts."""
        return None


class Runtime(ABC):
    """A way to run a model.

    Attributes:
        id: stable name, for the command line and for files. label: for people.
        package: the installed package whose version counts. module: what is imported of it.
        extra: which of Espalier's extras brings it; empty where Espalier needs it anyway.
        takes: what it runs: an ONNX file, or a checkpoint's folder.
        child: the process that it runs in.
        keeps: whether a model that was opened is kept for the next session.
        note: what a reader of its figures has to know.
    """

    id: ClassVar[str]
    label: ClassVar[str]
    package: ClassVar[str]
    module: ClassVar[str]
    extra: ClassVar[str] = ""
    takes: ClassVar[Literal["onnx", "checkpoint"]]
    child: ClassVar[Literal["tool", "measure"]]
    keeps: ClassVar[bool] = False
    note: ClassVar[str] = ""

    def missing(self) -> str:
        """Why this runtime cannot run here, in words; empty where it can. Asked in the child."""
        return reason_absent(self.label, self.module, extra(self.extra) if self.extra else self.package)

    def load(self) -> None:
        """Load the library; its own weight is not a model's."""
        import_module(self.module)

    @abstractmethod
    def open(self, model: Path, settings: Settings) -> AbstractContextManager[Session]:
        """Open a model.

        Raises:
            EspalierError: when the model cannot be opened.
        """

    def release(self) -> None:  # noqa: B027 (most keep nothing)
        """Let go of what was kept between sessions."""

    def settings(self, settings: Settings) -> Settings:
        """What is left of the settings in this runtime."""
        return Settings(settings.threads)

    def words(self, settings: Settings, gpus: Sequence[str] = ()) -> str:
        """Runtime, version, place and threads, for a figure's provenance."""
        try:
            number = f" {version(self.package)}"
        except PackageNotFoundError:
            number = ""
        note = f", {self.note}" if self.note else ""
        return f"{self.label}{number} on {place(self.settings(settings), gpus)}{note}"


def place(settings: Settings, gpus: Sequence[str] = ()) -> str:
    """Where a session computes."""
    if settings.gpu is not None:
        return gpus[settings.gpu] if settings.gpu < len(gpus) else f"the GPU ({settings.device})"
    return f"the CPU, {count_threads(settings.threads)}"


def count_threads(count: int) -> str:
    """ "1 thread", "2 threads"."""
    return f"{count} thread{'' if count == 1 else 's'}"


def no_images(inputs: Iterable[object]) -> EspalierError:
    """The error of a model with other inputs than one of images; `inputs` are those it has."""
    return EspalierError(
        "Expected a model with one input of images [batch, channels, height, width], received "
        f"{', '.join(str(each) for each in inputs)}.",
        "Only image classifiers can be measured.",
    )


def as_input(images: np.ndarray, kind: str) -> np.ndarray:
    """Noise or an image as the element type that a model's input has; bytes lie around 128."""
    if kind in ("uint8", "int8"):
        middle = 128 if kind == "uint8" else 0
        return np.clip(32 * images + middle, middle - 128, middle + 127).astype(kind)
    return np.ascontiguousarray(images, dtype=kind)
