"""A data set as the rest of the program sees it: images, labels, splits and what is known of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.common.errors import EspalierError
from core.data.source import Problem
from core.data.splits import SPLITS


@dataclass(frozen=True, slots=True, eq=False)
class ImageData:
    """An opened data set; `n` images of `h` × `w` pixels with `c` channels (1 grey, 3 colour).

    Attributes:
        title: for people.
        source: the data source's id.
        classes: names; a label is an index into them.
        images: memory-mapped uint8 [n, h, w, c], read-only.
        labels: int64 [n].
        splits: "train", "validation" and "test": sorted int64 indices into `images`, after limits.
        mean: per channel, of the whole training split before limits, in 0…1.
        std: likewise.
        size: (h, w) in pixels.
        problems: images that were left out: path and reason.
        notes: sentences about drawn splits and files that were left out.
        fingerprint: SHA-256 over images, labels, classes and splits; equal data, equal fingerprint.
    """

    title: str
    source: str
    classes: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray
    splits: dict[str, np.ndarray]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: int
    size: tuple[int, int]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    fingerprint: str

    def split(self, name: str) -> np.ndarray:
        """The indices of a split: sorted int64.

        Raises:
            EspalierError: there is no split of that name.
        """
        if name not in self.splits:
            raise EspalierError(f"Expected one of the splits {', '.join(SPLITS)}, received '{name}'.")
        return self.splits[name]

    def class_counts(self, split: str) -> dict[str, int]:
        """Images per class in a split, in the order of the classes.

        Raises:
            EspalierError: there is no split of that name.
        """
        counts = np.bincount(self.labels[self.split(split)], minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}


def summary(data: ImageData) -> dict[str, Any]:
    """What a person wants to know about a data set, as plain data (survives JSON).

    Returns: title, source, classes, size (height and width in pixels), channels, images (used
        ones), splits (by name: images, per_class), mean, std, problems (path and reason), notes,
        fingerprint.
    """
    splits = {
        name: {"images": len(indices), "per_class": data.class_counts(name)}
        for name, indices in data.splits.items()
    }
    return {
        "title": data.title,
        "source": data.source,
        "classes": list(data.classes),
        "size": {"height": data.size[0], "width": data.size[1]},
        "channels": data.channels,
        "images": sum(len(indices) for indices in data.splits.values()),
        "splits": splits,
        "mean": list(data.mean),
        "std": list(data.std),
        "problems": [{"path": path, "reason": reason} for path, reason in data.problems],
        "notes": list(data.notes),
        "fingerprint": data.fingerprint,
    }
