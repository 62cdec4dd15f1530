"""Random changes to whole batches on the device: flips, zoom, rotation, shift, then colour jitter, then RandAugment.

Follows Hamza et al. (doi 10.3390/bdcc10050131) with torchvision's definitions of each change. Departures
from torchvision's transforms: flips, zoom, rotation and shift are one bilinear resampling instead
of several steps (one interpolation, faster), and the jitter's order is fixed (brightness, contrast,
saturation) instead of drawn.

`b` images of `h` × `w` pixels with `c` channels (1 or 3), float in 0…1. Draws come from a
generator on the CPU, so they are the same on every device; each image takes the same number of
draws whatever is switched on, so that one strength does not change another's draws. Changes that
came later draw after the first ones, which therefore stay what they were.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from core.data.preprocess import luma
from core.data.rand_augment import rand_augment
from core.data.settings import Augmentation
from core.data.transfer import to_device

DRAWS, LATER_DRAWS = 7, 2
_FLIP, _ANGLE, _RIGHT, _DOWN, _BRIGHTNESS = range(5)  # then contrast and saturation
_VERTICAL, _SCALE = range(LATER_DRAWS)


def augment(
    batch: Tensor,
    settings: Augmentation,
    generator: torch.Generator,
    part: slice | None = None,
    whole: int = 0,
) -> Tensor:
    """Augment every image on its own.

    Args:
        batch: float32 [b, c, h, w] in 0…1, before normalisation; not changed.
        generator: on the CPU.
        part: which images of a larger batch of `whole` images these are, for which the draws are made; None: all.

    Returns: the same shape, type and device, in 0…1.
    """
    chosen = part or slice(None)
    count = whole or len(batch)
    draws = torch.rand(count, DRAWS, generator=generator)[chosen]
    later = torch.rand(count, LATER_DRAWS, generator=generator)[chosen]
    moved = move(
        batch,
        flip=draws[:, _FLIP] < 0.5 if settings.flip else None,
        degrees=_around(draws[:, _ANGLE], 0, settings.rotation) if settings.rotation else None,
        right=_steps(draws[:, _RIGHT], settings.shift) if settings.shift else None,
        down=_steps(draws[:, _DOWN], settings.shift) if settings.shift else None,
        upside_down=later[:, _VERTICAL] < 0.5 if settings.vertical_flip else None,
        scale=_around(later[:, _SCALE], 1, settings.scale) if settings.scale else None,
    )
    strengths = (settings.brightness, settings.contrast, settings.saturation)
    if any(strengths):
        factors = [
            _around(draws[:, _BRIGHTNESS + place], 1, strength) if strength else None
            for place, strength in enumerate(strengths)
        ]
        moved = _jitter_in_place(moved.clone() if moved is batch else moved, *factors)
    if settings.rand_changes:
        last = torch.rand(len(batch), settings.rand_changes, 2, generator=generator)
        moved = rand_augment(moved, last, settings.rand_strength)
    return moved


def move(
    batch: Tensor,
    flip: Tensor | None = None,
    degrees: Tensor | None = None,
    right: Tensor | None = None,
    down: Tensor | None = None,
    upside_down: Tensor | None = None,
    scale: Tensor | None = None,
) -> Tensor:
    """Mirror, then zoom and rotate about the centre, then shift, in one resampling.

    Zeros come in from outside.

    Args:
        batch: float [b, c, h, w].
        flip: bool [b], left and right.
        degrees: float [b], counter-clockwise.
        right: float [b], whole pixels to the right (padding and cropping at another place).
        down: float [b], whole pixels down.
        upside_down: bool [b], top and bottom.
        scale: float [b], above 0; more than 1 enlarges.

    Returns: [b, c, h, w]; `batch` itself where every argument is None.
    """
    if all(change is None for change in (flip, degrees, right, down, upside_down, scale)):
        return batch
    # Mirroring alone is to the bit what follows, and far cheaper.
    if all(change is None for change in (degrees, right, down, scale)):
        return _mirrored(_mirrored(batch, flip, 3), upside_down, 2)
    grid = _sampling_grid(batch, flip, degrees, right, down, upside_down, scale)
    # Without rotation and zoom every sample falls on a pixel: taking the nearest is exact.
    mode = "nearest" if degrees is None and scale is None else "bilinear"
    return grid_sample(batch, grid, mode=mode, padding_mode="zeros", align_corners=False)


def _mirrored(batch: Tensor, which: Tensor | None, axis: int) -> Tensor:
    """Some images of [b, c, h, w], bool [b], turned round along an axis."""
    if which is None:
        return batch
    return torch.where(to_device(which, batch.device)[:, None, None, None], batch.flip(axis), batch)


def _sampling_grid(
    batch: Tensor,
    flip: Tensor | None,
    degrees: Tensor | None,
    right: Tensor | None,
    down: Tensor | None,
    upside_down: Tensor | None,
    scale: Tensor | None,
) -> Tensor:
    """Where each output pixel comes from: float [b, h, w, 2] in grid_sample's -1…1.

    Built by broadcasting rather than with affine_grid, whose matrix product would run at reduced
    precision where TF32 is allowed.
    """
    count, _, height, width = batch.shape
    angle = torch.zeros(count) if degrees is None else degrees * (math.pi / 180)
    zoom = torch.ones(count) if scale is None else scale
    # Mirroring and zooming are undone last, each along its own axis.
    across, along = _signs(flip, count) / zoom, _signs(upside_down, count) / zoom
    offset_x = torch.zeros(count) if right is None else right
    offset_y = torch.zeros(count) if down is None else down
    cos, sin = torch.cos(angle), torch.sin(angle)
    # Undo the steps backwards: shift by (-dx, -dy), rotate back, mirror and zoom. In pixels from the
    # centre, y down: x' = a·(cos·(x-dx) - sin·(y-dy)), y' = b·(sin·(x-dx) + cos·(y-dy)).
    rows = torch.stack(
        [
            across * cos, -across * sin, across * (sin * offset_y - cos * offset_x),
            along * sin, along * cos, -along * (sin * offset_x + cos * offset_y),
        ]
    )  # fmt: skip
    rows[:3] *= 2 / width
    rows[3:] *= 2 / height
    coefficients = to_device(rows, batch.device)[:, :, None, None]
    x = (torch.arange(width, device=batch.device) + 0.5 - width / 2)[None, None, :]
    y = (torch.arange(height, device=batch.device) + 0.5 - height / 2)[None, :, None]
    grid = torch.empty(count, height, width, 2, device=batch.device)
    for axis, (by_x, by_y, constant) in enumerate((coefficients[:3], coefficients[3:])):
        torch.add(by_x * x + constant, by_y * y, out=grid[..., axis])
    return grid


def _signs(mirrored: Tensor | None, count: int) -> Tensor:
    """-1 where mirrored, 1 elsewhere: float [count]."""
    return torch.ones(count) if mirrored is None else 1 - 2 * mirrored.to(torch.float32)


def jitter(
    batch: Tensor,
    brightness: Tensor | None = None,
    contrast: Tensor | None = None,
    saturation: Tensor | None = None,
) -> Tensor:
    """Change brightness, then contrast, then saturation, each by a factor per image.

    Each mixes the image with another one, `f · image + (1 - f) · other`, cut to 0…1. The other is
    black for the brightness, the mean of the image's luma for the contrast, and the luma for the
    saturation (nothing to do for grey images).

    Args:
        batch: float [b, c, h, w] in 0…1; not changed.
        brightness, contrast, saturation: float [b], factors of at least 0.

    Returns: [b, c, h, w].
    """
    return _jitter_in_place(batch.clone(), brightness, contrast, saturation)


def _jitter_in_place(
    batch: Tensor, brightness: Tensor | None, contrast: Tensor | None, saturation: Tensor | None
) -> Tensor:
    """In place, because fresh memory for every step costs more than the arithmetic."""
    if brightness is not None:
        batch.mul_(_factor(brightness, batch)).clamp_(0, 1)
    if contrast is not None:
        grey = luma(batch) if batch.shape[1] == 3 else batch
        _mix_in_place(batch, grey.mean((1, 2, 3), keepdim=True), contrast)
    if saturation is not None and batch.shape[1] == 3:
        _mix_in_place(batch, luma(batch), saturation)
    return batch


def _mix_in_place(batch: Tensor, other: Tensor, factor: Tensor) -> None:
    share = _factor(factor, batch)
    batch.mul_(share).add_(other.mul_(1 - share)).clamp_(0, 1)


def _factor(values: Tensor, batch: Tensor) -> Tensor:
    """[b] on the CPU to [b, 1, 1, 1] on the batch's device."""
    return to_device(values, batch.device, batch.dtype)[:, None, None, None]


def _around(draws: Tensor, centre: float, strength: float) -> Tensor:
    """Uniform in centre ± strength."""
    return centre + (2 * draws - 1) * strength


def _steps(draws: Tensor, most: int) -> Tensor:
    """Whole pixels in -most…most, each as likely."""
    return (draws * (2 * most + 1)).floor().clamp_(max=2 * most) - most
