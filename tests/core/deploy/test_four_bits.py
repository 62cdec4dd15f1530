"""Weights of 4 bits: longhand, GPTQ against its definition, graphs that answer as before, and what readers say of the file."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from quantize_files import CLASSES, PREPROCESS, images, logits, quiet
from torch import nn

from core.analysis import histograms
from core.analysis.network_graph import changes, read
from core.deploy.onnx_export import describe, export_module, metadata_of
from core.deploy.quantization import blocks, four_bits, static
from core.deploy.quantization.graph import array_of, constant, layers_of, prepare
from core.deploy.quantization.products import as_products
from core.deploy.quantization.sessions import sqnr
from core.onnx_graph.shared_weights import expand
from core.profiling import counting, per_layer
from core.surgery.shapes import four_bit_bytes


class Mixer(nn.Module):
    """A ConvNeXt-like block with 1×1 convolutions and one with linear layers, a strided 1×1 convolution, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 40, 3, padding=1)
        self.widen, self.narrow = nn.Conv2d(40, 96, 1), nn.Conv2d(96, 40, 1, bias=False)
        self.skip = nn.Conv2d(40, 48, 1, stride=2)
        self.up, self.down = nn.Linear(48, 100), nn.Linear(100, 48, bias=False)
        self.norm, self.head = nn.LayerNorm(48), nn.Linear(48, 5)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        stem = self.stem(pictures).relu()
        first = self.skip(stem + self.narrow(nn.functional.gelu(self.widen(stem))))
        rows = self.norm(first.permute(0, 2, 3, 1))
        return self.head((rows + self.down(nn.functional.gelu(self.up(rows)))).mean((1, 2)))


LINEAR = ["widen", "narrow", "up", "down", "head"]


@pytest.fixture(scope="module")
def job_arguments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("float")
    torch.manual_seed(3)
    path = folder / "float32.onnx"
    export_module(Mixer().eval(), PREPROCESS, path, describe(CLASSES, PREPROCESS, "float32", {"run": "r1"}))
    np.save(folder / "images.npy", images())
    return {
        "source": str(path), "images": str(folder / "images.npy"), "images_count": 40, "seed": 1, "keep": [], "block": 32,
        "rounding": "compensated", "pointwise": True, "convolutions": "float32",
    }  # fmt: skip


@pytest.fixture(scope="module")
def file(job_arguments, tmp_path_factory):
    """The file with the defaults, and the job's report."""
    target = tmp_path_factory.mktemp("four") / "int4.onnx"
    return target, four_bits.quantize({**job_arguments, "target": str(target)}, quiet)


def test_blocks_by_hand():
    weight = torch.tensor([[7.0, -3.4, 0.6, 0.0, 1.4, -0.71]])
    made = blocks.nearest(weight, 4)
    assert made.scales.tolist() == [[1.0, pytest.approx(0.2)]]
    assert made.levels.tolist() == [[7, -3, 1, 0, 7, -4]]
    assert made.weights()[0].tolist() == pytest.approx([7, -3, 1, 0, 1.4, -0.8])
    empty = blocks.nearest(torch.zeros(1, 3), 4)
    assert empty.scales.tolist() == [[1.0]] and empty.weights().tolist() == [[0, 0, 0]]


def together(seed: int, width: int = 70) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [6, d], and second moments [d, d] of inputs that go together."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(900, 9)) @ random.normal(size=(9, width)) + 0.3 * random.normal(
        size=(900, width)
    )
    own = torch.from_numpy(inputs.T @ inputs / 900)
    return torch.from_numpy(
        random.normal(size=(6, width)).astype(np.float32)
    ), own + 0.01 * own.diagonal().mean() * torch.eye(width)


def test_compensation_is_that_of_optimal_brain_surgery_in_a_fixed_order():
    """Round one input's weights, let the others take up the error by the inverse of the second moments, strike it out."""
    weight, own = together(1)
    made = blocks.compensated(weight, own, own, 32)
    left, inverse = weight.double().numpy().copy(), np.linalg.inv(own.numpy())
    for column in range(70):
        scale = made.scales[:, column // 32].double().numpy()
        level = np.clip(np.round(left[:, 0] / scale), -8, 7)
        assert made.levels[:, column].tolist() == level.tolist(), column
        left = left - np.outer(left[:, 0] - level * scale, inverse[0] / inverse[0, 0])
        inverse = inverse - np.outer(inverse[:, 0], inverse[0]) / inverse[0, 0]
        left, inverse = left[:, 1:], inverse[1:, 1:]


@pytest.mark.parametrize("size", [32, 64, 128])
def test_compensation_errs_less_than_the_nearest_level(size):
    weight, own = together(2)
    plain, _ = blocks.excess(weight, blocks.nearest(weight, size).weights(), own, own)
    kept, signal = blocks.excess(weight, blocks.compensated(weight, own, own, size).weights(), own, own)
    change = (blocks.nearest(weight, size).weights() - weight).double()
    assert plain == pytest.approx(float(((change @ own) * change).sum()) / 6)  # by its definition
    assert kept < 0.6 * plain < 0.1 * signal


def test_products_answer_as_the_layers_that_they_stand_for(job_arguments):
    prepared = prepare(Path(job_arguments["source"]), four_bits.OPSET)
    layers = layers_of(prepared)
    assert [layer.name for layer in layers] == ["stem", "widen", "narrow", "skip", "up", "down", "head"]
    model = as_products(prepared, layers, pointwise=True)
    assert [layer.name for layer in layers_of(model) if layer.op == "MatMul"] == LINEAR
    np.testing.assert_allclose(logits(model), logits(Path(job_arguments["source"])), atol=2e-6)
    few = as_products(prepared, layers, pointwise=False)
    assert [layer.name for layer in layers_of(few) if layer.op == "MatMul"] == ["up", "down", "head"]


def test_onnx_runtime_computes_every_linear_layer_with_4_bits(file, tmp_path):
    options = ort.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "optimised.onnx"), 3
    ort.InferenceSession(str(file[0]), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    found = [
        {entry.name: entry.i for entry in node.attribute} for node in nodes if node.op_type == "MatMulNBits"
    ]
    assert [(each["K"], each["N"], each["bits"], each["block_size"], each["accuracy_level"]) for each in found] == [
        (40, 96, 4, 32, 4), (96, 40, 4, 32, 4), (48, 100, 4, 32, 4), (100, 48, 4, 32, 4), (48, 5, 4, 32, 4)
    ]  # fmt: skip


def test_the_file_holds_what_it_says(file, job_arguments):
    target, report = file
    model = onnx.load(target)
    assert report["four_bit_layers"] == report["quantized_layers"] == 5 and report["layers"] == 7
    weights = 40 * 96 + 96 * 40 + 48 * 100 + 100 * 48 + 48 * 5
    assert report["four_bit_parameters"] == weights
    assert ("stem", "a convolution over more than one pixel") in report["skipped"]
    assert ("skip", "a 1×1 convolution with strides, padding or groups") in report["skipped"]
    assert metadata_of(model)["precision"] == "int4" and metadata_of(model)["run"] == "r1"
    assert np.array_equal(
        array_of(model, "stem.weight"), array_of(onnx.load(job_arguments["source"]), "stem.weight")
    )
    stored = sum(
        counting.stored_bytes(each) for each in model.graph.initializer if each.name.endswith("_quantized")
    )
    scales = sum(
        each.dims[0] * each.dims[1] for each in model.graph.initializer if each.name.endswith("_scale")
    )
    assert stored == weights // 2 and scales == 2 * 96 + 3 * 40 + 2 * 100 + 4 * 48 + 2 * 5
    rows = {row["name"]: row for row in report["rounded"]}
    assert list(rows) == LINEAR and all(row["after"] < row["nearest"] for row in rows.values())


@pytest.mark.parametrize("block", [32, 128])
def test_the_forecast_is_the_size_of_the_file(job_arguments, tmp_path, block):
    target = tmp_path / "int4.onnx"
    four_bits.quantize({**job_arguments, "rounding": "nearest", "block": block, "target": str(target)}, quiet)
    saved = four_bit_bytes(Mixer(), block, pointwise=True, other=4)
    weighed = [
        counting.weigh({"model": str(path)}, quiet)["weight_bytes"]
        for path in (job_arguments["source"], target)
    ]
    assert weighed[0] - weighed[1] == pytest.approx(saved, abs=64)  # shapes and axes differ
    assert four_bit_bytes(Mixer(), block, pointwise=False, other=1) < saved + 3 * (40 * 27 + 40 * 48)


def test_compensated_answers_are_nearer_to_floats(file, job_arguments, tmp_path):
    plain = tmp_path / "nearest.onnx"
    report = four_bits.quantize({**job_arguments, "rounding": "nearest", "target": str(plain)}, quiet)
    assert report["rounded"] == []
    exact = logits(Path(job_arguments["source"]))
    spread = exact - exact.mean(0)
    assert sqnr(spread, logits(file[0]) - exact.mean(0)) > 3 + sqnr(spread, logits(plain) - exact.mean(0))
    weight = array_of(onnx.load(job_arguments["source"]), "head.weight")
    written = histograms.file_weights(onnx.load(plain), "head")
    assert np.abs(written - blocks.nearest(torch.from_numpy(weight), 32).weights().numpy().T).max() < 1e-7


def test_the_rest_in_8_bits_is_that_of_static_int8(job_arguments, tmp_path):
    """Neither changes a number of the other: the same integers and scales as static INT8 of the same convolutions."""
    target, other = tmp_path / "int4.onnx", tmp_path / "int8.onnx"
    report = four_bits.quantize({**job_arguments, "convolutions": "int8", "target": str(target)}, quiet)
    how = {"method": "minmax", "percentile": 100.0, "activations": "uint8", "keep": LINEAR}
    static.quantize({**job_arguments, **how, "target": str(other)}, quiet)
    assert report["quantized_layers"] == 7 and report["four_bit_layers"] == 5
    mixed, integers = onnx.load(target), onnx.load(other)
    for name in ("stem.weight", "skip.weight"):
        for part in ("quantized", "scale", "zero_point"):
            assert np.array_equal(array_of(mixed, f"{name}_{part}"), array_of(integers, f"{name}_{part}"))
    assert sqnr(logits(Path(job_arguments["source"])), logits(target)) > 20


def test_convolutions_stored_in_4_bits_compute_in_8(job_arguments, tmp_path):
    """Levels of 15 values a channel in the file, integers of 8 bits in ONNX Runtime, and the layer that sees the image as it was."""
    target = tmp_path / "int4.onnx"
    report = four_bits.quantize({**job_arguments, "convolutions": "int4", "target": str(target)}, quiet)
    assert report["stored_layers"] == 1 and report["quantized_layers"] == 7
    model = onnx.load(target)
    indices = constant(model, "skip.weight_quantized.indices")
    assert indices.data_type == onnx.TensorProto.UINT4 and tuple(indices.dims) == (48, 40, 1, 1)
    assert "stem.weight_quantized" in {tensor.name for tensor in model.graph.initializer}
    options = ort.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "optimised.onnx"), 3
    ort.InferenceSession(str(target), options, providers=["CPUExecutionProvider"])
    types = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert types.count("QLinearConv") == 2 and not {"Gather", "Cast", "Conv"} & set(types)
    assert expand(model) == 1
    whole = array_of(model, "skip.weight_quantized").reshape(48, 40).astype(int)
    levels = np.round(whole * 7 / 127)
    assert np.abs(whole - levels * 127 / 7).max() <= 0.5 and np.abs(levels).max(1).tolist() == [7] * 48
    told = per_layer.profile({"model": str(target), "input_size": 12, "threads": 1}, quiet)["layers"]
    [row] = [row for row in told if row["layer"] == "skip"]
    assert row["precision"] == "int8" and row["weight_bytes"] == 48 * 40 // 2 + len(np.unique(whole)) + 4 * 48
    assert sqnr(logits(Path(job_arguments["source"])), logits(target)) > 12


def test_kept_layers_stay_as_they_are(job_arguments, tmp_path):
    target = tmp_path / "kept.onnx"
    report = four_bits.quantize(
        {**job_arguments, "keep": ["up", "hea*"], "rounding": "nearest", "target": str(target)}, quiet
    )
    assert report["four_bit_layers"] == 3
    assert ("up", "kept in float by 'up'") in report["skipped"]
    assert "head.weight" in {tensor.name for tensor in onnx.load(target).graph.initializer}


def test_readers_see_the_layers_of_before(file, job_arguments):
    """Counts, the layer table, distributions with their bounds, and the graph beside that of the float file."""
    target, source = file[0], Path(job_arguments["source"])
    before, after = (
        counting.count({"model": str(path), "input_size": 12}, quiet) for path in (source, target)
    )
    assert after["macs"] == before["macs"] and after["params"] == before["params"]
    table = per_layer.profile({"model": str(target), "input_size": 12, "threads": 1}, quiet)["layers"]
    rows = {row["layer"]: row for row in table}
    assert [rows[name]["precision"] for name in LINEAR] == ["int4"] * 5
    assert rows["up"]["weight_bytes"] == 48 * 100 // 2 + 4 * 100 and rows["up"]["shape"] == "48 → 100"
    asked = {"what": "weights", "files": [str(target)], "layer": "widen"}
    [told] = histograms.of_files(asked, quiet)["histograms"]
    assert told["clipped"] == 0 and told["range_low"] < told["range_high"]
    old, new = (read(path) for path in (source, target))
    became, _ = changes(old, new)
    by_path = {unit.path: became[unit.id] for unit in old.units if unit.macs}
    assert {by_path[name] for name in LINEAR} == {"precision"} and by_path["stem"] == "same"


def test_a_weight_that_two_layers_share_is_written_once(job_arguments, tmp_path):
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.same, self.head = nn.Conv2d(3, 32, 4, 4), nn.Linear(32, 32), nn.Linear(32, 5)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            rows = self.stem(pictures).flatten(2).transpose(1, 2)
            return self.head((rows + self.same(self.same(rows).relu())).mean(1))

    source, target = tmp_path / "twice.onnx", tmp_path / "int4.onnx"
    export_module(Twice().eval(), PREPROCESS, source, describe(CLASSES, PREPROCESS, "float32", {}))
    report = four_bits.quantize({**job_arguments, "source": str(source), "target": str(target)}, quiet)
    model = onnx.load(target)
    assert report["quantized_layers"] == 3
    assert sum(node.op_type == "DequantizeLinear" for node in model.graph.node) == 2
    assert sqnr(logits(source), logits(target)) > 15
