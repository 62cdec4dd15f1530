"""Whether an accuracy at chance level is explained by the order of the classes.

`n` images, `k` classes.
"""

from collections.abc import Sequence

import numpy as np

from core.common.numbers import percent
from core.data.class_names import ClassOrder, ordered

_PER_CLASS = 2
"""Images of each class from which on a free order is looked for: with fewer, chance alone finds a good one."""
_RIGHT, _TIMES = 0.75, 2.0
"""Share of right answers that a free order has to reach, and how many times the share in the present order."""
_ERRORS = 3.0
"""Standard errors by which a usual order has to be better than the present one."""

_KNOWN: tuple[ClassOrder, ...] = ("number", "text")


def other_order(logits: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    """A sentence where another order of the classes would make most answers right; else none.

    Args:
        logits: [n, k]. labels: int64 [n].
        classes: in the order that the columns are taken to have.
    """
    n, k = len(labels), len(classes)
    if n == 0 or k < 2:
        return []
    answers = logits.argmax(1)
    right = float((answers == labels).mean())
    for order in _KNOWN:
        names = ordered(classes, order)
        meant = np.array([classes.index(name) for name in names])
        gained = float((meant[answers] == labels).mean())
        if gained >= _TIMES * right and gained - right > _ERRORS * (0.25 / n) ** 0.5:
            return [
                f"{percent(right)} of the answers are right, but {percent(gained)} would be with the classes ordered "
                f"{_WORDS[order]} ({', '.join(names[:4])}, …): the network was probably trained in that order. Set Class order "
                f"to “{order}” (class_order in the data settings)."
            ]
    counts = np.zeros((k, k), np.int64)
    np.add.at(counts, (labels, answers), 1)
    seen = counts.sum(1) >= _PER_CLASS
    commonest = counts.argmax(1)[seen]
    gained = float(counts.max(1)[seen].sum()) / n
    if len(set(commonest.tolist())) < len(commonest) or gained < max(_RIGHT, _TIMES * right):
        return []
    examples = [
        f"“{classes[wrong]}” for “{classes[label]}”"
        for label, wrong in zip(np.flatnonzero(seen).tolist(), commonest.tolist(), strict=True)
        if label != wrong
    ]
    return [
        f"{percent(right)} of the answers are right, but {percent(gained)} would be with the classes in another order: it "
        f"answers {', '.join(examples[:3])}. Give the order that the network was trained in."
    ]


_WORDS: dict[ClassOrder, str] = {"number": "by number", "text": "as text"}
