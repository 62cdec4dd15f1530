"""Batches as strong recipes make them: two images mixed, a box pasted over from another, boxes erased.

Sources: mixup, Zhang et al. 2018, arXiv 1710.09412; CutMix, Yun et al. 2019, arXiv 1905.04899; random erasing, Zhong et al. 2020, arXiv
1708.04896. As timm does it, a batch has one share (mixup) or one box (CutMix) and takes its partners in its own reverse order; where both are on, a
batch takes either by chance. Where we depart: boxes are erased with the mean colour. All is drawn from the step's own seed.

Shapes: images [b, c, h, w], normalised; labels [b] become shares of the classes [b, k].
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.training.settings import TrainingSettings

_AREA = (0.02, 1 / 3)  # of the image, that is erased
_ASPECT = (0.3, 1 / 0.3)


def changes(settings: TrainingSettings) -> bool:
    """Whether these settings change batches at all."""
    return bool(settings.mixup or settings.cutmix or settings.erasing)


def mixed(
    images: Tensor, labels: Tensor, classes: int, settings: TrainingSettings, seed: int
) -> tuple[Tensor, Tensor]:
    """A batch changed by these settings, and its labels, as shares of the classes where images were mixed."""
    numbers = np.random.default_rng(seed)
    if settings.erasing:
        images = _erased(images, settings.erasing, numbers)
    if not (settings.mixup or settings.cutmix):
        return images, labels
    cut = bool(settings.cutmix) and (not settings.mixup or numbers.random() < 0.5)
    strength = settings.cutmix if cut else settings.mixup
    share = float(numbers.beta(strength, strength))
    partner = images.flip(0)
    if cut:
        top, bottom, left, right = _box(images.shape[2], images.shape[3], 1 - share, numbers)
        images = images.clone()
        images[:, :, top:bottom, left:right] = partner[:, :, top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (images.shape[2] * images.shape[3])
    else:
        images = share * images + (1 - share) * partner
    own = functional.one_hot(labels, classes).float()
    return images, share * own + (1 - share) * own.flip(0)


def _box(height: int, width: int, area: float, numbers: np.random.Generator) -> tuple[int, int, int, int]:
    """A box of this share of the image around a point anywhere in it, cut off at the borders: top, bottom, left, right."""
    half = [round(side * area**0.5 / 2) for side in (height, width)]
    middle = [int(numbers.integers(side)) for side in (height, width)]
    ends = [
        (max(0, at - reach), min(side, at + reach)) for at, reach, side in zip(middle, half, (height, width), strict=True)
    ]  # fmt: skip
    return (*ends[0], *ends[1])


def _erased(images: Tensor, share: float, numbers: np.random.Generator) -> Tensor:
    """With a box of the mean colour, which is 0, in this share of the images."""
    count, _, height, width = images.shape
    hit = numbers.random(count) < share
    area = numbers.uniform(*_AREA, count) * height * width
    aspect = np.exp(numbers.uniform(np.log(_ASPECT[0]), np.log(_ASPECT[1]), count))
    sides = np.stack([np.minimum(np.sqrt(area * aspect), height), np.minimum(np.sqrt(area / aspect), width)])
    sides = np.where(hit, sides, 0).round()  # [2, b]
    starts = (numbers.random((2, count)) * (np.array([[height], [width]]) - sides + 1)).astype(int)
    inside = []
    for axis, length in enumerate((height, width)):
        places = np.arange(length)
        begin, end = starts[axis][:, None], (starts[axis] + sides[axis])[:, None]
        inside.append((places >= begin) & (places < end))  # [b, length]
    box = torch.from_numpy(inside[0][:, :, None] & inside[1][:, None, :]).to(images.device)
    return images.masked_fill(box[:, None], 0.0)
