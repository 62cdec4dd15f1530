"""Batches: counts, order, and the same ones from any step."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.common.errors import EspalierError
from core.data.augment import augment
from core.data.batches import Batches, BatchForm, Draws
from core.data.image_data import ImageData
from core.data.preprocess import Preprocess
from core.data.randomness import derive_seed
from core.data.settings import Augmentation

PREPROCESS = Preprocess(8, 3, (0.5, 0.4, 0.3), (0.5, 0.4, 0.3))


@pytest.fixture
def data() -> ImageData:
    """50 images of which the first pixel tells the number; 23 for training, the rest for testing."""
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(50)
    splits = {"train": np.arange(0, 46, 2), "validation": np.arange(46, 50), "test": np.arange(1, 46, 2)}
    return ImageData(
        "numbered",
        "folder",
        ("a", "b"),
        images,
        np.arange(50) % 2,
        splits,
        (0.5,) * 3,
        (0.3,) * 3,
        3,
        (8, 8),
        (),
        (),
        "f",
    )


def batches(
    data: ImageData,
    split: str = "train",
    size: int = 5,
    augmentation: Augmentation | None = None,
    **more: object,
) -> Batches:
    form = {"device": "cpu"} | {name: more.pop(name) for name in ("device", "channels_last") if name in more}
    draws = Draws(**{"seed": 3, "key": "stage"} | more)
    return Batches(data, split, PREPROCESS, BatchForm(size, **form), draws, augmentation)


def numbers(images: torch.Tensor) -> list[int]:
    """Which images are in a batch that was not augmented."""
    return ((images[:, 0, 0, 0] * 0.5 + 0.5) * 255).round().int().tolist()


def test_evaluation_gives_every_image_once_in_order(data):
    found = batches(data, "test", 5)
    parts = list(found.epoch(0))
    assert [len(images) for images, _ in parts] == [5, 5, 5, 5, 3]
    assert (found.steps, len(found), found.images) == (5, 5, 23)
    assert [number for images, _ in parts for number in numbers(images)] == list(range(1, 46, 2))
    assert torch.cat([labels for _, labels in parts]).tolist() == [1] * 23


def test_images_and_labels_belong_together_and_are_preprocessed(data):
    for images, labels in batches(data, size=4, shuffle=True).epoch(1):
        rows = numbers(images)
        assert torch.equal(images, PREPROCESS(data.images[rows]))
        assert labels.tolist() == data.labels[rows].tolist()
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)


def test_training_drops_the_incomplete_batch_only_where_there_is_a_full_one(data):
    training = batches(data, size=5, augmentation=Augmentation())
    assert (training.steps, training.images, training.shuffle) == (4, 20, True)
    assert [len(labels) for _, labels in training.epoch(0)] == [5] * 4
    small = batches(data, size=64, augmentation=Augmentation())
    assert (small.steps, small.images) == (1, 23)
    assert [len(labels) for _, labels in small.epoch(0)] == [23]
    exact = batches(data, size=23, shuffle=True)
    assert (exact.steps, exact.images) == (1, 23)
    plain = batches(data, size=5)
    assert (plain.steps, plain.images, plain.shuffle) == (5, 23, False)


def test_each_epoch_has_another_order_of_the_same_images(data):
    training = batches(data, size=23, shuffle=True)
    orders = [training.order(epoch).tolist() for epoch in range(4)]
    assert len({tuple(order) for order in orders}) == 4
    assert all(sorted(order) == list(range(0, 46, 2)) for order in orders)
    for other in ({"seed": 4}, {"key": "other"}):
        assert batches(data, size=23, shuffle=True, **other).order(0).tolist() != orders[0]


@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_starting_at_a_step_gives_the_rest_of_the_epoch_exactly(data, start):
    training = batches(data, augmentation=Augmentation(shift=1))
    whole = list(training.epoch(2))
    rest = list(batches(data, augmentation=Augmentation(shift=1)).epoch(2, start))
    assert len(rest) == len(whole) - start
    for (images, labels), (again, same) in zip(whole[start:], rest, strict=True):
        assert torch.equal(images, again) and torch.equal(labels, same)


def test_other_random_numbers_in_between_change_nothing(data):
    training = batches(data, augmentation=Augmentation())
    calm = [images for images, _ in training.epoch(0)]
    disturbed = []
    for images, _ in training.epoch(0):
        torch.rand(7)
        np.random.default_rng().random(3)
        disturbed.append(images)
        next(iter(training.epoch(5)))
    assert all(torch.equal(one, two) for one, two in zip(calm, disturbed, strict=True))
    state = torch.get_rng_state()
    list(training.epoch(1))
    assert torch.equal(torch.get_rng_state(), state)


def test_augmentation_is_drawn_from_seed_key_epoch_and_step(data):
    settings = Augmentation(shift=1)
    training = batches(data, augmentation=settings)
    rows = np.sort(training.order(1)[10:15])
    generator = torch.Generator().manual_seed(derive_seed(3, "stage", "augment", 1, 2))
    longhand = PREPROCESS.normalise(augment(PREPROCESS.to_unit(data.images[rows]), settings, generator))
    images, _ = next(itertools.islice(training.epoch(1), 2, None))
    assert torch.equal(images, longhand)


def test_augmentation_does_not_depend_on_the_epochs_before(data):
    first, second = (list(batches(data, augmentation=Augmentation()).epoch(epoch)) for epoch in (0, 1))
    assert not torch.equal(first[0][0], second[0][0])


@pytest.fixture
def imbalanced(data) -> ImageData:
    """Of the 23 training images, 4 in a row are of class b."""
    labels = np.zeros(50, np.int64)
    labels[20:28] = 1
    return replace(data, labels=labels)


def test_filling_up_makes_epochs_longer_and_classes_equal(imbalanced):
    training = batches(imbalanced, size=5, shuffle=True, balance="fill-up")
    assert (training.steps, training.images) == (7, 35)  # 19 of each class: 38
    assert len(training.order(1)) == 38
    shown = [number for images, _ in training.epoch(1) for number in numbers(images)]
    assert set(shown[:35]) <= set(range(0, 46, 2))
    whole = batches(imbalanced, size=38, shuffle=True, balance="fill-up")
    assert torch.cat([labels for _, labels in whole.epoch(1)]).bincount().tolist() == [19, 19]


@pytest.mark.parametrize("balance", ["fill-up", "weighted"])
def test_repeated_images_keep_their_labels(imbalanced, balance):
    for epoch in range(6):
        for images, labels in batches(imbalanced, size=3, shuffle=True, balance=balance).epoch(epoch):
            rows = numbers(images)
            assert torch.equal(images, PREPROCESS(imbalanced.images[rows]))
            assert labels.tolist() == imbalanced.labels[rows].tolist()


def test_repeats_that_look_like_a_row_of_images_are_none(data):
    """The sorted rows 0, 2, 2 span as many places as 0, 1, 2 do."""
    close = replace(data, splits={**data.splits, "train": np.arange(3)}, labels=np.array([0, 0, 1] * 17)[:50])
    training = batches(close, size=4, shuffle=True, balance="fill-up")
    images, labels = next(training.epoch(0))
    assert numbers(images) == [0, 1, 2, 2] and labels.tolist() == [0, 0, 1, 1]
    training = batches(close, size=3, shuffle=True, balance="weighted")
    for epoch in range(30):
        images, labels = next(training.epoch(epoch))
        assert numbers(images) == sorted(training.order(epoch).tolist())
        assert labels.tolist() == [[0, 0, 1][number] for number in numbers(images)]


def test_each_repeat_is_augmented_differently(imbalanced):
    training = batches(imbalanced, size=38, augmentation=Augmentation(rotation=0, shift=0), balance="fill-up")
    images, labels = next(training.epoch(0))
    assert len({image.numpy().tobytes() for image in images[labels == 1]}) == 19


@pytest.mark.parametrize("balance", ["fill-up", "weighted"])
def test_balanced_epochs_start_at_any_step_too(imbalanced, balance):
    options = {"augmentation": Augmentation(shift=1), "balance": balance}
    whole = list(batches(imbalanced, **options).epoch(2))
    rest = list(batches(imbalanced, **options).epoch(2, 3))
    assert len(rest) == len(whole) - 3
    for (images, labels), (again, same) in zip(whole[3:], rest, strict=True):
        assert torch.equal(images, again) and torch.equal(labels, same)


def test_evaluation_is_never_balanced(imbalanced):
    found = batches(imbalanced, "train", 50, balance="fill-up")
    assert (found.steps, found.images) == (1, 23)
    assert numbers(next(found.epoch(0))[0]) == list(range(0, 46, 2))


def test_channels_last_is_the_layout_only(data):
    plain, last = (next(iter(batches(data, channels_last=flag).epoch(0)))[0] for flag in (False, True))
    assert torch.equal(plain, last)
    assert last.is_contiguous(memory_format=torch.channels_last) and plain.is_contiguous()


def test_batches_of_a_memory_map_leave_it_alone(sample_data):
    part = Batches(sample_data, "test", Preprocess(28), BatchForm(50), Draws(0, "x"), Augmentation())
    images, labels = next(iter(part.epoch(0)))
    assert images.shape == (50, 3, 28, 28) and labels.shape == (50,)
    images.zero_()
    assert sample_data.images[:50].any()


@pytest.mark.parametrize(("split", "size", "text"), [
    ("val", 5, "Expected one of the splits train, validation, test, received 'val'."),
    ("train", 0, "Expected a batch size of at least 1 and images in the train split, received 0 and 23 images."),
])  # fmt: skip
def test_impossible_batches_are_refused(data, split, size, text):
    with pytest.raises(EspalierError) as caught:
        batches(data, split, size)
    assert str(caught.value) == text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_gets_the_same_batches(data):
    here, there = (
        batches(data, augmentation=Augmentation(shift=1), device=device) for device in ("cpu", "cuda")
    )
    for (images, labels), (other, same) in zip(here.epoch(0), there.epoch(0), strict=True):
        assert other.is_cuda and same.is_cuda
        assert torch.allclose(images, other.cpu(), atol=1e-3) and torch.equal(labels, same.cpu())
