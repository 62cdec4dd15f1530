"""Random-resized crop: a part of random size and shape at a random place, as torchvision's `RandomResizedCrop`.

Source: Szegedy et al. 2015 (doi 10.1109/CVPR.2015.7298594), in torchvision's form: up to ten tries, then the centre.
Departures: draws follow from the place in the epoch instead of a running stream; a JPEG image whose part has
four times as many pixels a side as wanted is decoded smaller (`core.data.decode.cut_out`).

`b` images.
"""

import math

import numpy as np
from PIL import Image

from core.data.decode import resized_part
from core.data.encoded_images import EncodedImages
from core.data.randomness import uniform_at
from core.data.settings import Augmentation
from core.data.source import Images

_TRIES = 10
_DRAWS = 2 * _TRIES + 2


def crop_boxes(sizes: np.ndarray, places: np.ndarray, seed: int, settings: Augmentation) -> np.ndarray:
    """Where each image is cut: int64 [b, 4], top, left, height and width.

    Args:
        sizes: int64 [b, 2], height and width. places: int [b], whose draws these are.
    """
    draws = uniform_at(places[:, None] * _DRAWS + np.arange(_DRAWS), seed)
    heights, widths = sizes[:, :1].astype(np.float64), sizes[:, 1:].astype(np.float64)
    least, ratio = settings.crop_smallest, settings.crop_ratio
    areas = heights * widths * (least + (1 - least) * draws[:, :_TRIES])
    ratios = np.exp(math.log(ratio) * (2 * draws[:, _TRIES : 2 * _TRIES] - 1))
    across, down = np.rint(np.sqrt(areas * ratios)), np.rint(np.sqrt(areas / ratios))
    fits = (across > 0) & (across <= widths) & (down > 0) & (down <= heights)
    first = np.where(fits.any(1), fits.argmax(1), -1)
    chosen = np.arange(len(sizes)), np.maximum(first, 0)
    boxes = np.stack([down[chosen], across[chosen]], 1).astype(np.int64)
    room = sizes - boxes + 1
    corners = np.floor(draws[:, 2 * _TRIES :] * room).astype(np.int64)
    boxes = np.concatenate([np.minimum(corners, room - 1), boxes], 1)
    for row in np.flatnonzero(first < 0):
        boxes[row] = _centre(int(sizes[row, 0]), int(sizes[row, 1]), ratio)
    return boxes


def _centre(height: int, width: int, ratio: float) -> tuple[int, int, int, int]:
    """The largest part about the centre whose shape is within the ratio."""
    across, down = min(width, round(height * ratio)), min(height, round(width * ratio))
    return (height - down) // 2, (width - across) // 2, down, across


def image_sizes(images: Images, rows: np.ndarray) -> np.ndarray:
    """Height and width of the images that parts are cut from: int64 [b, 2]."""
    if isinstance(images, EncodedImages):
        sizes: np.ndarray = images.sizes[rows]
        return sizes
    return np.tile(np.array(images.shape[1:3], np.int64), (len(rows), 1))


def cropped(images: Images, rows: np.ndarray, boxes: np.ndarray, side: int) -> np.ndarray:
    """A part of each image as a square: uint8 [b, side, side, c]; errors as of reading the images."""
    if isinstance(images, EncodedImages):
        return images.cropped(rows, boxes, side)
    parts = [
        resized_part(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels), tuple(box), side)
        for pixels, box in zip(images[rows], boxes.tolist(), strict=True)
    ]
    return np.stack(parts)
