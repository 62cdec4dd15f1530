"""Maximum pooling with its padding in a node of its own: one node with the same answers, and finite ranges."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.onnx_graph.pool_padding import with_own_padding


def padded_pool(amounts: list[int], value: float, kernel: int = 3) -> onnx.ModelProto:
    """Images [1, 2, 7, 7], padded, then the largest of each window."""
    nodes = [
        helper.make_node("Pad", ["images", "amounts", "value"], ["padded"]),
        helper.make_node(
            "MaxPool",
            ["padded"],
            ["pooled"],
            kernel_shape=[kernel, kernel],
            strides=[2, 2],
            pads=[0, 1, 0, 0],
        ),
    ]
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 2, 7, 7])
    answer = helper.make_tensor_value_info("pooled", TensorProto.FLOAT, [1, None, None, None])
    constants = [
        numpy_helper.from_array(np.array(amounts), "amounts"),
        numpy_helper.from_array(np.array(value, np.float32), "value"),
    ]
    graph = helper.make_graph(nodes, "pool", [given], [answer], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answers(model: onnx.ModelProto) -> np.ndarray:
    images = np.random.default_rng(3).standard_normal((1, 2, 7, 7)).astype(np.float32) - 4
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"images": images})[0])


@pytest.mark.parametrize("value", [-np.inf, np.finfo(np.float32).min])
def test_the_pooling_takes_the_padding(value: float) -> None:
    model = padded_pool([0, 0, 1, 0, 0, 0, 1, 1], value)
    before = answers(model)
    with_own_padding(model)
    [pool] = model.graph.node
    assert list(helper.get_node_attr_value(pool, "pads")) == [1, 1, 1, 1] and not model.graph.initializer
    assert np.array_equal(answers(model), before) and np.isfinite(before).all()


@pytest.mark.parametrize(
    ("amounts", "value", "kernel"),
    [
        ([0, 0, 1, 0, 0, 0, 1, 1], 0.0, 3),  # zeros may be the largest
        ([0, 1, 1, 1, 0, 0, 1, 1], -np.inf, 3),  # more channels
        ([0, 0, -1, 0, 0, 0, 0, 0], -np.inf, 3),  # cuts
        ([0, 0, 1, 0, 0, 0, 3, 1], -np.inf, 3),  # windows of padding alone
    ],
)
def test_other_padding_stays(amounts: list[int], value: float, kernel: int) -> None:
    model = padded_pool(amounts, value, kernel)
    before = model.SerializeToString()
    with_own_padding(model)
    assert model.SerializeToString() == before
