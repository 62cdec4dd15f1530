"""Learned rounding of one layer: which weights go up and which down, so that its answers stay what they were.

Source: AdaRound, Nagel et al. 2020, arXiv 2004.10568: each weight is rounded down plus a number between 0 and 1 that gradient descent
moves, and a term that pushes those numbers to 0 or 1; the loss is the squared error of the layer's answers behind its
activation, with the inputs that the layers before it, rounded already, give. The range of the answers is learned with it by a
straight-through gradient (LSQ, Esser et al. 2020, arXiv 1902.08153), and inputs are left unrounded at random while it learns (QDrop, Wei et
al. 2022, arXiv 2203.05740). Where we depart: the loss is divided by what rounding to the nearest gives, so that one weight of
the pushing term suits all layers; the bias is set in closed form at the end (the mean error goes).

A convolution is looked at as a product of patches: `n` of them, `g` groups, `d` numbers in a group's patch, `o` outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.deploy.quantization.whole_numbers import beside, compensated, descended, moments

if TYPE_CHECKING:
    import numpy as np

_LOW, _HIGH = -0.1, 1.1  # the stretched sigmoid of the paper
_BETAS = (20.0, 2.0)
_WARM = 0.2  # share of the steps without the pushing term
_PUSH = 10.0  # its weight, beside a loss that begins at about 1
RATE, RANGE_RATE = 1e-2, 1e-3
_BATCH = 256  # patches a step
_PART = 4096  # computed at once, where nothing is learned
Limits = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class LayerSample:
    """What a layer reads and gives on calibration images.

    Attributes:
        rounded: patches as the rounded network gives them, [g, n, d]. exact: as the float network does.
        answers: what float gives before the activation, [n, o].
    """

    rounded: "np.ndarray"
    exact: "np.ndarray"
    answers: "np.ndarray"


@dataclass(frozen=True, slots=True)
class LayerForm:
    """How a layer computes.

    Attributes:
        groups: of a convolution; 1 for a linear layer.
        limits: of the activation behind it: (0, inf) for Relu, (0, 6) for ReLU6; None without one.
        scale: of the weights, [o, 1] or [1, 1]. most: the largest integer of a weight, 127 or 64.
        ends: range of its answers, where they are rounded to 8 bits, else None.
    """

    groups: int
    limits: Limits
    scale: "np.ndarray"
    most: int
    ends: Limits


@dataclass(frozen=True, slots=True)
class Rounded:
    """A layer with its weights on the grid.

    Attributes:
        weight, bias: float32; the weights are whole multiples of their scale.
        ends: the learned range of its answers. before, after: mean squared error of its answers.
        moved: weights that do not go to the nearest.
    """

    weight: "np.ndarray"
    bias: "np.ndarray"
    ends: Limits
    before: float
    after: float
    moved: int


def learn(
    weight: "np.ndarray",
    bias: "np.ndarray",
    sample: LayerSample,
    form: LayerForm,
    steps: int,
    drop: float,
    seed: int,
) -> Rounded:
    """Learn the rounding of a layer's weights [o, …], the bias [o] and the range of its answers.

    Args:
        drop: share of the inputs that are left unrounded in a step.
    """
    numbers = torch.Generator().manual_seed(seed)
    layer = RoundingLayer(weight, bias, form)
    rounded, exact, answers = map(torch.from_numpy, (sample.rounded, sample.exact, sample.answers))
    wanted = _active(answers, form.limits)
    before = layer.error(layer.nearest(), rounded, wanted)
    if before > 0:
        with torch.enable_grad():
            _descend(layer, _Task(rounded, exact, wanted, before), steps, drop, numbers)
    nearest, learned = layer.nearest(), layer.hard()
    found, bounds = moments(exact, rounded), beside(layer.steps, form.most)
    starts = [
        (nearest / layer.scale).round(),
        compensated(layer.steps, found, bounds),
        (learned / layer.scale).round(),
    ]
    candidates = [nearest, learned]
    candidates += [descended(layer.steps, found, bounds, start) * layer.scale for start in starts]
    errors = []
    for candidate in candidates:
        layer.correct(candidate, rounded, answers)
        errors.append(layer.error(candidate, rounded, wanted))
    chosen = candidates[errors.index(min(errors))]
    layer.correct(chosen, rounded, answers)
    return Rounded(
        chosen.numpy().reshape(weight.shape), layer.bias.numpy(), layer.range(), before, min(errors), int((chosen != nearest).sum())
    )  # fmt: skip


class RoundingLayer:
    """The layer in torch: its weights between two whole numbers, its bias, and the range of its answers."""

    def __init__(self, weight: "np.ndarray", bias: "np.ndarray", form: LayerForm) -> None:
        self.form = form
        self.scale = torch.from_numpy(form.scale).float()
        self.steps = torch.from_numpy(weight).float().reshape(len(weight), -1) / self.scale
        whole = (self.steps - self.steps.round()).abs() < 1e-3  # as `whole_numbers.beside` has it
        self.steps = torch.where(whole, self.steps.round(), self.steps)
        self.floor = self.steps.floor()
        self.bias = self.own_bias = torch.from_numpy(bias).float().clone()
        inside = ((self.steps - self.floor) - _LOW) / (_HIGH - _LOW)
        self.up = inside.logit(1e-6).requires_grad_()
        ends = form.ends or (0.0, 1.0)
        self.ends = torch.tensor(ends).requires_grad_(form.ends is not None)
        self.span = max(ends[1] - ends[0], 1e-8)

    def share(self) -> Tensor:
        """How far each weight goes up, 0…1."""
        return (self.up.sigmoid() * (_HIGH - _LOW) + _LOW).clamp(0, 1)

    def soft(self) -> Tensor:
        return (self.floor + self.share()).clamp(-self.form.most, self.form.most) * self.scale

    @torch.no_grad()
    def hard(self) -> Tensor:
        whole = torch.where(self.steps == self.floor, self.floor, self.floor + (self.share() >= 0.5))
        return whole.clamp(-self.form.most, self.form.most) * self.scale

    @torch.no_grad()
    def nearest(self) -> Tensor:
        return self.steps.round().clamp(-self.form.most, self.form.most) * self.scale

    def raw(self, weight: Tensor, patches: Tensor) -> Tensor:
        """What it gives before its activation, [n, o], from patches [g, n, d]."""
        grouped = weight.reshape(self.form.groups, -1, weight.shape[1])  # [g, o/g, d]
        given = torch.bmm(patches, grouped.transpose(1, 2))  # [g, n, o/g]
        return given.transpose(0, 1).reshape(patches.shape[1], -1) + self.bias

    def answers(self, weight: Tensor, patches: Tensor) -> Tensor:
        """What it gives: behind the activation, rounded to its range."""
        active = _active(self.raw(weight, patches), self.form.limits)
        return active if self.form.ends is None else rounded_to(active, self.ends)

    @torch.no_grad()
    def error(self, weight: Tensor, patches: Tensor, wanted: Tensor) -> float:
        """Mean squared error of its answers."""
        total = sum(
            float(
                (self.answers(weight, patches[:, at : at + _PART]) - wanted[at : at + _PART]).square().sum()
            )
            for at in range(0, len(wanted), _PART)
        )
        return total / wanted.numel()

    @torch.no_grad()
    def correct(self, weight: Tensor, patches: Tensor, answers: Tensor) -> None:
        """Set the bias so that the mean of every output is float's."""
        self.bias = self.own_bias
        total = torch.zeros_like(self.bias, dtype=torch.float64)
        for at in range(0, len(answers), _PART):
            part = answers[at : at + _PART] - self.raw(weight, patches[:, at : at + _PART])
            total += part.double().sum(0)
        self.bias = (self.own_bias + total / len(answers)).float()

    def range(self) -> Limits:
        if self.form.ends is None:
            return None
        low, high = (float(end) for end in self.ends.detach())
        return (low, high) if high > low else self.form.ends


@dataclass(frozen=True, slots=True)
class _Task:
    """What a layer is to give, `wanted` [n, o], from `rounded` or `exact` inputs [g, n, d]; its mean squared error `before`."""

    rounded: Tensor
    exact: Tensor
    wanted: Tensor
    before: float


def _descend(layer: RoundingLayer, task: _Task, steps: int, drop: float, numbers: torch.Generator) -> None:
    groups = [{"params": [layer.up], "lr": RATE}]
    if layer.ends.requires_grad:
        groups.append({"params": [layer.ends], "lr": RANGE_RATE * layer.span})
    optimiser = torch.optim.Adam(groups)
    for step in range(steps):
        rows = torch.randint(len(task.wanted), (min(_BATCH, len(task.wanted)),), generator=numbers)
        patches = task.rounded[:, rows]
        if drop:
            whole = torch.rand(patches.shape, generator=numbers) < drop
            patches = torch.where(whole, task.exact[:, rows], patches)
        loss = (layer.answers(layer.soft(), patches) - task.wanted[rows]).square().mean() / task.before
        loss = loss + pushed([layer.share()], step / steps)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def pushed(shares: Sequence[Tensor], done: float) -> Tensor:
    """The term that pushes each weight up or down, once the first steps are over; `done` of the steps are."""
    if done < _WARM:
        return torch.zeros(())
    beta = _BETAS[1] + (_BETAS[0] - _BETAS[1]) * max(0.0, 1 - (done - _WARM) / (0.9 - _WARM))
    return torch.stack([_PUSH * (1 - (2 * share - 1).abs().pow(beta)).mean() for share in shares]).sum()


def _active(raw: Tensor, limits: Limits) -> Tensor:
    return raw if limits is None else raw.clamp(*limits)


def rounded_to(values: Tensor, ends: Tensor) -> Tensor:
    """Rounded to 256 levels between two learned ends; gradients pass straight through the rounding."""
    low, high = ends[0].clamp(max=0), ends[1].clamp(min=1e-8)
    step = (high - low) / 255
    zero = _straight(-low / step)
    return ((_straight(values / step) + zero).clamp(0, 255) - zero) * step


def _straight(values: Tensor) -> Tensor:
    return values + (values.round() - values).detach()
