"""Cross-layer equalisation: rescales neighbouring layers so that their channels span like ranges.

Channel i between two layers is divided by s_i in the first and multiplied by s_i in the second,
s_i = sqrt(r1_i · r2_i) / r2_i, where r is the largest absolute weight that writes (1) or reads (2)
the channel. Relu lets a positive factor pass, so the network's answers stay what they are.

Source: Nagel et al. 2019, arXiv 1906.04721, section 4.1. Where we depart from it: there a ReLU6
between two layers is replaced by ReLU. EfficientNet-Lite0 then kept its class on 25 % of the images,
before any quantization. So layers around a ReLU6 or hard-swish are left alone, or (*bounded*) scaled as far as it
changes little: with the activation f, a factor s makes s·f(z/s) of f(z), and each channel's factor stays where the mean
square of that error on calibration images is at most `BOUND` of the channel's own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from core.common.numbers import percent
from core.deploy.quantization.calibration import Sample
from core.deploy.quantization.graph import (
    ACTIVATION_TYPES,
    Layer,
    array_of,
    consumers_of,
    copy_of,
    put_array,
)
from core.deploy.quantization.sessions import probed

if TYPE_CHECKING:
    import onnx

BOUND = 1e-3  # of a channel's mean square
_ROUNDS = 40
_SETTLED = 1e-3
_BENT = ("Clip", "HardSwish")  # activations that a factor does not pass through unchanged
_TRIED = np.logspace(-4, 4, 65, base=2)  # factors, 1 in the middle
_IMAGES, _VALUES = 64, 2048  # looked at for a channel
Activation = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class LayerPair:
    """Two convolutions with at most an activation between them, and nothing beside.

    Attributes:
        between: the activation, None where there is none.
        low, high: factors that each channel may take, [c]; None where any will do.
    """

    first: "onnx.NodeProto"
    second: "onnx.NodeProto"
    between: "onnx.NodeProto | None" = None
    low: "np.ndarray | None" = None
    high: "np.ndarray | None" = None


def equalised(
    prepared: "onnx.ModelProto", layers: list[Layer], sample: Sample | None = None
) -> tuple["onnx.ModelProto", str]:
    """The graph with its chains of convolutions equalised, and a sentence about it.

    Args:
        sample: calibration images, where activations that bend may be passed with a bounded error.
    """
    model = copy_of(prepared)
    straight, bent = pairs(model, layers)
    bounded = _bounded(model, bent, sample) if sample is not None and bent else []
    _equalise(model, [*straight, *bounded])
    count = len(straight) + len(bounded)
    sentence = f"Equalised: {count} {'pair' if count == 1 else 'pairs'} of neighbouring convolutions"
    if bounded:
        return model, (
            f"{sentence}, {len(bounded)} of them over ReLU6 or hard-swish, where each channel changes by at most "
            f"{percent(BOUND, 1)} of its mean square."
        )
    if bent:
        return model, f"{sentence}; not {len(bent)} with a ReLU6 in between, whose answers would change."
    return model, f"{sentence}."


def pairs(model: "onnx.ModelProto", layers: list[Layer]) -> tuple[list[LayerPair], list[LayerPair]]:
    """The pairs that may be rescaled by any factor, in the order of the graph, and those with a bend between them."""
    convolutions = {layer.node for layer in layers if layer.op == "Conv"}
    readers, outputs = consumers_of(model), {value.name for value in model.graph.output}
    straight: list[LayerPair] = []
    bent: list[LayerPair] = []
    for first in [node for node in model.graph.node if node.name in convolutions]:
        between = after = _only_reader(first, readers, outputs)
        if between is not None and between.op_type in (*ACTIVATION_TYPES, *_BENT):
            after = _only_reader(between, readers, outputs)
        if after is None or after.name not in convolutions:
            continue
        pair = LayerPair(first, after, between if between is not after else None)
        (bent if pair.between is not None and pair.between.op_type in _BENT else straight).append(pair)
    return straight, bent


def _bounded(model: "onnx.ModelProto", bent: list[LayerPair], sample: Sample) -> list[LayerPair]:
    """The pairs with the factors that their channels may take."""
    few = sample.spread(_IMAGES)
    names = [pair.first.output[0] for pair in bent]
    values: dict[str, list[np.ndarray]] = {name: [] for name in names}
    shown, numbers = probed(model, names), np.random.default_rng(0)
    for block in few.blocks():
        for name, found in zip(names, shown(block), strict=True):
            columns = np.moveaxis(found, 1, 0).reshape(found.shape[1], -1)  # [c, b·h·w]
            share = -(-_VALUES * len(block) // len(few))
            picked = numbers.integers(columns.shape[1], size=min(share, columns.shape[1]))
            values[name].append(columns[:, picked])
    made = []
    for pair in bent:
        assert pair.between is not None
        low, high = allowed(np.concatenate(values[pair.first.output[0]], 1), activation(model, pair.between))
        made.append(replace(pair, low=low, high=high))
    return made


def activation(model: "onnx.ModelProto", node: "onnx.NodeProto") -> Activation:
    """What a node of `_BENT` computes."""
    if node.op_type == "HardSwish":
        return lambda z: z * np.clip(z + 3, 0, 6) / 6
    low, high = clip_limits(model, node)
    return lambda z: np.clip(z, low, high)


def clip_limits(model: "onnx.ModelProto", node: "onnx.NodeProto") -> tuple[float, float]:
    """The ends of a Clip; infinite where it has none."""
    ends = [-float("inf"), float("inf")]
    for place, name in enumerate(node.input[1:3]):
        if name:
            ends[place] = float(array_of(model, name))
    return ends[0], ends[1]


def allowed(values: np.ndarray, f: Activation) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and largest factor of each channel, by its values [c, n] before the activation f."""
    exact = f(values)
    bound = BOUND * np.square(exact, dtype=np.float64).mean(1)
    fits = np.stack(
        [np.square(s * f(values / s) - exact, dtype=np.float64).mean(1) <= bound for s in _TRIED]
    )  # [s, c]
    middle = len(_TRIED) // 2
    below = np.cumprod(fits[middle::-1], 0).sum(0) - 1  # how many steps down from 1 without a gap
    above = np.cumprod(fits[middle:], 0).sum(0) - 1
    return _TRIED[middle - np.maximum(below, 0)], _TRIED[middle + np.maximum(above, 0)]


def _only_reader(
    node: "onnx.NodeProto", readers: dict[str, list["onnx.NodeProto"]], outputs: set[str]
) -> "onnx.NodeProto | None":
    after = readers.get(node.output[0], [])
    return after[0] if len(after) == 1 and node.output[0] not in outputs else None


def _equalise(model: "onnx.ModelProto", matched: list[LayerPair]) -> None:
    """Rescale all pairs again and again until no factor moves."""
    weights = {
        name: array_of(model, name)
        for pair in matched
        for name in (pair.first.input[1], pair.second.input[1])
    }
    biases = {
        pair.first.input[2]: array_of(model, pair.first.input[2]) for pair in matched if _has_bias(pair.first)
    }
    whole = [np.ones(len(weights[pair.first.input[1]])) for pair in matched]  # factors so far, [c] each
    for _ in range(_ROUNDS):
        moved = 0.0
        for index, pair in enumerate(matched):
            first, second = weights[pair.first.input[1]], weights[pair.second.input[1]]
            factors = _factors(first, by_input(second, _groups(pair.second)))
            if pair.low is not None and pair.high is not None:
                factors = np.clip(whole[index] * factors, pair.low, pair.high) / whole[index]
            whole[index] = whole[index] * factors
            weights[pair.first.input[1]] = first / factors[:, None, None, None]
            weights[pair.second.input[1]] = _scaled_inputs(second, _groups(pair.second), factors)
            if _has_bias(pair.first):
                biases[pair.first.input[2]] = biases[pair.first.input[2]] / factors
            moved = max(moved, float(np.abs(np.log(factors)).max()))
        if moved < _SETTLED:
            break
    for name, values in (weights | biases).items():
        put_array(model, name, values.astype(np.float32))


def _factors(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """s [c] for weights [c, …] that write and [c, …] that read channel i; 1 where one of them is zero."""
    writes = np.abs(first.reshape(len(first), -1)).max(1).astype(np.float64)
    reads = np.abs(second.reshape(len(second), -1)).max(1).astype(np.float64)
    alive = (writes > 0) & (reads > 0)
    factors = np.ones_like(writes)
    factors[alive] = np.sqrt(writes[alive] / reads[alive])
    return factors


def by_input(weight: np.ndarray, groups: int) -> np.ndarray:
    """Weights [o, c/groups, h, w] by the channel that they read: [c, o/groups, h, w]."""
    split = weight.reshape(groups, len(weight) // groups, *weight.shape[1:])  # [g, o/g, c/g, h, w]
    return split.swapaxes(1, 2).reshape(-1, len(weight) // groups, *weight.shape[2:])


def _scaled_inputs(weight: np.ndarray, groups: int, factors: np.ndarray) -> np.ndarray:
    split = weight.reshape(groups, len(weight) // groups, *weight.shape[1:])
    scaled = split * factors.reshape(groups, 1, -1, 1, 1)
    return scaled.reshape(weight.shape)


def _groups(node: "onnx.NodeProto") -> int:
    return next((entry.i for entry in node.attribute if entry.name == "group"), 1)


def _has_bias(node: "onnx.NodeProto") -> bool:
    return len(node.input) > 2 and bool(node.input[2])
