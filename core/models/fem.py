"""The Feature Enhancement Module (FEM) of Hamza et al.

Source: Hamza, Tuama, Mohamed Moubark, Big Data Cogn. Comput. 2026, 10(5), 131,
doi 10.3390/bdcc10050131. Shapes: `b` batch, `c` channels, `h, w` positions; F is [b, c] on
pooled features and [b, c, h, w] on maps.

    1. F_s = MLP_s(F)                  linear, ReLU, dropout, linear back to c
    2. F_d = MLP_d(F)                  the same with more hidden layers
    3. F_f = w1 · F_s + w2 · F_d       w1, w2 learnable scalars
    4. A   = sigmoid(MLP(GAP(F_f)))    bottleneck; GAP is the identity on pooled features
    5. F_e = A ⊙ F_f
    6. F_out = F + F_e

Where we depart: the paper starts nothing in particular for w1 and w2; we start both at 0.5,
the mean of the branches. On maps the MLPs are 1×1 convolutions, the same numbers per position.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn, ones

from core.models.pooling import GlobalAverage
from core.models.settings import FemSettings


def _dense(inputs: int, outputs: int, spatial: bool) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 1) if spatial else nn.Linear(inputs, outputs)


def _mlp(widths: Sequence[int], dropout: float, spatial: bool) -> nn.Sequential:
    """linear → ReLU → dropout for every width but the last, which is a bare linear layer."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [_dense(inputs, outputs, spatial), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, _dense(widths[-2], widths[-1], spatial))


class FeatureEnhancement(nn.Module):
    """Equations 1–6 above; keeps the input's shape.

    Args:
        channels: c, of the feature that comes in and goes out.
        settings: widths as fractions of c (at least 1 channel each), dropout, place.
    """

    def __init__(self, channels: int, settings: FemSettings):
        super().__init__()
        spatial = settings.place == "map"

        def width(fraction: float) -> int:
            return max(1, round(channels * fraction))

        self.shallow = _mlp([channels, width(settings.shallow), channels], settings.dropout, spatial)
        hidden = [width(settings.deep)] * settings.deep_layers
        self.deep = _mlp([channels, *hidden, channels], settings.dropout, spatial)
        self.fusion = nn.Parameter(ones(2) / 2)  # w1, w2
        self.squeeze = GlobalAverage() if spatial else nn.Identity()
        self.attention = _mlp([channels, width(settings.attention), channels], 0.0, spatial)

    def forward(self, feature: Tensor) -> Tensor:
        """[b, c] → [b, c], or [b, c, h, w] → [b, c, h, w]."""
        fused = self.fusion[0] * self.shallow(feature) + self.fusion[1] * self.deep(feature)
        attention = self.attention(self.squeeze(fused)).sigmoid()
        return feature + attention * fused


def widen_head(model: Any, settings: FemSettings) -> None:
    """Put a hidden layer into the classifier, with as many parameters more as a FEM of these widths has.

    linear → ReLU → dropout → linear: what a FEM is compared with, to tell its equations from its size.
    """
    layers = dict(model.head.named_children()) or {"linear": model.head}
    last = layers.pop(next(reversed(layers)))
    channels, classes = last.in_features, last.out_features
    fem = FeatureEnhancement(channels, settings.model_copy(update={"place": "pooled"}))
    params = sum(weight.numel() for weight in (*fem.parameters(), *last.parameters())) - classes
    hidden = max(1, round(params / (channels + 1 + classes)))
    layers |= {
        "hidden": nn.Linear(channels, hidden),
        "relu": nn.ReLU(),
        "dropout": nn.Dropout(settings.dropout),
    }
    model.head = nn.Sequential(OrderedDict(layers, linear=nn.Linear(hidden, classes)))
