"""Augmentation against torch and torchvision, and by hand."""

from types import ModuleType

import pytest
import torch

from core.data.augment import DRAWS, LATER_DRAWS, augment, jitter, move
from core.data.settings import Augmentation
from core.models.torchvision_shim import import_torchvision

NOTHING = {"flip": False, "rotation": 0, "brightness": 0, "contrast": 0, "saturation": 0, "shift": 0}


def only(**strengths: float) -> Augmentation:
    return Augmentation(**(NOTHING | strengths))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def vision() -> ModuleType:
    """torchvision's functions."""
    import_torchvision()
    from torchvision.transforms import functional

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


def test_vertical_flips_are_exact(batch):
    upside_down = torch.arange(16) % 3 == 0
    moved = move(batch, upside_down=upside_down)
    assert torch.equal(moved[upside_down], batch[upside_down].flip(-2))
    assert torch.equal(moved[~upside_down], batch[~upside_down])


@pytest.mark.parametrize("shape", [(24, 24), (16, 30)])
def test_any_zoom_is_torchvisions_scale(shape, vision):
    batch = torch.rand(5, 3, *shape, generator=seeded())
    zoom, degrees = factors(0.5, 0.8, 1, 1.2, 1.5), factors(0, 0, 0, 30, -15)
    moved = move(batch, scale=zoom, degrees=degrees)
    for image, zoomed, by, angle in zip(batch, moved, zoom.tolist(), degrees.tolist(), strict=True):
        # torchvision's `affine` turns clockwise.
        longhand = vision.affine(image, -angle, [0, 0], by, [0.0, 0.0], vision.InterpolationMode.BILINEAR)
        assert torch.allclose(zoomed, longhand, atol=2e-4)


def test_doubling_and_halving_by_hand():
    batch = torch.arange(16.0).reshape(1, 1, 4, 4)
    halved = move(batch, scale=factors(0.5))[0, 0]
    # Each pixel falls between four: their mean. Around it zeros come in.
    assert halved[1:3, 1:3].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert halved[0].tolist() == halved[3].tolist() == [0, 0, 0, 0]
    doubled = move(batch, scale=factors(2))[0, 0]
    # Pixel (0, 0) comes from 0.75 pixels inside: the value 0.75 · 4 + 0.75 · 1 of the ramp.
    assert doubled[0, 0].item() == pytest.approx(3.75)
    assert doubled[3, 3].item() == pytest.approx(11.25)


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
    for settings in (only(), Augmentation(shift=2), only(scale=0.2, vertical_flip=True)):
        generator, longhand = seeded(), seeded()
        augment(batch, settings, generator)
        torch.rand(16, DRAWS, generator=longhand)
        torch.rand(16, LATER_DRAWS, generator=longhand)
        assert torch.equal(generator.get_state(), longhand.get_state())


def test_zoom_and_vertical_flip_leave_the_other_draws_alone(batch):
    """What was trained before they existed can be trained again to the same weights."""
    draws = torch.rand(16, DRAWS, generator=seeded(3))
    moved = move(batch, flip=draws[:, 0] < 0.5, degrees=(2 * draws[:, 1] - 1) * 15)
    longhand = jitter(moved, *(1 + (2 * draws[:, column] - 1) * 0.2 for column in (4, 5, 6)))
    assert torch.equal(augment(batch, Augmentation(), seeded(3)), longhand)
    later = torch.rand(32, DRAWS + LATER_DRAWS, generator=seeded(3)).flatten()[16 * DRAWS :][: 16 * 2]
    upside_down, zoom = later.reshape(16, 2).T
    longhand = move(batch, upside_down=upside_down < 0.5, scale=1 + (2 * zoom - 1) * 0.3)
    assert torch.equal(augment(batch, only(scale=0.3, vertical_flip=True), seeded(3)), longhand)


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
    # Each pixel holds its place, counted from the centre; 24.5 comes from 24.5 / zoom.
    ramp = (torch.arange(100) - 49.5).expand(count, 1, 1, 100)
    zoom = 24.5 / augment(ramp, only(scale=0.4), seeded())[:, 0, 0, 74]
    assert float(zoom.min()) == pytest.approx(0.6, abs=0.01)
    assert float(zoom.max()) == pytest.approx(1.4, abs=0.01)
    assert float(zoom.mean()) == pytest.approx(1, abs=0.02)
    upside_down = augment(torch.eye(2).expand(count, 1, 2, 2), only(vertical_flip=True), seeded())[:, 0, 0, 1]
    assert float(upside_down.mean()) == pytest.approx(0.5, abs=0.03)
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


def test_mirroring_alone_is_what_resampling_gives():
    batch = torch.rand(6, 3, 17, 24)
    flip, over = torch.arange(6) % 2 == 0, torch.arange(6) % 3 == 0
    still = torch.zeros(6)
    for one, other in ((flip, None), (None, over), (flip, over)):
        assert torch.equal(
            move(batch, one, upside_down=other), move(batch, one, right=still, upside_down=other)
        )
