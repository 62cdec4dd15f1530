"""Shared weights: k-means against longhand, and a file that is really smaller and answers the same."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import helper, numpy_helper
from small_stages import NETWORK, small_network, stage_context
from torch import nn

from core.common.files import deflated_bytes
from core.data.image_data import ImageData
from core.deploy.norms import with_separate_norms
from core.deploy.onnx_export import export_onnx
from core.deploy.quantization.half_precision import to_half
from core.models.checkpoint import Checkpoint, save_checkpoint
from core.models.constraints import constrain
from core.onnx_graph.shared_weights import compact, expand
from core.profiling.counting import count_graph
from core.stages.share_weights import ShareWeights, shared_values

STAGE = ShareWeights()


def share(data: ImageData, folder: Path, model: nn.Module | None = None, epochs: int = 0, **content: object):
    how = {"training": {"epochs": epochs, "batch_size": 50, "learning_rate": 0.01}} | content
    return STAGE.run(model or small_network(), STAGE.Settings.parse(how), stage_context(data, folder))


def kmeans_by_hand(weights: np.ndarray, size: int) -> np.ndarray:
    """Lloyd's algorithm as it is written down: nearest value, mean of the members, again."""
    values = np.linspace(weights.min(), weights.max(), size)
    for _ in range(1000):
        nearest = np.abs(weights[:, None] - values).argmin(1)
        moved = [
            weights[nearest == index].mean() if (nearest == index).any() else values[index]
            for index in range(size)
        ]
        if np.allclose(moved, values, rtol=0, atol=1e-15):
            break
        values = np.array(moved)
    return values[nearest]


@pytest.mark.parametrize(("count", "size"), [(400, 4), (300, 16), (90, 64)])
def test_kmeans_by_hand(count, size):
    weights = np.random.default_rng(count).standard_normal(count).astype(np.float32)
    got = shared_values(torch.from_numpy(weights), size).numpy()
    np.testing.assert_allclose(got, kmeans_by_hand(weights.astype(np.float64), size), rtol=1e-6)
    assert len(np.unique(got)) <= size


def test_kmeans_finds_values_that_are_there_and_stands_equal_weights():
    values = torch.tensor([-2.0, -0.5, 0.25, 3.0])
    weights = values[torch.randint(4, (200,), generator=torch.Generator().manual_seed(2))]
    assert torch.equal(shared_values(weights, 16), weights)
    assert torch.equal(shared_values(torch.full((9,), 0.3), 4), torch.full((9,), 0.3))


def test_layers_take_as_many_values_as_their_bits_allow(data, tmp_path):
    result = share(data, tmp_path, linear_bits=3, convolution_bits=5)
    rows = {row["path"]: row for row in result.facts["layers"]}
    for path, row in rows.items():
        layer, before = result.model.get_submodule(path), small_network().get_submodule(path)
        assert len(layer.weight.unique()) == row["values"] <= (8 if isinstance(layer, nn.Linear) else 32)
        assert result.model.constraints[f"{path}.weight"] == "shared"
        change = ((layer.weight - before.weight).detach() ** 2).sum() / (before.weight.detach() ** 2).sum()
        assert row["error"] == pytest.approx(float(change), rel=1e-3)
        assert 0 < row["error"] < (0.06 if isinstance(layer, nn.Linear) else 0.01)
    assert len(rows) == 19 and dict(result.skipped).keys() == {"body.conv1"}
    weights = sum(row["weights"] for row in rows.values())
    assert result.notes[0].startswith(f"{weights} weights in 19 layers take ")


def test_layers_with_too_few_weights_are_left_alone(data, tmp_path):
    result = share(data, tmp_path, first_layer=True, convolution_bits=8, linear_bits=8)
    assert "body.conv1" in {row["path"] for row in result.facts["layers"]}  # 432 weights
    narrow = small_network()
    narrow.body.conv1 = nn.Conv2d(3, 16, 1)
    result = share(data, tmp_path, model=narrow, first_layer=True)
    assert dict(result.skipped)["body.conv1"] == "48 weights, no more than the 256 values to share"


def test_zeros_of_pruned_weights_stay_and_count_as_a_value(data, tmp_path):
    model = small_network()
    name = "body.layer2.0.conv2.weight"
    weight = model.get_parameter(name)
    with torch.no_grad():
        weight[weight.abs() < 0.05] = 0
    zeros = weight.detach() == 0
    constrain(model, [name], "sparse")
    result = share(data, tmp_path, model=model, convolution_bits=3, epochs=1)
    after = result.model.get_parameter(name)
    assert torch.equal(after == 0, zeros) and 0 < int(zeros.sum()) < zeros.numel()
    assert len(after.unique()) <= 8 and result.model.constraints[name] == "shared"
    row = next(row for row in result.facts["layers"] if row["path"] == "body.layer2.0.conv2")
    assert row["zeros"] == int(zeros.sum())


@pytest.fixture(scope="module")
def exported(data, tmp_path_factory) -> dict[str, Path]:
    """Checkpoint and file of a network as it is, with 8 and with 4 bits, each trained for an epoch."""
    files = {}
    for name, bits in (("plain", 0), ("eight", 8), ("four", 4)):
        folder = tmp_path_factory.mktemp(name)
        model = small_network()
        if bits:
            model = share(data, folder, model, epochs=1, linear_bits=bits, convolution_bits=bits).model
        model = model.eval().to(memory_format=torch.contiguous_format)
        context = stage_context(data, folder)
        save_checkpoint(folder / "c", Checkpoint(model, NETWORK, context.preprocess, data.classes, {}))
        files[name] = folder / "model.onnx"
        facts = export_onnx(
            {"checkpoint": str(folder / "c"), "target": str(files[name])}, lambda fraction, text: None
        )
        assert facts["bytes"] == files[name].stat().st_size
        images = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(3))
        with torch.no_grad():
            np.savez(folder / "answers.npz", images=images.numpy(), logits=model(images).numpy())
    return files


def session(model: Path, optimised: Path | None = None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    if optimised:
        options.optimized_model_filepath = str(optimised)
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "eight", "four"])
def test_the_exported_file_answers_like_the_network(name, exported):
    answers = np.load(exported[name].with_name("answers.npz"))
    [logits] = session(exported[name]).run(None, {"images": answers["images"]})
    np.testing.assert_allclose(logits, answers["logits"], atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_the_file_really_gets_smaller(exported):
    plain, eight, four = (exported[name].stat().st_size for name in ("plain", "eight", "four"))
    assert eight < plain / 3 and four < plain / 5.5
    assert deflated_bytes(exported["four"]) < four < deflated_bytes(exported["plain"]) < plain


@pytest.mark.slow
def test_the_runtime_runs_what_it_would_have_run(exported, tmp_path):
    """Codebooks, casts, scales and shifts are gone once the file is open."""
    operations = {}
    for name, path in exported.items():
        session(path, tmp_path / f"{name}.onnx")
        operations[name] = Counter(node.op_type for node in onnx.load(tmp_path / f"{name}.onnx").graph.node)
    assert operations["plain"] == operations["eight"] == operations["four"]
    assert operations["plain"]["Conv"] == 19 and "Gather" not in operations["plain"]


@pytest.mark.slow
def test_expanding_gives_the_weights_back(exported):
    for name, bits in (("eight", 8), ("four", 4)):
        model = onnx.load(exported[name])
        kinds = {tensor.data_type for tensor in model.graph.initializer if tensor.name.endswith(".indices")}
        assert kinds == {onnx.TensorProto.UINT8 if bits == 8 else onnx.TensorProto.UINT4}
        assert expand(model) == 19
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, exported[name].with_name("expanded.onnx"))
        answers = np.load(exported[name].with_name("answers.npz"))
        logits = [
            session(path).run(None, {"images": answers["images"]})[0]
            for path in (exported[name], exported[name].with_name("expanded.onnx"))
        ]
        assert np.array_equal(*logits)
        plain = count_graph(onnx.load(exported["plain"]), 16)
        assert count_graph(model, 16)["macs"] >= plain["macs"] > 0
        assert expand(model) == 0


@pytest.mark.slow
def test_half_precision_of_a_shared_file(exported, tmp_path):
    to_half(
        {"source": str(exported["four"]), "target": str(tmp_path / "half.onnx")}, lambda fraction, text: None
    )
    answers = np.load(exported["four"].with_name("answers.npz"))
    [logits] = session(tmp_path / "half.onnx").run(None, {"images": answers["images"]})
    scale = np.abs(answers["logits"]).max()
    assert np.abs(logits - answers["logits"]).max() < 0.02 * scale
    assert (tmp_path / "half.onnx").stat().st_size < exported["four"].stat().st_size


@pytest.mark.parametrize("opset", [20, 21])
def test_compacting_by_hand(opset):
    """Nine weights of few values are too small to gain; a scalar and many values stay; the rest is packed."""
    random = np.random.default_rng(0)
    arrays = {
        "few": random.integers(0, 5, (31, 7, 3)).astype(np.float32) / 3,
        "many": random.standard_normal((40, 40)).astype(np.float32),
        "tiny": np.ones(9, np.float32),
        "scalar": np.float32(2),
        "whole": random.integers(0, 5, 999),
    }
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "few"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [31, 7, 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [31, 7, 3])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    done = compact(model)
    size = -(-31 * 7 * 3 // 2) if opset == 21 else 31 * 7 * 3
    assert (done.tensors, done.before, done.after) == (1, 31 * 7 * 3 * 4, size + 5 * 4)
    names = {tensor.name for tensor in model.graph.initializer}
    assert names == {"few.codebook", "few.indices", "many", "tiny", "scalar", "whole"}
    x = random.standard_normal((31, 7, 3)).astype(np.float32)
    [y] = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    assert np.array_equal(y, x * arrays["few"])
    assert expand(model) == 1
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert np.array_equal(tensors["few"], arrays["few"])
    assert [node.op_type for node in model.graph.node] == ["Mul"]


def test_norms_become_scale_and_shift():
    model, images = small_network(), torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    separate = with_separate_norms(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in separate.modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == 19
    bare = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, affine=False)).eval()
    bare[1].running_mean.normal_()
    with torch.no_grad():
        torch.testing.assert_close(separate(images), model(images), rtol=1e-4, atol=1e-4)
        x = torch.randn(3, 6)
        torch.testing.assert_close(with_separate_norms(bare)(x), bare(x))


def test_timms_norm_keeps_its_activation():
    from core.models.torchvision_shim import import_torchvision

    import_torchvision()
    from timm.layers import BatchNormAct2d

    norm = BatchNormAct2d(5).eval()
    norm.running_mean.normal_()
    maps = torch.randn(2, 5, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(with_separate_norms(nn.Sequential(norm))(maps), norm(maps))
        assert float(norm(maps).min()) == 0


def test_the_deflated_size_is_zlibs(tmp_path):
    import zlib

    content = json.dumps(list(range(300_000))).encode()
    (tmp_path / "f").write_bytes(content)
    assert deflated_bytes(tmp_path / "f") == len(zlib.compress(content, 6))
    (tmp_path / "empty").write_bytes(b"")
    assert deflated_bytes(tmp_path / "empty") == len(zlib.compress(b"", 6))
