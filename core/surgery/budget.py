"""How many channels of each group stay, so that a ratio or a budget is met.

A plan costs milliseconds: what a network holds and computes is a sum over its weights, and each
weight's size a product of the widths beside it. So `plan` can be asked again while a slider
moves; groups and importances are found once. `apply` does the cutting.

Counts of channels are rounded to multiples. A budget is met by searching the one share (uniform)
or the one threshold (global) that comes closest; what rounding still leaves open is closed by
single groups, one multiple at a time.

Rankings: "uniform" takes the same share from every group (Li et al. 2017, arXiv 1608.08710);
"global" ranks all channels together (Molchanov et al. 2017, arXiv 1611.06440); "isomorphic" ranks
together what is built alike, and every kind loses the same share (Fang et al. 2024, arXiv 2407.04616).
"""

import difflib
import fnmatch
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from core.common.errors import EspalierError
from core.common.numbers import percent
from core.surgery.channel_group import ChannelGroup
from core.surgery.meta_copy import Counts, count

Ranking = Literal["uniform", "global", "isomorphic"]
KeptChannels = dict[str, int]

TOLERANCE = 0.01  # of the baseline: closer than this a budget counts as met
_CLOSE = 0.002  # of the baseline: the search does not look for more


class CostModel:
    """Parameters and multiply-accumulates as a function of the channels that stay, exactly."""

    def __init__(self, model: nn.Module, groups: Sequence[ChannelGroup], size: int):
        """Args:
        size: side of the input images in pixels.
        """
        self.base = count(model, size)
        self._terms: dict[str, _Term] = {}
        for group in groups:
            for part in group.slices:
                term = self._terms.setdefault(part.name, _Term(tuple(model.get_parameter(part.name).shape)))
                term.uses = max(term.uses, part.uses)
                term.widths.append((part.axis, group.path, group.channels, len(part.positions)))
        self._layers = layer_shapes(model)

    def count(self, channels: Mapping[str, int]) -> Counts:
        """The network's counts with so many channels in each group; groups left out keep all."""
        params, macs = self.base.params, self.base.macs
        for term in self._terms.values():
            gone = term.elements - math.prod(term.pruned_shape(channels))
            params, macs = params - gone, macs - gone * term.uses
        return Counts(params, macs)

    def shapes(self, channels: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """By name, the shapes of the parameters that can change their shape."""
        return {name: term.pruned_shape(channels) for name, term in self._terms.items()}

    def layers(self, channels: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """By path, the shapes of the weights of all convolutions and linear layers."""
        terms = self._terms
        return {
            path: terms[f"{path}.weight"].pruned_shape(channels) if f"{path}.weight" in terms else shape
            for path, shape in self._layers.items()
        }


@dataclass(slots=True)
class _Term:
    """One parameter: its shape, and (axis, group, the group's channels, positions on the axis)."""

    shape: tuple[int, ...]
    uses: int = 0
    widths: list[tuple[int, str, int, int]] = field(default_factory=list)

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    def pruned_shape(self, kept_channels: Mapping[str, int]) -> tuple[int, ...]:
        shape = list(self.shape)
        for axis, path, channels, positions in self.widths:
            shape[axis] -= (channels - kept_channels.get(path, channels)) * positions // channels
        return tuple(shape)


def layer_shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """By path, the shapes of the weights of all convolutions [o, i, h, w] and linear layers [o, i]."""
    return {
        path: tuple(module.weight.shape)
        for path, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


@dataclass(frozen=True, slots=True)
class Budget:
    """What the pruned network may cost.

    Attributes:
        label: of the quantity, for sentences: "MACs".
        target: how much of it, in the unit of `measure`.
        baseline: how much the network had at first.
        measure: the quantity for the channels kept in each group; falls when channels go.
    """

    label: str
    target: float
    baseline: float
    measure: Callable[[KeptChannels], float]

    def deviation(self, channels: KeptChannels) -> float:
        """By how much it is missed, as a share of the baseline; above 0 where too much is left."""
        return (self.measure(channels) - self.target) / self.baseline


@dataclass(frozen=True, slots=True)
class Request:
    """What a plan has to fulfil.

    Attributes:
        goal: share of the original channels that goes, or a budget.
        round_to: channels that stay are a multiple of this, or all.
        most: the largest share of one group that a ranking across groups may take.
        own_shares: share that goes from single groups, by path, whatever the others lose.
        original: channels of each group at first, by path, where some went before; shares are
            shares of these.
    """

    goal: "float | Budget"
    ranking: Ranking = "uniform"
    round_to: int = 1
    most: float = 1.0
    own_shares: Mapping[str, float] = field(default_factory=dict)
    original: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes.

    Attributes:
        kept_channels: that stay in each group, by path.
        removed_units: of each group, by path; the least important ones.
        params: of the network afterwards.
        macs: of the network afterwards, for one image.
        deviation: by how much a budget is missed, as a share of the baseline; 0 for a ratio.
    """

    kept_channels: KeptChannels
    removed_units: dict[str, list[int]]
    params: int
    macs: int
    deviation: float = 0.0


def plan(
    groups: Sequence[ChannelGroup], scores: Mapping[str, Tensor], costs: CostModel, request: Request
) -> Plan:
    """What goes from which group.

    Args:
        scores: importance of every unit of every group, by path, comparable across groups.

    Raises:
        EspalierError: when the budget is out of reach.
    """
    widths = [_GroupWidth(group, scores[group.path], request) for group in groups]
    take = _Uniform(widths) if request.ranking == "uniform" else _Ranked(widths, request.ranking)
    if isinstance(request.goal, Budget):
        units_kept = _search(widths, take, request.goal)
        deviation = request.goal.deviation(_by_path(widths, units_kept))
    else:
        units_kept, deviation = take(request.goal), 0.0
    by_path = _by_path(widths, units_kept)
    counts = costs.count(by_path)
    gone = {width.group.path: width.weakest(units) for width, units in zip(widths, units_kept, strict=True)}
    return Plan(by_path, gone, counts.params, counts.macs, deviation)


def apply(groups: Sequence[ChannelGroup], chosen: Plan) -> None:
    """Take out of the network what the plan says."""
    for group in groups:
        if chosen.removed_units[group.path]:
            group.prune(chosen.removed_units[group.path])


def own_shares(
    patterns: Sequence[tuple[str, float]], groups: Sequence[ChannelGroup], skipped: Sequence[str] = ()
) -> dict[str, float]:
    """The share for each group whose leading layer fits a pattern (as in `fnmatch`); the last one wins.

    Args:
        skipped: leading layers of groups that are left alone anyway; a pattern may fit these.

    Raises:
        EspalierError: when a pattern fits no group.
    """
    shares: dict[str, float] = {}
    paths = [group.path for group in groups]
    for pattern, share in patterns:
        fitting = fnmatch.filter(paths, pattern)
        if not fitting and not fnmatch.filter(skipped, pattern):
            raise _unknown(pattern, groups, [*paths, *skipped])
        shares |= dict.fromkeys(fitting, share)
    return shares


def _unknown(pattern: str, groups: Sequence[ChannelGroup], paths: list[str]) -> EspalierError:
    message = f"Expected the leading layer of a group of channels, received {pattern!r}, which fits none."
    for group in groups:
        if fnmatch.filter(group.members, pattern):
            return EspalierError(
                message, f"That layer's channels go with those of {group.path}: name that one."
            )
    closest = difflib.get_close_matches(pattern, paths, n=1, cutoff=0)
    advice = f"The closest is {closest[0]}." if closest else "This network has no channels that may go."
    return EspalierError(message, advice)


def kept_units(units: int, target: float, multiple: int) -> int:
    """Units that stay: the multiple nearest to `target` (halves up), at least one, or all of them."""
    nearest = max(multiple, multiple * math.floor(target / multiple + 0.5))
    return units if units - target <= abs(nearest - target) else min(units, nearest)


class _GroupWidth:
    """A group with what the request says about it, counted in units."""

    def __init__(self, group: ChannelGroup, scores: Tensor, request: Request):
        self.group = group
        self.units = group.units
        self.original = request.original.get(group.path, group.channels) // group.bundle
        self.multiple = math.lcm(request.round_to, group.bundle) // group.bundle
        self.order: list[int] = scores.argsort(stable=True).tolist()
        self.scores: list[float] = scores.sort(stable=True).values.tolist()  # ascending
        share = request.own_shares.get(group.path)
        self.fixed = None if share is None else self.rounded(self.original * (1 - share))
        allowed = 0.0 if request.ranking == "uniform" else self.original * (1 - request.most)
        self.least = min(self.units, max(1, math.ceil(allowed / self.multiple - 1e-9)) * self.multiple)

    def rounded(self, target: float) -> int:
        return kept_units(self.units, target, self.multiple)

    def weakest(self, units: int) -> list[int]:
        return sorted(self.order[: self.units - units])

    def neighbours(self, current: int) -> list[int]:
        """One multiple less and one more."""
        below = (math.ceil(current / self.multiple) - 1) * self.multiple
        above = min(self.units, (current // self.multiple + 1) * self.multiple)
        return [units for units in (below, above) if self.least <= units != current]


def _by_path(widths: list[_GroupWidth], units_kept: list[int]) -> KeptChannels:
    return {
        width.group.path: units * width.group.bundle for width, units in zip(widths, units_kept, strict=True)
    }


class _Uniform:
    """The same share from every group."""

    def __init__(self, widths: list[_GroupWidth]):
        self.widths = widths

    def __call__(self, share: float) -> list[int]:
        return [
            max(width.least, width.rounded(width.original * (1 - share)))
            if width.fixed is None
            else width.fixed
            for width in self.widths
        ]


class _Ranked:
    """The least important units of all groups that are ranked together."""

    def __init__(self, widths: list[_GroupWidth], ranking: Ranking):
        self.widths = widths
        self.classes: dict[tuple[str, ...], list[int]] = {}
        for index, width in enumerate(widths):
            if width.fixed is None:
                kind = width.group.kind if ranking == "isomorphic" else ()
                self.classes.setdefault(kind, []).append(index)
        self.orders = {kind: self._order(members) for kind, members in self.classes.items()}

    def _order(self, members: list[int]) -> list[int]:
        """Groups in the order in which their units go."""
        units = [
            (score, index)
            for index in members
            for score in self.widths[index].scores[: self.widths[index].units - self.widths[index].least]
        ]
        return [index for _, index in sorted(units)]

    def __call__(self, share: float) -> list[int]:
        remaining = [float(width.units) for width in self.widths]
        for kind, members in self.classes.items():
            original = sum(self.widths[index].original for index in members)
            before = original - sum(self.widths[index].units for index in members)
            for index in self.orders[kind][: max(0, round(share * original) - before)]:
                remaining[index] -= 1
        return [
            max(width.least, width.rounded(target)) if width.fixed is None else width.fixed
            for width, target in zip(self.widths, remaining, strict=True)
        ]


def _search(widths: list[_GroupWidth], take: Callable[[float], list[int]], budget: Budget) -> list[int]:
    def deviation(units_kept: list[int]) -> float:
        return budget.deviation(_by_path(widths, units_kept))

    all_of_it, least_of_it = take(0.0), take(1.0)
    if deviation(all_of_it) < -TOLERANCE:
        raise _out_of_reach(budget, deviation(all_of_it), "is below it already, at", "Ask for less")
    if deviation(least_of_it) > TOLERANCE:
        raise _out_of_reach(
            budget, deviation(least_of_it), "cannot go lower than", "Ask for more, widen the scope or lower the rounding"
        )  # fmt: skip
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if deviation(take(middle)) > 0 else (low, middle)
    units_kept = _walk(widths, take(low), take(high), deviation)
    return _polish(widths, units_kept, deviation)


def _out_of_reach(budget: Budget, deviation: float, verb: str, advice: str) -> EspalierError:
    reached = budget.target / budget.baseline + deviation
    return EspalierError(
        f"Expected a budget of {budget.label} that these settings can reach, received "
        f"{percent(budget.target / budget.baseline, 1)} of the baseline; the network {verb} {percent(reached, 1)}.",
        f"{advice}.",
    )


def _walk(
    widths: list[_GroupWidth], larger: list[int], smaller: list[int], deviation: Callable[[list[int]], float]
) -> list[int]:
    """Between two neighbouring plans: groups change one by one, those whose channels matter least first."""
    changing = [index for index in range(len(widths)) if larger[index] != smaller[index]]

    def lost(index: int) -> float:
        width = widths[index]
        gone = width.scores[width.units - larger[index] : width.units - smaller[index]]
        return sum(gone) / max(len(gone), 1)

    steps = [larger]
    for index in sorted(changing, key=lost):
        steps.append([*steps[-1][:index], smaller[index], *steps[-1][index + 1 :]])
    return min(steps, key=lambda step: abs(deviation(step)))


def _polish(
    widths: list[_GroupWidth], units_kept: list[int], deviation: Callable[[list[int]], float]
) -> list[int]:
    """Move single groups by one multiple as long as that brings the plan closer."""
    while abs(deviation(units_kept)) > _CLOSE:
        moves = [
            [*units_kept[:index], units, *units_kept[index + 1 :]]
            for index, width in enumerate(widths)
            if width.fixed is None
            for units in width.neighbours(units_kept[index])
        ]
        best = min(moves, key=lambda move: abs(deviation(move)), default=units_kept)
        if abs(deviation(best)) >= abs(deviation(units_kept)):
            break
        units_kept = best
    return units_kept
