"""Batch normalisation as a separate scale and shift, for files whose weights are shared.

The exporter folds batch normalisation into the convolution before it, channel by channel; few
values become many. A separate multiplication and addition it leaves alone. ONNX Runtime folds
them when it opens the file, so that what runs is the same.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class ScaleAndShift(nn.Module):
    """A batch normalisation in evaluation mode: x · scale + shift, per channel.

    Scale and shift are [c], or [c, 1, 1] for maps.
    """

    def __init__(self, norm: _BatchNorm):
        super().__init__()
        mean, variance = norm.running_mean.detach().double(), norm.running_var.detach().double()
        weight = torch.ones_like(mean) if norm.weight is None else norm.weight.detach().double()
        bias = torch.zeros_like(mean) if norm.bias is None else norm.bias.detach().double()
        scale = weight / (variance + norm.eps).sqrt()
        shape = (-1, 1, 1) if isinstance(norm, nn.BatchNorm2d) else (-1,)
        self.register_buffer("scale", scale.float().view(shape))
        self.register_buffer("shift", (bias - mean * scale).float().view(shape))

    def forward(self, values: Tensor) -> Tensor:
        """[b, c] → [b, c], or [b, c, h, w] → [b, c, h, w]."""
        return values * self.scale + self.shift


def with_separate_norms(model: nn.Module) -> nn.Module:
    """A copy of the network in evaluation mode whose batch normalisations are scale and shift."""
    network = copy.deepcopy(model).eval()
    for path, module in list(network.named_modules()):
        if not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) or module.running_mean is None:
            continue
        plain: nn.Module = ScaleAndShift(module)
        if type(module).__name__ == "BatchNormAct2d":  # timm's, with the activation inside
            plain = nn.Sequential(plain, module.drop, module.act)
        parent, _, name = path.rpartition(".")
        network.get_submodule(parent).register_module(name, plain)
    return network
