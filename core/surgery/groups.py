"""Which channels of a network can only go together, and taking them out.

Source: the dependency graph of Fang et al. 2023, arXiv 2301.12900, by torch-pruning. A *group* is
a width of the network: the layers that write these channels, those that scale them (norms, layer
scales) and those that read them. The graph is traced on a copy without numbers (the meta device);
the network itself is touched by `unfold_shortcuts` and `ChannelGroup.prune` alone.

Every group is tried on such a copy before it is offered: where the network no longer runs with one
channel less, the group is reported as skipped.

Layer and group norms over the channels themselves (ConvNeXt's residual stream) take their mean
over fewer channels afterwards: there a pruned network is not the old one with channels at zero.
"""

import copy
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from core.common.errors import EspalierError
from core.common.logs import in_a_line
from core.models.cifar_resnet import PadShortcut
from core.models.classifier import ImageClassifier
from core.models.fem import FeatureEnhancement
from core.models.torchvision_shim import import_torchvision

if TYPE_CHECKING:
    import torch_pruning

_log = logging.getLogger(__name__)

Role = Literal["writes", "scales", "shifts", "reads"]
Scope = Literal["block-internal", "one-per-block", "whole-groups"]

_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.SiLU, nn.GELU, nn.Sigmoid, nn.Tanh)


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Where a group's channels stand in one parameter.

    Attributes:
        name: of the parameter, as in `named_parameters`.
        layer: path of the module that it belongs to.
        role: "writes": a convolution's or linear layer's weights that compute the channels
            (depthwise ones too); "scales": a norm's weight, a layer scale; "shifts": a bias;
            "reads": weights that take the channels in.
        axis: the axis along which the channels stand.
        positions: int64 [p] along that axis.
        channels: int64 [p], the channel (0…units-1) that each position belongs to.
        uses: multiply-accumulates per weight and image; 0 for all but convolutions and linear layers.
    """

    name: str
    layer: str
    role: Role
    axis: int
    positions: Tensor
    channels: Tensor
    uses: int


@dataclass(slots=True, eq=False)
class ChannelGroup:
    """Channels that can only go together, in all layers that write, scale or read them.

    Attributes:
        path: the leading layer: the first that writes the channels, in the order of computation.
        members: paths of all modules that change with it, the leading one first.
        channels: how many the leading layer has.
        bundle: channels that go in step, one from each group of a grouped convolution; 1 elsewhere.
        slices: where each of the `units` stands in the parameters.
        params: parameters that go with one unit, from the network as it is.
        macs: likewise, multiply-accumulates for one image.
        kind: layers and roles without their sizes: the same for groups of the same build.
    """

    path: str
    members: tuple[str, ...]
    channels: int
    bundle: int
    slices: tuple[Slice, ...]
    params: int
    macs: int
    kind: tuple[str, ...]
    _model: nn.Module = field(repr=False)
    _meta_copy: "_MetaCopy" = field(repr=False)

    @property
    def units(self) -> int:
        """What can go one by one: channels, or bundles of them."""
        return self.channels // self.bundle

    def prune(self, units: Sequence[int]) -> None:
        """Take these units (0…units-1) out of the network, once; the group then describes what was.

        Groups of the same call of `channel_groups` can be pruned one after the other.
        """
        gone = set(units)
        self._meta_copy.cut(
            self.path, [c for c in range(self.channels) if c % self.units in gone], self._model
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """Parameters, and multiply-accumulates of convolutions and linear layers for one image."""

    params: int
    macs: int


def count(model: nn.Module, size: int) -> Counts:
    """Count a network for images of `size` pixels, without computing anything."""
    meta_copy = _empty_copy(model)
    uses = _run(meta_copy, size)
    weights = dict(meta_copy.named_parameters())
    macs = sum(weights[f"{path}.weight"].numel() * times for path, times in uses.items())
    return Counts(sum(weight.numel() for weight in weights.values()), macs)


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
    meta_copy = _MetaCopy(model, size)
    groups: list[ChannelGroup] = []
    skipped: list[tuple[str, str]] = []
    for leader, cut in meta_copy.widths():
        group, reason = _described(model, meta_copy, leader, cut)
        reason = reason or _outside(model, group, blocks, scope, prune_fem)
        if reason:
            skipped.append((leader, reason))
        else:
            groups.append(group)
    if scope == "one-per-block":
        groups, second = _widest_of_each_block(model, groups, blocks)
        skipped += second
    broken = _broken(model, size, groups)
    skipped += [(path, "the network does not run with fewer of these channels") for path in broken]
    return [group for group in groups if group.path not in broken], skipped


def unfold_shortcuts(model: nn.Module) -> None:
    """Write parameter-free shortcuts as the 1×1 convolutions that they are, so that channels can be followed."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, PadShortcut):
                like = next(model.parameters())
                module.register_module(name, child.as_convolution().to(like.device, like.dtype))


def _empty_copy(model: nn.Module) -> nn.Module:
    """The network in evaluation mode on the meta device: shapes, but no numbers.

    Batch norms and activations only pass on what they get: its shape is theirs, and the meta device
    computes each of them in Python, forty times as long as a convolution.
    """
    memo: dict[int, Any] = {}
    for tensor in chain(model.parameters(), model.buffers()):
        empty = torch.empty_like(tensor, device="meta", memory_format=torch.contiguous_format)
        memo[id(tensor)] = nn.Parameter(empty) if isinstance(tensor, nn.Parameter) else empty
    meta_copy = copy.deepcopy(model, memo).eval()
    for module in meta_copy.modules():
        if type(module) is nn.BatchNorm2d:
            module.forward = partial(_normed, module)
        elif type(module) in _ACTIVATIONS:
            module.forward = _unchanged
    return meta_copy


def _unchanged(image: Tensor) -> Tensor:
    return image


def _normed(norm: nn.BatchNorm2d, image: Tensor) -> Tensor:
    """What a batch norm does to shapes, with a node of its own in autograd's graph.

    Raises:
        ValueError: for another number of channels than its own.
    """
    if image.shape[1] != norm.num_features:
        raise ValueError(f"a batch norm of {norm.num_features} channels received {image.shape[1]}")
    return _Same.apply(image)


class _Same(torch.autograd.Function):
    """The identity, visible to torch-pruning, which follows autograd's graph."""

    @staticmethod
    def forward(context: Any, image: Tensor) -> Tensor:
        return torch.empty_like(image)


def _run(meta_copy: nn.Module, size: int) -> dict[str, int]:
    """Uses of every weight for one image, by the layer's path, in the order of computation."""
    uses: dict[str, int] = {}

    def hook(path: str, module: nn.Module, output: Tensor) -> None:
        width = module.out_channels if isinstance(module, nn.Conv2d) else module.out_features
        uses[path] = uses.get(path, 0) + output.numel() // int(width)

    hooks = [
        module.register_forward_hook(lambda module, inputs, output, path=path: hook(path, module, output))
        for path, module in meta_copy.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        meta_copy(torch.empty(1, 3, size, size, device="meta"))
    for handle in hooks:
        handle.remove()
    return uses


class _MetaCopy:
    """A network without numbers and torch-pruning's graph of it, kept in step with the real one."""

    def __init__(self, model: nn.Module, size: int):
        import_torchvision()
        import torch_pruning

        self.model = _empty_copy(model)
        try:
            self.uses = _run(self.model, size)
            self.graph = self._trace(size, torch_pruning.DependencyGraph())
        except Exception as error:
            raise EspalierError(
                "Expected a network whose channels can be followed from layer to layer; this one could not be traced.",
                "Prune single weights or whole layers of it instead.", repr(error),
            ) from error  # fmt: skip
        self.paths = {module: path for path, module in self.model.named_modules()}

    @torch.enable_grad()
    def _trace(self, size: int, graph: "torch_pruning.DependencyGraph") -> "torch_pruning.DependencyGraph":
        fusions = [m.fusion for m in self.model.modules() if isinstance(m, FeatureEnhancement)]
        image = torch.empty(1, 3, size, size, device="meta")
        return graph.build_dependency(self.model, image, ignored_params=fusions, verbose=False)

    def widths(self) -> Iterator[tuple[str, Any]]:
        """Leading layer and torch-pruning's group of each width but the classifier's outputs."""
        handled: set[nn.Module] = {self._outputs()}
        for path in self.uses:
            leader = self.model.get_submodule(path)
            if leader in handled or leader not in self.graph.module2node:
                continue
            cut = self.group(path, range(self.graph.get_out_channels(leader)))
            written = [
                dep.target.module for dep, _ in cut if self.graph.is_out_channel_pruning_fn(dep.handler)
            ]
            if handled.isdisjoint(m for m in written if isinstance(m, nn.Conv2d | nn.Linear)):
                yield path, cut
            handled.update(m for m in written if isinstance(m, nn.Module))

    def _outputs(self) -> nn.Module:
        """The layer that writes the classes."""
        layers = [path for path in self.uses if path.split(".")[0] == "head"]
        return self.model.get_submodule(layers[-1])

    def group(self, path: str, channels: Sequence[int]) -> Any:
        leader = self.model.get_submodule(path)
        handler = self.graph.get_pruner_of_module(leader).prune_out_channels
        return self.graph.get_pruning_group(leader, handler, list(channels))

    def cut(self, path: str, channels: Sequence[int], model: nn.Module | None = None) -> None:
        """Take channels of the leading layer at `path` out of the copy, and out of `model` likewise."""
        group = self.group(path, channels)
        if model is not None:
            for dep, indices in group:
                self._cut_in(model, dep, indices)
        group.prune(record_history=False)

    def _cut_in(self, model: nn.Module, dep: Any, indices: list[int]) -> None:
        target = dep.target.module
        dep.handler.__self__.pruning_dim = dep.target.pruning_dim
        if isinstance(target, nn.Parameter):
            owner, _, name = self.graph._param_to_name[target].rpartition(".")
            holder = model.get_submodule(owner)
            setattr(holder, name, dep.handler(getattr(holder, name), indices))
        elif target in self.paths:
            dep.handler(model.get_submodule(self.paths[target]), indices)


def _described(model: nn.Module, meta_copy: _MetaCopy, leader: str, cut: Any) -> tuple[ChannelGroup, str]:
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


def _parts(module: nn.Module, reads: bool) -> list[tuple[str, Role, int]]:
    """Parameters of a module that hold the channels: (name, role, axis)."""
    parts: list[tuple[str, Role, int]] = []
    if isinstance(module, nn.Conv2d | nn.Linear):
        parts = [("weight", "reads", 1)] if reads else [("weight", "writes", 0), ("bias", "shifts", 0)]
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
        parts = [("weight", "scales", 0), ("bias", "shifts", 0)]
    elif isinstance(module, nn.PReLU) and module.num_parameters > 1:
        parts = [("weight", "scales", 0)]
    return [part for part in parts if getattr(module, part[0]) is not None]


def _slice(meta_copy: _MetaCopy, item: Any, units: int, path: str, part: tuple[str, Any, int]) -> Slice:
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


def _bundle(meta_copy: _MetaCopy, cut: Any, channels: int) -> tuple[int, str]:
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


def _broken(model: nn.Module, size: int, groups: list[ChannelGroup]) -> list[str]:
    """Leading layers of groups without a channel of which the network does not run."""
    cuttable = [group for group in groups if group.units > 1]
    if _runs_without_first(model, size, cuttable):
        return []
    return [group.path for group in cuttable if not _runs_without_first(model, size, [group])]


def _runs_without_first(model: nn.Module, size: int, groups: list[ChannelGroup]) -> bool:
    meta_copy = _MetaCopy(model, size)
    try:
        for group in groups:
            meta_copy.cut(group.path, range(0, group.channels, group.units))
        _run(meta_copy.model, size)
    except Exception as error:  # whatever a layer says about shapes that do not fit
        _log.debug(
            "Channels of %s cannot go: %s", ", ".join(group.path for group in groups), in_a_line(error)
        )
        return False
    return True
