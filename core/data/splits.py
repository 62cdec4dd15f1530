"""Training, validation and test: own splits are kept, missing ones are drawn per class.

`n` images, each with a label and a membership (0 training pool, 1 validation, 2 test). Missing
splits come out of the training pool: first the test split, then the validation split.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from core.common.errors import EspalierError
from core.data.randomness import derive_seed, ranks_within

SPLITS: tuple[str, ...] = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)


def draw_splits(
    labels: np.ndarray, membership: np.ndarray, validation_fraction: float, test_fraction: float, seed: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Where every image belongs, and a sentence for every split that had to be drawn.

    Fractions count per class, rounded half up; a class of at least two images gives at least
    one and keeps at least one for training.

    Args:
        labels: int64 [n].
        membership: int8 [n], see the module.

    Returns: sorted int64 index arrays by split, and the notes.

    Raises:
        EspalierError: a split cannot be drawn because no class has an image to spare.
    """
    belongs = membership.copy()
    notes: list[str] = []
    for split, fraction in ((TEST, test_fraction), (VALIDATION, validation_fraction)):
        if np.any(belongs == split):
            continue
        pool = np.flatnonzero(belongs == TRAIN)
        held_out = _hold_out(labels[pool], fraction, derive_seed(seed, SPLITS[split]))
        if not held_out.any():
            raise EspalierError(
                f"Expected images to spare for the {SPLITS[split]} split, received classes of too few images.",
                "Add images, so that every class has at least three, or bring the splits as folders "
                "train, validation and test.",
            )
        belongs[pool[held_out]] = split
        notes.append(_drawn_note(SPLITS[split], int(held_out.sum()), fraction, seed))
    return {name: np.flatnonzero(belongs == code).astype(np.int64) for code, name in enumerate(SPLITS)}, notes


def limit(indices: np.ndarray, labels: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """At most `count` of `indices`, drawn evenly over the classes; all where `count` is None.

    Classes give one image each, in turns, until enough are taken or all are used. A smaller
    count is a part of a larger one.

    Args:
        indices: int64 [k], sorted.
        labels: int64 [n], of all images.

    Returns: sorted int64 [min(k, count)].
    """
    if count is None or count >= len(indices):
        return indices
    subset_labels = labels[indices]
    ranks = ranks_within(subset_labels, derive_seed(seed, "limit"))
    chosen = np.lexsort((subset_labels, ranks))[:count]
    return np.sort(indices[chosen])


def _hold_out(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Which images of the pool are held out: bool [k]."""
    counts = np.bincount(labels) if len(labels) else np.zeros(0, dtype=np.int64)
    quota = np.clip(np.floor(counts * fraction + 0.5).astype(np.int64), 1, np.maximum(counts - 1, 0))
    quota[counts < 2] = 0
    return np.asarray(ranks_within(labels, seed) < quota[labels])


def _drawn_note(split: str, count: int, fraction: float, seed: int) -> str:
    return (
        f"The data set brings no {split} split: {count} of its training images "
        f"({fraction * 100:g} % of each class, seed {seed}) are held out for it."
    )


def absent_classes(splits: Mapping[str, np.ndarray], labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    """A sentence for validation and for test where they lack images of some classes."""
    notes = []
    for name in SPLITS[1:]:
        counts = np.bincount(labels[splits[name]], minlength=len(classes))
        absent = [f"'{one}'" for one, count in zip(classes, counts, strict=True) if count == 0]
        if absent:
            more = f" and {len(absent) - 8} more" if len(absent) > 8 else ""
            notes.append(f"The {name} split has no images of {', '.join(absent[:8])}{more}.")
    return notes
