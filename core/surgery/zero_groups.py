"""Zero-invariant groups: values that, all at zero, make a channel zero, which then can be taken out.

Source: OTO, Chen et al. 2021, arXiv 2107.07467, section 3; over the dependency graph as in OTOv2,
arXiv 2303.06862, and OTOv3, arXiv 2312.09411. The group of a channel is everything that writes,
scales or shifts it in any coupled layer: rows of convolutions and linear layers, biases, batch
norms, layer scales. What reads the channel is not part of it: it is multiplied by zero.

Which widths have such groups is tried, not assumed: half of the channels are put to zero and have
to arrive as exact zeros wherever they are read (no activation that lifts zero, no bias left out).
A layer norm over the channels rules a width out: removing a zero channel changes the mean and the
variance of the others. So ConvNeXt's residual stream stays, and the hidden widths of its blocks go.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from core.surgery.channel_group import ChannelGroup, Slice
from core.surgery.dhspg import LayerGroups

_PROBE_SEED = 23


def zero_invariant(
    model: nn.Module, size: int, groups: list[ChannelGroup]
) -> tuple[list[ChannelGroup], list[tuple[str, str]]]:
    """The groups whose zero channels can be taken out without changing any output.

    Args:
        size: side of the input images in pixels.
        groups: as `channel_groups` gives them for `model`.

    Returns: those groups, and (path, reason) of the others.
    """
    reasons = {group.path: _mixes_channels(model, group) for group in groups}
    followed = [group for group in groups if not reasons[group.path]]
    reasons |= _not_silent(model, size, followed)
    removable = [group for group in groups if not reasons[group.path]]
    return removable, [(path, reason) for path, reason in reasons.items() if reason]


def layer_groups(model: nn.Module, group: ChannelGroup) -> LayerGroups:
    """The zero-invariant groups of one width, as the optimiser works on them."""
    parts = []
    for part in _zero_slices(group):
        parameter = model.get_parameter(part.name)
        rows = part.positions[part.channels.argsort()].to(parameter.device)
        parts.append((parameter, part.axis, rows))
    return LayerGroups(tuple(parts))


def zero_channels(model: nn.Module, group: ChannelGroup) -> list[int]:
    """The channels of which everything that writes, scales or shifts them is exactly zero."""
    layer = layer_groups(model, group)
    return [int(channel) for channel in (layer.gather(layer.channels) == 0).all(1).nonzero()]


def remove_zero_channels(model: nn.Module, groups: list[ChannelGroup]) -> list[list[int]]:
    """Take all zero channels out of the network; by group, which they were.

    Of a group that is zero altogether one channel stays.
    """
    zeros = [zero_channels(model, group)[: group.units - 1] for group in groups]
    for group, channels in zip(groups, zeros, strict=True):
        if channels:
            group.prune(channels)
    return zeros


def _zero_slices(group: ChannelGroup) -> list[Slice]:
    """The slices whose values make up the zero-invariant groups."""
    return [part for part in group.slices if part.role != "reads"]


def _mixes_channels(model: nn.Module, group: ChannelGroup) -> str:
    """Why zero channels of this group cannot be told from the layers alone to be removable, or ""."""
    for path in group.members:
        module = model.get_submodule(path)
        if isinstance(module, nn.LayerNorm | nn.GroupNorm):
            return (
                f"its channels pass {path}, a {type(module).__name__}, which takes its mean over them: "
                "removing a zero channel would change the others"
            )
    if any(len(part.positions) != group.units for part in _zero_slices(group)):
        return "its channels go in bundles through layers in groups, which zero groups do not follow"
    return ""


@torch.no_grad()
def _not_silent(model: nn.Module, size: int, groups: list[ChannelGroup]) -> dict[str, str]:
    """By path, the groups whose channels at zero are read as something else, and where."""
    weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for group in groups:
        for part in _zero_slices(group):
            silenced = part.positions[part.channels % 2 == 0].to(weights[part.name].device)
            weights[part.name].index_fill_(part.axis, silenced, 0.0)
    reasons: dict[str, str] = {}

    def check_read(group: ChannelGroup, part: Slice, module: nn.Module, layer_input: Tensor) -> None:
        axis = 1 if isinstance(module, nn.Conv2d) else -1
        read = layer_input.index_select(axis, part.positions[part.channels % 2 == 0].to(layer_input.device))
        if bool((read != 0).any()):
            reasons[group.path] = f"a channel at zero is not zero where {part.layer} reads it"

    hooks = [
        model.get_submodule(part.layer).register_forward_pre_hook(
            lambda module, inputs, group=group, part=part: check_read(group, part, module, inputs[0])
        )
        for group in groups
        for part in group.slices
        if part.role == "reads"
    ]
    training = model.training
    try:
        noise = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(_PROBE_SEED))
        functional_call(model.eval(), weights, (noise.to(next(model.parameters()).device),))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)
    return reasons
