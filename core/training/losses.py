"""Loss functions of a training: what they give, the usual one, and the penalty on batch norms' scales.

Shapes: images [b, 3, s, s], labels [b] or shares of the classes [b, classes], logits [b, classes].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.common.errors import EspalierError


@dataclass(frozen=True, slots=True)
class Losses:
    """The logits of a batch and the loss in named parts, whose sum is minimised."""

    logits: Tensor
    parts: Mapping[str, Tensor]


class LossFunction(Protocol):
    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Losses: ...


def cross_entropy(label_smoothing: float) -> LossFunction:
    """Cross-entropy against smoothed labels, as the one part `cross_entropy`."""

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Losses:
        logits = model(images)
        part = functional.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
        return Losses(logits, {"cross_entropy": part})

    return loss


def batch_norm_scales(model: nn.Module) -> list[Tensor]:
    """The scales γ [c] of all batch norms.

    Raises:
        EspalierError: when the network has none.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    scales = [norm.weight for norm in norms if norm.weight is not None]
    if not scales:
        raise EspalierError(
            "Expected a network with batch norms, whose scales the scale penalty drives to zero; this one has none.",
            "Set the scale penalty to 0, or choose a network with batch norms.",
        )
    return scales


def scale_norm(scales: list[Tensor]) -> Tensor:
    """Σ|γ| over all batch norms: the penalty of network slimming, Liu et al. 2017, arXiv 1708.06519, equation 1."""
    return torch.stack([scale.abs().sum() for scale in scales]).sum()
