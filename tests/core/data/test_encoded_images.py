"""Images that are kept as their files hold them: the same pixels, and crops as torchvision makes them."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import core.data.encoded_entry as encoded_module
from core.common.errors import EspalierError
from core.data.batches import Batches, BatchForm, Draws
from core.data.decode import cut_out, resized_part
from core.data.encoded_images import EncodedImages
from core.data.image_data import ImageData
from core.data.image_names import image_names
from core.data.label_corrections import correct
from core.data.preprocess import Preprocess
from core.data.random_crop import crop_boxes
from core.data.settings import Augmentation, DataSettings
from core.data.store import open_again, open_data

Maker = Callable[..., Path]
CROP = Augmentation(random_crop=True, rotation=0, brightness=0, contrast=0, saturation=0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """24 colour JPEGs of several sizes, one on its side, one damaged, one cut off, and one that is none."""
    root = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for number in range(24):
        coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((90 + number, 70), Image.Resampling.BICUBIC)
        place = root / ("cats" if number % 2 else "dogs") / f"{number:02}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        if number == 5:
            exif[0x0112] = 6
        picture.save(place, quality=90, exif=exif)
    for name, share in (("cats/cut.jpg", 0.5), ("cats/none.jpg", 0.0)):
        content = (root / "cats" / "01.jpg").read_bytes()
        (root / name).write_bytes(content[: int(share * len(content))])
    return root


def opened(photos: Path, cache: Path, side: int = 32, **changes: object) -> ImageData:
    settings = DataSettings(source="folder", path=str(photos), image_size=side, **changes)  # type: ignore[arg-type]
    return open_data(settings, cache)


def test_pixels_and_problems_are_those_of_decoded_images(photos, cache):
    decoded = opened(photos, cache)
    encoded = opened(photos, cache, augmentation=CROP)
    assert decoded.decoded and not encoded.decoded
    assert encoded.images.shape == decoded.images.shape == (24, 32, 32, 3)
    assert np.array_equal(np.asarray(encoded.images), decoded.images)
    for index in (3, -1, slice(4, 9), [7, 2, 2], np.arange(24) % 5 == 0, (slice(2), 0), (1, 0, 0)):
        assert np.array_equal(encoded.images[index], np.asarray(decoded.images)[index])
    assert encoded.problems == decoded.problems and len(encoded.problems) == 2
    assert np.array_equal(encoded.labels, decoded.labels)
    assert all(np.array_equal(encoded.splits[name], decoded.splits[name]) for name in decoded.splits)
    assert np.allclose(encoded.mean, decoded.mean) and np.allclose(encoded.std, decoded.std)


def test_one_store_serves_every_size_and_is_opened_without_reading_images(photos, cache, monkeypatch):
    first = opened(photos, cache, augmentation=CROP)
    monkeypatch.setattr("core.data.reader.examine", None)
    other = opened(photos, cache, side=48, augmentation=CROP)
    assert other.entry == first.entry and other.images.shape[1:] == (48, 48, 3)
    settings = DataSettings(source="folder", path=str(photos), image_size=32, augmentation=CROP)
    assert open_again(settings, cache, first.opened).fingerprint == first.fingerprint != other.fingerprint


def test_large_sets_are_kept_encoded_whatever_lies_in_the_cache(photos, cache, monkeypatch):
    small = opened(photos, cache)
    assert small.decoded and not opened(photos, cache, augmentation=CROP).decoded
    assert opened(photos, cache).fingerprint == small.fingerprint
    monkeypatch.setattr(encoded_module, "LARGEST_DECODED", 1000)
    large = opened(photos, cache, side=40)
    assert not large.decoded and any("as their files hold them" in note for note in large.notes)


def test_small_images_of_one_size_stay_decoded(make_folder, cache):
    folder = make_folder({"cats": 9, "dogs": 9})
    data = opened(folder, cache, augmentation=CROP)
    assert data.decoded
    form, draws = BatchForm(4), Draws(0, "stage")
    images, _ = next(Batches(data, "train", Preprocess(16, 1, (0.0,), (1.0,)), form, draws, CROP).epoch(1))
    assert images.shape == (4, 1, 16, 16)


def test_damaged_bytes_are_noticed_and_read_again(photos, cache):
    before = opened(photos, cache, augmentation=CROP)
    file = cache / before.entry / encoded_module.BYTES
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    damaged = opened(photos, cache, augmentation=CROP)
    with pytest.raises(EspalierError, match="damaged"):
        damaged.images[:]
    again = opened(photos, cache, augmentation=CROP)
    assert again.fingerprint == before.fingerprint and len(again.images[:]) == 24


def test_an_epoch_can_be_taken_up_at_any_step_with_any_threads(photos, cache):
    data = opened(photos, cache, augmentation=CROP)

    def batches(size: int) -> Batches:
        return Batches(data, "train", Preprocess(32), BatchForm(size), Draws(3, "stage"), CROP)

    whole = [images for images, _ in batches(4).epoch(2)]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        rest = [images for images, _ in batches(4).epoch(2, 2)]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(whole[2:], rest, strict=True))
    assert not torch.equal(whole[0], next(batches(4).epoch(3))[0])


def test_parts_are_drawn_for_the_place_in_the_epoch_not_for_the_batch():
    sizes = np.tile([[300, 400]], (50, 1))
    together = crop_boxes(sizes, np.arange(50), 7, CROP)
    apart = np.concatenate([crop_boxes(sizes[:1], np.array([place]), 7, CROP) for place in range(50)])
    assert np.array_equal(together, apart)


@pytest.mark.parametrize("size", [(375, 500), (40, 400), (1, 1)])
def test_parts_are_distributed_as_torchvision_draws_them(size):
    from core.models.torchvision_shim import import_torchvision

    import_torchvision()
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    blank = torch.zeros(1, *size)
    theirs = np.array([RandomResizedCrop.get_params(blank, [0.08, 1], [3 / 4, 4 / 3]) for _ in range(500)])
    ours = crop_boxes(np.tile([size], (20_000, 1)), np.arange(20_000), 1, CROP)
    assert (ours[:, :2] >= 0).all() and (ours[:, :2] + ours[:, 2:] <= size).all() and (ours[:, 2:] > 0).all()
    spread = theirs.std(0) / 500**0.5 + 1e-9
    assert (np.abs(ours.mean(0) - theirs.mean(0)) <= 4 * spread).all()


def test_a_part_is_cropped_and_resized_as_torchvision_does(photos, cache):
    from core.models.torchvision_shim import import_torchvision

    import_torchvision()
    from torchvision.transforms.functional import resized_crop

    data = opened(photos, cache, augmentation=CROP)
    assert isinstance(data.images, EncodedImages)
    names = sorted(path for path in photos.rglob("??.jpg"))
    for row, box in ((0, (3, 5, 60, 44)), (len(names) - 1, (0, 0, 70, 90)), (4, (10, 0, 33, 51))):
        with Image.open(names[row]) as file:
            theirs = np.asarray(resized_crop(file.convert("RGB"), *box, [32, 32]))
        assert np.array_equal(data.images.cropped(np.array([row]), np.array([box]), 32)[0], theirs)


def test_large_parts_of_jpegs_are_decoded_smaller_and_look_the_same():
    coarse = np.random.default_rng(1).integers(0, 256, (3, 4, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((403, 301), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92)
    file.seek(0)
    box = (11, 7, 280, 370)
    exact = resized_part(Image.open(io.BytesIO(file.getvalue())), box, 32)
    near = cut_out(file, box, 32, 3)
    assert not np.array_equal(near, exact)
    assert np.abs(near.astype(float) - exact).mean() < 1.5


def test_corrections_work_on_encoded_images(photos, cache):
    before = opened(photos, cache, augmentation=CROP)
    correct(photos, "cats/03.jpg", "dogs")
    correct(photos, "dogs/02.jpg", "")
    after = opened(photos, cache, augmentation=CROP)
    names = image_names(after, DataSettings(source="folder", path=str(photos)), photos.parent)
    assert after.entry == before.entry
    assert after.classes[after.labels[names.index("cats/03.jpg")]] == "dogs"
    assert not any(names.index("dogs/02.jpg") in rows for rows in after.splits.values())
