"""Whether a network still runs, and computes the same of what is left, when channels go: tried on copies.

What torch-pruning says of a network's channels is taken from its graph, and some structures (channels that are
split, joined, reshaped into heads) it misreads, sometimes for some positions only. So before a group is offered, a cut is
tried twice: on a copy without numbers with channels at random positions, one first and then an odd number of about half;
and on a copy with random numbers, where the cut network has to give what the whole one gives when nothing reads the
channels that go. The second is not asked of norms over the channels themselves, nor of weights that are standardised over
them: both change with their number.
A plan is tried with its own channels before the network itself is touched.
"""

import copy
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from core.common.logs import in_a_line
from core.surgery.meta_copy import MetaCopy, run_whole

if TYPE_CHECKING:
    from core.surgery.channel_group import ChannelGroup

_log = logging.getLogger(__name__)

_SEED = 29
_TOLERANCE = 1e-3  # of the largest logit
_MOST_COMPUTED = 200_000_000  # parameters of a network that is tried with numbers: three copies are held
Attempt = Callable[["Sequence[ChannelGroup]"], str]  # the reason why they cannot go together, or ""


def not_removable(
    model: nn.Module, size: int, groups: "Sequence[ChannelGroup]", meta_copy: MetaCopy
) -> dict[str, str]:
    """By leading layer, why channels of a group cannot go.

    Args:
        size: side of the input images in pixels.
        meta_copy: of this model; it is whole again afterwards.
    """
    rounds = {group.path: _at_random(group) for group in groups}
    several = [group for group in groups if group.units > 1]
    found = _search(several, lambda some: _try(meta_copy, size, some, rounds))
    if sum(parameter.numel() for parameter in model.parameters()) > _MOST_COMPUTED:
        return found
    halves = {path: units[1] for path, units in rounds.items()}
    plain = [g for g in several if g.path not in found and halves[g.path] and not _normed_over(model, g)]
    numbers = _with_numbers(model) if plain else model
    return found | _search(plain, lambda some: _changes(numbers, meta_copy, size, some, halves))


def not_removable_units(
    model: nn.Module, size: int, groups: "Sequence[ChannelGroup]", removed: Mapping[str, Sequence[int]]
) -> dict[str, str]:
    """The same for the units that a plan removes, by leading layer."""
    rounds = {path: [list(units)] for path, units in removed.items()}
    cut = [group for group in groups if rounds.get(group.path, [[]])[0]]
    meta_copy = MetaCopy(model, size)
    return _search(cut, lambda some: _try(meta_copy, size, some, rounds))


def _at_random(group: "ChannelGroup") -> list[list[int]]:
    """Units for two cuts, one after the other: one unit, then about half of the rest."""
    numbers = torch.Generator().manual_seed(_SEED + group.channels)
    left = group.units - 1
    return [
        torch.randperm(group.units, generator=numbers)[:1].tolist(),
        torch.randperm(left, generator=numbers)[: (left // 2) | 1 if left > 2 else 0].tolist(),
    ]


def _search(groups: "list[ChannelGroup]", attempt: Attempt) -> dict[str, str]:
    """Those that have to stay so that the others can go together; found by halving."""
    found = _halved(groups, attempt)
    left = [group for group in groups if group.path not in found]
    if not found or not attempt(left):
        return found
    accepted: list[ChannelGroup] = []  # each may go alone and not all together
    for group in left:
        if reason := attempt([*accepted, group]):
            found[group.path] = reason
        else:
            accepted.append(group)
    return found


def _halved(groups: "list[ChannelGroup]", attempt: Attempt) -> dict[str, str]:
    if not groups or not (reason := attempt(groups)):
        return {}
    if len(groups) == 1:
        return {groups[0].path: reason}
    middle = len(groups) // 2
    found = _halved(groups[:middle], attempt) | _halved(groups[middle:], attempt)
    return found or {groups[-1].path: reason}  # only together: one of them stays


def _try(
    meta_copy: MetaCopy, size: int, groups: "Sequence[ChannelGroup]", rounds: Mapping[str, list[list[int]]]
) -> str:
    with meta_copy.whole_again():
        return _cut_and_run(meta_copy, size, groups, rounds)


def _cut_and_run(
    meta_copy: MetaCopy, size: int, groups: "Sequence[ChannelGroup]", rounds: Mapping[str, list[list[int]]]
) -> str:
    units = {group.path: group.units for group in groups}
    for number in range(max((len(rounds[group.path]) for group in groups), default=0)):
        try:
            for group in groups:
                gone = rounds[group.path][number]
                channels = range(units[group.path] * group.bundle)
                meta_copy.cut(group.path, [c for c in channels if c % units[group.path] in set(gone)])
                units[group.path] -= len(gone)
        except Exception as error:  # whatever torch-pruning says about a structure that it does not know
            _note(groups, error)
            return "its channels cannot be followed through the network"
        reason = _stops(meta_copy, size, groups)
        if reason:
            return reason
    return ""


def _stops(meta_copy: MetaCopy, size: int, groups: "Sequence[ChannelGroup]") -> str:
    inside: list[str] = []

    def enter(path: str) -> Callable[..., None]:
        return lambda module, given: inside.append(path)

    def leave(module: nn.Module, given: Any, result: Any) -> None:
        inside.pop()

    hooks = []
    for path, module in meta_copy.model.named_modules():
        hooks += [module.register_forward_pre_hook(enter(path)), module.register_forward_hook(leave)]
    try:
        gives = run_whole(meta_copy.model, size)[1]
    except Exception as error:  # whatever a layer says about shapes that do not fit
        _note(groups, error)
        where = inside[-1] if inside else ""
        kind = type(meta_copy.model.get_submodule(where)).__name__
        return f"the network does not run with fewer of these channels: {where or 'it'}, a {kind}, cannot take them"
    finally:
        for hook in hooks:
            hook.remove()
    return "" if gives == meta_copy.gives else "it writes the classes"


# With numbers


def _normed_over(model: nn.Module, group: "ChannelGroup") -> bool:
    """Whether a mean may be taken over the channels: by a norm other than a batch norm, or in the weights of what reads them."""
    usual = (nn.Conv2d, nn.Linear, nn.modules.batchnorm._BatchNorm, nn.PReLU)
    layers = {part.layer: model.get_submodule(part.layer) for part in group.slices}
    readers = {part.layer for part in group.slices if part.role == "reads"}
    return any(not isinstance(layer, usual) for layer in layers.values()) or any(
        map(_standardises, (layers[path] for path in readers))
    )


@torch.no_grad()
def _standardises(layer: nn.Module) -> bool:
    """Whether a layer answers the same with larger weights: it takes their mean and deviation over what it reads."""
    if type(layer) in (nn.Conv2d, nn.Linear) or layer._parameters.get("weight") is None:
        return False
    own = _with_numbers(layer)
    shape = (1, own.in_channels, 32, 32) if isinstance(own, nn.Conv2d) else (1, own.in_features)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(_SEED))
    before = own(image)
    own.weight.mul_(3)
    return bool((own(image) - before).norm() < 0.01 * before.norm())


def _with_numbers(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode on the CPU with random weights, the same for every network of this shape."""
    numbers = torch.Generator().manual_seed(_SEED)
    network = copy.deepcopy(model).to_empty(device="cpu").eval()
    with torch.no_grad():
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            if not tensor.is_floating_point():
                tensor.zero_()
            elif tensor.ndim > 1:
                tensor.normal_(0, math.sqrt(2 / max(1, tensor[0].numel())), generator=numbers)
            elif name.endswith(("weight", "var", "gamma", "scale")):
                tensor.uniform_(0.5, 1.5, generator=numbers)
            else:
                tensor.normal_(0, 0.1, generator=numbers)
    return network


@torch.no_grad()
def _changes(
    network: nn.Module,
    meta_copy: MetaCopy,
    size: int,
    groups: "Sequence[ChannelGroup]",
    removed: Mapping[str, Sequence[int]],
) -> str:
    """Why the channels that stay would compute something else without these, or ""."""
    cut, unread = copy.deepcopy(network), copy.deepcopy(network)
    with meta_copy.whole_again():
        for group in groups:
            gone = set(removed[group.path])
            meta_copy.cut(group.path, [c for c in range(group.channels) if c % group.units in gone], cut)
            for part in group.slices:
                if part.role == "reads":
                    positions = part.positions[torch.isin(part.channels, torch.tensor(sorted(gone)))]
                    unread.get_parameter(part.name).index_fill_(part.axis, positions, 0)
    image = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(_SEED))
    one, other = cut(image), unread(image)
    apart, scale = float((one - other).abs().max()), float(other.abs().max())
    if not math.isfinite(scale) or apart <= _TOLERANCE * scale:
        return ""
    return "with fewer of these channels the network would compute something else of the others"


def _note(groups: "Sequence[ChannelGroup]", error: Exception) -> None:
    paths = ", ".join(group.path for group in groups)
    _log.debug("Channels of %s cannot go: %s", paths, in_a_line(error))
