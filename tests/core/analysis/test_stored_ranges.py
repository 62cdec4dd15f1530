"""Ranges of quantized layers, and what of the values they clip."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.analysis import stored_ranges
from core.analysis.histograms import Histogram, of_files

WEIGHTS = np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2, 1, 1)


def write(path: Path, relu: bool = True, scale: float = 1 / 127, quantized: bool = True) -> onnx.ModelProto:
    """A convolution with integer weights whose output is handed on as integers."""
    stored = np.clip(np.round(WEIGHTS / scale), -128, 127).astype(np.int8)
    tensors = {
        "conv.weight": stored if quantized else WEIGHTS, "scale": np.full(4, scale, np.float32),
        "zero": np.zeros(4, np.int8), "out_scale": np.float32(0.01), "out_zero": np.uint8(0 if relu else 128),
    }  # fmt: skip
    nodes = []
    if quantized:
        nodes.append(
            helper.make_node("DequantizeLinear", ["conv.weight", "scale", "zero"], ["w"], "dq", axis=0)
        )
    nodes.append(helper.make_node("Conv", ["x", "w" if quantized else "conv.weight"], ["y"], "conv"))
    last = "y"
    if relu:
        nodes.append(helper.make_node("Relu", ["y"], ["r"], "relu"))
        last = "r"
    nodes.append(helper.make_node("QuantizeLinear", [last, "out_scale", "out_zero"], ["q"], "q"))
    nodes.append(helper.make_node("DequantizeLinear", ["q", "out_scale", "out_zero"], ["z"], "dq2"))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return model


def test_activations_are_clipped_above_where_a_relu_follows(tmp_path: Path) -> None:
    stored = stored_ranges.of_activations(write(tmp_path / "a.onnx"), "y")
    assert stored is not None and stored.low is None and stored.high == pytest.approx(2.55)
    assert stored.clipped(np.array([-5.0, 0.0, 1.0, 3.0])) == 0.25


def test_activations_without_one_are_clipped_on_both_sides(tmp_path: Path) -> None:
    stored = stored_ranges.of_activations(write(tmp_path / "a.onnx", relu=False), "y")
    assert stored is not None and (stored.low, stored.high) == (pytest.approx(-1.28), pytest.approx(1.27))
    assert stored.clipped(np.array([-5.0, 0.0, 1.0, 3.0])) == 0.5
    assert stored_ranges.of_activations(write(tmp_path / "a.onnx"), "z") is None


def test_weights_beyond_the_range_are_counted_against_the_other_file(tmp_path: Path) -> None:
    write(tmp_path / "float.onnx", quantized=False)
    for scale, clipped in ((1 / 127, 0.0), (0.5 / 127, 0.5)):
        write(tmp_path / "int8.onnx", scale=scale)
        arguments = {
            "what": "weights", "layer": "conv",
            "files": [str(tmp_path / name) for name in ("int8.onnx", "float.onnx")],
        }  # fmt: skip
        first, second = of_files(arguments, lambda _part, _words: None)["histograms"]
        assert first["clipped"] == clipped and second["clipped"] is None
        words = Histogram(**first).sentence
        assert "its integers hold" in words and ("nothing clipped" in words) == (not clipped)
