"""A network without numbers: its shapes on the meta device, and torch-pruning's graph of it.

What is to be cut from a network is tried on such a copy first, and what is counted is counted on one.
"""

import contextlib
import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of
from core.common.logs import in_a_line
from core.models.fem import FeatureEnhancement
from core.surgery.patched_torch_pruning import torch_pruning_patched
from core.surgery.quick_shapes import QuickShapes

if TYPE_CHECKING:
    import torch_pruning

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Counts:
    """Parameters, and multiply-accumulates of convolutions and linear layers for one image."""

    params: int
    macs: int


def count(model: nn.Module, size: int) -> Counts:
    """Count a network for images of `size` pixels, without computing anything.

    Raises:
        EspalierError: when it does not run without numbers.
    """
    meta_copy = empty_copy(model)
    try:
        uses = run(meta_copy, size)
    except Exception as error:  # whatever a person's forward() does with numbers
        raise EspalierError(
            f"The network cannot be followed on images without numbers: {reason_of(error)}.",
            "In forward(), use PyTorch's operations alone, and tensors that are parameters or buffers of the network.",
            repr(error),
        ) from error
    weights = dict(meta_copy.named_parameters())
    macs = sum(weights[f"{path}.weight"].numel() * times for path, times in uses.items())
    return Counts(sum(weight.numel() for weight in weights.values()), macs)


def empty_copy(model: nn.Module) -> nn.Module:
    """The network in evaluation mode on the meta device: shapes, but no numbers."""
    memo: dict[int, Any] = {}
    for tensor in chain(model.parameters(), model.buffers()):
        empty = torch.empty_like(tensor, device="meta", memory_format=torch.contiguous_format)
        memo[id(tensor)] = nn.Parameter(empty) if isinstance(tensor, nn.Parameter) else empty
    return copy.deepcopy(model, memo).eval()


def gains(layer: nn.Conv2d | nn.Linear) -> list[str]:
    """Names of a layer's own factors, one for each of its outputs (the gain of a convolution with standardised weights)."""
    return [
        name
        for name, parameter in layer.named_parameters(recurse=False)
        if name not in ("weight", "bias") and parameter.numel() == len(layer.weight) == len(parameter)
    ]


def run(meta_copy: nn.Module, size: int) -> dict[str, int]:
    """Uses of every weight for one image, by the layer's path, in the order of computation."""
    return run_whole(meta_copy, size)[0]


def run_whole(meta_copy: nn.Module, size: int) -> tuple[dict[str, int], tuple[int, ...]]:
    """The same, and the shape of what the network gives for one image."""
    uses: dict[str, int] = {}

    def hook(path: str, module: nn.Module, output: Tensor) -> None:
        width = module.out_channels if isinstance(module, nn.Conv2d) else module.out_features
        uses[path] = uses.get(path, 0) + output.numel() // int(width)

    hooks = [
        module.register_forward_hook(lambda module, inputs, output, path=path: hook(path, module, output))
        for path, module in meta_copy.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad(), QuickShapes():
        given = meta_copy(torch.empty(1, 3, size, size, device="meta"))
    for handle in hooks:
        handle.remove()
    return uses, tuple(given.shape)


class MetaCopy:
    """A network without numbers and torch-pruning's graph of it, kept in step with the real one.

    Attributes:
        uses: of every weight for one image, by the layer's path. gives: shape of what it gives for one image.
    """

    def __init__(self, model: nn.Module, size: int):
        self.model = empty_copy(model)
        try:
            self.uses, self.gives = run_whole(self.model, size)
            self.graph = self._trace(size, torch_pruning_patched().DependencyGraph())
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
        with QuickShapes():
            return graph.build_dependency(
                self.model, image, lambda model, one: model(one), ignored_params=fusions, verbose=False
            )

    @contextlib.contextmanager
    def whole_again(self) -> Iterator[None]:
        """What is cut inside is put back afterwards."""
        nodes = list(self.graph.module2node.values())
        parts = [*self.model.modules(), *(n.module for n in nodes if isinstance(n.module, nn.Module))]
        modules = [(module, _shallow(vars(module))) for module in dict.fromkeys(parts)]
        graph = _shallow(vars(self.graph))
        states = [
            (node, node.module, [list(dep.index_mapping) for dep in node.dependencies]) for node in nodes
        ]
        try:
            yield
        finally:
            for module, state in modules:
                vars(module).update(state)
            vars(self.graph).update(graph)
            for node, module, mappings in states:
                node.module = module
                for dep, mapping in zip(node.dependencies, mappings, strict=True):
                    dep.index_mapping = mapping

    def widths(self) -> Iterator[tuple[str, Any]]:
        """Leading layer and torch-pruning's group of each width but the classifier's outputs; None where it fails."""
        handled: set[nn.Module] = self._outputs()
        for path in self.uses:
            leader = self.model.get_submodule(path)
            if leader in handled or leader not in self.graph.module2node:
                continue
            try:
                cut = self.group(path, range(self.graph.get_out_channels(leader)))
            except Exception as error:  # whatever torch-pruning says about a structure that it does not know
                _log.debug("The channels of %s cannot be followed: %s", path, in_a_line(error))
                yield path, None
                continue
            written = [
                dep.target.module for dep, _ in cut if self.graph.is_out_channel_pruning_fn(dep.handler)
            ]
            if handled.isdisjoint(m for m in written if isinstance(m, nn.Conv2d | nn.Linear)):
                yield path, cut
            handled.update(m for m in written if isinstance(m, nn.Module))

    def _outputs(self) -> set[nn.Module]:
        """The layer of the head that writes the classes; none where the head is inside the body."""
        layers = [path for path in self.uses if path.split(".")[0] == "head"]
        return {self.model.get_submodule(path) for path in layers[-1:]}

    def group(self, path: str, channels: Sequence[int]) -> Any:
        leader = self.model.get_submodule(path)
        handler = self.graph.get_pruner_of_module(leader).prune_out_channels
        group = self.graph.get_pruning_group(leader, handler, list(channels))
        if any(root is None for item in group for root in item.root_idxs):
            raise LookupError(
                "torch-pruning does not say which channels of the leading layer an index belongs to"
            )
        return group

    def cut(self, path: str, channels: Sequence[int], model: nn.Module | None = None) -> None:
        """Take channels of the leading layer at `path` out of the copy, and out of `model` likewise."""
        group = self.group(path, channels)
        for dep, indices in group:
            if model is not None:
                self._cut_in(model, dep, indices)
            self._cut_gains(dep, dep.target.module, indices)
        group.prune(record_history=False)

    def _cut_in(self, model: nn.Module, dep: Any, indices: list[int]) -> None:
        target = dep.target.module
        dep.handler.__self__.pruning_dim = dep.target.pruning_dim
        if isinstance(target, nn.Parameter):
            owner, _, name = self.graph._param_to_name[target].rpartition(".")
            holder = model.get_submodule(owner)
            setattr(holder, name, dep.handler(getattr(holder, name), indices))
        elif target in self.paths:
            layer = model.get_submodule(self.paths[target])
            self._cut_gains(dep, layer, indices)
            dep.handler(layer, indices)

    def _cut_gains(self, dep: Any, layer: Any, indices: list[int]) -> None:
        """What torch-pruning leaves whole of a layer that writes the channels."""
        if not isinstance(layer, nn.Conv2d | nn.Linear) or not self.graph.is_out_channel_pruning_fn(
            dep.handler
        ):
            return
        for name in gains(layer):
            gain, gone = getattr(layer, name), set(indices)
            kept = [channel for channel in range(len(gain)) if channel not in gone]
            setattr(layer, name, nn.Parameter(gain.detach()[kept], gain.requires_grad))


def _shallow(state: dict[str, Any]) -> dict[str, Any]:
    """Attributes, with lists and dictionaries of their own."""
    return {
        name: copy.copy(value) if isinstance(value, list | dict) else value for name, value in state.items()
    }
