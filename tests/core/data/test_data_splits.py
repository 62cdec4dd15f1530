"""Drawn splits and limits, counted by hand."""

import numpy as np
import pytest

from core.common.errors import EspalierError
from core.data.splits import draw_splits, limit


def pool(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and memberships of training images, `counts` per class."""
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    return labels, np.zeros(len(labels), np.int8)


def per_class(splits: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, list[int]]:
    return {
        name: np.bincount(labels[rows], minlength=labels.max() + 1).tolist() for name, rows in splits.items()
    }


def test_both_splits_are_drawn_per_class_test_first():
    labels, membership = pool(100, 50)
    splits, notes = draw_splits(labels, membership, 0.1, 0.2, seed=0)
    # Of 100: 20 test, 8 (10 % of the remaining 80) validation. Of 50: 10 and 4.
    assert per_class(splits, labels) == {"train": [72, 36], "validation": [8, 4], "test": [20, 10]}
    assert np.array_equal(np.sort(np.concatenate(list(splits.values()))), np.arange(150))
    assert notes == [
        "The data set brings no test split: 30 of its training images (20 % of each class, seed 0) are held out for it.",
        "The data set brings no validation split: 12 of its training images (10 % of each class, seed 0) are held out for it.",
    ]


def test_own_splits_are_kept():
    labels, membership = pool(10, 10)
    membership[[3, 13]] = 1
    membership[[4, 5, 14, 15]] = 2
    splits, notes = draw_splits(labels, membership, 0.4, 0.4, seed=0)
    assert splits["validation"].tolist() == [3, 13]
    assert splits["test"].tolist() == [4, 5, 14, 15]
    assert notes == []


def test_every_class_keeps_a_training_image_and_gives_one_where_it_can():
    labels, membership = pool(1, 2, 3, 40)
    splits, _ = draw_splits(labels, membership, 0.49, 0.49, seed=1)
    assert per_class(splits, labels) == {
        "train": [1, 1, 1, 10],
        "validation": [0, 0, 1, 10],
        "test": [0, 1, 1, 20],
    }


def test_the_same_seed_draws_the_same_images_another_one_others():
    labels, membership = pool(50, 50)
    first, again, other = (draw_splits(labels, membership, 0.1, 0.2, seed)[0] for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["test"], other["test"])


def test_indices_are_sorted_int64():
    labels, membership = pool(30, 30)
    for rows in draw_splits(labels, membership, 0.1, 0.2, 0)[0].values():
        assert rows.dtype == np.int64 and np.all(np.diff(rows) > 0)


def test_nothing_to_spare_is_said():
    labels, membership = pool(1, 1)
    with pytest.raises(EspalierError) as caught:
        draw_splits(labels, membership, 0.1, 0.2, 0)
    assert str(caught.value) == (
        "Expected images to spare for the test split, received classes of too few images. Add images, so that "
        "every class has at least three, or bring the splits as folders train, validation and test."
    )


def test_a_limit_is_even_over_the_classes_and_fills_up_from_the_larger_ones():
    labels, _ = pool(2, 10, 10)
    rows = np.arange(22)
    assert np.bincount(labels[limit(rows, labels, 12, 0)]).tolist() == [2, 5, 5]
    assert np.bincount(labels[limit(rows, labels, 3, 0)]).tolist() == [1, 1, 1]
    assert limit(rows, labels, None, 0) is rows
    assert limit(rows, labels, 22, 0) is rows


def test_a_smaller_limit_is_a_part_of_a_larger_one_and_sorted():
    labels, _ = pool(20, 20)
    small, large = (limit(np.arange(40), labels, count, 5) for count in (7, 20))
    assert set(small) < set(large)
    assert np.all(np.diff(small) > 0)
    assert not np.array_equal(small, limit(np.arange(40), labels, 7, 6))
