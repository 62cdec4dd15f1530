"""DHSPG, the Dual Half-Space Projected Gradient optimiser: training that ends group-sparse.

Source: OTOv2, Chen et al. 2023, arXiv 2303.06862; the half-space projection is OTO's, Chen et
al. 2021, arXiv 2107.07467. Three phases, by optimiser step:

1. Warm-up: the base optimiser (SGD, AdamW, …) as it is.
2. At its end the groups are split by salience into redundant and important ones. Important
   groups go on with the base optimiser. Redundant ones, x the group before the base step and
   Δ = x − x̂ what that step takes from it, also pay ψ = f + λ‖x‖: x̂ ← x − Δ − τ·x/‖x‖, τ = lr·λ.
   Where xᵀΔ < 0 the base step lets the group grow, and τ is raised into the open interval
   (−xᵀΔ/‖x‖, −‖Δ‖²‖x‖/xᵀΔ): above the first the norm falls, below the second the step still
   descends along f. Then x̂ᵀx < ε‖x‖² puts the group at zero (it left its half-space).
3. From `end` on every redundant group is exactly zero and stays so; the important ones train on.

Where we depart from the paper:
* Δ, not the bare gradient, gives the angle: it holds momentum and scaling, and any base will do.
* Between `start` and `end` a redundant group's norm may not exceed its first norm times the part of
  that time that is left, as HESSO forgets redundant groups (Chen et al. 2024, arXiv 2409.09085).
  So the target is reached at a known step, whatever the learning rate is.
* Salience is the standardised cosine of x and Δ less the standardised magnitude of x. The authors'
  reciprocal magnitudes let a single group close to zero outweigh all others.
* A layer loses whole multiples of `round_to` channels and keeps at least one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_AMPLIFY = 1.1  # τ over its lower bound
_PENALTY = 1e-3  # λ where the base step shrinks the group by itself; the paper's value


@dataclass(frozen=True, slots=True)
class LayerGroups:
    """The zero-invariant groups of one layer, one per channel.

    Attributes:
        parts: parameters, the axis along which the channels stand, and where each of them stands.
    """

    parts: tuple[tuple[nn.Parameter, int, Tensor], ...]

    @property
    def channels(self) -> Tensor:
        """The indices of all channels."""
        positions = self.parts[0][2]
        return torch.arange(len(positions), device=positions.device)

    def gather(self, channels: Tensor) -> Tensor:
        """A copy of these channels' groups: [channels, values of a group]."""
        values = [p.detach().movedim(axis, 0)[positions[channels]] for p, axis, positions in self.parts]
        return torch.cat([rows.unsqueeze(-1).flatten(1) for rows in values], 1)

    def scatter(self, channels: Tensor, groups: Tensor) -> None:
        """Write groups [channels, values of a group] back to where `gather` reads them."""
        start = 0
        for parameter, axis, positions in self.parts:
            rows = parameter.data.movedim(axis, 0)
            end = start + rows[0].numel()
            values = groups[:, start:end].reshape(len(channels), *rows.shape[1:])
            rows.index_copy_(0, positions[channels], values)
            start = end

    def zero(self, channels: Tensor) -> None:
        """Put these channels' groups to zero."""
        for parameter, axis, positions in self.parts:
            parameter.data.index_fill_(axis, positions[channels], 0.0)


def half_space_step(before: Tensor, after: Tensor, learning_rate: float, epsilon: float) -> Tensor:
    """Redundant groups after the penalised step and the projection.

    Args:
        before: x, groups before the base step [n, d].
        after: x̂, groups after it [n, d].
        epsilon: 0…1; higher projects sooner.
    """
    step = before - after
    norm = before.norm(dim=1)
    inner = (before * step).sum(1)
    lower = -inner / norm
    upper = -step.square().sum(1) * norm / inner
    shrink = torch.full_like(norm, learning_rate * _PENALTY)
    raised = torch.maximum(_AMPLIFY * lower, shrink)
    raised = torch.where(raised < upper, raised, (lower + upper) / 2)
    shrink = torch.where(inner < 0, raised, shrink)
    projected = after - (shrink / norm).unsqueeze(1) * before
    inside = (projected * before).sum(1) >= epsilon * norm.square()
    return torch.where((inside & (norm > 0)).unsqueeze(1), projected, torch.zeros_like(projected))


def salience(groups: list[tuple[Tensor, Tensor]], within_layer: bool) -> list[Tensor]:
    """How much each group matters: low where it is small and where the step towards zero descends.

    Args:
        groups: by layer, (x before the base step, Δ taken by it), each [n, d].
        within_layer: magnitudes are divided by their layer's mean before they are compared.
    """
    cosines = [nn.functional.cosine_similarity(before, taken, dim=1) for before, taken in groups]
    sizes = [before.square().mean(1).sqrt() for before, _ in groups]
    if within_layer:
        sizes = [size / size.mean().clamp_min(1e-12) for size in sizes]
    scores = _standardised(torch.cat(sizes)) - _standardised(torch.cat(cosines))
    return list(scores.split([len(size) for size in sizes]))


def _standardised(values: Tensor) -> Tensor:
    return (values - values.mean()) / values.std(unbiased=False).clamp_min(1e-12)


def choose_redundant(scores: list[Tensor], sparsity: float, round_to: int) -> list[Tensor]:
    """Which groups become zero: by layer a mask [n], true for redundant.

    The least salient go first, in bundles that leave a multiple of `round_to` channels in their
    layer; a layer keeps at least one bundle. The bundle that comes nearer to `sparsity` of all
    groups is the last.
    """
    bundles: list[tuple[float, int, int, int]] = []  # mean salience, layer, from, to (in the layer's order)
    orders = [score.argsort(stable=True) for score in scores]
    for layer, score in enumerate(scores):
        ordered, start, mean = score[orders[layer]], 0, -math.inf
        end = len(score) % round_to or round_to
        while end < len(score):
            mean = max(mean, float(ordered[start:end].mean()))  # rounding must not change a layer's order
            bundles.append((mean, layer, start, end))
            start, end = end, end + round_to
    masks = [torch.zeros(len(score), dtype=torch.bool) for score in scores]
    target, chosen = sparsity * sum(len(score) for score in scores), 0
    for _, layer, start, end in sorted(bundles):
        if abs(chosen + end - start - target) > abs(target - chosen):
            continue
        masks[layer][orders[layer][start:end].cpu()] = True
        chosen += end - start
    return masks


class DHSPG(torch.optim.Optimizer):
    """A base optimiser whose redundant groups go to zero.

    Args:
        base: takes the steps; its parameter groups (learning rate, …) are this optimiser's too.
        layers: the zero-invariant groups.
        sparsity: share of all groups that become zero.
        start, end: the steps between which redundant groups go to zero; 0 ≤ `start` < `end`.
        round_to: a layer keeps a multiple of this many channels.
        epsilon: of the half-space projection, 0…1.
        within_layer: magnitudes are compared within their layer, not over the network.

    Attributes:
        steps: taken so far.
        redundant: by layer, the channels that go; None until they are chosen.
    """

    def __init__(
        self,
        base: torch.optim.Optimizer,
        layers: list[LayerGroups],
        sparsity: float,
        steps: range,
        round_to: int = 1,
        epsilon: float = 0.0,
        within_layer: bool = True,
    ):
        super().__init__(base.param_groups, base.defaults)
        self.base, self.layers = base, layers
        self.sparsity, self.start, self.end, self.round_to = sparsity, steps.start, steps.stop, round_to
        self.epsilon, self.within_layer = epsilon, within_layer
        self.steps = 0
        self.redundant: list[Tensor] | None = None
        self._norms: list[Tensor] = []  # by layer, of the redundant groups when they were chosen
        self._share_base()

    @property
    def reached(self) -> bool:
        """Whether all redundant groups are zero for good."""
        return self.redundant is not None and self.steps >= self.end

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step of the base optimiser, then what the phase does to redundant groups."""
        if self.start <= self.steps < self.end:
            loss = self._step_towards_zero(closure)
        else:
            loss = self.base.step(closure)
            self._zero()
        self.steps += 1
        return loss

    def finish(self) -> None:
        """Put the redundant groups to zero at once, for a training that ended before `end`.

        Where they were not chosen yet their magnitude decides alone.
        """
        if self.redundant is None:
            groups = [layer.gather(layer.channels) for layer in self.layers]
            self._choose(groups, groups)
        self._zero()
        self.steps = max(self.steps, self.end)

    def state_dict(self) -> dict[str, Any]:
        """All of it, so that a resumed training goes on bit for bit."""
        return {
            "base": self.base.state_dict(), "steps": self.steps, "redundant": self.redundant,
            "norms": self._norms,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.base.load_state_dict(state_dict["base"])
        self._share_base()
        self.steps, self.redundant = state_dict["steps"], state_dict["redundant"]
        self._norms = state_dict["norms"]

    def _share_base(self) -> None:
        self.param_groups, self.state = self.base.param_groups, self.base.state

    @torch.no_grad()
    def _step_towards_zero(self, closure: Callable[[], float] | None) -> Any:
        channels = self.redundant or [layer.channels for layer in self.layers]
        before = [layer.gather(which) for layer, which in zip(self.layers, channels, strict=True)]
        loss = self.base.step(closure)
        after = [layer.gather(which) for layer, which in zip(self.layers, channels, strict=True)]
        if self.redundant is None:
            channels = self._choose(before, after)
            before = [groups[which] for groups, which in zip(before, channels, strict=True)]
            after = [groups[which] for groups, which in zip(after, channels, strict=True)]
            self._norms = [groups.norm(dim=1) for groups in before]
        remaining = (self.end - self.steps - 1) / (self.end - self.start)
        rate = float(self.param_groups[0]["lr"])
        for layer, which, x, stepped, norm in zip(
            self.layers, channels, before, after, self._norms, strict=True
        ):
            stepped_groups = half_space_step(x, stepped, rate, self.epsilon)
            ceiling = remaining * norm / stepped_groups.norm(dim=1).clamp_min(1e-30)
            layer.scatter(which, stepped_groups * ceiling.clamp_max(1).unsqueeze(1))
        return loss

    def _choose(self, before: list[Tensor], after: list[Tensor]) -> list[Tensor]:
        groups = [(x, x - stepped) for x, stepped in zip(before, after, strict=True)]
        masks = choose_redundant(salience(groups, self.within_layer), self.sparsity, self.round_to)
        self.redundant = [
            mask.nonzero().flatten().to(x.device) for mask, x in zip(masks, before, strict=True)
        ]
        return self.redundant

    def _zero(self) -> None:
        if self.redundant is not None:
            for layer, channels in zip(self.layers, self.redundant, strict=True):
                layer.zero(channels)
