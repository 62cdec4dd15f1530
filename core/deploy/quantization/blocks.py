"""Weights of 4 bits with a scale for every block of a few dozen inputs.

*Nearest*: the scale is the block's largest weight / 7, every weight goes to the nearest level. *Compensated* (GPTQ, Frantar et al. 2023,
arXiv 2210.17323): input after input is rounded, and the weights of the inputs still to come take up its error by the inverse of the
second moments of the inputs; the scale of a block is chosen when its turn comes, for the weights that it has by then.

Where we depart from GPTQ: a block's scale is the one with the smallest error among some below largest / 7, each input counting by its
mean square; and the weights first become those that fit float's answers best from the inputs that the rounded layers before
give (`core.deploy.quantization.whole_numbers`). Symmetric: a level of 0 stands for 0. `o` outputs, `d` inputs, `k` blocks.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

LOW, HIGH = -8, 7
_SHRINK = torch.linspace(1.0, 0.5, 26)  # of a block's largest weight


@dataclass(frozen=True, slots=True)
class Blocks:
    """Weights as levels [o, d] of 4 bits, and their scales [o, k]."""

    levels: Tensor
    scales: Tensor
    size: int

    def weights(self) -> Tensor:
        """What they stand for, [o, d]."""
        return self.levels * self.scales.repeat_interleave(self.size, 1)[:, : self.levels.shape[1]]


def nearest(weight: Tensor, size: int) -> Blocks:
    """Every weight [o, d] at its nearest level."""
    scales = torch.stack([_largest(part) for part in weight.split(size, 1)], 1)
    wide = scales.repeat_interleave(size, 1)[:, : weight.shape[1]]
    return Blocks((weight / wide).round().clamp(LOW, HIGH), scales, size)


def compensated(weight: Tensor, own: Tensor, cross: Tensor, size: int) -> Blocks:
    """Levels for weights [o, d] whose answers stay near float's.

    Args:
        own: damped second moments of the inputs that the rounded network gives, [d, d]. cross: of float's with those.
    """
    own, cross = own.double(), cross.double()
    left = torch.linalg.solve(own, (weight.double() @ cross).T).T.contiguous()
    spread = torch.linalg.cholesky(torch.linalg.inv(own), upper=True)
    levels, scales = torch.empty_like(left), []
    for start in range(0, left.shape[1], size):
        columns = slice(start, min(start + size, left.shape[1]))
        scale = _best(left[:, columns], own.diagonal()[columns])
        scales.append(scale)
        block, errors = left[:, columns], torch.empty_like(left[:, columns])
        inside = spread[columns, columns]
        for column in range(block.shape[1]):
            level = (block[:, column] / scale).round().clamp(LOW, HIGH)
            levels[:, start + column] = level
            errors[:, column] = (block[:, column] - level * scale) / inside[column, column]
            block[:, column:] -= errors[:, column, None] * inside[column, column:]
        left[:, columns.stop :] -= errors @ spread[columns, columns.stop :]
    return Blocks(levels.float(), torch.stack(scales, 1).float(), size)


def excess(weight: Tensor, rounded: Tensor, own: Tensor, cross: Tensor) -> tuple[float, float]:
    """Mean square of what `rounded` [o, d] puts into the answers beyond what the best weights would, and of the answers.

    Args:
        weight: float's, [o, d]. own, cross: as in `compensated`.
    """
    own, cross = own.double(), cross.double()
    fitted = torch.linalg.solve(own, (weight.double() @ cross).T).T
    change = rounded.double() - fitted
    return tuple(float(((each @ own) * each).sum()) / len(weight) for each in (change, fitted))  # type: ignore[return-value]


def _largest(part: Tensor) -> Tensor:
    """The plain scale of each output's block [o, n]; 1 where it holds nothing."""
    scale = part.abs().amax(1) / HIGH
    return torch.where(scale < torch.finfo(torch.float32).tiny, torch.ones_like(scale), scale)


def _best(part: Tensor, importance: Tensor) -> Tensor:
    """The scale [o] of a block [o, n] with the smallest error, each input weighted; a number that float32 holds."""
    plain = _largest(part)
    tried = [(plain * float(factor)).float().double() for factor in _SHRINK]
    errors = torch.stack([
        (((part / scale[:, None]).round().clamp(LOW, HIGH) * scale[:, None] - part).square() * importance).sum(1)
        for scale in tried
    ])  # fmt: skip
    return torch.stack(tried).gather(0, errors.argmin(0)[None])[0]
