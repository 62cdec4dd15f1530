"""TorchScript (.pt): PyTorch's older program format, traced; for programs that still load it, as LibTorch's do.

PyTorch calls it deprecated. A trace follows the one path that the example image took, so a network
whose path depends on the image's content is written wrongly; the verification shows it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.deploy.formats.torch_files import ABOUT, TorchFile
from core.machine.jobs import Job, ProgressCallback

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.deploy.formats.torch_files import Network


class TorchScript(TorchFile):
    id = "torchscript"
    title = "TorchScript (.pt)"
    help = "for programs in C++ and on phones that load TorchScript; deprecated by PyTorch; float32 networks."
    suffix = ".pt"
    runtime = "PyTorch, TorchScript"
    noun = "TorchScript"

    @property
    def job(self) -> Job:
        return write_script

    def save(
        self, network: "nn.Module", images: "Tensor", batch: int | None, about: str, target: Path
    ) -> None:
        import torch

        with torch.no_grad():
            traced = torch.jit.trace(network, images, check_trace=False)
        traced.save(str(target), _extra_files={ABOUT: about})

    def load(self, path: Path) -> "tuple[Network, str | bytes]":
        import torch

        about: dict[str, str | bytes] = {ABOUT: ""}
        return torch.jit.load(str(path), map_location="cpu", _extra_files=about), about[ABOUT]


def write_script(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: write the file; arguments and errors as of `TorchFile.run`."""
    return TorchScript().run(arguments, progress)
