"""Augmentation against torch and torchvision, and by hand."""

from types import ModuleType

import pytest
import torch

from core.data.augment import DRAWS, augment, jitter, move
from core.data.settings import Augmentation

NOTHING = {"flip": False, "rotation": 0, "brightness": 0, "contrast": 0, "saturation": 0, "shift": 0}


def only(**strengths: float) -> Augmentation:
    return Augmentation(**(NOTHING | strengths))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def vision() -> ModuleType:
    """torchvision's functions; skipped where its build does not fit the installed torch."""
    try:
        from torchvision.transforms import functional
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported: {error}")
    return functional


@pytest.fixture
def batch() -> torch.Tensor:
    return torch.rand(16, 3, 10, 10, generator=seeded(9))


def factors(*values: float) -> torch.Tensor:
    return torch.tensor(values)


@pytest.mark.parametrize("side", [9, 10])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact_and_counter_clockwise(side, turns):
    batch = torch.rand(4, 3, side, side, generator=seeded())
    turned = move(batch, degrees=torch.full((4,), 90.0 * turns))
    assert torch.allclose(turned, torch.rot90(batch, turns, (2, 3)), atol=1e-5)


@pytest.mark.parametrize("shape", [(24, 24), (16, 30)])
def test_any_angle_is_torchvisions_rotation(shape, vision):
    batch = torch.rand(6, 3, *shape, generator=seeded())
    degrees = factors(-15, -7.5, 0, 3, 15, 100)
    for image, turned, angle in zip(batch, move(batch, degrees=degrees), degrees, strict=True):
        longhand = vision.rotate(image, float(angle), vision.InterpolationMode.BILINEAR)
        assert torch.allclose(turned, longhand, atol=2e-4)


def test_flips_are_exact(batch):
    flip = torch.arange(16) % 2 == 0
    moved = move(batch, flip=flip)
    assert torch.equal(moved[0::2], batch[0::2].flip(-1))
    assert torch.equal(moved[1::2], batch[1::2])


def test_shifts_are_padding_and_cropping(batch):
    right, down = factors(*range(-3, 5)).repeat(2), factors(2, -1).repeat_interleave(8)
    padded = torch.nn.functional.pad(batch, (4, 4, 4, 4))
    for index, moved in enumerate(move(batch, right=right, down=down)):
        left, top = 4 - int(right[index]), 4 - int(down[index])
        assert torch.equal(moved, padded[index, :, top : top + 10, left : left + 10])


def test_mirror_then_rotate_then_shift():
    batch = torch.rand(2, 1, 11, 11, generator=seeded())
    both = torch.ones(2)
    moved = move(batch, flip=both.bool(), degrees=90 * both, right=3 * both, down=-2 * both)
    turned = torch.rot90(batch.flip(-1), 1, (2, 3))
    longhand = torch.zeros_like(turned)
    longhand[:, :, :-2, 3:] = turned[:, :, 2:, :-3]
    assert torch.allclose(moved, longhand, atol=1e-5)


def test_jitter_by_hand():
    # One pixel (0.2, 0.4, 0.8) beside a black one.
    batch = torch.tensor([[[[0.2, 0.0]], [[0.4, 0.0]], [[0.8, 0.0]]]])
    assert jitter(batch, brightness=factors(1.5))[0, :, 0, 0].tolist() == pytest.approx([0.3, 0.6, 1.0])
    light = 0.2989 * 0.2 + 0.587 * 0.4 + 0.114 * 0.8
    contrast = [1.2 * value - 0.2 * light / 2 for value in (0.2, 0.4, 0.8)]
    assert jitter(batch, contrast=factors(1.2))[0, :, 0, 0].tolist() == pytest.approx(contrast)
    assert jitter(batch, contrast=factors(0.8))[0, :, 0, 1].tolist() == pytest.approx([0.2 * light / 2] * 3)
    saturation = [0.7 * value + 0.3 * light for value in (0.2, 0.4, 0.8)]
    assert jitter(batch, saturation=factors(0.7))[0, :, 0, 0].tolist() == pytest.approx(saturation)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_is_torchvisions(batch, name, channels, vision):
    batch, longhand = batch[:, :channels], getattr(vision, f"adjust_{name}")
    strengths = torch.linspace(0, 2, 16)
    for image, changed, strength in zip(batch, jitter(batch, **{name: strengths}), strengths, strict=True):
        assert torch.allclose(changed, longhand(image, float(strength)), atol=1e-5)


def test_all_of_jitter_is_the_three_in_order(batch):
    first, second, third = (0.8 + 0.4 * torch.rand(16, generator=seeded(seed)) for seed in range(3))
    step = jitter(jitter(jitter(batch, first), contrast=second), saturation=third)
    assert torch.allclose(jitter(batch, first, second, third), step, atol=1e-6)


def test_the_batch_is_not_changed_and_the_result_is_in_range(batch):
    for settings in (Augmentation(shift=2), only(brightness=1), only(contrast=1), only(saturation=1), only()):
        before = batch.clone()
        result = augment(batch, settings, seeded())
        assert torch.equal(batch, before)
        assert (result.shape, result.dtype) == (batch.shape, batch.dtype)
        assert float(result.min()) >= 0 and float(result.max()) <= 1


def test_nothing_switched_on_changes_nothing(batch):
    assert torch.equal(augment(batch, only(), seeded()), batch)


def test_the_same_generator_gives_the_same_batch(batch):
    settings = Augmentation(shift=2)
    assert torch.equal(augment(batch, settings, seeded(4)), augment(batch, settings, seeded(4)))
    assert not torch.equal(augment(batch, settings, seeded(4)), augment(batch, settings, seeded(5)))


def test_every_image_takes_the_same_draws_whatever_is_switched_on(batch):
    for settings in (only(), Augmentation(shift=2)):
        generator, longhand = seeded(), seeded()
        augment(batch, settings, generator)
        torch.rand(16, DRAWS, generator=longhand)
        assert torch.equal(generator.get_state(), longhand.get_state())


def test_strengths_are_drawn_from_the_whole_range():
    count = 4000
    bright = augment(torch.full((count, 1, 1, 1), 0.5), only(brightness=0.4), seeded()).flatten() / 0.5
    assert float(bright.min()) == pytest.approx(0.6, abs=0.01)
    assert float(bright.max()) == pytest.approx(1.4, abs=0.01)
    assert float(bright.mean()) == pytest.approx(1, abs=0.02)
    dot = torch.zeros(count, 1, 5, 5)
    dot[:, :, 2, 2] = 1
    places = augment(dot, only(shift=2), seeded()).sum(0).flatten()
    # 25 places, each as likely: 160 ± 12.6.
    assert places.sum() == count and places.min() > 100 and places.max() < 220
    flipped = augment(torch.eye(2).expand(count, 1, 2, 2), only(flip=True), seeded())[:, 0, 0, 1]
    assert float(flipped.mean()) == pytest.approx(0.5, abs=0.03)


def test_grey_images_have_no_saturation(batch):
    grey = batch[:, :1]
    assert torch.equal(augment(grey, only(saturation=1), seeded()), grey)
    assert augment(grey, Augmentation(), seeded()).shape == grey.shape


def test_grey_on_one_channel_is_grey_on_three(batch):
    grey = batch[:, :1]
    one = augment(grey, Augmentation(shift=1), seeded())
    three = augment(grey.expand(-1, 3, -1, -1).contiguous(), Augmentation(shift=1), seeded())
    # The luma's weights sum to 0.9999.
    assert torch.allclose(one.expand(-1, 3, -1, -1), three, atol=2e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_makes_the_same_batch(batch):
    settings = Augmentation(shift=2)
    assert torch.allclose(
        augment(batch.cuda(), settings, seeded()).cpu(), augment(batch, settings, seeded()), atol=1e-4
    )
