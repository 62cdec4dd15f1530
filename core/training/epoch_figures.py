"""The loss and its parts, and the right answers, over an epoch.

Every step leaves its figures on the device; they are fetched together now and then, so that no step waits for them.
"""

from torch import Tensor

from core.training.evaluation import fetched
from core.training.ranks import Ranks


class EpochFigures:
    """The figures of the epoch under way, of all processes that train together.

    Attributes:
        sums: over the images so far, as the resume file keeps them: of the loss and each of its parts, times the images;
            "right" answers and "images".
    """

    def __init__(self, ranks: Ranks):
        self.sums: dict[str, float] = {}
        self._ranks = ranks
        self._pending: list[tuple[dict[str, Tensor], Tensor, int]] = []

    def add(self, parts: dict[str, Tensor], right: Tensor, images: int) -> None:
        """Take a step's figures in, without fetching them.

        Args:
            parts: the loss and its parts by name, each a mean over the step's images, shape [].
            right: how many answers were right, shape [].
        """
        self._pending.append((parts, right, images))

    def collect(self) -> tuple[dict[str, float], int]:
        """Fetch what was added since the last time: the means of the loss and its parts, and the images."""
        if not self._pending:
            return {}, 0
        sums: dict[str, float] = {}
        values = iter(
            fetched([value for parts, right, _ in self._pending for value in (*parts.values(), right)])
        )
        for parts, _, count in self._pending:
            for name in parts:
                sums[name] = sums.get(name, 0.0) + next(values) * count
            sums["right"] = sums.get("right", 0.0) + next(values)
            sums["images"] = sums.get("images", 0.0) + count
        self._pending.clear()
        fresh = dict(zip(sums, self._ranks.summed(list(sums.values())), strict=True))
        for name, value in fresh.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        images = int(fresh.pop("images"))
        del fresh["right"]
        return {name: value / max(images, 1) for name, value in fresh.items()}, images

    def taken(self) -> dict[str, float]:
        """The collected figures of the epoch, which ends with this: "top1" in percent, the means of the loss and its parts."""
        sums, self.sums = self.sums, {}
        count = max(sums.pop("images", 0.0), 1.0)
        top1 = 100.0 * sums.pop("right", 0.0) / count
        return {"top1": top1, **{name: value / count for name, value in sums.items()}}
