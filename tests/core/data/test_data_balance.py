"""Filling up small classes and weighted draws: counts, chances, and the same ones again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.common.control import RunControl
from core.data.balance import epoch_images, epoch_order
from core.data.image_data import ImageData
from core.data.preprocess import Preprocess
from core.data.randomness import derive_seed, shuffled
from core.data.settings import Augmentation
from core.models.settings import BackboneSettings
from core.records.events import Event, TrainingStarted
from core.stages.context import StageContext
from core.stages.fine_tune import run_training
from core.training.settings import TrainingSettings

LABELS = np.array([2] * 10 + [0] * 4 + [5] * 3 + [0] * 1)
"""Three classes of 5, 10 and 3 images; one class's images do not lie together."""


def order(balance: str, epoch: int = 1, seed: int = 3, key: str = "stage") -> np.ndarray:
    return epoch_order(LABELS, balance, seed, key, epoch)


@pytest.mark.parametrize(("balance", "images"), [("none", 18), ("weighted", 18), ("fill-up", 30)])
def test_the_length_of_an_epoch(balance, images):
    assert epoch_images(LABELS, balance) == images == len(order(balance))


def test_without_balance_an_epoch_is_the_plain_shuffle():
    longhand = shuffled(18, derive_seed(3, "stage", "order", 1))
    assert np.array_equal(order("none"), longhand)


def test_filling_up_shows_every_image_and_every_class_as_often():
    for epoch in range(5):
        shown = order("fill-up", epoch)
        assert np.unique(LABELS[shown], return_counts=True)[1].tolist() == [10, 10, 10]
        times = np.bincount(shown, minlength=18)
        assert times[LABELS == 2].tolist() == [1] * 10
        # 5 images, 10 places: each twice. 3 images, 10 places: three times, and one of them again.
        assert times[LABELS == 0].tolist() == [2] * 5
        assert sorted(times[LABELS == 5].tolist()) == [3, 3, 4]


def test_what_is_repeated_once_more_is_drawn_anew_each_epoch():
    extra = [int(np.bincount(order("fill-up", epoch), minlength=18).argmax()) for epoch in range(30)]
    assert set(extra) == set(np.flatnonzero(LABELS == 5).tolist())


def test_repeats_are_spread_over_the_epoch():
    places = [np.flatnonzero(LABELS[order("fill-up", epoch)] == 5).mean() for epoch in range(40)]
    # The middle of 30 places; ± 4 standard errors.
    assert np.mean(places) == pytest.approx(14.5, abs=1.5)


def test_equal_classes_need_no_filling_up():
    labels = np.arange(12) % 3
    plain, filled = (epoch_order(labels, balance, 3, "stage", 2) for balance in ("none", "fill-up"))
    assert np.array_equal(plain, filled)


def test_weighted_draws_make_classes_and_their_images_equally_likely():
    drawn = np.concatenate([order("weighted", epoch) for epoch in range(500)])
    shares = np.bincount(drawn, minlength=18) / len(drawn)
    expected = np.where(LABELS == 2, 1 / 30, np.where(LABELS == 0, 1 / 15, 1 / 9))
    # Five standard errors of 9 000 draws.
    assert np.all(np.abs(shares - expected) < 5 * np.sqrt(expected / len(drawn)))
    assert len(np.unique(order("weighted"))) < 18


@pytest.mark.parametrize("balance", ["none", "fill-up", "weighted"])
def test_draws_follow_from_seed_key_and_epoch(balance):
    assert np.array_equal(order(balance), order(balance))
    others = [order(balance, epoch=2), order(balance, seed=4), order(balance, key="other")]
    assert all(not np.array_equal(order(balance), other) for other in others)


@pytest.mark.parametrize(("balance", "steps"), [("none", 9), ("weighted", 9), ("fill-up", 15)])
def test_a_stages_training_is_as_long_as_its_balance_says(balance, steps, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    labels = np.concatenate([np.searchsorted([0, 2, 5], LABELS), [0, 1]])
    data = ImageData(
        "t", "folder", ("a", "b", "c"), images, labels,
        {"train": np.arange(18), "validation": np.arange(18, 20), "test": np.arange(18, 20)},
        (0.5,) * 3, (0.5,) * 3, 3, (8, 8), (), (), "f",
    )  # fmt: skip
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3))
    events: list[Event] = []
    context = StageContext(
        stage="s", seed=1, key="k", device="cpu", network=BackboneSettings(), data=data, preprocess=Preprocess(8),
        augmentation=Augmentation(), scratch=Path(tmp_path), control=RunControl(), emit=events.append,
        reference=lambda _: model, balance=balance,
    )  # fmt: skip
    run_training(model, TrainingSettings(epochs=1, batch_size=2), context)
    assert [event.steps_per_epoch for event in events if isinstance(event, TrainingStarted)] == [steps]
