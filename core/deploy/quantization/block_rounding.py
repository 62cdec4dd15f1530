"""Learned rounding of a whole residual block: its layers round so that the block's answers stay what they were.

Source: BRECQ, Li et al. 2021, arXiv 2102.05426: layers inside a block make good each other's errors, which layer by layer cannot see; blocks are
the largest pieces that a few hundred images can teach. Where we depart: squared error without weights by the Fisher information; layers are learned one by
one first, and the block keeps that result where learning it as a whole is no nearer to float on the calibration images.

A block lies between the tensor that its two paths have in common and the addition that joins them. What is in it without learned weights before
(a shortcut of slices and zeros, say) is taken as given. `n` images, `c` channels, `h` × `w` pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from core.deploy.quantization.equalise import clip_limits
from core.deploy.quantization.graph import Layer, array_of, consumers_of
from core.deploy.quantization.rounding import RANGE_RATE, RATE, RoundingLayer, pushed, rounded_to
from core.onnx_graph.reading import settings_of

if TYPE_CHECKING:
    import onnx

_KNOWN = ("Conv", "Relu", "Clip", "Add")
_BATCH = 16  # images a step
_PART = 32  # images computed at once, where nothing is learned


@dataclass(frozen=True, slots=True)
class Block:
    """A residual block of a graph.

    Attributes:
        nodes: in their order, those that compute from learned weights, the addition and the Relu or Clip behind it.
        layers: names of its layers. given: tensors that its nodes read from elsewhere. answer: the tensor that it gives.
    """

    nodes: tuple["onnx.NodeProto", ...]
    layers: tuple[str, ...]
    given: tuple[str, ...]
    answer: str


@dataclass(slots=True)
class BlockForm:
    """How a block computes.

    Attributes:
        block: its nodes. layers: by the node's name, how each rounds. shapes: of their weights.
        ranges: by tensor, the ends between which it is rounded to 8 bits. limits: by node, those of a Clip.
    """

    block: Block
    layers: dict[str, RoundingLayer]
    shapes: dict[str, tuple[int, ...]]
    ranges: dict[str, Tensor] = field(default_factory=dict)
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)

    def answers(
        self, weights: Mapping[str, Tensor], given: Mapping[str, Tensor], rounds: bool = True
    ) -> Tensor:
        """What the block gives for tensors [n, c, h, w]; with `rounds` False as in float, but for the weights."""
        values = dict(given)
        for node in self.block.nodes:
            values[node.output[0]] = self._value(node, weights, values)
            if rounds and node.output[0] in self.ranges:
                values[node.output[0]] = rounded_to(values[node.output[0]], self.ranges[node.output[0]])
        return values[self.block.answer]

    def _value(
        self, node: "onnx.NodeProto", weights: Mapping[str, Tensor], values: Mapping[str, Tensor]
    ) -> Tensor:
        inputs = [values[name] for name in node.input if name in values]
        if node.op_type == "Add":
            return inputs[0] + inputs[1]
        if node.op_type == "Relu":
            return inputs[0].relu()
        if node.op_type == "Clip":
            return inputs[0].clamp(*self.limits[node.name])
        told = settings_of(node)
        pads = told.get("pads", [0, 0, 0, 0])
        weight = weights[node.name].reshape(self.shapes[node.name])
        return functional.conv2d(
            functional.pad(inputs[0], (pads[1], pads[3], pads[0], pads[2])), weight, self.layers[node.name].bias,
            told.get("strides", [1, 1]), 0, told.get("dilations", [1, 1]), int(told.get("group", 1)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class BlockSample:
    """What a block reads in the rounded and in the float network, and gives in float: [n, c, h, w] each."""

    rounded: dict[str, Tensor]
    exact: dict[str, Tensor]
    wanted: Tensor


def residual_blocks(model: "onnx.ModelProto", layers: Sequence[Layer]) -> list[Block]:
    """The blocks of a prepared graph whose nodes are all of kinds that are learned, in its order."""
    readers, named = consumers_of(model), {layer.node: layer.name for layer in layers}
    found = list[Block]()
    for node in model.graph.node:
        block = _block(model, node, readers, named) if node.op_type == "Add" else None
        if block is not None and not any(set(inner.layers) & set(block.layers) for inner in found):
            found.append(block)  # of blocks in each other the innermost
    return found


def _block(
    model: "onnx.ModelProto",
    join: "onnx.NodeProto",
    readers: Mapping[str, list["onnx.NodeProto"]],
    named: Mapping[str, str],
) -> Block | None:
    """The block that ends in this addition; None where it joins no two paths, or has nodes of other kinds before learned weights."""
    places = {name: place for place, node in enumerate(model.graph.node) for name in node.output}
    inside = _between(model, join, places)
    if inside is None:
        return None
    after = readers.get(join.output[0], [])
    if len(after) == 1 and after[0].op_type in ("Relu", "Clip"):
        inside.append(places[after[0].output[0]])
    learned, nodes = set[str](), []
    for place in sorted(inside):
        node = model.graph.node[place]
        if node.name in named or any(name in learned for name in node.input):
            nodes.append(node)
            learned.add(node.output[0])
    constants = {tensor.name for tensor in model.graph.initializer}
    kinds = {node.op_type for node in nodes}
    if len(learned) < 2 or not kinds <= set(_KNOWN) or any(_unusual(node) for node in nodes):
        return None
    given = {
        name for node in nodes for name in node.input[: 1 if node.op_type in ("Conv", "Clip") else 2]
        if name not in learned
    }  # fmt: skip
    if given & constants:
        return None
    names = tuple(named[node.name] for node in nodes if node.name in named)
    return Block(tuple(nodes), names, tuple(sorted(given)), nodes[-1].output[0])


def _between(model: "onnx.ModelProto", join: "onnx.NodeProto", places: Mapping[str, int]) -> list[int] | None:
    """The places of the nodes from the one tensor that both paths come from to the addition, with it; None where there is none.

    The latest tensor of those still open is replaced by what its node reads, until one is left.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    entries = {value.name for value in model.graph.input}
    open_ones = {name for name in join.input if name not in constants}
    if len(open_ones) < 2:
        return None
    inside = [places[join.output[0]]]
    while len(open_ones) > 1:
        latest = max(open_ones, key=lambda name: places.get(name, -1))
        if latest in entries or latest not in places:
            return None
        node = model.graph.node[places[latest]]
        inside.append(places[latest])
        open_ones -= set(node.output)
        open_ones |= {name for name in node.input if name and name not in constants}
    return inside


def _unusual(node: "onnx.NodeProto") -> bool:
    """Whether a convolution is of a form that is not learned."""
    told = settings_of(node)
    auto = told.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    return node.op_type == "Conv" and (auto or len(told.get("kernel_shape", [0, 0])) != 2)


def limits_of(model: "onnx.ModelProto", block: Block) -> dict[str, tuple[float, float]]:
    return {node.name: clip_limits(model, node) for node in block.nodes if node.op_type == "Clip"}


def shapes_of(model: "onnx.ModelProto", block: Block) -> dict[str, tuple[int, ...]]:
    return {
        node.name: tuple(array_of(model, node.input[1]).shape)
        for node in block.nodes
        if node.op_type == "Conv"
    }


@torch.no_grad()
def error(form: BlockForm, weights: Mapping[str, Tensor], sample: BlockSample) -> float:
    """Mean squared error of a block's answers from what it is given in the rounded network."""
    total = 0.0
    for at in range(0, len(sample.wanted), _PART):
        part = {name: values[at : at + _PART] for name, values in sample.rounded.items()}
        total += float((form.answers(weights, part) - sample.wanted[at : at + _PART]).square().sum())
    return total / sample.wanted.numel()


def learn_block(
    form: BlockForm, sample: BlockSample, steps: int, drop: float, seed: int
) -> dict[str, Tensor]:
    """Learn how the layers of a block round together: their weights on the grid, by the node's name; biases and ranges in place.

    Args:
        drop: share of what it is given that is left unrounded in a step.
    """
    numbers = torch.Generator().manual_seed(seed)
    before = max(error(form, {name: layer.nearest() for name, layer in form.layers.items()}, sample), 1e-12)
    ends = [values for values in form.ranges.values() if values.requires_grad]
    groups: list[dict[str, Any]] = [{"params": [layer.up for layer in form.layers.values()], "lr": RATE}]
    groups += [
        {"params": [each], "lr": RANGE_RATE * float(each.detach().diff().clamp(min=1e-8))} for each in ends
    ]
    optimiser = torch.optim.Adam(groups)
    with torch.enable_grad():
        for step in range(steps):
            rows = torch.randint(len(sample.wanted), (min(_BATCH, len(sample.wanted)),), generator=numbers)
            given = {
                name: _dropped(values[rows], sample.exact[name][rows], drop, numbers)
                for name, values in sample.rounded.items()
            }
            weights = {name: layer.soft() for name, layer in form.layers.items()}
            loss = (form.answers(weights, given) - sample.wanted[rows]).square().mean() / before
            loss = loss + pushed([layer.share() for layer in form.layers.values()], step / max(steps, 1))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    for values in ends:
        values.requires_grad_(False)
    weights = {name: layer.hard() for name, layer in form.layers.items()}
    _correct(form, weights, sample)
    return weights


def _dropped(rounded: Tensor, exact: Tensor, drop: float, numbers: torch.Generator) -> Tensor:
    if not drop:
        return rounded
    return torch.where(torch.rand(rounded.shape, generator=numbers) < drop, exact, rounded)


@torch.no_grad()
def _correct(form: BlockForm, weights: Mapping[str, Tensor], sample: BlockSample) -> None:
    """Take the mean error of every channel of the block's answers out of the last layer's bias, where nothing but the addition is behind it."""
    last = next(node for node in reversed(form.block.nodes) if node.op_type == "Conv")
    off = torch.zeros(sample.wanted.shape[1], dtype=torch.float64)
    for at in range(0, len(sample.wanted), _PART):
        part = {name: values[at : at + _PART] for name, values in sample.rounded.items()}
        off += (sample.wanted[at : at + _PART] - form.answers(weights, part)).double().mean((2, 3)).sum(0)
    layer = form.layers[last.name]
    tried, old = layer.bias + (off / len(sample.wanted)).float(), layer.bias
    was = error(form, weights, sample)
    layer.bias = tried
    if error(form, weights, sample) > was:
        layer.bias = old
