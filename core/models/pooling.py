"""The mean over a feature map."""

from torch import Tensor, nn


class GlobalAverage(nn.Module):
    """Each channel's mean over its map, [b, c, h, w] → [b, c, 1, 1].

    The same numbers as PyTorch's `AdaptiveAvgPool2d(1)`, which keeps the memory layout of a map that lies
    channels last (ConvNeXt's): in an exported file that became nodes which compute where to gather from.
    """

    def forward(self, features: Tensor) -> Tensor:
        return features.mean((2, 3), keepdim=True)
