"""Parameters and MACs against longhand and against torch-pruning."""

import numpy as np
import onnx
import onnx_files
import pytest
from onnx import helper

from core.common.errors import EspalierError
from core.data.preprocess import Preprocess
from core.onnx_graph.reading import files_beside, read_onnx
from core.profiling.counting import count, count_graph, count_parameters, stored_bytes, weigh
from core.profiling.latency import size as file_size


def quiet(fraction: float, text: str) -> None:
    pass


def test_a_convolutional_network_against_longhand(tmp_path):
    path = onnx_files.write(tmp_path / "small.onnx", width=16, size=16)
    counted = count({"model": str(path), "input_size": 16}, quiet)
    stem, block, head = 16 * 3 * 9 + 16, 16 * 16 * 9, 5 * 16 + 5
    assert counted["params"] == stem + block + head
    assert counted["nonzero_params"] == stem + block + head - 5  # the head's bias is zero
    stem_macs, block_macs, head_macs = 8 * 8 * 16 * 27, 8 * 8 * 16 * 144, 5 * 16
    assert counted["macs"] == stem_macs + block_macs + head_macs
    assert [(n["name"], n["layer"], n["macs"], n["params"]) for n in counted["nodes"]] == [
        ("stem", "stem", stem_macs, stem),
        ("block1", "block1", block_macs, block),
        ("head", "head", head_macs, head),
    ]
    assert counted["nodes"][0]["output"] == [1, 16, 8, 8] and counted["uncounted"] == []


def test_groups_shared_weights_and_bounds():
    node = helper.make_node
    weights = {
        "w": np.ones((6, 1, 3, 3), np.float32),  # depthwise on 6 channels, used twice
        "up": np.ones((6, 3, 1, 1), np.float32),
        "low": np.array(0.0, np.float32),
        "high": np.array(6.0, np.float32),
        "axes": np.array([2, 3], np.int64),
        "fc": np.array([[1, 0, 2, 0]] * 6, np.float32),
    }
    nodes = [
        node("Conv", ["images", "up"], ["a"], "up"),
        node("Conv", ["a", "w"], ["b"], "first", group=6, pads=[1] * 4),
        node("Clip", ["b", "low", "high"], ["c"], "clip"),
        node("Conv", ["c", "w"], ["d"], "second", group=6, pads=[1] * 4),
        node("ReduceMean", ["d", "axes"], ["e"], "mean", keepdims=0),
        node("MatMul", ["e", "fc"], ["logits"], "fc"),
    ]
    counted = count_graph(onnx_files.model(nodes, weights, 10, 4), 10)
    assert counted["params"] == 54 + 18 + 24  # the bounds are not weights, w counts once
    assert counted["nonzero_params"] == 54 + 18 + 12
    assert counted["macs"] == 100 * 6 * 3 + 2 * 100 * 6 * 9 + 6 * 4


def test_products_of_activations_and_transposed_convolutions():
    node = helper.make_node
    weights = {"w": np.ones((3, 4, 2, 2), np.float32), "shape": np.array([1, 4, 400], np.int64)}
    nodes = [
        node("ConvTranspose", ["images", "w"], ["a"], "up", strides=[2, 2]),
        node("Reshape", ["a", "shape"], ["flat"], "reshape"),
        node("Transpose", ["flat"], ["turned"], "turn", perm=[0, 2, 1]),
        node("MatMul", ["flat", "turned"], ["scores"], "scores"),
        node("ReduceMean", ["scores"], ["logits"], "mean", keepdims=0),
    ]
    counted = count_graph(onnx_files.model(nodes, weights, 10, 4, batch=1), 10)
    assert counted["macs"] == 3 * 10 * 10 * 4 * 2 * 2
    assert counted["uncounted"] == [["scores", "a product of two activations"]]


def test_a_quantized_graph_counts_weights_and_not_scales(tmp_path):
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            noise = np.random.default_rng(0).standard_normal((4, 1, 3, 16, 16)).astype(np.float32)
            self._batches = iter([{"images": images} for images in noise])

        def get_next(self):
            return next(self._batches, None)

    path = onnx_files.write(tmp_path / "small.onnx")
    quantize_static(
        path, tmp_path / "int8.onnx", Reader(), per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    arguments = {"input_size": 16}
    single = count({"model": str(path), **arguments}, quiet)
    quantized = count({"model": str(tmp_path / "int8.onnx"), **arguments}, quiet)
    assert quantized["params"] == single["params"] and quantized["macs"] == single["macs"]
    assert 0.9 * single["nonzero_params"] < quantized["nonzero_params"] <= single["nonzero_params"]


def test_a_weight_at_its_zero_point_is_zero():
    node = helper.make_node
    weights = {
        "q": np.array([[[[7]]], [[[8]]], [[[9]]]], np.uint8).repeat(3, axis=1),
        "scale": np.ones(3, np.float32),
        "zero": np.array([7, 8, 8], np.uint8),
        "shape": np.array([0, -1], np.int64),
    }
    nodes = [
        node("DequantizeLinear", ["q", "scale", "zero"], ["w"], "dequantize", axis=0),
        node("Conv", ["images", "w"], ["a"], "conv"),
        node("Reshape", ["a", "shape"], ["logits"], "flatten"),
    ]
    counted = count_graph(onnx_files.model(nodes, weights, 2, 12), 2)
    assert (counted["params"], counted["nonzero_params"], counted["macs"]) == (9, 3, 4 * 3 * 3)


def test_weights_weigh_what_is_stored(tmp_path):
    path = onnx_files.write(tmp_path / "small.onnx", width=16, size=16)
    floats = 16 * 3 * 9 + 16 + 16 * 16 * 9 + 5 * 16 + 5
    assert weigh({"model": str(path)}, quiet) == {"weight_bytes": 4 * floats + 2 * 8}  # a shape of two int64
    tensor = helper.make_tensor("i", onnx.TensorProto.UINT4, [3], b"\x21\x03", raw=True)
    assert stored_bytes(tensor) == 2  # two of them share a byte
    with pytest.raises(EspalierError, match=r"Expected an ONNX file, but x\.onnx cannot be read as one"):
        (tmp_path / "x.onnx").write_bytes(b"\xff\xffno")
        weigh({"model": str(tmp_path / "x.onnx")}, quiet)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"\xff\xff\xffno")
    with pytest.raises(EspalierError, match=r"Expected an ONNX file, but x\.onnx "):
        count({"model": str(tmp_path / "x.onnx"), "input_size": 8}, quiet)


def test_parameters_of_a_network_against_longhand():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Linear(4, 2))
    with torch.no_grad():
        network[0].weight[0] = 0
    network[2].weight.requires_grad_(False)
    # batch normalisation: 4 factors of one and 4 offsets of zero; its running means are buffers
    assert count_parameters(network) == {
        "params": 108 + 8 + 10,
        "nonzero_params": 108 - 27 + 4 + 10,
    }
    network.append(network[2])
    assert count_parameters(network)["params"] == 126


def residual(torch):
    """A ResNet-18's first two stages and a depthwise separable one behind them."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.short = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride > 1 else nn.Identity()

        def forward(self, x):
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            return torch.relu(y + self.short(x))

    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        Block(64, 64, 1),
        Block(64, 128, 2),
        nn.Conv2d(128, 128, 5, 1, 2, groups=128),
        nn.Hardswish(),
        nn.Conv2d(128, 96, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(96, 10),
    ).eval()


@pytest.mark.slow
def test_an_exported_network_against_torch_pruning(tmp_path):
    torch = pytest.importorskip("torch")
    counter = pytest.importorskip("torch_pruning").utils.count_ops_and_params
    from core.deploy.onnx_export import export_module

    network = residual(torch)
    export_module(network, Preprocess(64), tmp_path / "network.onnx", {})
    counted = count({"model": str(tmp_path / "network.onnx"), "input_size": 64}, quiet)
    macs, params, per_layer, _ = counter(network, torch.zeros(1, 3, 64, 64), layer_wise=True)
    assert counted["macs"] == pytest.approx(macs, rel=0.01)
    assert count_parameters(network)["params"] == params
    # Layer by layer for what has weights; torch-pruning adds biases to its MACs.
    layers = {name: module for name, module in network.named_modules() if per_layer.get(module)}
    ours = {node["layer"]: node["macs"] for node in counted["nodes"] if node["macs"]}
    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    theirs = {name: per_layer[module] for name, module in layers.items() if isinstance(module, kinds)}
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        bias = layers[name].bias is not None
        assert ours[name] == pytest.approx(value, rel=0.05 if bias else 1e-9), name
    folded = sum(2 * m.num_features for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert params - folded <= counted["params"] <= params  # factors vanish, offsets may become biases


def test_a_files_size_includes_its_weights_beside_it(tmp_path):
    whole = onnx_files.write(tmp_path / "whole.onnx", width=16, size=16)
    split = tmp_path / "split.onnx"
    onnx.save(onnx.load(whole), split, save_as_external_data=True, location="split.data", size_threshold=0)
    beside = [tmp_path / name for name in files_beside(read_onnx(split, weights=False))]
    assert beside == [tmp_path / "split.data"]
    together = split.stat().st_size + beside[0].stat().st_size
    assert file_size(split, beside).value == together / 1e6 and "beside it" in file_size(split, beside).how
    assert file_size(whole).value == whole.stat().st_size / 1e6
