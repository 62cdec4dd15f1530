"""Scaling, resizing and normalising, against longhand."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from core.common.errors import EspalierError
from core.data.preprocess import (
    HALF,
    IMAGENET,
    SMALLEST_STD,
    Preprocess,
    luma,
    make_preprocess,
    resolve_normalisation,
)
from core.data.settings import DataSettings

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)


@pytest.fixture
def colours() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 12, 12, 3), np.uint8)


def test_colours_are_scaled_and_normalised(colours):
    result = Preprocess(12, 3, MEAN, STD)(colours)
    longhand = (colours / 255 - np.array(MEAN)) / np.array(STD)
    assert result.dtype == torch.float32 and result.shape == (5, 3, 12, 12)
    assert np.allclose(result.numpy(), longhand.transpose(0, 3, 1, 2), atol=1e-5)


@pytest.mark.parametrize(("mean", "std"), [(MEAN, STD), ((0.2,) * 3, (0.5,) * 3)])
def test_grey_images_get_three_channels_each_normalised(colours, mean, std):
    grey = colours[..., :1]
    result = Preprocess(12, 3, mean, std)(grey)
    assert result.shape == (5, 3, 12, 12) and result.is_contiguous()
    for channel in range(3):
        longhand = (grey[..., 0] / 255 - mean[channel]) / std[channel]
        assert np.allclose(result[:, channel].numpy(), longhand, atol=1e-5)


def test_a_network_for_grey_images_gets_one_channel(colours):
    preprocess = Preprocess(12, 1, (0.5,), (0.5,))
    assert preprocess(colours[..., :1]).shape == (5, 1, 12, 12)
    red, green, blue = np.moveaxis(colours / 255, 3, 0)
    longhand = (0.2989 * red + 0.587 * green + 0.114 * blue - 0.5) / 0.5
    assert np.allclose(preprocess(colours)[:, 0].numpy(), longhand, atol=1e-5)


def test_luma_weighs_the_colours():
    primaries = torch.eye(3)[:, :, None, None]
    assert luma(primaries).flatten().tolist() == pytest.approx([0.2989, 0.587, 0.114])


def test_arrays_tensors_and_memory_maps_give_the_same(colours, sample_data):
    preprocess = Preprocess(12)
    assert torch.equal(preprocess(colours), preprocess(torch.from_numpy(colours)))
    before = sample_data.images[:4].copy()
    preprocess(sample_data.images[:4])
    assert np.array_equal(sample_data.images[:4], before)


def test_resizing_is_the_antialiased_one_of_pillow(colours):
    large = np.kron(colours, np.ones((1, 4, 4, 1), np.uint8))
    result = Preprocess(20)(large) * 255
    for image, row in zip(result, large, strict=True):
        pillow = np.asarray(Image.fromarray(row).resize((20, 20), Image.Resampling.BILINEAR))
        assert np.abs(image.permute(1, 2, 0).numpy() - pillow).max() < 1.5


def test_enlarging_keeps_flat_images_flat():
    flat = np.full((2, 8, 8, 1), 51, np.uint8)
    assert torch.allclose(Preprocess(20)(flat), torch.full((2, 3, 20, 20), 0.2))


def test_crop_takes_the_centre_and_stretch_takes_all():
    wide = np.zeros((1, 4, 12, 1), np.uint8)
    wide[:, :, 4:8] = 255
    assert torch.equal(Preprocess(4)(wide), torch.ones(1, 3, 4, 4))
    stretched = Preprocess(4, resize="stretch")(wide)
    assert stretched.shape == (1, 3, 4, 4)
    assert float(stretched.mean()) == pytest.approx(1 / 3, abs=0.02)
    tall = wide.transpose(0, 2, 1, 3)
    assert torch.equal(Preprocess(4)(tall), torch.ones(1, 3, 4, 4))


def test_plain_data_and_back():
    preprocess = Preprocess(96, 3, MEAN, STD, "stretch")
    plain = json.loads(json.dumps(preprocess.as_dict()))
    assert plain == {
        "size": 96,
        "channels": 3,
        "mean": [0.1, 0.2, 0.3],
        "std": [0.5, 0.25, 0.125],
        "resize": "stretch",
    }
    assert Preprocess.from_dict(plain) == preprocess


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"size": 0},
            "Expected a size from 1 to 4096, 1 or 3 channels and 'crop' or 'stretch', received 0, 3 and 'crop'.",
        ),
        ({"channels": 2}, "received 32, 2 and 'crop'."),
        ({"resize": "pad"}, "received 32, 3 and 'pad'."),
        (
            {"mean": [0.5]},
            "Expected a finite mean and a positive deviation for each of 3 channels, received (0.5,) and",
        ),
        ({"std": [0.5, 0.0, 0.5]}, "received (0.0, 0.0, 0.0) and (0.5, 0.0, 0.5)."),
        ({"mean": [float("nan")] * 3}, "received (nan, nan, nan) and"),
        ({"std": [float("inf")] * 3}, "and (inf, inf, inf)."),
        ({"size": 10**9}, "received 1000000000, 3 and 'crop'."),
        ({"mean": "high"}, "Expected numbers for the preprocessing, received {"),
        (
            {"extra": 1},
            "Expected the preprocessing values channels, mean, resize, size, std, received channels, extra,",
        ),
    ],
)
def test_impossible_values_are_refused(change, text):
    with pytest.raises(EspalierError) as caught:
        Preprocess.from_dict(Preprocess(32).as_dict() | change)
    assert text in str(caught.value)


def test_normalisation_by_choice(sample_data):
    own = (sample_data.mean * 3, sample_data.std * 3)
    assert resolve_normalisation("imagenet", sample_data, HALF) == IMAGENET
    assert resolve_normalisation("half", sample_data, IMAGENET) == HALF
    assert resolve_normalisation("dataset", sample_data, IMAGENET) == own
    assert resolve_normalisation("auto", sample_data, IMAGENET) == IMAGENET
    assert resolve_normalisation("auto", sample_data, None) == own
    colour = replace(sample_data, mean=MEAN, std=(0.5, 0.0, 0.125))
    assert resolve_normalisation("dataset", colour) == (MEAN, (0.5, SMALLEST_STD, 0.125))
    with pytest.raises(
        EspalierError, match="Expected the normalisation auto, imagenet, dataset or half, received 'none'"
    ):
        resolve_normalisation("none", sample_data)


def test_the_settings_make_the_preprocessing(sample_data):
    made = make_preprocess(DataSettings(image_size=64, resize="stretch", normalisation="half"), sample_data)
    assert made == Preprocess(64, 3, *HALF, "stretch")
    wide = replace(sample_data, size=(30, 40))
    assert make_preprocess(DataSettings(), wide, IMAGENET) == Preprocess(30, 3, *IMAGENET)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_gives_the_same(colours):
    preprocess = Preprocess(20, 3, MEAN, STD)
    assert torch.allclose(preprocess(colours, "cuda").cpu(), preprocess(colours), atol=1e-4)
