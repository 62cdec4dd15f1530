"""Similarity of two networks' features, against longhand computations."""

import itertools

import numpy as np
import onnx
import pytest
from small_stages import SETTINGS, small_data, small_network

from core.analysis.similarity import POOLED, channel_correlation, features_of, linear_cka, of_files, read
from core.common.errors import EspalierError
from core.data.preprocess import make_preprocess
from core.deploy.onnx_export import describe, export_module


def quiet(fraction: float, text: str) -> None:
    pass


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def longhand_hsic(first: np.ndarray, second: np.ndarray) -> float:
    """The estimator as a U-statistic: the mean over all ordered fours of different images (Song et al. 2012, theorem 2)."""
    n = len(first)
    terms = [
        first[i, j] * (second[i, j] + second[q, r] - 2 * second[i, q])
        for i, j, q, r in itertools.permutations(range(n), 4)
    ]
    return float(np.mean(terms))


def test_cka_is_that_of_the_definition():
    x, y = draw(8, 5), draw(8, 3, seed=1) + draw(8, 1)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    expected = longhand_hsic(k, l) / np.sqrt(longhand_hsic(k, k) * longhand_hsic(l, l))
    assert linear_cka(x, y) == pytest.approx(expected, rel=1e-9)


def test_cka_does_not_see_rotation_scale_and_offset():
    x = draw(50, 6)
    turned = np.linalg.qr(draw(6, 6, seed=2))[0]
    assert linear_cka(x, 3.0 * x @ turned + 7.0) == pytest.approx(1.0)
    assert linear_cka(1e6 * x, x) == pytest.approx(1.0)
    assert linear_cka(x, np.ones((50, 4))) is None


def test_cka_of_networks_that_have_nothing_in_common_is_near_zero_however_wide_they_are():
    x, y = draw(60, 400), draw(60, 400, seed=3)
    assert abs(linear_cka(x, y) or 1) < 0.1
    centred = [each - each.mean(0) for each in (x, y)]
    plain = np.linalg.norm(centred[1].T @ centred[0]) ** 2 / (
        np.linalg.norm(centred[0].T @ centred[0]) * np.linalg.norm(centred[1].T @ centred[1])
    )
    assert plain > 0.8  # why the plain estimator is not taken


def test_correlation_is_the_mean_over_the_channels():
    x, y = draw(20, 3), draw(20, 3, seed=1)
    expected = np.mean([np.corrcoef(x[:, c], y[:, c])[0, 1] for c in range(3)])
    assert channel_correlation(x, y) == pytest.approx(expected)
    y[:, 1] = 2.0  # a channel that does not vary is left out
    assert channel_correlation(x, y) == pytest.approx(
        np.mean([np.corrcoef(x[:, c], y[:, c])[0, 1] for c in (0, 2)])
    )
    assert channel_correlation(x, y[:, :2]) is None
    assert channel_correlation(x, np.zeros_like(x)) is None


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("similar")
    data, model = small_data(folder / "cache"), small_network()
    preprocess = make_preprocess(SETTINGS, data)
    about = describe(data.classes, preprocess, "float32", {})
    export_module(model, preprocess, folder / "first.onnx", about)
    changed = onnx.load(folder / "first.onnx")
    head = next(t for t in changed.graph.initializer if t.name == "head.weight")
    head.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(head), "head.weight"))
    onnx.save(changed, folder / "second.onnx")
    return folder, model, data, preprocess


def test_files_are_compared_layer_by_layer(place):
    import torch

    folder, model = place[:2]
    files = [str(folder / "first.onnx"), str(folder / "second.onnx")]
    plain = SETTINGS.model_dump(mode="json")
    arguments = {"data": plain, "data_cache": str(folder / "cache"), "base": None, "count": 40}
    result = of_files({**arguments, "files": files}, quiet)
    layers = {layer.layer: layer for layer in read(result)}
    assert next(iter(layers)) == POOLED and result["images"] == 40 and result["missing"] == 0
    assert {"body.conv1", "body.layer3.2.conv2", "head"} < set(layers) and len(layers) == 21
    assert layers["body.conv1"].channels == (16, 16)
    for layer in layers.values():
        assert layer.cka == pytest.approx(1.0, abs=1e-6)
        assert layer.correlation == pytest.approx(-1.0 if layer.layer == "head" else 1.0, abs=1e-6)
    seen = {}
    model.head.register_forward_pre_hook(lambda module, inputs: seen.update(pooled=inputs[0]))
    features = features_of(files[0], arguments)
    from core.deploy.quantization.calibration import draw as draw_images

    sample = draw_images(onnx.load(files[0]), arguments, "validation", 40, 0)
    with torch.inference_mode():
        model.eval()(torch.from_numpy(np.concatenate(list(sample.blocks()))))
    np.testing.assert_allclose(features[POOLED], seen["pooled"].numpy(), rtol=1e-4, atol=1e-4)


def test_three_images_are_too_few(place):
    folder = place[0]
    arguments = {"data": SETTINGS.model_dump(mode="json"), "data_cache": str(folder / "cache"), "base": None}
    with pytest.raises(EspalierError, match="at least 4 validation images to compare two networks, found 3"):
        of_files({**arguments, "count": 3, "files": [str(folder / "first.onnx")] * 2}, quiet)
