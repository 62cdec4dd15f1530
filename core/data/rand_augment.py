"""RandAugment on whole batches: some changes an image, each drawn from fourteen, all of one strength.

Source: Cubuk et al. 2020, arXiv 1909.13719, with torchvision's operations and ranges (`torchvision.transforms.RandAugment`). The strength
counts from 0 to 10 as in the paper and in timm, where torchvision counts to 30. Departures: rotating, shearing and shifting are bilinear, and
black comes in from outside; changes of bytes (posterise, equalise) round the image to 256 levels first.

`b` images of `h` × `w` pixels with `c` channels (1 or 3), float in 0…1.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample

from core.data.preprocess import luma
from core.data.transfer import to_device

STRONGEST = 10
_SHEAR, _SHIFT, _ROTATION, _BLEND = (
    0.3,
    150 / 331,
    30.0,
    0.9,
)  # at full strength; a shift is a share of the width
_BITS = 4  # that posterising takes at full strength

Change = Callable[[Tensor, Tensor], Tensor]
"""A batch [b, c, h, w] and strengths with their signs, float [b] in -1…1 on its device, to a batch."""


def rand_augment(batch: Tensor, draws: Tensor, strength: float) -> Tensor:
    """Change every image by operations of its own.

    Args:
        batch: float [b, c, h, w] in 0…1; not changed.
        draws: float [b, n, 2] in 0…1 on the processor: for each of n changes which operation, and which way.
        strength: 0…`STRONGEST`.

    Returns: the same shape, in 0…1.
    """
    made = batch.clone()
    for turn in range(draws.shape[1]):
        which = (draws[:, turn, 0] * len(OPERATIONS)).long().clamp_(max=len(OPERATIONS) - 1)
        signed = torch.where(draws[:, turn, 1] < 0.5, -1.0, 1.0) * (strength / STRONGEST)
        for number, change in enumerate(OPERATIONS.values()):
            chosen = (which == number).nonzero()[:, 0]
            if len(chosen):
                rows = to_device(chosen, batch.device)
                made[rows] = change(made[rows], to_device(signed[chosen], batch.device))
    return made


def _identity(batch: Tensor, strength: Tensor) -> Tensor:
    return batch


def _shear_x(batch: Tensor, strength: Tensor) -> Tensor:
    return _warped(batch, across=_by(strength, 1, _SHEAR * strength))


def _shear_y(batch: Tensor, strength: Tensor) -> Tensor:
    return _warped(batch, along=_by(strength, _SHEAR * strength, 1))


def _shift_x(batch: Tensor, strength: Tensor) -> Tensor:
    return _warped(batch, right=(_SHIFT * batch.shape[3] * strength).trunc())


def _shift_y(batch: Tensor, strength: Tensor) -> Tensor:
    return _warped(batch, down=(_SHIFT * batch.shape[2] * strength).trunc())


def _rotate(batch: Tensor, strength: Tensor) -> Tensor:
    angle = strength * (_ROTATION * math.pi / 180)
    return _warped(
        batch, across=_by(strength, angle.cos(), -angle.sin()), along=_by(strength, angle.sin(), angle.cos())
    )


def _brightness(batch: Tensor, strength: Tensor) -> Tensor:
    return _blended(batch, torch.zeros_like(batch[:, :1]), strength)


def _colour(batch: Tensor, strength: Tensor) -> Tensor:
    return _blended(batch, luma(batch), strength) if batch.shape[1] == 3 else batch


def _contrast(batch: Tensor, strength: Tensor) -> Tensor:
    grey = luma(batch) if batch.shape[1] == 3 else batch
    return _blended(batch, grey.mean((1, 2, 3), keepdim=True), strength)


def _sharpness(batch: Tensor, strength: Tensor) -> Tensor:
    """Against the image smoothed by 3×3 pixels; its border stays."""
    channels = batch.shape[1]
    kernel = torch.ones(3, 3, dtype=batch.dtype, device=batch.device)
    kernel[1, 1] = 5
    smooth = batch.clone()
    if min(batch.shape[2:]) > 2:
        weights = (kernel / kernel.sum()).expand(channels, 1, 3, 3)
        smooth[:, :, 1:-1, 1:-1] = conv2d(batch, weights, groups=channels)
    return _blended(batch, smooth, strength)


def _posterise(batch: Tensor, strength: Tensor) -> Tensor:
    """Only the highest bits of each byte stay."""
    step = 2.0 ** (_BITS * strength.abs()).round()[:, None, None, None]
    return (_levels(batch) / step).floor() * step / 255


def _solarise(batch: Tensor, strength: Tensor) -> Tensor:
    """What is brighter than a threshold becomes its negative."""
    return torch.where(batch >= 1 - strength.abs()[:, None, None, None], 1 - batch, batch)


def _auto_contrast(batch: Tensor, strength: Tensor) -> Tensor:
    """Each channel over the whole range."""
    low, high = batch.amin((2, 3), keepdim=True), batch.amax((2, 3), keepdim=True)
    flat = high == low
    stretched = (batch - low) / torch.where(flat, torch.ones_like(high), high - low)
    return torch.where(flat, batch, stretched).clamp(0, 1)


def _equalise(batch: Tensor, strength: Tensor) -> Tensor:
    """Each channel with as many pixels at every level, as Pillow does it."""
    levels = _levels(batch).long().flatten(0, 1).flatten(1)  # [b·c, h·w]
    counts = torch.zeros(len(levels), 256, dtype=torch.long, device=batch.device)
    counts.scatter_add_(1, levels, torch.ones_like(levels))
    last = counts.gather(1, levels.amax(1, keepdim=True))  # pixels at the highest level
    step = (levels.shape[1] - last) // 255
    places = (counts.cumsum(1) - counts + step // 2) // step.clamp(min=1)
    table = torch.where(step > 0, places.clamp(0, 255), torch.arange(256, device=batch.device))
    return (table.gather(1, levels).to(batch.dtype) / 255).view_as(batch)


OPERATIONS: dict[str, Change] = {
    "identity": _identity,
    "shear-x": _shear_x,
    "shear-y": _shear_y,
    "shift-x": _shift_x,
    "shift-y": _shift_y,
    "rotate": _rotate,
    "brightness": _brightness,
    "colour": _colour,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterise": _posterise,
    "solarise": _solarise,
    "auto-contrast": _auto_contrast,
    "equalise": _equalise,
}


def _levels(batch: Tensor) -> Tensor:
    return (batch * 255).round()


def _blended(batch: Tensor, other: Tensor, strength: Tensor) -> Tensor:
    """f · image + (1 − f) · other for f = 1 ± 0.9 · strength, cut to 0…1."""
    factor = (1 + _BLEND * strength)[:, None, None, None].to(batch.dtype)
    return (factor * batch + (1 - factor) * other).clamp(0, 1)


def _by(like: Tensor, x: "Tensor | float", y: "Tensor | float") -> Tensor:
    """Factors of x and y for each image: [b, 2]."""
    return torch.stack([torch.as_tensor(value, device=like.device).expand_as(like) for value in (x, y)], 1)


def _warped(
    batch: Tensor,
    across: Tensor | None = None,
    along: Tensor | None = None,
    right: Tensor | None = None,
    down: Tensor | None = None,
) -> Tensor:
    """Each pixel from another place, in pixels from the centre: x' = across · (x, y) − right, y' = along · (x, y) − down.

    Args: across, along: [b, 2]. right, down: [b].
    """
    count, _, height, width = batch.shape
    x = torch.arange(width, device=batch.device, dtype=torch.float32) + 0.5 - width / 2
    y = torch.arange(height, device=batch.device, dtype=torch.float32) + 0.5 - height / 2
    x, y = x[None, None, :], y[None, :, None]
    grid = torch.empty(count, height, width, 2, device=batch.device)
    for axis, (factors, moved, side) in enumerate(((across, right, width), (along, down, height))):
        place = (x if axis == 0 else y) + 0 * x + 0 * y
        if factors is not None:
            place = factors[:, 0, None, None] * x + factors[:, 1, None, None] * y
        if moved is not None:
            place = place - moved[:, None, None]
        grid[..., axis] = place * (2 / side)
    return grid_sample(
        batch, grid.to(batch.dtype), mode="bilinear", padding_mode="zeros", align_corners=False
    )
