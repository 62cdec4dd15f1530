"""Which classes a model takes for which, and how two models differ in that.

NumPy only. Shapes: logits [n, k], labels [n] with values 0…k−1; a confusion matrix is [k, k], rows are the
true class, columns the answer.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.analysis.accuracy import confusion_matrix
from core.common.content_hashes import intact
from core.common.errors import EspalierError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Answers:
    """What one model answered on the test images.

    Attributes:
        logits: float32 [n, k]. labels: int64 [n]. classes: names, in the order of the logits.
        images: what identifies the test images; models are compared on equal ones only.
    """

    logits: NDArray[np.float32]
    labels: Ints
    classes: tuple[str, ...]
    images: str = ""

    @cached_property
    def guesses(self) -> Ints:
        """The first answer to every image."""
        return self.logits.argmax(1).astype(np.int64)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        return self.guesses == self.labels

    @cached_property
    def confidence(self) -> Floats:
        """The probability (softmax) of the first answer, 0…1."""
        probabilities = np.empty(len(self.logits))
        for start in range(0, len(probabilities), _BLOCK):
            block = self.logits[start : start + _BLOCK].astype(np.float64)
            probabilities[start : start + _BLOCK] = 1.0 / np.exp(block - block.max(1, keepdims=True)).sum(1)
        return probabilities

    @cached_property
    def counts(self) -> Ints:
        """The confusion matrix."""
        return confusion_matrix(self.guesses, self.labels, len(self.classes))

    def best(self, image: int, count: int = 5) -> list[tuple[int, float]]:
        """The `count` likeliest classes of an image, each with its probability 0…1."""
        logits = self.logits[image].astype(np.float64)
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        order = np.argsort(-shares, kind="stable")[:count]
        return [(int(label), float(shares[label])) for label in order]


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class: how many images it has, and in percent what was found and what was right.

    `recall`: of its images, the share answered with it (per-class accuracy). `precision`: of the answers with
    it, the share that is right; None where it was never the answer. `f1`: their harmonic mean.
    """

    label: int
    name: str
    images: int
    recall: float | None
    precision: float | None
    f1: float | None


def read_answers(
    logits: Path, labels: Path, classes: tuple[str, ...], images: str = "", order: Any = None
) -> Answers:
    """The answers that a stage saved with its files.

    Args:
        order: for each class the column of its logit, where the file has another order.

    Raises:
        EspalierError: when they cannot be read or do not fit the classes.
    """
    try:
        predicted = np.load(intact(logits), allow_pickle=False)
        true = np.load(intact(labels), allow_pickle=False)
    except (OSError, ValueError) as error:
        raise EspalierError(
            f"The answers of this file on the test images cannot be read: {logits}.",
            "Run the pipeline again; finished stages come from the cache.",
            str(error),
        ) from error
    if predicted.ndim != 2 or len(predicted) != len(true) or predicted.shape[1] != len(classes):
        raise EspalierError(
            f"Expected {len(true)} answers with {len(classes)} classes, {logits.name} holds {list(predicted.shape)}.",
            "The file was changed; run its stage again.",
        )
    return Answers(
        predicted if order is None else predicted[:, order], true.astype(np.int64), classes, images
    )


def check_same_images(first: Answers, second: Answers) -> None:
    """Check that two models answered the same images.

    Raises:
        EspalierError: when they did not; the message says in what they differ.
    """
    if first.classes != second.classes:
        strange = sorted(set(first.classes) ^ set(second.classes))
        what = f"among them {', '.join(strange[:4])}" if strange else "in another order"
        raise EspalierError(
            f"The two models have different classes, {what}.", "Compare models of one data set."
        )
    same = len(first.labels) == len(second.labels) and bool((first.labels == second.labels).all())
    if not same or (first.images and second.images and first.images != second.images):
        raise EspalierError(
            f"The two models were tested on different images ({len(first.labels)} and {len(second.labels)}).",
            "Compare models of runs with the same data set, split and number of test images.",
        )


def row_percent(counts: Ints) -> Floats:
    """Each row of a confusion matrix in percent of its class; rows without images are zero."""
    totals = counts.sum(1, keepdims=True)
    return np.asarray(100.0 * counts / np.maximum(totals, 1))


def class_figures(answers: Answers) -> list[ClassFigures]:
    """Figures of every class, in the order of the classes."""
    counts = answers.counts
    figures = []
    for label, name in enumerate(answers.classes):
        hits, images, answered = (
            int(counts[label, label]),
            int(counts[label].sum()),
            int(counts[:, label].sum()),
        )
        recall = 100.0 * hits / images if images else None
        precision = 100.0 * hits / answered if answered else None
        f1 = 200.0 * hits / (images + answered) if images + answered else None
        figures.append(ClassFigures(label, name, images, recall, precision, f1))
    return figures


def cell(answers: Answers, true: int, guess: int) -> Ints:
    """The images of one cell of the matrix, the most confident answers first."""
    images = np.flatnonzero((answers.labels == true) & (answers.guesses == guess))
    return images[np.argsort(-answers.confidence[images], kind="stable")]
