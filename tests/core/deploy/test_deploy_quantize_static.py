"""Static INT8: integers, scales and ranges against longhand, and what stays float stays exact."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from quantize_files import PREPROCESS, images, logits, quiet, write_small

from core.common.errors import EspalierError
from core.data.settings import DataSettings
from core.data.store import open_data
from core.deploy.onnx_export import annotate, metadata_of
from core.deploy.quantization import bias, equalise
from core.deploy.quantization.calibrated import calibrated, resolve_activations
from core.deploy.quantization.calibration import draw, fewer_than_asked
from core.deploy.quantization.graph import array_of, layers_of, node_called, prepare
from core.deploy.quantization.qdq import NumberFormat, is_quantized, quantized
from core.deploy.quantization.sessions import sqnr
from core.deploy.quantization.static import quantize

ALL = {"stem", "depthwise", "mix", "clipped", "narrow", "head"}


@pytest.fixture(scope="module")
def job_arguments(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("float"))


@pytest.fixture(scope="module")
def calibrated_graph(job_arguments):
    return calibrated(job_arguments, quiet)


def quantized_file(job_arguments, tmp_path, **settings):
    target = tmp_path / "int8.onnx"
    report = quantize({**job_arguments, "target": str(target), **settings}, quiet)
    return target, report


def weights(model, layer):
    """Integers, scales and zero points of a layer of a QDQ graph."""
    name = node_called(model, layer.node).input[1]
    [node] = [node for node in model.graph.node if name in node.output]
    assert node.op_type == "DequantizeLinear"
    return [array_of(model, entry) for entry in node.input]


def test_layers_are_named_as_in_the_network(calibrated_graph):
    assert {layer.name for layer in calibrated_graph.layers} == ALL
    by = {layer.name: layer for layer in calibrated_graph.layers}
    assert len(by["depthwise"].nodes) == 2 and len(by["mix"].nodes) == 1  # with its Relu; an addition follows
    assert sum(by["depthwise"].constants.values()) == 16 * 9 + 16
    assert sum(by["head"].constants.values()) == 8 * 5 + 5


def test_integers_and_scales_by_hand(job_arguments, calibrated_graph, tmp_path):
    model = onnx.load(quantized_file(job_arguments, tmp_path)[0])
    for layer in calibrated_graph.layers:
        values = array_of(calibrated_graph.model, layer.weight)
        integers, scale, zero = weights(model, layer)
        largest = np.abs(values.reshape(len(values), -1)).max(1)  # convolutions and Gemm: one row a channel
        np.testing.assert_allclose(scale, largest / 127, rtol=1e-5)
        shape = (-1, *[1] * (values.ndim - 1))
        assert np.abs(integers - values / scale.reshape(shape)).max() <= 0.5 + 1e-3
        assert not zero.any() and integers.dtype == np.int8
    pixels = PREPROCESS(images()).numpy()
    low, high = calibrated_graph.ranges["images"]
    assert (low, high) == (pytest.approx(pixels.min()), pytest.approx(pixels.max()))
    [entry] = [
        node for node in model.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "images"
    ]
    scale, zero = (array_of(model, name) for name in entry.input[1:])
    assert float(scale) == pytest.approx((high - low) / 255) and zero.dtype == np.uint8
    assert int(zero) == round(-low / float(scale))


def test_the_file_keeps_what_it_says_and_answers_alike(job_arguments, tmp_path):
    target, report = quantized_file(job_arguments, tmp_path)
    metadata = metadata_of(onnx.load(target))
    assert (metadata["precision"], metadata["run"]) == ("int8", "r1") and "gnat" in metadata["classes"]
    assert not any(name.startswith("onnx.") for name in metadata)
    assert report["quantized"] == {"Add": 1, "Conv": 5, "Gemm": 1} and report["quantized_layers"] == 6
    assert (
        report["int8_parameters"]
        == report["parameters"]
        == sum((16 * 27 + 16, 16 * 9 + 16, 16 * 16 + 16, 24 * 16 * 9 + 24, 24 * 8 + 8, 45))
    )
    assert sqnr(logits(tmp_path / job_arguments["source"]), logits(target)) > 25
    assert "activations are unsigned 8-bit" in report["notes"][0]


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_other_calibrations_stay_inside_the_extremes(job_arguments, calibrated_graph, method):
    ranges = calibrated({**job_arguments, "method": method, "percentile": 95.0}, quiet).ranges
    assert ranges.keys() == calibrated_graph.ranges.keys()
    for name, (low, high) in ranges.items():
        assert (
            calibrated_graph.ranges[name][0] - 1e-5 <= low <= high <= calibrated_graph.ranges[name][1] + 1e-5
        )
    if method == "percentile":
        values = PREPROCESS(images()).numpy()
        low, high = ranges["images"]
        inside = ((values >= low) & (values <= high)).mean()
        assert inside == pytest.approx(0.95, abs=0.02)


def test_a_kept_layer_is_not_rounded_behind_our_back(job_arguments, tmp_path):
    """ONNX Runtime quantizes float weights between quantized tensors per tensor, unless it is kept from it."""
    target, report = quantized_file(job_arguments, tmp_path, keep=["depth*"])
    assert ("depthwise", "kept in float by 'depth*'") in report["skipped"] and report["quantized_layers"] == 5
    assert sqnr(logits(target, optimise=False), logits(target)) > 35
    assert sqnr(logits(tmp_path / job_arguments["source"]), logits(target)) > 25


def test_a_pattern_without_a_layer_is_refused(job_arguments, tmp_path):
    with pytest.raises(EspalierError) as caught:
        quantized_file(job_arguments, tmp_path, keep=["body.*"])
    assert caught.value.message == "Expected names of layers to keep in float, 'body.*' matches none."
    assert caught.value.advice == "Names look like stem, depthwise, mix, clipped; * stands for any text."


def test_a_quantized_file_is_refused(job_arguments, tmp_path):
    target, _ = quantized_file(job_arguments, tmp_path)
    with pytest.raises(EspalierError, match=r"is quantized already \(DequantizeLinear"):
        quantize({**job_arguments, "source": str(target), "target": str(tmp_path / "again.onnx")}, quiet)


def test_signed_activations_and_seven_bits(job_arguments, calibrated_graph, tmp_path):
    model = onnx.load(quantized_file(job_arguments, tmp_path, activations="int8", seven_bits=True)[0])
    zeros = {node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    assert {array_of(model, name).dtype for name in zeros} == {np.dtype(np.int8)}
    for layer in calibrated_graph.layers:
        assert np.abs(weights(model, layer)[0].astype(int)).max() <= 64
    assert resolve_activations("int8") == "int8" and resolve_activations("auto") in ("uint8", "int8")


def test_bias_correction_takes_the_mean_error_out(calibrated_graph):
    model = bias.with_biases(calibrated_graph.model, calibrated_graph.layers)
    numbers, names = NumberFormat(), [layer.raw for layer in calibrated_graph.layers]
    made_, blocks = (
        quantized(model, calibrated_graph.layers, calibrated_graph.ranges, numbers),
        list(calibrated_graph.sample.blocks()),
    )
    float_means = bias.channel_means(model, names, blocks)

    def errors():
        differences = []
        for layer in calibrated_graph.layers:
            name = node_called(made_, layer.node).output[0]
            [mean] = bias.channel_means(made_, [name], blocks).values()
            differences.append(float(np.abs(mean - float_means[layer.raw]).mean()))
        return np.array(differences)

    before = errors()
    said = bias.correct(
        made_,
        model,
        calibrated_graph.layers,
        is_quantized(made_, calibrated_graph.layers),
        calibrated_graph.sample,
        quiet,
    )
    assert said == "The biases of 6 layers were corrected on 40 calibration images."
    after = errors()
    assert (after < before).all() and after.sum() < 0.2 * before.sum()


def test_channel_means_by_hand(calibrated_graph):
    [means] = bias.channel_means(
        calibrated_graph.model, ["images"], list(calibrated_graph.sample.blocks())
    ).values()
    np.testing.assert_allclose(means, PREPROCESS(images()).numpy().mean((0, 2, 3)), rtol=1e-5)


def test_equalised_layers_answer_the_same_with_channels_of_like_range(calibrated_graph):
    model, said = equalise.equalised(calibrated_graph.model, calibrated_graph.layers)
    assert said.startswith("Equalised: 1 pair of neighbouring convolutions; not 1 with a ReLU6")
    np.testing.assert_allclose(logits(model), logits(calibrated_graph.model), rtol=1e-3, atol=1e-4)
    by = {layer.name: layer for layer in layers_of(model)}
    depthwise, mix = (array_of(model, by[name].weight) for name in ("depthwise", "mix"))
    np.testing.assert_allclose(np.abs(depthwise).max((1, 2, 3)), np.abs(mix).max((0, 2, 3)), rtol=1e-2)
    spread = np.abs(array_of(calibrated_graph.model, by["depthwise"].weight)).max((1, 2, 3))
    assert spread.max() / spread.min() > 100 > 10 * np.ptp(np.log10(np.abs(depthwise).max((1, 2, 3))))


def test_channels_that_a_grouped_convolution_reads():
    weight = np.arange(4 * 2 * 1 * 1, dtype=float).reshape(4, 2, 1, 1)  # 4 outputs, 4 inputs in 2 groups
    assert equalise.by_input(weight, 2)[:, :, 0, 0].tolist() == [[0, 2], [1, 3], [4, 6], [5, 7]]
    factors = np.array([1.0, 10.0, 100.0, 1000.0])
    scaled = equalise._scaled_inputs(weight, 2, factors)
    assert scaled[:, :, 0, 0].tolist() == [[0, 10], [2, 30], [400, 5000], [600, 7000]]


def test_calibration_images_are_training_images_evenly_over_the_classes(job_arguments, tmp_path):
    settings = DataSettings(image_size=12, train_images=200, validation_images=50, test_images=50)
    data = open_data(settings, tmp_path)
    model = prepare_for(data.classes, job_arguments)
    arguments = {"data": settings.model_dump(mode="json"), "data_cache": str(tmp_path)}
    sample = draw(model, arguments, "train", 50, 3)
    assert set(sample.rows) <= set(data.split("train")) and len(sample) == 50
    order = [
        tuple(reversed(data.classes)).index(name) for name in data.classes
    ]  # the file's order is another
    assert sample.labels.tolist() == [order[label] for label in data.labels[sample.rows]]
    assert set(np.bincount(sample.labels, minlength=10)) == {5}
    assert draw(model, arguments, "train", 50, 3).rows.tolist() == sample.rows.tolist()
    assert fewer_than_asked(sample, 50) == ""
    assert fewer_than_asked(sample, 256) == "Calibrated on 50 images; 256 were asked for."
    assert draw(model, arguments, "train", 50, 4).rows.tolist() != sample.rows.tolist()
    with pytest.raises(EspalierError, match="The file and the data set have different classes"):
        draw(prepare(Path(job_arguments["source"])), arguments, "train", 50, 3)


def prepare_for(classes, job_arguments):
    """The file as if it were made for these classes, in the opposite order."""
    model = onnx.load(job_arguments["source"])
    annotate(model, {**metadata_of(model), "classes": json.dumps(list(reversed(classes)))})
    return model
