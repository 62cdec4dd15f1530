"""Cross-layer equalisation: rescales neighbouring layers so that their channels span like ranges.

Channel i between two layers is divided by s_i in the first and multiplied by s_i in the second,
s_i = sqrt(r1_i · r2_i) / r2_i, where r is the largest absolute weight that writes (1) or reads (2)
the channel. Relu lets a positive factor pass, so the network's answers stay what they are.

Source: Nagel et al. 2019, arXiv 1906.04721, section 4.1. Where we depart from it: there a ReLU6
between two layers is replaced by ReLU. EfficientNet-Lite0 then kept its class on 25 % of the images,
before any quantization, so layers around a ReLU6 are left alone, and that is said.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.deploy.quantization.graph import (
    ACTIVATION_TYPES,
    Layer,
    array_of,
    consumers_of,
    copy_of,
    put_array,
)

if TYPE_CHECKING:
    import onnx

_ROUNDS = 40
_SETTLED = 1e-3


@dataclass(frozen=True, slots=True)
class LayerPair:
    """Two convolutions with nothing or a ReLU between them, and nothing beside."""

    first: "onnx.NodeProto"
    second: "onnx.NodeProto"


def equalised(prepared: "onnx.ModelProto", layers: list[Layer]) -> tuple["onnx.ModelProto", str]:
    """The graph with its chains of convolutions equalised, and a sentence about it."""
    model = copy_of(prepared)
    matched, clipped = pairs(model, layers)
    _equalise(model, matched)
    sentence = (
        f"Equalised: {len(matched)} {'pair' if len(matched) == 1 else 'pairs'} of neighbouring convolutions"
    )
    if clipped:
        return (
            model,
            f"{sentence}; not {clipped} with a ReLU6 in between, whose answers would change.",
        )
    return model, f"{sentence}."


def pairs(model: "onnx.ModelProto", layers: list[Layer]) -> tuple[list[LayerPair], int]:
    """The pairs that may be rescaled, in the order of the graph, and how many a ReLU6 forbids."""
    convolutions = {layer.node for layer in layers if layer.op == "Conv"}
    readers, outputs = consumers_of(model), {value.name for value in model.graph.output}
    matched, clipped = [], 0
    for first in [node for node in model.graph.node if node.name in convolutions]:
        between = _only_reader(first, readers, outputs)
        after = between
        if between is not None and between.op_type in ACTIVATION_TYPES:
            after = _only_reader(between, readers, outputs)
        if after is None or after.name not in convolutions:
            continue
        if between is not None and between.op_type == "Clip":
            clipped += 1
        else:
            matched.append(LayerPair(first, after))
    return matched, clipped


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
    for _ in range(_ROUNDS):
        moved = 0.0
        for pair in matched:
            first, second = weights[pair.first.input[1]], weights[pair.second.input[1]]
            factors = _factors(first, by_input(second, _groups(pair.second)))
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
