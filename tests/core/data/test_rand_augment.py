"""RandAugment: every operation against torchvision's, and the draws."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.data.augment import augment
from core.data.rand_augment import OPERATIONS, rand_augment
from core.data.settings import Augmentation
from core.models.torchvision_shim import import_torchvision

import_torchvision()
from torchvision.transforms import functional as vision  # noqa: E402

BILINEAR = vision.InterpolationMode.BILINEAR
SHARES = (-0.9, -0.3, 0.5, 1.0)


def images(channels: int = 3, size: int = 21) -> Tensor:
    numbers = torch.Generator().manual_seed(3)
    batch = torch.randint(256, (len(SHARES), channels, size, size + 3), generator=numbers).float()
    batch[1] = batch[1] // 3 + 40  # not over the whole range
    batch[2, 0] = 7  # a channel of one level
    return batch / 255


def by_torchvision(name: str, image: Tensor, share: float) -> Tensor:
    """As `torchvision.transforms.autoaugment._apply_op` calls its functions, a single image at a time."""
    height, width = image.shape[1:]
    levels = (image * 255).round().to(torch.uint8)
    size = abs(share)
    calls: dict[str, Callable[[], Tensor]] = {
        "identity": lambda: image,
        # torchvision shears about the corner in PIL's way; about the centre it is its own affine
        "shear-x": lambda: vision.affine(
            image, 0.0, [0, 0], 1.0, [math.degrees(math.atan(0.3 * share)), 0.0], BILINEAR
        ),
        "shear-y": lambda: vision.affine(
            image, 0.0, [0, 0], 1.0, [0.0, math.degrees(math.atan(0.3 * share))], BILINEAR
        ),
        "shift-x": lambda: vision.affine(
            image, 0.0, [int(150 / 331 * width * share), 0], 1.0, [0.0, 0.0], BILINEAR
        ),
        "shift-y": lambda: vision.affine(
            image, 0.0, [0, int(150 / 331 * height * share)], 1.0, [0.0, 0.0], BILINEAR
        ),
        "rotate": lambda: vision.rotate(image, 30.0 * share, BILINEAR),
        "brightness": lambda: vision.adjust_brightness(image, 1 + 0.9 * share),
        "colour": lambda: vision.adjust_saturation(image, 1 + 0.9 * share),
        "contrast": lambda: vision.adjust_contrast(image, 1 + 0.9 * share),
        "sharpness": lambda: vision.adjust_sharpness(image, 1 + 0.9 * share),
        "posterise": lambda: vision.posterize(levels, 8 - round(4 * size)).float() / 255,
        "solarise": lambda: vision.solarize(image, 1 - size),
        "auto-contrast": lambda: vision.autocontrast(image),
        "equalise": lambda: vision.equalize(levels).float() / 255,
    }
    return calls[name]()


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_torchvisions(name: str) -> None:
    batch = images()
    made = OPERATIONS[name](batch, torch.tensor(SHARES))
    for image, changed, share in zip(batch, made, SHARES, strict=True):
        torch.testing.assert_close(changed, by_torchvision(name, image, share), atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_grey_images_stay_grey_and_in_range(name: str) -> None:
    made = OPERATIONS[name](images(1, 2), torch.tensor(SHARES))
    assert made.shape == (4, 1, 2, 5) and bool(made.isfinite().all())
    assert float(made.min()) >= 0 and float(made.max()) <= 1.0001


def test_each_image_gets_the_operations_that_its_draws_name() -> None:
    batch = images()
    names = list(OPERATIONS)
    wanted = [("solarise", 1), ("posterise", -1), ("rotate", -1), ("rotate", 1)]
    draws = torch.tensor(
        [[[(names.index(name) + 0.5) / 14, 0.25 if way < 0 else 0.75]] for name, way in wanted]
    )
    made = rand_augment(batch, draws, 5.0)
    for image, changed, (name, way) in zip(batch, made, wanted, strict=True):
        torch.testing.assert_close(changed, by_torchvision(name, image, 0.5 * way), atol=2e-4, rtol=0)
    twice = rand_augment(batch, draws.repeat(1, 2, 1), 5.0)
    torch.testing.assert_close(twice, rand_augment(made, draws, 5.0))
    assert torch.equal(batch, images())


def test_it_draws_after_all_others_and_depends_on_the_seed_alone() -> None:
    batch = images()
    plain, strong = Augmentation(), Augmentation(rand_changes=2)
    made = [augment(batch, strong, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
    generator = torch.Generator().manual_seed(1)
    before = augment(batch, plain, generator)  # what it was without
    assert torch.equal(rand_augment(before, torch.rand(len(batch), 2, 2, generator=generator), 9.0), made[0])
    assert not {"rand_changes", "rand_strength"} & plain.for_key().keys()
