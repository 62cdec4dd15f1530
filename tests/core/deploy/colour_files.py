"""A small ONNX classifier that tells images by their mean colour, made by hand in the forms that people bring."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = ("blue", "green", "red")
CENTRES = np.array([[0.1, 0.1, 0.9], [0.1, 0.9, 0.1], [0.9, 0.1, 0.1]], np.float32)  # in the order of CLASSES
SIDE = 8
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


def colours(
    opset: int = 17,
    ir: int = 8,
    batch: str | int = "n",
    size: str | int = SIDE,
    order: Sequence[int] = (0, 1, 2),
) -> onnx.ModelProto:
    """`input` [batch, 3, size, size], normalised by MEAN and STD, to `logits` [batch, 3]."""
    centres = ((CENTRES - MEAN[0]) / STD[0]).astype(np.float32)[list(order)]
    both = np.zeros((6, 3, 3, 3), np.float32)
    both[range(6), [0, 1, 2] * 2, 1, 1] = [1, 1, 1, -1, -1, -1]
    back = np.zeros((3, 6, 1, 1), np.float32)
    back[[0, 1, 2] * 2, range(6), 0, 0] = [1, 1, 1, -1, -1, -1]
    weights = {
        "conv1.weight": both,
        "conv2.weight": back,
        "fc.weight": 2 * centres,
        "fc.bias": -(centres**2).sum(1),
    }
    nodes = [
        helper.make_node("Conv", ["input", "conv1.weight"], ["c1"], name="conv1", pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("Conv", ["r1", "conv2.weight"], ["c2"], name="conv2"),
        helper.make_node("GlobalAveragePool", ["c2"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "fc.weight", "fc.bias"], ["logits"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes, "colours", [value("input", [batch, 3, size, size])], [value("logits", [batch, 3])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def value(name: str, dims: Sequence[Any] | None, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, dims)


def node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(each for each in model.graph.node if each.name == name)


def in_front(model: onnx.ModelProto, entry: onnx.ValueInfoProto, *nodes: onnx.NodeProto) -> onnx.ModelProto:
    """Another input, and nodes from it to what the first convolution reads (`x`)."""
    del model.graph.input[:]
    model.graph.input.append(entry)
    node(model, "conv1").input[0] = "x"
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    return model


def behind(
    model: onnx.ModelProto, outputs: Sequence[onnx.ValueInfoProto], *nodes: onnx.NodeProto
) -> onnx.ModelProto:
    """Nodes at the end, and other outputs."""
    model.graph.node.extend(nodes)
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    return model


def images(count: int = 6) -> np.ndarray:
    """uint8 [n, 8, 8, 3]: the classes' colours in turn, with noise."""
    random = np.random.default_rng(3)
    base = CENTRES[np.arange(count) % 3][:, None, None] * 255
    return (base + random.normal(0, 12, (count, SIDE, SIDE, 3))).clip(0, 255).astype(np.uint8)


def save(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path
