"""Weights in the order that convolutions are fastest in, whatever else a network holds."""

import torch
from torch import nn

from core.models.memory_format import to_channels_last


def test_4d_weights_change_their_order_and_5d_ones_stay():
    """timm's LambdaNetworks have a 3-D convolution: PyTorch's own way refuses the whole network."""
    model = nn.ModuleDict({"maps": nn.Conv2d(3, 4, 3), "volume": nn.Conv3d(1, 4, (1, 3, 3))})
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert to_channels_last(model, "cpu") is model
    after = model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert after["maps.weight"].is_contiguous(memory_format=torch.channels_last)
    assert after["volume.weight"].is_contiguous()
