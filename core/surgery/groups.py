"""Which channels of a network can only go together, and taking them out.

Source: the dependency graph of Fang et al. 2023, arXiv 2301.12900, by torch-pruning. A *group* is
a width of the network: the layers that write these channels, those that scale them (norms, layer
scales) and those that read them. The graph is traced on a copy without numbers (the meta device);
the network itself is touched by `unfold_shortcuts` and `ChannelGroup.prune` alone.

Every group is tried on such a copy before it is offered (`core.surgery.trial_cuts`): where the network no longer
runs with fewer channels, or a layer uses the weights of another, the group is reported as skipped.

Layer and group norms over the channels themselves (ConvNeXt's residual stream) take their mean
over fewer channels afterwards: there a pruned network is not the old one with channels at zero.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

from core.models.cifar_resnet import PadShortcut
from core.models.classifier import ImageClassifier
from core.models.fem import FeatureEnhancement
from core.surgery.channel_group import ChannelGroup, Role, Slice
from core.surgery.layers import shared_parameters
from core.surgery.meta_copy import MetaCopy, gains
from core.surgery.trial_cuts import not_removable

Scope = Literal["block-internal", "one-per-block", "whole-groups"]


def channel_groups(
    model: ImageClassifier,
    size: int,
    blocks: tuple[str, ...],
    scope: Scope = "whole-groups",
    prune_fem: bool = True,
) -> tuple[list[ChannelGroup], list[tuple[str, str]]]:
    """The groups of channels that may go, in the order of computation.

    The outputs of the classifier belong to none. Under "whole-groups" parameter-free shortcuts
    are first written as convolutions, in place: the function stays the same.

    Args:
        size: side of the input images in pixels.
        blocks: class names of the backbone's residual blocks.
        scope: "block-internal": only channels inside one of these blocks; "one-per-block": of these the
            widest group of each block alone, of equals the last.
        prune_fem: hidden widths of the Feature Enhancement Module too.

    Returns: the groups, and (path, reason) of those left alone.

    Raises:
        EspalierError: when the network cannot be followed at all.
    """
    if scope == "whole-groups":
        unfold_shortcuts(model)
    meta_copy = MetaCopy(model, size)
    groups: list[ChannelGroup] = []
    skipped: list[tuple[str, str]] = []
    for leader, cut in meta_copy.widths():
        if cut is None:
            skipped.append((leader, "its channels cannot be followed through the network"))
            continue
        group, reason = _described(model, meta_copy, leader, cut)
        reason = (
            reason or _outside(model, group, blocks, scope, prune_fem) or _unfollowed(model, group.slices)
        )
        if reason:
            skipped.append((leader, reason))
        else:
            groups.append(group)
    if scope == "one-per-block":
        groups, second = _widest_of_each_block(model, groups, blocks)
        skipped += second
    whole = not_removable(model, size, groups, meta_copy)
    return [group for group in groups if group.path not in whole], [*skipped, *whole.items()]


def unfold_shortcuts(model: nn.Module) -> None:
    """Write parameter-free shortcuts as the 1×1 convolutions that they are, so that channels can be followed."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, PadShortcut):
                like = next(model.parameters())
                module.register_module(name, child.as_convolution().to(like.device, like.dtype))


def _described(model: nn.Module, meta_copy: MetaCopy, leader: str, cut: Any) -> tuple[ChannelGroup, str]:
    """torch-pruning's group in our words, and "" or why it cannot be pruned."""
    channels = int(meta_copy.graph.get_out_channels(meta_copy.model.get_submodule(leader)))
    bundle, reason = _bundle(meta_copy, cut, channels)
    slices: list[Slice] = []
    members: list[str] = [leader]
    for item in cut:
        target = item.dep.target.module
        if isinstance(target, nn.Parameter):
            name = meta_copy.graph._param_to_name[target]
            path, parts = name.rpartition(".")[0], [(name, "scales", item.dep.target.pruning_dim)]
        elif target in meta_copy.paths:
            path = meta_copy.paths[target]
            reads = not meta_copy.graph.is_out_channel_pruning_fn(item.dep.handler)
            parts = [(f"{path}.{name}", role, axis) for name, role, axis in _parts(target, reads)]
            if not parts and any(True for _ in target.parameters(recurse=False)):
                reason = reason or f"shared with {path}, a {type(target).__name__}, which cannot be cut"
        else:
            continue
        members.append(path)
        slices += [_slice(meta_copy, item, channels // bundle, path, part) for part in parts]
    params, macs = _per_unit(meta_copy.model, slices, channels // bundle)
    kind = tuple(sorted(f"{type(meta_copy.model.get_submodule(s.layer)).__name__} {s.role}" for s in slices))
    group = ChannelGroup(
        leader, tuple(dict.fromkeys(members)), channels, bundle, tuple(slices), params, macs, kind,
        model, meta_copy,
    )  # fmt: skip
    return group, reason


def _unfollowed(model: nn.Module, slices: Sequence[Slice]) -> str:
    """Why a group's parameters cannot be cut where torch-pruning says, or ""."""
    shared = shared_parameters(model)
    for part in slices:
        if (
            not len(part.positions)
            or int(part.positions.max()) >= model.get_parameter(part.name).shape[part.axis]
        ):
            return f"its channels cannot be followed through {part.name}"
        if part.name in shared:
            return f"{part.name} is also {shared[part.name]}: the layers share their weights"
    return ""


def _parts(module: nn.Module, reads: bool) -> list[tuple[str, Role, int]]:
    """Parameters of a module that hold the channels: (name, role, axis)."""
    parts: list[tuple[str, Role, int]] = []
    if isinstance(module, nn.Conv2d | nn.Linear):
        parts = [("weight", "reads", 1)]
        if not reads:
            factors: list[tuple[str, Role, int]] = [(name, "scales", 0) for name in gains(module)]
            parts = [("weight", "writes", 0), ("bias", "shifts", 0), *factors]
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
        parts = [("weight", "scales", 0), ("bias", "shifts", 0)]
    elif isinstance(module, nn.PReLU) and module.num_parameters > 1:
        parts = [("weight", "scales", 0)]
    return [part for part in parts if getattr(module, part[0]) is not None]


def _slice(meta_copy: MetaCopy, item: Any, units: int, path: str, part: tuple[str, Any, int]) -> Slice:
    """The part (name, role, axis) of the layer at `path` that one step of torch-pruning's group cuts."""
    (name, role, axis), module = part, item.dep.target.module
    pairs = torch.tensor([item.idxs, item.root_idxs])  # [2, p]
    pairs[1] %= units
    if role == "reads" and isinstance(module, nn.Conv2d) and module.groups > 1:
        pairs[0] %= module.in_channels // module.groups  # each group of filters sees its own part
        pairs = pairs.unique(dim=1)
    positions, channels = pairs[:, pairs[0].argsort(stable=True)]
    uses = meta_copy.uses.get(path, 0) if name == f"{path}.weight" and module in meta_copy.paths else 0
    return Slice(name, path, role, axis, positions, channels, uses)


def _bundle(meta_copy: MetaCopy, cut: Any, channels: int) -> tuple[int, str]:
    """Channels that have to go in step because of grouped layers, and "" or why they cannot."""
    bundle = 1
    for item in cut:
        module = item.dep.target.module
        groups = 1
        if isinstance(module, nn.Conv2d) and module.groups != module.out_channels:
            groups = module.groups
        elif isinstance(module, nn.GroupNorm):
            groups = module.num_groups
        if groups > 1 and item.idxs != item.root_idxs:
            return (
                1,
                f"joined with other channels in {meta_copy.paths[module]}, which works in {groups} groups",
            )
        bundle = math.lcm(bundle, groups)
    if channels % bundle:
        return 1, f"{channels} channels cannot go in step through layers in {bundle} groups"
    return bundle, ""


def _per_unit(model: nn.Module, slices: list[Slice], units: int) -> tuple[int, int]:
    params = macs = 0
    for part in slices:
        weight = model.get_parameter(part.name)
        gone = weight.numel() // weight.shape[part.axis] * len(part.positions) // units
        params, macs = params + gone, macs + gone * part.uses
    return params, macs


def _outside(
    model: nn.Module, group: ChannelGroup, blocks: tuple[str, ...], scope: Scope, prune_fem: bool
) -> str:
    """Why this group stays as it is, or ""."""
    homes = {_home(model, path, blocks) for path in group.members}
    inside_fem = len(homes) == 1 and any(_is_fem(model, home) for home in homes)
    if inside_fem and not prune_fem:
        return "inside the Feature Enhancement Module, which is not pruned by these settings"
    if scope != "whole-groups" and not inside_fem and (len(homes) > 1 or "" in homes):
        return f"shared by several blocks (residual stream), outside the scope {scope!r}"
    writers = {part.layer for part in group.slices if part.role == "writes"}
    attention = {_enclosing(model, path, "Attention") for path in writers}
    if "" not in attention:
        return f"inside the attention layer {min(attention)}, whose channels are split into heads"
    return ""


def _widest_of_each_block(
    model: nn.Module, groups: list[ChannelGroup], blocks: tuple[str, ...]
) -> tuple[list[ChannelGroup], list[tuple[str, str]]]:
    """One group a block, the FEM's all; and (path, reason) of the others."""
    widest: dict[str, ChannelGroup] = {}
    for group in groups:
        home = _home(model, group.path, blocks)
        key = group.path if _is_fem(model, home) else home
        if key not in widest or group.channels >= widest[key].channels:
            widest[key] = group
    kept = {group.path for group in widest.values()}
    reason = "not its block's widest inner layers, outside the scope 'one-per-block'"
    return [g for g in groups if g.path in kept], [(g.path, reason) for g in groups if g.path not in kept]


def _is_fem(model: nn.Module, home: str) -> bool:
    return home != "" and isinstance(model.get_submodule(home), FeatureEnhancement)


def _home(model: nn.Module, path: str, blocks: tuple[str, ...]) -> str:
    """Path of the residual block or FEM that encloses `path`; "" outside of any."""
    parts = path.split(".")
    for end in range(1, len(parts) + 1):
        enclosing = ".".join(parts[:end])
        if type(model.get_submodule(enclosing)).__name__ in (*blocks, "FeatureEnhancement"):
            return enclosing
    return ""


def _enclosing(model: nn.Module, path: str, word: str) -> str:
    """Path of the innermost module around `path` with `word` in its type's name, or ""."""
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        enclosing = ".".join(parts[:end])
        if word in type(model.get_submodule(enclosing)).__name__:
            return enclosing
    return ""
