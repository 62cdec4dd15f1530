"""Accuracy from logits, and whether a difference between two models is one.

NumPy only. Shapes: logits [n, k], labels [n] with values 0…k−1.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from core.records.reports import Metric

_Z95 = 1.959963984540054
TOP5_FROM = 20  # classes; below, five guesses say little


def accuracy_metrics(logits: NDArray[np.float32], labels: NDArray[np.int64], how: str) -> dict[str, Metric]:
    """top1 (with a 95 % Wilson interval), balanced_accuracy, macro_f1, and top5 from 20 classes on.

    Balanced accuracy is the mean recall over the classes that occur; macro-F1 the mean F1 over
    the same classes. All in percent. An image of which a logit is no finite number (NaN, infinite) counts as wrong.
    """
    answered = np.isfinite(logits).all(1)
    guesses, n = logits.argmax(1), len(labels)
    right = int(((guesses == labels) & answered).sum())
    low, high = wilson(right, n)
    if unanswered := n - int(answered.sum()):
        how += f"; {unanswered} images without finite logits count as wrong"
    metrics = {
        "top1": Metric(value=100.0 * right / n, unit="%", low=low, high=high, level=0.95, n=n, how=how)
    }
    if logits.shape[1] >= TOP5_FROM:
        best = np.argpartition(logits, -5, axis=1)[:, -5:]
        hits5 = (best == labels[:, None]).any(1) & answered
        metrics["top5"] = Metric(value=100.0 * float(hits5.mean()), unit="%", n=n, how=how)
    confusion = confusion_matrix(guesses[answered], labels[answered], logits.shape[1])
    shown = np.bincount(labels, minlength=logits.shape[1])
    present = shown > 0
    hits = confusion.diagonal()[present].astype(float)
    recall = hits / shown[present]
    f1 = 2 * hits / (shown[present] + confusion.sum(0)[present])
    metrics["balanced_accuracy"] = Metric(value=100.0 * float(recall.mean()), unit="%", n=n, how=how)
    metrics["macro_f1"] = Metric(value=100.0 * float(f1.mean()), unit="%", n=n, how=how)
    return metrics


def confusion_matrix(
    guesses: NDArray[np.int64], labels: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Counts [classes, classes]: rows are the true class, columns the guess."""
    flat = np.bincount(labels * classes + guesses, minlength=classes * classes)
    return flat.reshape(classes, classes)


def wilson(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a share, in percent. Source: Wilson 1927; Newcombe 1998, method 3."""
    share, z2 = right / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return 100 * (centre - half), 100 * (centre + half)


def paired_change(baseline: NDArray[np.bool_], candidate: NDArray[np.bool_]) -> Metric:
    """Change of accuracy on the same images, in points, with a 95 % interval.

    Args:
        baseline, candidate: per image [n], whether the model was right.

    Source: Agresti and Min 2005, doi 10.1002/sim.1781 (Wald's interval for paired shares with
    half an image added to each of the four cells).
    """
    n = len(baseline)
    lost = int((baseline & ~candidate).sum())
    won = int((candidate & ~baseline).sum())
    total = n + 2
    b, c = lost + 0.5, won + 0.5
    centre = (c - b) / total
    half = _Z95 * sqrt(b + c - (c - b) ** 2 / total) / total
    sentence = f"{lost} images right before and wrong now, {won} the other way round"
    return Metric(
        value=100.0 * (won - lost) / n, unit="points", low=100 * (centre - half), high=100 * (centre + half),
        level=0.95, n=n, how=sentence,
    )  # fmt: skip
