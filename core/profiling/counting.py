"""Counting what a network holds and what it computes; a job of the tool child.

Two counts of parameters, which differ: `count_parameters` counts the PyTorch network, as papers
do, and is the headline; `count` counts the weights in the exported file, where every batch
normalisation has been folded into the convolution before it.

MACs (multiply-accumulate operations) of convolutions and of matrix products with weights, for one
image: a convolution's are its outputs × weights per output, so that groups are taken into account.
Products of two activations (attention scores), biases, activations and pooling are not counted.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.machine.jobs import ProgressCallback, quick

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from torch import nn

_Shape = tuple[int, ...]

# Inputs that say how numbers are stored or resized and are no weights, by operation.
_SCALES = {
    "QuantizeLinear": (1, 2),
    "DequantizeLinear": (1, 2),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "QGemm": (1, 2, 4, 5, 7, 8),
    "ConvInteger": (2, 3),
    "MatMulInteger": (2, 3),
    "QLinearAdd": (1, 2, 4, 5, 6, 7),
    "Resize": (1, 2, 3),
    "QLinearGlobalAveragePool": (1, 2, 3, 4),
}
# A quantized weight's zero point, by operation: (weight, zero point).
_ZERO_POINTS = {
    "DequantizeLinear": (0, 2),
    "QLinearConv": (3, 5),
    "QLinearMatMul": (3, 5),
    "QGemm": (3, 5),
    "ConvInteger": (1, 3),
    "MatMulInteger": (1, 3),
}
# Operations through which a weight is still that weight.
_TRANSPARENT = ("DequantizeLinear", "Cast", "Identity", "Transpose", "QuantizeLinear", "Reshape")
# Weight inputs of the operations that are counted.
_CONVOLUTIONS = {"Conv": 1, "QLinearConv": 3, "ConvInteger": 1, "ConvTranspose": 1}
_PRODUCTS = {
    "Gemm": (0, 1),
    "MatMul": (0, 1),
    "QLinearMatMul": (0, 3),
    "QGemm": (0, 3),
    "MatMulInteger": (0, 1),
}


def count_parameters(model: "nn.Module") -> dict[str, int]:
    """Learnable parameters of a PyTorch network, and those of them that are not zero.

    Shared parameters count once, frozen ones count, buffers (running means) do not.

    Returns: params, nonzero_params.
    """
    tensors = list(model.parameters())
    return {
        "params": sum(tensor.numel() for tensor in tensors),
        "nonzero_params": sum(int(tensor.detach().count_nonzero()) for tensor in tensors),
    }


@quick
def count(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: count the weights and the MACs of an ONNX file for one image.

    Args (as plain data): model, .onnx file; input_size, pixels a side.

    Returns: params, nonzero_params, macs; nodes, a list of {name, layer, op, params,
        nonzero_params, macs, output} in the graph's order, for each node that has weights; uncounted,
        [name, reason] of nodes whose MACs are unknown.

    Raises:
        EspalierError: when the file cannot be read.
    """
    from core.onnx_graph.reading import read_onnx, without_constant_inputs
    from core.onnx_graph.shared_weights import expand

    progress(0.0, "Counting parameters and MACs")
    model = read_onnx(Path(arguments["model"]))
    without_constant_inputs(model)
    expand(model)  # shared weights are weights
    return count_graph(model, int(arguments["input_size"]))


@quick
def weigh(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: how many bytes an ONNX file's weights take as they are stored.

    Args (as plain data): model, .onnx file.

    Returns: weight_bytes, of all initialisers (scales and indices included).

    Raises:
        EspalierError: when the file cannot be read.
    """
    from core.onnx_graph.reading import read_onnx

    model = read_onnx(Path(arguments["model"]), weights=False)
    return {"weight_bytes": sum(stored_bytes(tensor) for tensor in model.graph.initializer)}


def stored_bytes(tensor: "onnx.TensorProto") -> int:
    """Bytes of a tensor's elements; two elements of 4 bits share one."""
    import onnx

    halves = (onnx.TensorProto.INT4, onnx.TensorProto.UINT4)
    count = math.prod(tensor.dims)
    if tensor.data_type in halves:
        return (count + 1) // 2
    return count * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def count_graph(model: "onnx.ModelProto", input_size: int) -> dict[str, Any]:
    """As `count`, for a model in memory."""
    graph = _Graph(model, input_size)
    nodes, uncounted = [], []
    claimed: set[str] = set()
    for node in model.graph.node:
        weights = [name for name in graph.weights_of(node) if name not in claimed]
        claimed.update(weights)
        macs, reason = graph.macs(node)
        if reason:
            uncounted.append([node.name, reason])
        if weights or macs:
            nodes.append(graph.described(node, weights, macs))
    return {
        "params": sum(node["params"] for node in nodes),
        "nonzero_params": sum(node["nonzero_params"] for node in nodes),
        "macs": sum(node["macs"] for node in nodes),
        "nodes": nodes,
        "uncounted": uncounted,
    }


class _Graph:
    """A graph's constants, who made which value, and every value's shape for one image."""

    def __init__(self, model: "onnx.ModelProto", input_size: int) -> None:
        from onnx import numpy_helper

        self.producers = {name: node for node in model.graph.node for name in node.output}
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant":
                for each in node.attribute:
                    if each.name == "value":
                        self.constants[node.output[0]] = numpy_helper.to_array(each.t)
        self.shapes = _shapes(model, input_size) | {name: a.shape for name, a in self.constants.items()}
        self.zero_points = dict(self._zero_points(model))
        self._scales = {
            node.input[index]
            for node in model.graph.node
            for index in _SCALES.get(node.op_type, ())
            if index < len(node.input)
        }

    def _zero_points(self, model: "onnx.ModelProto") -> Iterator[tuple[str, "np.ndarray"]]:
        for node in model.graph.node:
            weight, zero = _ZERO_POINTS.get(node.op_type, (0, math.inf))
            if zero < len(node.input) and node.input[int(zero)] in self.constants:
                yield node.input[weight], self.constants[node.input[int(zero)]]

    def origin(self, name: str) -> str | None:
        """The constant that a value is, seen through operations that only store it otherwise."""
        while name not in self.constants:
            node = self.producers.get(name)
            if node is None or node.op_type not in _TRANSPARENT:
                return None
            name = node.input[0]
        return name

    def weights_of(self, node: "onnx.NodeProto") -> list[str]:
        """Names of the constants that are weights of this node.

        Storage operations have none of their own: their weights belong to the node that uses them.
        Scalars and integers of 64 bits are shapes, axes and bounds, not weights.
        """
        if node.op_type in _TRANSPARENT:
            return []
        weights = []
        for name in node.input:
            origin = self.origin(name) if name else None
            if origin is None or origin in self._scales or origin in weights:
                continue
            array = self.constants[origin]
            if array.ndim and array.dtype.kind in "fiuV" and array.dtype not in ("int64", "uint64"):
                weights.append(origin)
        return weights

    def macs(self, node: "onnx.NodeProto") -> tuple[int, str]:
        """The node's MACs for one image, and why they are unknown where they are."""
        if node.op_type in _CONVOLUTIONS:
            weight = self.shapes.get(node.input[_CONVOLUTIONS[node.op_type]])
            # a transposed convolution spreads each input over the weights: inputs count, not outputs
            value = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
            along = self.shapes.get(value)
            if weight is None or along is None:
                return 0, "its shape is not known from the graph"
            return math.prod(along) * math.prod(weight[1:]), ""
        if node.op_type in _PRODUCTS:
            return self._product(node)
        return 0, ""

    def _product(self, node: "onnx.NodeProto") -> tuple[int, str]:
        first, second = (node.input[index] for index in _PRODUCTS[node.op_type])
        if self.origin(first) is None and self.origin(second) is None:
            return 0, "a product of two activations"
        first_shape, output = self.shapes.get(first), self.shapes.get(node.output[0])
        if first_shape is None or output is None:
            return 0, "its shape is not known from the graph"
        across = any(each.name == "transA" and each.i for each in node.attribute)
        return math.prod(output) * first_shape[-2 if across else -1], ""

    def described(self, node: "onnx.NodeProto", weights: list[str], macs: int) -> dict[str, Any]:
        """A node's line in the list."""
        params = sum(self.constants[name].size for name in weights)
        return {
            "name": node.name,
            "layer": weights[0].rpartition(".")[0] if weights else "",
            "op": node.op_type,
            "params": params,
            "nonzero_params": sum(self._nonzero(name) for name in weights),
            "macs": macs,
            "output": list(self.shapes.get(node.output[0], ())),
        }

    def _nonzero(self, name: str) -> int:
        """Elements that do not stand for zero; a quantized weight's zero is its zero point."""
        import numpy as np

        array, zero = self.constants[name], self.zero_points.get(name)
        if zero is None or not zero.any():
            return int(np.count_nonzero(array))
        if zero.size > 1:  # per channel: along the axis that has as many entries
            axis = next(axis for axis, length in enumerate(array.shape) if length == zero.size)
            zero = zero.reshape([-1 if index == axis else 1 for index in range(array.ndim)])
        return int(np.count_nonzero(array != zero))


def _shapes(model: "onnx.ModelProto", input_size: int) -> dict[str, _Shape]:
    """The shapes of all values that ONNX can infer, for one image; open sides are of `input_size` pixels."""
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for entry in fixed.graph.input:
        sizes = entry.type.tensor_type.shape.dim
        for index, dimension in enumerate(sizes):
            if index == 0:
                dimension.dim_value = 1
            elif not dimension.dim_value and (
                index >= 2 or sizes[-1].dim_value in (1, 3)
            ):  # or channels last
                dimension.dim_value = input_size
    for entry in fixed.graph.output:
        entry.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(fixed, data_prop=True).graph
    shapes: dict[str, _Shape] = {}
    for entry in (*inferred.input, *inferred.value_info, *inferred.output):
        sizes = entry.type.tensor_type.shape.dim
        if all(dimension.HasField("dim_value") for dimension in sizes):
            shapes[entry.name] = tuple(dimension.dim_value for dimension in sizes)
    return shapes
