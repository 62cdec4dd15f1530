"""Widths under a size budget: the choice against all choices, a layer alone by hand, and the file that comes of it."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from quantize_files import quiet

from core.data.preprocess import Preprocess
from core.data.settings import DataSettings
from core.data.store import open_data
from core.deploy.onnx_export import describe, export_module
from core.deploy.quantization import bit_widths
from core.deploy.quantization.bit_widths import FLOAT, Layered, Option, choose
from core.deploy.quantization.calibrated import calibrated
from core.deploy.quantization.graph import array_of, prepare
from core.deploy.quantization.sessions import run
from core.onnx_graph.shared_weights import expand

SETTINGS = DataSettings(image_size=12, train_images=60, validation_images=50, test_images=20)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A network whose middle layers are large enough that 4 bits save bytes, with its data."""
    from torch import nn

    folder = tmp_path_factory.mktemp("widths")
    data = open_data(SETTINGS, folder)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.Conv2d(16, 48, 3), nn.ReLU(), nn.Conv2d(48, 48, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(48, 10),
    )  # fmt: skip
    preprocess = Preprocess(12, 3, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    export_module(
        model.eval(), preprocess, folder / "float32.onnx", describe(data.classes, preprocess, "float32", {})
    )
    return {
        "source": str(folder / "float32.onnx"), "data": SETTINGS.model_dump(mode="json"), "data_cache": str(folder),
        "images_count": 40, "seed": 1, "method": "minmax", "percentile": 99.9, "activations": "uint8", "threads": 1,
        "sensitivity_images": 24, "most_kept": 100, "kept_as": "float16", "correct_bias": "off",
    }  # fmt: skip


def test_the_choice_is_the_best_of_all_that_fit() -> None:
    random = np.random.default_rng(5)
    for _ in range(20):
        layers = []
        for number in range(5):
            size = int(random.integers(100, 4000))
            noise = sorted(random.exponential(size=2))
            options = Option(4, size // 2, noise[1]), Option(8, size, noise[0]), Option(FLOAT, 2 * size, 0.0)
            layers.append(Layered(str(number), options))
        least = sum(layer.options[0].bytes for layer in layers)
        budget = least * random.uniform(1.0, 3.0)
        every = product(*(layer.options for layer in layers))
        best = min(
            sum(o.noise for o in each) for each in every if sum(o.bytes for o in each) <= 0.999 * budget
        )
        chosen = [
            layer.at(width) for layer, width in zip(layers, choose(layers, budget).values(), strict=True)
        ]
        assert sum(option.bytes for option in chosen) <= budget
        assert sum(option.noise for option in chosen) <= best


def test_where_nothing_fits_the_smallest_is_taken() -> None:
    layers = [Layered("a", (Option(8, 50, 1.0), Option(FLOAT, 90, 0.0))), Layered("b", (Option(4, 5, 1.0),))]
    assert choose(layers, 54) == {"a": 8, "b": 4} and choose(layers, 55) == {"a": 8, "b": 4}
    assert choose(layers, 95) == {"a": FLOAT, "b": 4}


def test_a_layer_alone_in_four_bits_by_hand(job: dict[str, Any]) -> None:
    """Its weights at the 15 whole numbers nearest to sevenths of a channel's largest; what it adds to the logits' squared error."""
    graph = calibrated(job, quiet, prepare(Path(job["source"]), 21))
    trials = bit_widths._Trials(graph, job)
    layers = {layer.name: layer for layer in trials.options(quiet)}
    first, *middle, head = (layer.name for layer in graph.layers)
    found = {name: [option.width for option in layer.options] for name, layer in layers.items()}
    assert (
        found[first] == found[head] == [8, FLOAT]
    )  # one sees the image, the other is too small to save anything
    assert all(found[name] == [4, 8, FLOAT] for name in middle)
    [layer] = [layer for layer in graph.layers if layer.name == middle[-1]]
    model = trials.plain({each.name: 4 if each is layer else FLOAT for each in graph.layers})
    assert expand(model) == 1
    stored = array_of(model, f"{layer.weight}_quantized").reshape(48, -1)
    weight = array_of(graph.model, layer.weight).reshape(48, -1)
    steps = np.abs(weight).max(1, keepdims=True) / 127
    levels = np.round(np.round(weight / steps) * 7 / 127)
    assert np.array_equal(stored, np.round(levels * 127 / 7)) and len(np.unique(stored)) <= 15
    four, eight, whole = layers[layer.name].options
    assert four.noise > 5 * eight.noise > 0 == whole.noise and four.bytes < eight.bytes < whole.bytes < 0
    weights = weight.size
    assert eight.bytes - four.bytes == pytest.approx(weights / 2, abs=600)  # half a byte each, and two nodes
    assert whole.bytes == pytest.approx(-2 * (weights + 48), abs=400)  # halves of weights and biases


@pytest.mark.parametrize("share", [24, 40])
def test_the_file_fits_and_is_what_was_chosen(share: int, job: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "mixed.onnx"
    report = bit_widths.quantize({**job, "size": share, "target": str(target)}, quiet)
    assert report["met"] and 100 * target.stat().st_size / Path(job["source"]).stat().st_size <= share
    assert report["share"] <= share and report["validation_images"] == 50
    model = onnx.load(target)
    assert expand(model) == sum(width == 4 for width in report["widths"].values())
    in_eight = sum(width != FLOAT for width in report["widths"].values())
    assert report["quantized_layers"] == in_eight and report["layers"] == 4
    blocks = [np.zeros((1, 3, 12, 12), np.float32)]
    assert np.isfinite(run(onnx.load(target), blocks, 1)).all()


def test_a_larger_budget_is_nearer_to_float(job: dict[str, Any], tmp_path: Path) -> None:
    made = [
        bit_widths.quantize({**job, "size": share, "target": str(tmp_path / "m.onnx")}, quiet)
        for share in (24, 40)
    ]
    small_one, large_one = made
    assert large_one["measured"] > small_one["measured"] + 3
    assert set(small_one["widths"].values()) >= {4} and 4 not in large_one["widths"].values()
    assert (
        small_one["predicted"] < small_one["measured"] + 1
    )  # compensated it is better than the sum of nearest levels
    assert large_one["predicted"] == pytest.approx(large_one["measured"], abs=3)


def test_only_the_most_sensitive_may_stay_float() -> None:
    layers = [
        Layered(str(n), (Option(8, 1, noise), Option(FLOAT, 2, 0.0)))
        for n, noise in enumerate((3.0, 5.0, 1.0, 4.0))
    ]
    few = bit_widths._few_in_float(layers, 2)
    assert [layer.name for layer in few if layer.options[-1].width == FLOAT] == ["1", "3"]
    assert choose(few, 100) == {"0": 8, "1": FLOAT, "2": 8, "3": FLOAT}


def test_what_cannot_be_is_the_smallest_and_said(job: dict[str, Any], tmp_path: Path) -> None:
    report = bit_widths.quantize(
        {**job, "size": 10, "most_kept": 0, "target": str(tmp_path / "m.onnx")}, quiet
    )
    assert not report["met"] and list(report["widths"].values()) == [8, 4, 4, 8]
