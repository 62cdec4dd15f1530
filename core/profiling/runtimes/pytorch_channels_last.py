"""PyTorch with images and weights in the order [b, h, w, c] in memory (`channels_last`).

Most convolutions are faster so on a GPU, and many on a processor. Source: PyTorch's tutorial "Channels Last
Memory Format in PyTorch", https://docs.pytorch.org/tutorials/intermediate/memory_format_tutorial.html
"""

from typing import TYPE_CHECKING, Any

from core.models.memory_format import to_channels_last
from core.profiling.runtimes.pytorch import PyTorch

if TYPE_CHECKING:
    from torch import Tensor, nn


class PyTorchChannelsLast(PyTorch):
    """A checkpoint's network in channels_last."""

    id = "pytorch-channels-last"
    label = "PyTorch channels_last"

    def prepared(self, network: "nn.Module") -> Any:
        return to_channels_last(network, next(network.parameters()).device)

    def layout(self, images: "Tensor") -> "Tensor":
        import torch

        return images.contiguous(memory_format=torch.channels_last)
