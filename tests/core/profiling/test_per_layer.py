"""Layers of an exported file: counts as counted elsewhere, kernels traced back, precisions as they ran."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from core.common.errors import EspalierError
from core.data.preprocess import Preprocess
from core.deploy.onnx_export import describe, export_module
from core.deploy.quantization import dynamic, static
from core.deploy.quantization.half_precision import to_half
from core.machine.child import Child
from core.models.catalogue import BACKBONES
from core.models.settings import BackboneSettings
from core.profiling.counting import count
from core.profiling.per_layer import Kernel, _medians, _precision, profile

CLASSES = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")


def quiet(fraction: float, text: str) -> None:
    pass


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    model = BACKBONES["resnet20"].build(BackboneSettings(backbone="resnet20"), 10).eval()
    path = tmp_path_factory.mktemp("layers") / "float32.onnx"
    preprocess = Preprocess(16)
    export_module(model, preprocess, path, describe(CLASSES, preprocess, "float32", {}))
    return path


def test_every_layer_of_the_network_is_timed_and_counted(exported: Path) -> None:
    report = profile({"model": str(exported), "input_size": 16}, quiet)
    layers = {layer["layer"]: layer for layer in report["layers"]}
    weighted = [name for name, layer in layers.items() if layer["params"]]
    assert weighted[:3] == ["body.conv1", "body.layer1.0.conv1", "body.layer1.0.conv2"]
    assert weighted[-1] == "head" and len(weighted) == 20
    assert all(layers[name]["ms"] is not None and layers[name]["precision"] == "float32" for name in weighted)
    first, strided = layers["body.conv1"], layers["body.layer2.0.conv1"]
    assert (first["type"], first["shape"], first["output"]) == ("Conv 3×3", "3 → 16", [16, 16, 16])
    assert (strided["shape"], strided["output"]) == ("16 → 32, stride 2", [32, 8, 8])
    assert (layers["head"]["type"], layers["head"]["shape"]) == ("Linear", "64 → 10")
    counted = count({"model": str(exported), "input_size": 16}, quiet)
    assert sum(layer["params"] for layer in report["layers"]) == counted["params"]
    assert sum(layer["macs"] for layer in report["layers"]) == counted["macs"]
    assert report["runs"] >= 10 and report["total_ms"] == pytest.approx(
        sum(layer["ms"] or 0 for layer in report["layers"])
    )
    assert not report["quantized"] and not report["fallbacks"]


def test_half_precision_says_what_it_was_computed_in(exported: Path, tmp_path: Path) -> None:
    half = tmp_path / "float16.onnx"
    to_half({"source": str(exported), "target": str(half)}, quiet)
    report = profile({"model": str(half), "input_size": 16}, quiet)
    layers = {layer["layer"]: layer for layer in report["layers"]}
    assert layers["body.layer1.0.conv1"]["ms"] is not None  # traced back through inserted casts
    ran = {layer["precision"] for layer in report["layers"] if layer["macs"]}
    assert (
        ran <= {"float16", "float32"} and len([layer for layer in layers.values() if layer["params"]]) == 20
    )


def named(path: Path) -> dict[str, dict]:
    """Layers with MACs by name; every one of them was timed."""
    layers = profile({"model": str(path), "input_size": 16}, quiet)["layers"]
    assert all(layer["ms"] is not None for layer in layers if layer["macs"])
    return {layer["layer"]: layer for layer in layers if layer["macs"]}


def test_dynamic_int8_has_the_layers_of_the_float_file(exported: Path, tmp_path: Path) -> None:
    target = tmp_path / "dynamic.onnx"
    dynamic.quantize({"source": str(exported), "target": str(target), "scope": "all", "keep": []}, quiet)
    before, after = named(exported), named(target)
    assert after.keys() == before.keys()
    assert {layer["precision"] for layer in after.values()} == {"int8"}
    assert all(after[name]["macs"] == before[name]["macs"] for name in before)
    assert after["body.layer1.0.conv1"]["weight_bytes"] == 16 * 16 * 9 + 4 * 16  # and a float a channel
    assert before["body.layer1.0.conv1"]["weight_bytes"] == 4 * 16 * 16 * 9
    assert before["body.layer1.0.conv1"]["moved_bytes"] >= 4 * (2 * 16 * 16 * 16 + 16 * 16 * 9)


def test_static_int8_names_the_layer_that_stayed_in_float(exported: Path, tmp_path: Path) -> None:
    images, target = tmp_path / "images.npy", tmp_path / "static.onnx"
    np.save(images, np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3), np.uint8))
    static.quantize(
        {"source": str(exported), "target": str(target), "images": str(images), "images_count": 8, "method": "minmax",
         "percentile": 99.9, "seed": 0, "activations": "uint8", "seven_bits": False, "keep": ["body.layer2.0.conv1"],
         "equalise": False, "correct_bias": "off", "learned": {}},
        quiet,
    )  # fmt: skip
    after = named(target)
    assert after.keys() == named(exported).keys()
    assert {name for name, layer in after.items() if layer["precision"] != "int8"} == {"body.layer2.0.conv1"}
    assert [name for name, layer in after.items() if layer["fallback"]] == ["body.layer2.0.conv1"]


class Block(nn.Module):
    """A ConvNeXt block: its matrix products see [b, h, w, c], so their weights are stored without a name."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm, self.wide, self.narrow = nn.LayerNorm(8), nn.Linear(8, 32), nn.Linear(32, 8)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        inner = self.norm(self.depthwise(maps).permute(0, 2, 3, 1))
        return maps + self.narrow(nn.functional.gelu(self.wide(inner))).permute(0, 3, 1, 2)


def test_products_keep_their_module_through_quantization(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), Block(), Block()).eval()
    source, images = tmp_path / "float32.onnx", tmp_path / "images.npy"
    export_module(network, Preprocess(16), source, describe(CLASSES[:8], Preprocess(16), "float32", {}))
    np.save(images, np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3), np.uint8))
    arguments = {
        "source": str(source), "images": str(images), "images_count": 8, "method": "minmax", "percentile": 99.9,
        "seed": 0, "activations": "uint8", "keep": ["2.wide"],
    }  # fmt: skip
    static.quantize({**arguments, "target": str(tmp_path / "static.onnx")}, quiet)
    dynamic.quantize({**arguments, "target": str(tmp_path / "dynamic.onnx"), "scope": "linear"}, quiet)
    expected = {"0"} | {f"{block}.{part}" for block in "12" for part in ("depthwise", "wide", "narrow")}
    assert named(source).keys() == expected
    for file in ("static.onnx", "dynamic.onnx"):
        layers = named(tmp_path / file)
        assert layers.keys() == expected, file
        assert [layers[f"{block}.wide"]["fallback"] for block in "12"] == [False, True], file


def test_counting_alone_runs_nothing(exported: Path) -> None:
    report = profile({"model": str(exported), "input_size": 16, "measure": False}, quiet)
    assert report["total_ms"] is None and report["runs"] == 0
    assert len(report["layers"]) == 20 and all(layer["ms"] is None for layer in report["layers"])


def quantized_and_float(path: Path) -> None:
    """Two convolutions: the first in QDQ form, the second in float."""
    random = np.random.default_rng(0)
    constants = {
        "one.weight_q": random.integers(-127, 127, (8, 3, 3, 3)).astype(np.int8),
        "one.scale": np.float32(0.01), "one.zero": np.int8(0),
        "two.weight": random.standard_normal((8, 8, 3, 3)).astype(np.float32),
        "scale": np.float32(0.05), "zero": np.uint8(128),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["images", "scale", "zero"], ["q"], "in_q"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["x"], "in_dq"),
        helper.make_node("DequantizeLinear", ["one.weight_q", "one.scale", "one.zero"], ["w"], "w_dq"),
        helper.make_node("Conv", ["x", "w"], ["a"], "conv_one", pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["a", "scale", "zero"], ["aq"], "a_q"),
        helper.make_node("DequantizeLinear", ["aq", "scale", "zero"], ["b"], "a_dq"),
        helper.make_node("Conv", ["b", "two.weight"], ["logits"], "conv_two", pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["b", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 8, 8, 8])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def test_a_float_layer_among_integers_is_named(tmp_path: Path) -> None:
    quantized_and_float(tmp_path / "mixed.onnx")
    with Child("measure") as child:  # as the window does it: without torch
        report = child.call(profile, {"model": str(tmp_path / "mixed.onnx"), "input_size": 8})
    layers = {layer["layer"]: layer for layer in report["layers"]}
    assert (layers["one"]["precision"], layers["two"]["precision"]) == ("int8", "float32")
    assert report["quantized"] and report["fallbacks"] == ["two"]
    assert layers["two"]["fallback"] and not layers["one"]["fallback"]


def test_medians_leave_the_warm_up_out() -> None:
    events = [
        {"cat": "Node", "name": "a_kernel_time", "dur": dur, "args": {"op_name": "Conv", "input_type_shape": [{"float": [1]}]}}
        for dur in [900] * 10 + [20, 40, 30]
    ]  # fmt: skip
    [kernel] = _medians([{"cat": "Session", "name": "model_run", "dur": 1}, *events], {"a": ("x", "w")})
    assert (kernel.milliseconds, kernel.types, kernel.inputs) == (0.03, ("float",), ("x", "w"))
    assert _precision(kernel) == "float32"
    assert _precision(Kernel("k", "MatMulInteger", 0.1, ("uint8", "int8"))) == "int8"
    assert _precision(Kernel("k", "QLinearConv", 0.1, ("uint8", "float"))) == "int8"


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"not a model")
    with pytest.raises(EspalierError, match=r"Expected an ONNX file, but no\.onnx is a text"):
        profile({"model": str(tmp_path / "no.onnx"), "input_size": 8}, quiet)
