"""Parts of a data set, by hand and through `open_data`."""

import numpy as np
import pytest

from core.common.errors import EspalierError
from core.data.settings import DataSettings
from core.data.store import open_data
from core.data.subset import chosen_classes, long_tailed, relabelled

CLASSES = ("cat", "dog", "owl")


def test_classes_keep_the_data_sets_order():
    assert chosen_classes(" owl , cat", CLASSES) == ("cat", "owl")
    assert chosen_classes("", CLASSES) == CLASSES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat, cow", "Expected names of classes, received 'cow'."),
        ("cat, cat", "Expected at least two classes, received only 'cat'."),
    ],
)
def test_classes_that_cannot_be(text, message):
    with pytest.raises(EspalierError) as caught:
        chosen_classes(text, CLASSES)
    assert caught.value.message == message


def test_labels_count_anew():
    assert relabelled(np.array([0, 1, 2, 2]), CLASSES, ("cat", "owl")).tolist() == [0, -1, 1, 1]


def test_the_tail_is_exponential():
    labels = np.repeat(np.arange(3), 100)
    kept = long_tailed(np.arange(300), labels, 4.0, seed=0)
    assert np.bincount(labels[kept]).tolist() == [100, 50, 25]
    assert np.array_equal(kept, np.sort(kept))
    assert np.array_equal(kept, long_tailed(np.arange(300), labels, 4.0, seed=0))
    assert not np.array_equal(kept, long_tailed(np.arange(300), labels, 4.0, seed=1))
    assert np.array_equal(long_tailed(np.arange(300), labels, 1.0, seed=0), np.arange(300))


def test_every_class_keeps_an_image():
    labels = np.repeat(np.arange(2), 3)
    assert np.bincount(labels[long_tailed(np.arange(6), labels, 1000.0, seed=0)]).tolist() == [3, 1]


def test_two_classes_of_the_sample(tmp_path):
    whole = open_data(DataSettings(), tmp_path)
    settings = DataSettings(classes="Shirt, Pullover", imbalance=2.0, validation_images=50)
    part = open_data(settings, tmp_path)
    assert part.classes == tuple(name for name in whole.classes if name in ("Shirt", "Pullover"))
    first, second = part.class_counts("train").values()
    assert first == 1200 and second == 600
    assert list(part.class_counts("validation").values()) == [25, 25]
    assert sum(part.class_counts("test").values()) == 2000
    assert part.fingerprint != whole.fingerprint
    names = {whole.classes[label] for label in whole.labels[part.split("train")]}
    assert names == {"Shirt", "Pullover"}
