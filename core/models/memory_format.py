"""How a network's weights lie in memory while it computes."""

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn


def to_channels_last(model: "nn.Module", device: "str | torch.device") -> "nn.Module":
    """Move a network to a device, in place, its 4-D tensors in the order [b, h, w, c] in which convolutions are fastest.

    As `Module.to(memory_format=torch.channels_last)`, which refuses a network that has 5-D weights too.
    """
    import torch

    model.to(device)
    for tensor in chain(model.parameters(), model.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return model
