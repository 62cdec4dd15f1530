"""What the formats of PyTorch share: who they are for, what they say of themselves, how they answer.

Their files can hold code and are only opened in the child, and only right after they were written.
`b` images in a batch, `c` channels, `k` classes, `s` pixels a side.
"""

import json
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of
from core.data.preprocess import Preprocess
from core.deploy.formats.base import Format, FormatSettings, OpenedModel, Subject
from core.machine.jobs import Job, ProgressCallback, RunJob

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.models.checkpoint import Checkpoint

    Network = Callable[[Tensor], Tensor]

ABOUT = "espalier.json"
"""The member of the file that says what it is: classes, preprocessing, batch, origin."""


def reason_without_network(subject: Subject) -> str:
    """Why a file is no float32 export of a network; "" where it is one."""
    if subject.checkpoint is not None:
        return ""
    if subject.precision == "float16":
        return (
            "Half precision is a conversion of the ONNX file, so this file exists as ONNX only. "
            "Choose the stage's float32 file, or the stage before."
        )
    if subject.precision in ("float32", "given"):
        return "This file was given as ONNX; there is no PyTorch network to export."
    return (
        "A quantized file exists as ONNX only: quantization works on the exported graph. "
        "Choose the float32 stage before it."
    )


class TorchFile(Format):
    """A file that holds PyTorch's own program of a network; `noun` is what PyTorch calls it."""

    noun: ClassVar[str]

    def reason_against(self, subject: Subject, settings: FormatSettings) -> str:
        if settings.preprocessing:
            return "Preprocessing inside is offered for ONNX only; PyTorch programs take prepared images."
        return reason_without_network(subject)

    def write(
        self,
        subject: Subject,
        settings: FormatSettings,
        about: Mapping[str, str],
        target: Path,
        job: RunJob,
    ) -> None:
        job(self.job, {
            "checkpoint": str(subject.checkpoint), "target": str(target), "about": dict(about), "batch": settings.batch,
        })  # fmt: skip

    def run(self, arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
        """What `job` does: export a checkpoint's network.

        Args (as plain data): checkpoint: folder. target: the file. about: texts. batch: None for any number
            of images.

        Raises:
            EspalierError: when PyTorch cannot export the network.
        """
        folder, target = (Path(arguments[name]) for name in ("checkpoint", "target"))
        self.write_network(folder, arguments["batch"], arguments["about"], target)
        progress(1.0, f"Written as {self.noun}")
        return {}

    def write_network(self, folder: Path, batch: int | None, about: Mapping[str, str], target: Path) -> None:
        """Export a checkpoint folder's network; called in a child.

        Raises:
            EspalierError: when PyTorch cannot export it.
        """
        from core.models.checkpoint import load_checkpoint

        checkpoint = load_checkpoint(folder)
        description = json.dumps({
            **about, "classes": list(checkpoint.classes), "preprocess": checkpoint.preprocess.as_dict(), "batch": batch,
        }, ensure_ascii=False)  # fmt: skip
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.save(checkpoint.model.eval(), _example(checkpoint, batch), batch, description, target)
        except Exception as error:
            raise EspalierError(
                f"PyTorch could not write the network as {self.noun}: {reason_of(error)}.",
                "Export it as ONNX.",
                str(error),
            ) from error

    def open(self, path: Path, threads: int) -> OpenedModel:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                network, about = self.load(path)
        except Exception as error:
            raise EspalierError(
                f"PyTorch could not open {path.name} again.", "Export it as ONNX.", str(error)
            ) from error
        return opened(network, about, threads)

    @property
    @abstractmethod
    def job(self) -> Job:
        """What writes the file in a child, by `run`."""

    @abstractmethod
    def save(
        self, network: "nn.Module", images: "Tensor", batch: int | None, about: str, target: Path
    ) -> None:
        """Write the program; `images` [b, c, s, s] is what exporters follow through the network."""

    @abstractmethod
    def load(self, path: Path) -> "tuple[Network, str | bytes]":
        """The program, and what `save` was given to say about it."""


def _example(checkpoint: "Checkpoint", batch: int | None) -> "Tensor":
    """A batch of zeros [b, c, s, s]; of 2 where the batch is open: exporters would fix 1."""
    import torch

    prepare = checkpoint.preprocess
    return torch.zeros(batch or 2, prepare.channels, prepare.size, prepare.size)


def opened(network: "Network", about: str | bytes, threads: int) -> OpenedModel:
    """A network that was read from a file, with what the file says of itself."""
    import torch

    description = json.loads(about)
    if threads > 0:
        torch.set_num_threads(threads)

    def answer(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits: np.ndarray = network(torch.from_numpy(images)).float().numpy()
        return logits

    return OpenedModel(
        answer,
        Preprocess.from_dict(description["preprocess"]),
        tuple(description["classes"]),
        description.get("batch"),
    )
