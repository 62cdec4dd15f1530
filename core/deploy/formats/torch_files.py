"""What the formats of PyTorch share: who they are for, what they say of themselves, how they answer.

Their files can hold code and are only opened in the child, and only right after they were written.
`b` images in a batch, `c` channels, `k` classes, `s` pixels a side.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.preprocess import Preprocess
from core.deploy.formats.base import Opened, Subject
from core.errors import EspalierError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.checkpoint import Checkpoint
    from core.deploy.formats.settings import ExportSettings

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


def reason_against_torch(subject: Subject, settings: "ExportSettings") -> str:
    """What formats that hold PyTorch's own program cannot do."""
    if settings.preprocessing:
        return "Preprocessing inside is offered for ONNX only; PyTorch programs take prepared images."
    return reason_without_network(subject)


def example(checkpoint: "Checkpoint", batch: int | None) -> "Tensor":
    """A batch of zeros [b, c, s, s]; of 2 where the batch is open: exporters would fix 1."""
    import torch

    prepare = checkpoint.preprocess
    return torch.zeros(batch or 2, prepare.channels, prepare.size, prepare.size)


def described(checkpoint: "Checkpoint", arguments: Mapping[str, Any]) -> str:
    """The content of `ABOUT`."""
    return json.dumps({
        **arguments.get("about", {}), "classes": list(checkpoint.classes),
        "preprocess": checkpoint.preprocess.as_dict(), "batch": arguments.get("batch"),
    }, ensure_ascii=False)  # fmt: skip


def opened(network: "nn.Module | Callable[[Tensor], Tensor]", about: str | bytes, threads: int) -> Opened:
    """A network that was read from a file, with what the file says of itself."""
    import torch

    told = json.loads(about)
    if threads > 0:
        torch.set_num_threads(threads)

    def answer(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits: np.ndarray = network(torch.from_numpy(images)).float().numpy()
        return logits

    return Opened(answer, Preprocess.from_dict(told["preprocess"]), tuple(told["classes"]), told.get("batch"))


def not_exported(what: str, error: Exception) -> EspalierError:
    """PyTorch refused the network."""
    return EspalierError(
        f"PyTorch could not write the network as {what} ({type(error).__name__}).",
        "Export it as ONNX; the details name what this format cannot hold.",
        str(error),
    )


def not_opened(path: Path, error: Exception) -> EspalierError:
    """PyTorch refused the file."""
    return EspalierError(f"PyTorch could not open {path.name} again.", "Export it as ONNX.", str(error))
