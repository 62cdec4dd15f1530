"""A part of a data set: some of its classes, and fewer training images for some classes.

Small, imbalanced folders are what many people have; both settings make such a data set out of a
large balanced one, so that methods can be tried on it. Readable without torch.
"""

import numpy as np

from core.common.errors import EspalierError
from core.data.class_names import composed
from core.data.randomness import derive_seed, ranks_within


def chosen_classes(text: str, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The classes that a text names between commas, in the data set's order; all for an empty text.

    Raises:
        EspalierError: for a class that is not there, or fewer than two.
    """
    known = {composed(name): name for name in classes}
    written = [name.strip() for name in text.split(",") if name.strip()]
    names = [known.get(composed(name), name) for name in written]
    if not names:
        return classes
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise EspalierError(
            f"Expected names of classes, received {unknown[0]!r}.",
            f"The data set has: {', '.join(classes[:20])}{', …' if len(classes) > 20 else ''}.",
        )
    if len(set(names)) < 2:
        raise EspalierError(
            f"Expected at least two classes, received only {names[0]!r}.", "Name another one."
        )
    return tuple(name for name in classes if name in names)


def relabelled(labels: np.ndarray, classes: tuple[str, ...], chosen: tuple[str, ...]) -> np.ndarray:
    """Labels as indices into `chosen`; -1 for images of other classes. int64 [n] → int64 [n]."""
    table = np.array([chosen.index(name) if name in chosen else -1 for name in classes], dtype=np.int64)
    return table[labels]


def long_tailed(indices: np.ndarray, labels: np.ndarray, ratio: float, seed: int) -> np.ndarray:
    """Training images thinned so that the first class has `ratio` times as many as the last.

    Class i of k keeps the share ratio^(−i/(k−1)) of its images, rounded half up, at least one: the
    exponential profile of Cui et al. 2019, arXiv 1901.05555.

    Args:
        indices: int64 [m], sorted. labels: int64 [n], of all images. ratio: at least 1.

    Returns: sorted int64, a part of `indices`; all of them for a ratio of 1.
    """
    subset_labels = labels[indices]
    largest_label = int(subset_labels.max()) if len(subset_labels) else 0
    if ratio <= 1 or largest_label == 0:
        return indices
    counts = np.bincount(subset_labels)
    shares = ratio ** (-np.arange(largest_label + 1) / largest_label)
    quota = np.maximum(1, np.floor(counts * shares + 0.5).astype(np.int64))
    return indices[ranks_within(subset_labels, derive_seed(seed, "long tail")) < quota[subset_labels]]
