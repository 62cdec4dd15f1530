"""Images that two models answer differently: right before and wrong after, and the reverse.

An equal accuracy can hide many of them: compression trades images that were right for others that were wrong.
NumPy only.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.analysis.confusion import Answers, Ints, check_same_images

Kind = Literal["lost", "won", "both-wrong", "changed", "mistakes", "all"]

KINDS: dict[Kind, str] = {
    "lost": "Right before, wrong now",
    "won": "Wrong before, right now",
    "both-wrong": "Wrong before and now",
    "changed": "Another answer than before",
    "mistakes": "Wrong now",
    "all": "All test images",
}
ALONE: tuple[Kind, ...] = ("mistakes", "all")  # the kinds for a single model


@dataclass(frozen=True, eq=False)
class AnswerPair:
    """Two models on the same test images; `before` is None where there is only one model.

    Raises:
        EspalierError: when they did not answer the same images.
    """

    after: Answers
    before: Answers | None = None

    def __post_init__(self) -> None:
        if self.before is not None:
            check_same_images(self.before, self.after)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The available kinds."""
        return tuple(KINDS) if self.before is not None else ALONE

    def mask(self, kind: Kind) -> np.ndarray:
        """Which images [n] are of this kind."""
        right_after = self.after.right
        if kind == "mistakes":
            return ~right_after
        if kind == "all" or self.before is None:
            return np.ones(len(right_after), bool)
        right_before = self.before.right
        if kind == "lost":
            return np.asarray(right_before & ~right_after)
        if kind == "won":
            return np.asarray(~right_before & right_after)
        if kind == "both-wrong":
            return np.asarray(~right_before & ~right_after)
        return np.asarray(self.before.guesses != self.after.guesses)

    def count(self, kind: Kind) -> int:
        return int(self.mask(kind).sum())

    def images(
        self, kind: Kind, true: int | None = None, guess: int | None = None, guess_before: int | None = None
    ) -> Ints:
        """Images of a kind, the most confident present answers first.

        Args:
            true: only images of this class. guess: only those that are now answered with this class;
                guess_before: that were before.
        """
        mask = self.mask(kind)
        if true is not None:
            mask = mask & (self.after.labels == true)
        if guess is not None:
            mask = mask & (self.after.guesses == guess)
        if guess_before is not None and self.before is not None:
            mask = mask & (self.before.guesses == guess_before)
        matches = np.flatnonzero(mask)
        return matches[np.argsort(-self.after.confidence[matches], kind="stable")]

    @property
    def sentence(self) -> str:
        """The number of lost and won images behind the difference in accuracy."""
        n = len(self.after.labels)
        if self.before is None:
            return f"{int(self.after.right.sum())} of {n} test images are right."
        lost, won = self.count("lost"), self.count("won")
        change = 100.0 * (won - lost) / n
        sign = "+" if change > 0 else "−" if change < 0 else "±"
        return (
            f"{lost} images were right and are wrong now, {won} the other way round: "
            f"{sign}{abs(change):.2f} points on {n} test images."
        )
