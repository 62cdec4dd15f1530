"""The program of `torch.export` (.pt2): the network's operators and weights, without its Python code."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.deploy.formats.torch_files import ABOUT, TorchFile
from core.machine.jobs import Job, ProgressCallback

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.deploy.formats.torch_files import Network


class TorchProgram(TorchFile):
    id = "torch-export"
    title = "PyTorch program (.pt2)"
    help = "for PyTorch, AOTInductor and ExecuTorch; float32 networks."
    suffix = ".pt2"
    runtime = "PyTorch, torch.export program"
    noun = "a torch.export program"

    @property
    def job(self) -> Job:
        return write_program

    def save(
        self, network: "nn.Module", images: "Tensor", batch: int | None, about: str, target: Path
    ) -> None:
        import torch

        shapes = ({0: torch.export.Dim("batch")},) if batch is None else None
        program = torch.export.export(network, (images,), dynamic_shapes=shapes)
        torch.export.save(program, str(target), extra_files={ABOUT: about})

    def load(self, path: Path) -> "tuple[Network, str | bytes]":
        import torch

        about = {ABOUT: ""}
        return torch.export.load(str(path), extra_files=about).module(), about[ABOUT]


def write_program(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: write the file; arguments and errors as of `TorchFile.run`."""
    return TorchProgram().run(arguments, progress)
