"""Which images an epoch of training shows where classes differ in size: the setting `balance`.

Every draw follows from (seed, key, epoch); nothing is drawn from a running stream. `n` images of
`k` classes; an order holds positions 0…n-1 in turn. Readable without torch.
"""

import numpy as np

from core.data.randomness import derive_seed, shuffled, uniform
from core.data.settings import Balance


def epoch_images(labels: np.ndarray, balance: Balance) -> int:
    """How many images an epoch shows, repeats included.

    Args:
        labels: int64 [n], of the training images.
        balance: `DataSettings.balance`.
    """
    counts = np.unique(labels, return_counts=True)[1]
    return int(counts.max() * len(counts)) if balance == "fill-up" else len(labels)


def epoch_order(labels: np.ndarray, balance: Balance, seed: int, key: str, epoch: int) -> np.ndarray:
    """The images of an epoch in turn, as positions in `labels`.

    "none" shows every image once; so does "fill-up", and repeats images of smaller classes until
    every class has as many as the largest: all of a class equally often, and a rest that is drawn
    anew each epoch. "weighted" draws n images with replacement, an image with probability
    1 / (k · images of its class).

    Returns: int64 [`epoch_images`].
    """
    if balance == "weighted":
        return _weighted(labels, derive_seed(seed, key, "balance", epoch))
    order = np.arange(len(labels))
    if balance == "fill-up":
        order = np.concatenate([order, *_repeats(labels, seed, key, epoch)])
    return order[shuffled(len(order), derive_seed(seed, key, "order", epoch))]


def _repeats(labels: np.ndarray, seed: int, key: str, epoch: int) -> list[np.ndarray]:
    """For every class the images that are shown again."""
    classes, counts = np.unique(labels, return_counts=True)
    repeats = []
    for label, count in zip(classes.tolist(), counts.tolist(), strict=True):
        members = np.flatnonzero(labels == label)
        times, rest = divmod(int(counts.max()) - count, count)
        drawn = shuffled(count, derive_seed(seed, key, "balance", epoch, label))[:rest]
        repeats.append(np.concatenate([np.tile(members, times), members[drawn]]))
    return repeats


def _weighted(labels: np.ndarray, seed: int) -> np.ndarray:
    """First a class for every place, each as likely; then an image of it, each as likely."""
    counts = np.unique(labels, return_counts=True)[1]
    by_class = np.argsort(labels, kind="stable")
    starts = np.cumsum(counts) - counts
    chosen = (uniform(len(labels), derive_seed(seed, "class")) * len(counts)).astype(np.int64)
    within = (uniform(len(labels), derive_seed(seed, "image")) * counts[chosen]).astype(np.int64)
    return by_class[starts[chosen] + within]
