"""Learned rounding: against longhand, its samples against the network itself, and what it saves a per-tensor file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from quantize_files import PREPROCESS, logits, quiet, write_small

from core.deploy.quantization import equalise, reconstruct, static
from core.deploy.quantization.calibrated import calibrated
from core.deploy.quantization.calibration import Sample
from core.deploy.quantization.graph import array_of, layers_of, node_called
from core.deploy.quantization.rounding import LayerForm, LayerSample, learn
from core.deploy.quantization.sessions import sqnr
from core.deploy.quantization.whole_numbers import Bounds, compensated, moments

LEARN = {"learn_images": 40, "steps": 120, "drop": 0.5, "learn_ranges": True}


@pytest.fixture(scope="module")
def job_arguments(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("float")) | {"scales": "tensor"}


def one_output(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights [1, 8] between levels and inputs [1, n, 8] that go together: rounding each to the nearest is not best."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(400, 3)) @ random.normal(size=(3, 8)) + 0.2 * random.normal(size=(400, 8))
    weight = random.uniform(-9, 9, (1, 8))
    weight[0, 0] = 10
    return weight.astype(np.float32), inputs[None].astype(np.float32)


def error_of(candidate: np.ndarray, weight: np.ndarray, inputs: np.ndarray) -> float:
    """Mean square of what a linear layer's answers change by; the bias takes the mean."""
    left = inputs[0] @ (weight - candidate).T
    return float(np.square(left - left.mean(0)).mean())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_single_step_is_left_that_lowers_the_error(seed):
    weight, inputs = one_output(seed)
    form = LayerForm(groups=1, limits=None, scale=np.ones((1, 1), np.float32), most=10, ends=None)
    sample = LayerSample(inputs, inputs, (inputs[0] @ weight.T).astype(np.float32))
    learned = learn(weight, np.zeros(1, np.float32), sample, form, 100, 0.0, 5)
    reached = error_of(learned.weight, weight, inputs)
    assert learned.after == pytest.approx(reached, rel=1e-3)
    assert ((learned.weight == np.floor(weight)) | (learned.weight == np.ceil(weight))).all()
    for column in range(1, 8):  # the first is whole, and stays
        other = learned.weight.copy()
        other[0, column] = np.floor(weight[0, column]) + (other[0, column] == np.floor(weight[0, column]))
        assert error_of(other, weight, inputs) > 0.97 * reached  # damped by 1 %
    assert reached <= error_of(np.round(weight), weight, inputs)


def test_compensation_is_that_of_optimal_brain_surgery_in_a_fixed_order():
    """Round one weight, let the others take up its error by the inverse of the second moments, strike it out, and so on."""
    weight, inputs = one_output(7)
    patches = torch.from_numpy(inputs)
    found = moments(patches, patches)
    left, inverse = weight[0].astype(np.float64), np.linalg.inv(found.own[0].double().numpy())
    expected = []
    for _ in range(8):
        whole = float(np.clip(np.round(left[0]), -10, 10))
        left = left - inverse[:, 0] * (left[0] - whole) / inverse[0, 0]
        inverse = inverse - np.outer(inverse[:, 0], inverse[0]) / inverse[0, 0]
        expected.append(whole)
        left, inverse = left[1:], inverse[1:, 1:]
    far = torch.full((1, 8), 10.0)
    assert compensated(torch.from_numpy(weight), found, Bounds(-far, far))[0].tolist() == expected
    assert expected != np.round(weight[0]).tolist()


def test_the_range_of_the_answers_is_learned():
    """One answer of 100 000 is fifty times as large as the others: cutting it off costs less than rounding all coarsely."""
    random = np.random.default_rng(3)
    inputs = random.uniform(0, 1, (1, 4000, 1)).astype(np.float32)
    inputs[0, 0] = 6
    form = LayerForm(1, (0.0, float("inf")), np.ones((1, 1), np.float32), 1, (0.0, 6.0))
    sample = LayerSample(inputs, inputs, inputs[0].copy())
    learned = learn(np.ones((1, 1), np.float32), np.zeros(1, np.float32), sample, form, 0, 0.0, 1)
    assert learned.ends == (0.0, 6.0) and learned.moved == 0
    learned = learn(np.ones((1, 1), np.float32), np.zeros(1, np.float32), sample, form, 300, 0.0, 1)
    assert learned.ends is not None and learned.ends[1] < 6


def test_patches_are_what_each_layer_reads(job_arguments):
    graph = calibrated({**job_arguments, "correct_bias": "on"}, quiet)
    rounded, _ = replace(graph, corrects=False).quantized((), quiet)
    for layer in graph.layers:
        form = reconstruct._form(graph, rounded, layer, {"learn_ranges": True})
        with reconstruct.Networks.on(graph.sample) as networks:
            sample = reconstruct._sample(graph.model, rounded, layer, networks, 3)
        weight, bias = reconstruct._weights(graph.model, layer)
        grouped = weight.reshape(form.groups, -1, sample.exact.shape[2])  # [g, o/g, d]
        given = np.einsum("gnd,god->ngo", sample.exact, grouped).reshape(len(sample.answers), -1) + bias
        np.testing.assert_allclose(given, sample.answers, rtol=1e-3, atol=1e-4)
        assert sqnr(sample.exact, sample.rounded) > 20 and not np.array_equal(sample.exact, sample.rounded)
        assert form.most == 127 and (form.limits is None) == (layer.name in ("mix", "narrow", "head"))
        assert (form.ends is None) == (layer.name == "head")  # logits stay float


def test_what_was_learned_stands_in_the_file_and_saves_it(job_arguments, tmp_path):
    target, plain = tmp_path / "learned.onnx", tmp_path / "plain.onnx"
    report = reconstruct.quantize({**job_arguments, **LEARN, "target": str(target)}, quiet)
    static.quantize({**job_arguments, "target": str(plain)}, quiet)
    source = logits(Path(job_arguments["source"]))
    assert sqnr(source, logits(target)) > sqnr(source, logits(plain)) + 6
    assert [row["name"] for row in report["reconstructed"]] == [
        "stem",
        "depthwise",
        "mix",
        "clipped",
        "narrow",
        "head",
    ]
    assert all(row["after"] <= row["before"] for row in report["reconstructed"])
    model = onnx.load(target)
    original = calibrated({**job_arguments, "correct_bias": "on"}, quiet)
    moved = []
    for layer in original.layers:
        dequantize = next(
            n for n in model.graph.node if n.output[0] == node_called(model, layer.node).input[1]
        )
        integers, scale = (array_of(model, name) for name in dequantize.input[:2])
        values = array_of(original.model, layer.weight) / scale
        assert np.abs(integers - values).max() < 1 + 1e-2  # up or down, and no further
        moved.append(int((integers != np.round(values)).sum()))
    assert sum(moved) > 0
    again = tmp_path / "again.onnx"
    reconstruct.quantize({**job_arguments, **LEARN, "target": str(again)}, quiet)
    assert again.read_bytes() == target.read_bytes()


def test_a_kept_layer_stays_float_and_is_not_learned(job_arguments, tmp_path):
    arguments = {**job_arguments, **LEARN, "steps": 0, "keep": ["mix"], "target": str(tmp_path / "kept.onnx")}
    report = reconstruct.quantize(arguments, quiet)
    assert "mix" not in [row["name"] for row in report["reconstructed"]] and report["quantized_layers"] == 5


# Equalising over activations that bend


def test_factors_that_relu6_allows_by_hand():
    values = np.array([
        [1.0, 2.0, 3.0, 0.5],  # never cut: its largest may become 6 and as small as we try
        [12.0, 12.0, -1.0, 12.0],  # cut most of the time: no factor at all
        [-2.0, -1.0, -3.0, -9.0],  # always zero: any
    ])  # fmt: skip
    low, high = equalise.allowed(values, lambda z: np.clip(z, 0, 6))
    assert low.tolist() == [0.5, 1.0, 1 / 16] and high.tolist() == [16.0, 1.0, 16.0]


def test_factors_that_hard_swish_allows_keep_their_bound():
    values = np.random.default_rng(1).normal(0, [[0.1], [4.0], [40.0]], (3, 500))

    def hard_swish(z):
        return z * np.clip(z + 3, 0, 6) / 6

    for factors in equalise.allowed(values, hard_swish):
        s = factors[:, None]
        error = np.square(s * hard_swish(values / s) - hard_swish(values)).mean(1)
        assert (error <= equalise.BOUND * np.square(hard_swish(values)).mean(1)).all()


def test_layers_are_equalised_over_relu6_within_the_bound(job_arguments):
    graph = calibrated(job_arguments, quiet)
    model, said = equalise.equalised(graph.model, graph.layers, graph.sample)
    assert said == (
        "Equalised: 2 pairs of neighbouring convolutions, 1 of them over ReLU6 or hard-swish, where each channel changes "
        "by at most 0.1 % of its mean square."
    )
    assert sqnr(logits(graph.model), logits(model)) > 30
    by = {layer.name: layer for layer in layers_of(model)}
    before, after = (
        np.abs(array_of(each, by["clipped"].weight)).max((1, 2, 3)) for each in (graph.model, model)
    )
    assert not np.allclose(before, after)


def signal(file: Path, arguments: dict, equalised: object) -> tuple[float, list[str]]:
    target = file.with_name("rounded.onnx")
    given = arguments | {"equalise": equalised, "over_relu6": equalised is True, "target": str(target)}
    report = reconstruct.quantize(given | LEARN | {"steps": 0}, quiet)
    return sqnr(logits(onnx.load(file)), logits(onnx.load(target))), report["notes"]


@pytest.mark.parametrize("scales", ["tensor", "channel"])
def test_layers_are_equalised_where_that_comes_nearer_to_float(tmp_path, scales):
    """Channels that differ by a factor of 300 need it with one scale a layer; with a scale each, nothing is lost by the trial."""
    arguments = write_small(tmp_path) | {"scales": scales}
    ways = [signal(Path(arguments["source"]), arguments, way)[0] for way in (False, True)]
    chosen, notes = signal(Path(arguments["source"]), arguments, "auto")
    assert chosen > max(ways) - 1.0, (chosen, ways)
    [said] = [note for note in notes if "signal to noise of the logits" in note]
    if scales == "tensor":
        assert said.startswith("Equalised: ") and ways[1] > ways[0] + 3


@pytest.mark.parametrize(
    ("count", "part", "parts", "batch"),
    [(5, 0, 1, None), (5, 1, 2, None), (30, 0, 2, None), (5, 0, 1, 4), (1, 0, 1, 8)],
)
def test_a_sample_is_spread_over_the_rows_in_whole_calls(count, part, parts, batch):
    rows = np.arange(100, 120)
    whole = Sample(np.zeros((120, 2, 2, 3), np.uint8), rows, rows * 2, PREPROCESS, batch)
    few = whole.spread(count, part, parts)
    assert set(few.rows) <= set(rows) and (few.labels == 2 * few.rows).all()
    if batch:
        assert len(few) % batch == 0
    else:
        others = [row for other in range(parts) for row in whole.spread(count, other, parts).rows]
        assert len(others) == len(set(others)) and len(few) == min(count, 20 // parts)
