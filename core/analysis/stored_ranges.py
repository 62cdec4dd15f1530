"""The range that a quantized file can hold of a layer's values, and the share of them that it clips."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.onnx_graph.stored_scales import limits, spread

if TYPE_CHECKING:
    import onnx

_ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Gelu")


@dataclass(frozen=True, slots=True)
class StoredRange:
    """Bounds of what integers hold; None where an activation function bounds it on that side."""

    low: float | None
    high: float | None

    def clipped(self, values: np.ndarray) -> float:
        """The share of values outside, 0…1."""
        if not values.size:
            return 0.0
        outside = np.zeros(values.shape, bool)
        for bound, beyond in ((self.low, np.less), (self.high, np.greater)):
            if bound is not None:
                outside |= beyond(values, bound)
        return float(outside.mean())


def of_activations(model: "onnx.ModelProto", value: str) -> StoredRange | None:
    """The range in which a value is handed on as integers; None where it stays in floating point.

    Behind an activation function only the upper bound says what is clipped: what lies below the lower one the
    function would have changed anyway.
    """
    constants = _constants(model)
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    behind = False
    for _ in range(len(_ACTIVATIONS)):
        users = consumers.get(value, [])
        quantize = next((node for node in users if node.op_type == "QuantizeLinear"), None)
        if quantize is not None:
            found = _bounds(quantize, constants)
            return StoredRange(None, found.high) if behind and found is not None else found
        follows = next((node for node in users if node.op_type in _ACTIVATIONS), None)
        if follows is None:
            return None
        behind, value = True, follows.output[0]
    return None


def of_weights(
    model: "onnx.ModelProto", value: str, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Lower and upper bound of every weight of a layer that is stored as integers, broadcast to `shape`; else None."""
    constants = _constants(model)
    producers = {name: node for node in model.graph.node for name in node.output}
    node = producers.get(value)
    while node is not None and node.op_type not in ("DequantizeLinear",):
        node = producers.get(node.input[0])
    if node is None or node.input[0] not in constants or node.input[1] not in constants:
        return None
    stored, scale = constants[node.input[0]], constants[node.input[1]].astype(np.float64)
    zero = constants.get(node.input[2], np.zeros_like(scale)) if len(node.input) > 2 else np.zeros_like(scale)
    ends = limits(stored)
    if ends is None or stored.shape != shape:
        return None
    scales, zeros = (spread(node, each.astype(np.float64), shape) for each in (scale, zero))
    return (ends[0] - zeros) * scales, (ends[1] - zeros) * scales


def _bounds(node: "onnx.NodeProto", constants: dict[str, np.ndarray]) -> StoredRange | None:
    if node.input[1] not in constants:
        return None
    scale = float(constants[node.input[1]].max())
    zero = constants.get(node.input[2]) if len(node.input) > 2 else None
    kind = zero.dtype if zero is not None else np.dtype(np.uint8)
    if kind.kind not in "iu":
        return None
    ends, middle = np.iinfo(kind), float(zero.max()) if zero is not None else 0.0
    return StoredRange((ends.min - middle) * scale, (ends.max - middle) * scale)


def _constants(model: "onnx.ModelProto") -> dict[str, np.ndarray]:
    from onnx import numpy_helper

    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
