"""Dynamic INT8 and half precision: integers by hand, scopes, and what stays float32."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from quantize_files import PREPROCESS, logits, quiet, small, write_small

from core.common.errors import EspalierError
from core.deploy.onnx_export import metadata_of
from core.deploy.quantization import half_precision
from core.deploy.quantization.dynamic import integer_weight, quantize
from core.deploy.quantization.graph import array_of
from core.deploy.quantization.sessions import sqnr


@pytest.fixture(scope="module")
def job_arguments(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("float"))


def quantized_file(job_arguments, tmp_path, **settings):
    target = tmp_path / "int8.onnx"
    return target, quantize({**job_arguments, "target": str(target), "scope": "all", **settings}, quiet)


def test_integers_by_hand():
    weight = np.array([[0.5, -1.0], [2.0, 4.0], [0.0, 0.0]], np.float32)  # [o, i]
    integers, scale = integer_weight(weight, "Gemm", transposed=True)
    np.testing.assert_allclose(scale, [1 / 127, 4 / 127, 1.0], rtol=1e-6)
    assert (
        integers.tolist() == [[64, 64, 0], [-127, 127, 0]] and integers.dtype == np.int8
    )  # [i, o]; 63.5 → 64
    integers, scale = integer_weight(weight[:, :, None, None], "Conv", transposed=False)
    assert integers[:, :, 0, 0].tolist() == [[192, 1], [192, 255], [128, 128]] and integers.dtype == np.uint8
    assert scale.shape == (1, 3, 1, 1)


def test_convolutions_and_products_become_integers(job_arguments, tmp_path):
    target, report = quantized_file(job_arguments, tmp_path)
    model = onnx.load(target)
    types = [node.op_type for node in model.graph.node]
    assert types.count("ConvInteger") == 5 and types.count("MatMulInteger") == 1
    assert not {"Conv", "Gemm", "MatMul"} & set(types)
    assert types.count("DynamicQuantizeLinear") == 6  # one for each tensor that layers read
    assert report["quantized"] == {"Conv": 5, "Gemm": 1} and report["skipped"] == []
    assert report["int8_parameters"] == 16 * 27 + 16 * 9 + 16 * 16 + 24 * 16 * 9 + 24 * 8 + 40
    assert metadata_of(model)["precision"] == "int8" and metadata_of(model)["run"] == "r1"
    assert sqnr(logits(Path(job_arguments["source"])), logits(target)) > 30


def test_the_linear_scope_leaves_convolutions_exactly_as_they_are(job_arguments, tmp_path):
    target, report = quantized_file(job_arguments, tmp_path, scope="linear")
    model, source = onnx.load(target), onnx.load(job_arguments["source"])
    assert report["quantized"] == {"Gemm": 1} and len(report["skipped"]) == 5
    assert report["skipped"][0] == ("stem", "a convolution, outside the scope 'linear'")
    for name in ("mix.weight", "depthwise.weight"):
        assert np.array_equal(array_of(model, name), array_of(source, name))


def test_a_product_by_hand(job_arguments, tmp_path):
    """The last layer's answer from its input: both rounded as ONNX says."""
    target, _ = quantized_file(job_arguments, tmp_path, scope="linear")
    import torch

    model, kept = small(), []
    model.head.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0].numpy()))
    from quantize_files import images

    with torch.no_grad():
        model(PREPROCESS(images()))
    [values] = kept
    low, high = min(values.min(), 0), max(values.max(), 0)
    scale = (high - low) / 255
    zero = np.round(-low / scale)
    rounded = (np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale
    integers, scales = integer_weight(model.head.weight.detach().numpy(), "Gemm", transposed=True)
    wanted = rounded @ (integers * scales) + model.head.bias.detach().numpy()
    np.testing.assert_allclose(
        logits(target), wanted, atol=float(2 * scale * np.abs(integers * scales).max())
    )


def test_kept_layers_say_so(job_arguments, tmp_path):
    _, report = quantized_file(job_arguments, tmp_path, keep=["head"])
    assert report["skipped"] == [("head", "kept in float by 'head'")]


@pytest.fixture(scope="module")
def transformer(tmp_path_factory) -> Path:
    """A file with the operators that the cautious copy keeps."""
    import torch
    from torch import nn

    from core.deploy.onnx_export import describe, export_module

    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 4, 4), nn.Flatten(2), nn.LayerNorm(9), nn.Linear(9, 9), nn.GELU(), nn.Flatten()]
    path = tmp_path_factory.mktemp("transformer") / "float32.onnx"
    about = describe(("a", "b"), PREPROCESS, "float32", {})
    export_module(nn.Sequential(*layers, nn.Linear(72, 2)), PREPROCESS, path, about)
    return path


@pytest.mark.parametrize("cautious", [False, True])
def test_half_precision_opens_and_answers(transformer, tmp_path, cautious):
    target = tmp_path / "float16.onnx"
    report = half_precision.convert(
        {"source": str(transformer), "target": str(target), "cautious": cautious}, quiet
    )
    assert report == {"kept": {"Gelu": 1, "LayerNormalization": 1} if cautious else {}}
    assert half_precision.answers({"path": str(target), "threads": 1}, quiet) == {"finite": True}
    model = onnx.load(target)
    assert metadata_of(model)["precision"] == "float16"
    assert (
        array_of(model, next(t.name for t in model.graph.initializer if len(t.dims) == 4)).dtype == np.float16
    )
    assert 0 < np.abs(logits(target) - logits(transformer)).max() < 0.01


def test_a_half_precision_file_is_no_source(transformer, tmp_path):
    target = tmp_path / "float16.onnx"
    half_precision.convert({"source": str(transformer), "target": str(target)}, quiet)
    with pytest.raises(EspalierError, match=r"holds half precision weights"):
        quantize({"source": str(target), "target": str(tmp_path / "x.onnx"), "scope": "all"}, quiet)
