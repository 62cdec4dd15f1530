"""Preparing images without PyTorch gives what training prepared."""

import numpy as np
import pytest

from core.data.preprocess import IMAGENET, Preprocess
from core.profiling.preparing import preparer

MEAN, STD = IMAGENET


def image(height: int, width: int) -> np.ndarray:
    """A smooth picture with an edge, so that resizing has something to blur: uint8 [h, w, 3]."""
    y, x = np.mgrid[:height, :width]
    picture = np.stack([255 * x / width, 255 * y / height, 255 * (x > y)], axis=2)
    return picture.astype(np.uint8)


def test_without_resizing_it_is_exact():
    preprocess = Preprocess(16, 3, MEAN, STD)
    picture = image(16, 16)
    made = preparer(preprocess.as_dict())(picture)
    assert made.shape == (3, 16, 16) and made.dtype == np.float32
    np.testing.assert_allclose(made, preprocess(picture[None])[0].numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "resize"), [(60, 90, "crop"), (90, 60, "stretch"), (10, 10, "crop")]
)
def test_resizing_differs_by_the_rounding_of_bytes(height, width, resize):
    preprocess = Preprocess(24, 3, MEAN, STD, resize)
    picture = image(height, width)
    made = preparer(preprocess.as_dict())(picture)
    apart = np.abs(made - preprocess(picture[None])[0].numpy()).max()
    assert apart <= 1.01 / 255 / min(STD)  # one step of a byte: Pillow rounds, PyTorch does not


def test_a_grey_network_sees_brightness():
    preprocess = Preprocess(8, 1, (0.5,), (0.25,))
    picture = image(8, 8)
    made = preparer(preprocess.as_dict())(picture)
    assert made.shape == (1, 8, 8)
    np.testing.assert_allclose(made, preprocess(picture[None])[0].numpy(), atol=1e-4)
