"""Sensitivity by hand, the search for the fewest float layers, and the file that comes of it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from quantize_files import logits, quiet, small

from core.common.errors import EspalierError
from core.data.preprocess import Preprocess
from core.data.settings import DataSettings
from core.data.store import open_data
from core.deploy.onnx_export import describe, export_module
from core.deploy.quantization.calibrated import calibrated
from core.deploy.quantization.graph import array_of
from core.deploy.quantization.mixed import Outcome, fewest, quantize
from core.deploy.quantization.sensitivity import LayerTrials, confirm, ranked, sensitivities
from core.deploy.quantization.sessions import agreement, divergence, run, sqnr, top1

SETTINGS = DataSettings(image_size=12, train_images=200, validation_images=100, test_images=50)


@pytest.fixture(scope="module")
def job_arguments(tmp_path_factory):
    """A file for the sample data set's ten classes, with its data."""
    from torch import nn

    folder = tmp_path_factory.mktemp("mixed")
    data = open_data(SETTINGS, folder)
    model = small()
    model.head = nn.Linear(8, 10)
    preprocess = Preprocess(12, 3, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    export_module(
        model, preprocess, folder / "float32.onnx", describe(data.classes, preprocess, "float32", {})
    )
    return {
        "source": str(folder / "float32.onnx"), "data": SETTINGS.model_dump(mode="json"), "data_cache": str(folder),
        "images_count": 64, "seed": 1, "method": "minmax", "percentile": 99.9, "activations": "uint8", "threads": 1,
        "way": "alone", "measure": "sqnr", "sensitivity_images": 50, "confirm": 2, "max_loss": 100.0,
        "min_agreement": 0.0, "most_kept": 100.0, "kept_as": "float32",
    }  # fmt: skip


def test_measures_by_hand():
    reference = np.array([[2.0, 0.0], [0.0, 1.0]])
    candidate = np.array([[1.0, 0.0], [0.5, 0.0]])
    assert sqnr(reference, candidate) == pytest.approx(10 * np.log10(5 / (1 + 0.25 + 1)))
    assert sqnr(reference, reference) == float("inf")
    assert agreement(reference, candidate) == 50.0 and top1(candidate, np.array([0, 0])) == 100.0
    p = np.exp(reference) / np.exp(reference).sum(1, keepdims=True)
    q = np.exp(candidate) / np.exp(candidate).sum(1, keepdims=True)
    assert divergence(reference, candidate) == pytest.approx((p * np.log(p / q)).sum(1).mean())


@pytest.mark.parametrize(
    ("way", "measure", "first"),
    [("alone", "sqnr", "low"), ("alone", "divergence", "high"), ("left-out", "sqnr", "high"),
     ("left-out", "divergence", "low"), ("alone", "agreement", "low")],
)  # fmt: skip
def test_the_most_sensitive_comes_first(way, measure, first):
    assert ranked([("low", 1.0), ("mid", 2.0), ("high", 3.0)], way, measure)[0][0] == first


@pytest.mark.parametrize(
    ("most", "enough"), [(10, 0), (10, 1), (10, 4), (10, 10), (10, 11), (0, 3), (57, 23)]
)
def test_the_fewest_layers_are_found_by_halving(most, enough):
    counts_tried = []

    def outcome(float_layers: int) -> Outcome:
        counts_tried.append(float_layers)
        return Outcome(float_layers, 90.0, float(float_layers < enough), 99.0, onnx.ModelProto())

    tried = fewest(most, outcome, lambda found: found.lost == 0)
    assert tried[0].float_layers == 0 and tried[-1].float_layers == min(enough, most)
    assert len(set(counts_tried)) <= 2 + np.ceil(np.log2(max(most, 2)))


def test_a_ranking_and_its_confirmation(job_arguments):
    graph = calibrated(job_arguments, quiet)
    blocks = list(graph.sample.blocks())
    trials = LayerTrials(
        graph.model, graph.layers, graph.ranges, graph.numbers, blocks, run(graph.model, blocks, 1), 1
    )
    ranking = sensitivities(trials, "alone", "sqnr", graph.layers, quiet)
    assert {name for name, _ in ranking} == {layer.name for layer in graph.layers}
    assert [value for _, value in ranking] == sorted(value for _, value in ranking)
    everything = sqnr(trials.reference, trials.left_out())
    names = [layer.name for layer in graph.layers]
    assert sqnr(trials.reference, trials.left_out(*names)) == float("inf")
    order = [name for name, _ in ranking]
    gains = confirm(trials, order[:2])
    first, both = (sqnr(trials.reference, trials.left_out(*order[:count])) for count in (1, 2))
    assert gains == {order[0]: pytest.approx(first - everything), order[1]: pytest.approx(both - first)}
    assert gains[order[0]] > 0 and gains[order[0]] > confirm(trials, order[-1:])[order[-1]]


def test_one_layer_alone_by_hand(job_arguments):
    """The last layer's input and weights rounded, all else in float."""
    graph = calibrated(job_arguments, quiet)
    blocks = list(graph.sample.blocks())
    trials = LayerTrials(
        graph.model, graph.layers, graph.ranges, graph.numbers, blocks, np.zeros((64, 10)), 1
    )
    [head] = [layer for layer in graph.layers if layer.name == "head"]
    probed = onnx.ModelProto()
    probed.CopyFrom(graph.model)
    del probed.graph.output[:]
    probed.graph.output.append(onnx.helper.make_tensor_value_info(head.input, onnx.TensorProto.FLOAT, None))
    values, (low, high) = run(probed, blocks, 1), graph.ranges[head.input]
    scale = (max(high, 0) - min(low, 0)) / 255
    zero = np.round(-min(low, 0) / scale)
    rounded = (np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale
    weight = array_of(graph.model, head.weight)  # [o, i]
    steps = np.abs(weight).max(1, keepdims=True) / 127
    wanted = rounded @ (np.round(weight / steps) * steps).T + array_of(graph.model, "head.bias")
    np.testing.assert_allclose(trials.alone("head"), wanted, atol=float(scale * np.abs(weight).max()))
    assert np.abs(trials.alone("head") - run(graph.model, blocks, 1)).max() > 0


def test_a_loose_budget_keeps_nothing_in_float(job_arguments, tmp_path):
    report = quantize({**job_arguments, "target": str(tmp_path / "mixed.onnx")}, quiet)
    assert report["kept"] == [] and report["met"] and report["quantized_layers"] == 6
    assert report["tried"] == [
        {"kept": 0, "top1": report["int8_top1"], "agreement": report["int8_agreement"]}
    ]
    assert (
        report["validation_images"] == 100 and len(report["left_out"]) == len(report["left_out_least"]) == 2
    )


def test_a_strict_budget_gives_layers_back(job_arguments, tmp_path):
    target = tmp_path / "mixed.onnx"
    report = quantize(
        {**job_arguments, "target": str(target), "min_agreement": 100.0, "max_loss": 0.0}, quiet
    )
    ranking = [name for name, _ in report["ranking"]]
    assert (
        report["met"] and report["mixed_agreement"] == 100.0 and report["mixed_top1"] == report["float_top1"]
    )
    assert report["kept"] == ranking[: len(report["kept"])]
    reasons = dict(report["skipped"])
    assert [reasons[name] for name in report["kept"]] == [
        f"number {n + 1} in sensitivity" for n in range(len(report["kept"]))
    ]
    assert report["quantized_layers"] == 6 - len(report["kept"])


def test_a_budget_out_of_reach_is_said(job_arguments, tmp_path):
    report = quantize(
        {**job_arguments, "target": str(tmp_path / "m.onnx"), "min_agreement": 100.0, "most_kept": 0.0}, quiet
    )
    assert report["kept"] == [] and report["met"] == (
        report["int8_agreement"] == 100.0 and report["int8_top1"] >= report["float_top1"]
    )


def test_kept_layers_can_be_stored_as_halves(job_arguments, tmp_path):
    """Half the bytes for the kept layers, and the same answers as rounding their weights to halves."""
    files = {}
    for kept_as in ("float32", "float16"):
        files[kept_as] = tmp_path / f"{kept_as}.onnx"
        settings = {"keep": ["clipped", "head"], "kept_as": kept_as, "target": str(files[kept_as])}
        report = quantize({**job_arguments, **settings}, quiet)
        assert report["skipped"][0] == ("clipped", "kept in float by 'clipped'")
    whole, halved = (onnx.load(files[name]) for name in ("float32", "float16"))
    tensors = {tensor.name: tensor for tensor in halved.graph.initializer}
    assert (
        tensors["clipped.weight_half"].data_type == onnx.TensorProto.FLOAT16
        and "clipped.weight" not in tensors
    )
    saved = files["float32"].stat().st_size - files["float16"].stat().st_size
    assert saved > 24 * 16 * 9 * 2 * 0.8
    rounded = onnx.ModelProto()
    rounded.CopyFrom(whole)
    for tensor in rounded.graph.initializer:
        if f"{tensor.name}_half" in tensors:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    np.testing.assert_allclose(logits(files["float16"]), logits(rounded), rtol=1e-4, atol=1e-5)


def test_other_classes_are_refused(job_arguments, tmp_path):
    from core.deploy.onnx_export import annotate, metadata_of

    model = onnx.load(job_arguments["source"])
    annotate(model, {**metadata_of(model), "classes": '["a", "b"]'})
    path = Path(tmp_path / "other.onnx")
    onnx.save(model, path)
    with pytest.raises(EspalierError, match="The file and the data set have different classes, among them"):
        quantize({**job_arguments, "source": str(path), "target": str(tmp_path / "m.onnx")}, quiet)
