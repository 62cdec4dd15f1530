"""PyTorch through `torch.compile`: the network becomes C++ (processor) or Triton code (GPU), weights frozen.

The first run of every shape compiles, which takes seconds to minutes and is not timed.
Source: Ansel et al. 2024, PyTorch 2, https://doi.org/10.1145/3620665.3640366
"""

from typing import TYPE_CHECKING, Any

from core.machine.optional_packages import not_packaged
from core.profiling.runtimes.pytorch import PyTorch

if TYPE_CHECKING:
    from torch import nn


class PyTorchCompile(PyTorch):
    """A checkpoint's network, compiled; needs a C++ compiler."""

    id = "pytorch-compile"
    label = "torch.compile"
    note = "weights frozen"

    def missing(self) -> str:
        if found := super().missing() or not_packaged(self.label):
            return found
        from torch._inductor.cpp_builder import get_cpp_compiler

        try:
            get_cpp_compiler()
        except Exception:  # torch raises several of its own, depending on the system
            return "torch.compile needs a C++ compiler; none was found (apt install g++)."
        return ""

    def prepared(self, network: "nn.Module") -> Any:
        import torch

        return torch.compile(network, dynamic=False, options={"freezing": True})
