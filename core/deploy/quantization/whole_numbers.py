"""Whole numbers for a layer's weights whose answers stay near float's, from the second moments of its inputs.

The error of a layer's answers before its activation, with the bias free, is quadratic in its weights. *Compensated*: one weight after
the other is rounded, and those still to come take up its error (GPTQ, Frantar et al. 2022, arXiv 2210.17323, in the form by
Cholesky factors; Optimal Brain Compression, Frantar et al. 2022, arXiv 2208.11580). *Descended*: as long as a step of one level
lowers the error, the best one of every output is taken; AdaRound's objective (Nagel et al. 2020, arXiv 2004.10568, equation 21), gone
through greedily.

Where we depart: the layers before are rounded already, so that the inputs differ from float's; the weights first become those that fit
float's answers best from the rounded inputs. `g` groups, `n` patches, `d` numbers in a patch, `o` outputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_DAMPING = 0.01  # of the mean second moment: few patches say little about rare directions
_PART = 4096


@dataclass(frozen=True, slots=True)
class Bounds:
    """The whole numbers that each weight may become, [o, d] each."""

    low: Tensor
    high: Tensor


def beside(steps: Tensor, most: int) -> Bounds:
    """The whole numbers below and above weights in steps of their scale; those that are whole stay.

    So the largest weight of a scale keeps its number, and a file written from the result finds the same scale again.
    """
    whole = (steps - steps.round()).abs() < 1e-3
    low = torch.where(whole, steps.round(), steps.floor())
    high = torch.where(whole, steps.round(), steps.floor() + 1)
    return Bounds(low.clamp(-most, most), high.clamp(-most, most))


@dataclass(frozen=True, slots=True)
class Moments:
    """Second moments of a layer's inputs about their means, damped: [g, d, d] each.

    Attributes:
        own: of the rounded inputs with themselves. cross: of the exact with the rounded.
    """

    own: Tensor
    cross: Tensor


def moments(exact: Tensor, rounded: Tensor) -> Moments:
    """Those of patches [g, n, d] as the float and as the rounded network give them."""
    groups, count, width = rounded.shape
    own, cross = torch.zeros(groups, width, width), torch.zeros(groups, width, width)
    mean_own, mean_exact = rounded.mean(1, keepdim=True), exact.mean(1, keepdim=True)
    for at in range(0, count, _PART):
        these = rounded[:, at : at + _PART] - mean_own
        own += these.transpose(1, 2) @ these / count
        cross += (exact[:, at : at + _PART] - mean_exact).transpose(1, 2) @ these / count
    more = damping(own)
    return Moments(own + more, cross + more)


def damping(own: Tensor) -> Tensor:
    """What is added to second moments [g, d, d], so that they can be inverted: [d, d]."""
    amount = _DAMPING * float(own.diagonal(dim1=1, dim2=2).mean()) + 1e-12
    return amount * torch.eye(own.shape[2], dtype=own.dtype)


def compensated(steps: Tensor, found: Moments, bounds: Bounds) -> Tensor:
    """Whole numbers for weights in steps of their scale, [o, d]."""
    low, high = (ends.reshape(len(found.own), -1, steps.shape[1]) for ends in (bounds.low, bounds.high))
    left = steps.reshape(len(found.own), -1, steps.shape[1]).double()  # [g, o/g, d]
    own, cross = found.own.double(), found.cross.double()
    left = torch.linalg.solve(own, (left @ cross).transpose(1, 2)).transpose(1, 2).contiguous()
    spread = torch.linalg.cholesky(torch.linalg.inv(own), upper=True)  # [g, d, d]
    whole = torch.empty_like(left)
    for column in range(left.shape[2]):
        whole[..., column] = left[..., column].round().clamp(low[..., column], high[..., column])
        error = (left[..., column] - whole[..., column]) / spread[:, column, column, None]
        left[..., column:] -= error[..., None] * spread[:, None, column, column:]
    return whole.float().reshape(steps.shape)


def descended(steps: Tensor, found: Moments, bounds: Bounds, start: Tensor) -> Tensor:
    """Whole numbers [o, d] from those of `start` on, each step of one level lowering the error."""
    low, high = (ends.reshape(len(found.own), -1, steps.shape[1]) for ends in (bounds.low, bounds.high))
    weights = steps.reshape(len(found.own), -1, steps.shape[1])
    now = start.reshape(weights.shape).clone()
    diagonal = found.own.diagonal(dim1=1, dim2=2)[:, None, :]  # [g, 1, d]
    slope = now @ found.own - weights @ found.cross  # half the error's gradient
    group, row = torch.meshgrid(torch.arange(len(now)), torch.arange(now.shape[1]), indexing="ij")
    for _ in range(2 * steps.shape[1]):
        move = -slope.sign()
        change = diagonal - 2 * slope.abs()
        change[(now + move < low) | (now + move > high)] = 0.0
        gain, column = change.min(2)  # [g, o/g]
        if not bool((gain < -1e-6 * diagonal.mean()).any()):
            break
        taken = torch.where(gain < 0, move.gather(2, column[..., None])[..., 0], 0.0)
        now[group, row, column] += taken
        slope += taken[..., None] * found.own[group, column]
    return now.reshape(steps.shape)
