"""A stem over blocks of pixels gives the very integers of the stem it replaces."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.deploy.quantization.graph import array_of, copy_of, put_array
from core.deploy.quantization.stem import packed

OUTPUTS = 16


def stem(kernel: int, stride: int, pads: list[int], size: int, channels: int = 3, **more) -> onnx.ModelProto:
    """QDQ: quantized images, an integer convolution with a bias and a Relu, quantized answers."""
    random = np.random.default_rng(kernel)
    constants = {
        "x_scale": np.float32(0.02), "x_zero": np.uint8(114), "y_scale": np.float32(0.02), "y_zero": np.uint8(7),
        "weight": random.integers(-127, 128, (OUTPUTS, channels, kernel, kernel)).astype(np.int8),
        "w_scale": random.uniform(5e-4, 2e-3, OUTPUTS).astype(np.float32), "w_zero": np.zeros(OUTPUTS, np.int8),
        "bias": random.integers(-9000, 9000, OUTPUTS).astype(np.int32),
        "b_zero": np.zeros(OUTPUTS, np.int32),
    }  # fmt: skip
    constants["b_scale"] = constants["x_scale"] * constants["w_scale"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["x_integers"]),
        helper.make_node("DequantizeLinear", ["x_integers", "x_scale", "x_zero"], ["x_back"]),
        helper.make_node("DequantizeLinear", ["weight", "w_scale", "w_zero"], ["w"], axis=0),
        helper.make_node("DequantizeLinear", ["bias", "b_scale", "b_zero"], ["b"], axis=0),
        helper.make_node("Conv", ["x_back", "w", "b"], ["raw"], name="stem", strides=[stride] * 2, pads=pads, **more),
        helper.make_node("Relu", ["raw"], ["rectified"]),
        helper.make_node("QuantizeLinear", ["rectified", "y_scale", "y_zero"], ["y_integers"]),
        helper.make_node("DequantizeLinear", ["y_integers", "y_scale", "y_zero"], ["y"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "stem",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", channels, size, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", OUTPUTS, "h", "w"])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])


def answers(model: onnx.ModelProto, channels: int = 3) -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape[-1]
    images = np.random.default_rng(0).standard_normal((2, channels, size, size)).astype(np.float32)
    return session.run(None, {"x": images})[0]


def ops(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "size", "shape"),
    [
        (7, 2, [3, 3, 3, 3], 32, (12, 4, 4)),  # ResNet
        (3, 2, [1, 1, 1, 1], 32, (12, 2, 2)),  # MobileNet
        (3, 2, [0, 0, 1, 1], 32, (12, 2, 2)),  # "same" as TensorFlow pads it
        (4, 4, [0, 0, 0, 0], 32, (48, 1, 1)),  # ConvNeXt
        (5, 3, [2, 2, 2, 2], 33, (27, 2, 2)),
        (2, 2, [0, 1, 0, 1], 18, (12, 1, 2)),
    ],
)
def test_the_integers_are_the_same(kernel, stride, pads, size, shape):
    before = stem(kernel, stride, pads, size)
    after = copy_of(before)
    assert f"{stride} × {stride} pixels" in packed(after)
    onnx.checker.check_model(after, full_check=True)
    assert array_of(after, "weight").shape == (OUTPUTS, *shape) and "SpaceToDepth" in ops(after)
    wanted = answers(before)
    assert len(np.unique(wanted)) > 50  # not saturated, not all zero
    np.testing.assert_array_equal(answers(after), wanted)


@pytest.mark.parametrize(
    ("model", "channels"),
    [
        (stem(3, 1, [1, 1, 1, 1], 32), 3),  # no stride
        (stem(7, 2, [3, 3, 3, 3], 33), 3),  # half a block at the edge
        (stem(3, 2, [1, 1, 1, 1], 32, channels=8), 8),  # enough channels
        (stem(3, 2, [2, 2, 2, 2], 32, dilations=[2, 2]), 3),
        (stem(16, 16, [0, 0, 0, 0], 32), 3),  # a block would have 768 channels
    ],
)
def test_other_stems_stay_as_they_are(model, channels):
    after = copy_of(model)
    assert packed(after) == "" and after == model
    assert answers(after, channels).ndim == 4


def test_a_tensor_that_others_read_stays():
    model = stem(7, 2, [3, 3, 3, 3], 32)
    model.graph.node.append(helper.make_node("Identity", ["x_back"], ["other"]))
    model.graph.output.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["batch", 3, 32, 32]))
    before = copy_of(model)
    assert packed(model) == "" and model == before


def test_weights_whose_zero_is_another_integer_stay():
    model = stem(7, 2, [3, 3, 3, 3], 32)
    put_array(model, "w_zero", np.full(OUTPUTS, 3, np.int8))
    before = copy_of(model)
    assert packed(model) == "" and model == before
