"""A data set as the rest of the program sees it: images, labels, splits and what is known of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from core.common.errors import EspalierError
from core.data.label_corrections import Resolved
from core.data.source import Images, Problem
from core.data.splits import SPLITS


@dataclass(frozen=True, slots=True, eq=False)
class ImageData:
    """An opened data set; `n` images of `h` × `w` pixels with `c` channels (1 grey, 3 colour).

    Attributes:
        title: for people.
        source: the data source's id.
        classes: names; a label is an index into them.
        images: uint8 [n, h, w, c], read-only: a memory map, or decoded from their files' bytes when they are asked for.
        labels: int64 [n].
        splits: "train", "validation" and "test": sorted int64 indices into `images`, after limits.
        mean: per channel, of the whole training split before limits, in 0…1.
        std: likewise.
        size: (h, w) in pixels.
        problems: images that were left out: path and reason.
        notes: sentences about drawn splits and files that were left out.
        fingerprint: SHA-256 over images, labels, classes and splits; equal data, equal fingerprint.
        entry: name of its decoded images in the cache. listing: a hash of every file's stamp when it was opened.
        corrections: what a person has corrected: places and labels, as indices into the classes of the files.
        kept: a sentence on how the images are kept, where a person needs it.
    """

    title: str
    source: str
    classes: tuple[str, ...]
    images: Images
    labels: np.ndarray
    splits: dict[str, np.ndarray]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: int
    size: tuple[int, int]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    fingerprint: str
    entry: str = ""
    listing: str = ""
    corrections: Resolved = ()
    kept: str = ""

    @property
    def decoded(self) -> bool:
        """Whether the images are kept as pixels, and not as their files hold them."""
        return isinstance(self.images, np.ndarray)

    @property
    def opened(self) -> "Opened":
        """What identifies it later, and in other processes."""
        counts = {name: len(rows) for name, rows in self.splits.items()}
        notes = (*self.notes, *self.left_out())
        return Opened(
            self.title, self.fingerprint, self.entry, self.listing, self.classes, counts, notes, self.corrections
        )  # fmt: skip

    def split(self, name: str) -> np.ndarray:
        """The indices of a split: sorted int64.

        Raises:
            EspalierError: there is no split of that name.
        """
        if name not in self.splits:
            raise EspalierError(f"Expected one of the splits {', '.join(SPLITS)}, received '{name}'.")
        return self.splits[name]

    def left_out(self) -> list[str]:
        """A sentence on the images that were left out, with the first ones; none where all could be read."""
        if not self.problems:
            return []
        named = "; ".join(f"{path}: {reason}" for path, reason in self.problems[:5])
        more = f"; and {len(self.problems) - 5} more" if len(self.problems) > 5 else ""
        what = "1 image was" if len(self.problems) == 1 else f"{len(self.problems)} images were"
        return [f"{what} left out: {named}{more}."]

    def check_training_classes(self) -> None:
        """Refuse classes without a training image.

        Raises:
            EspalierError: there are some.
        """
        counts = self.class_counts("train")
        missing = [f"'{name}'" for name, count in counts.items() if count == 0]
        if missing:
            raise EspalierError(
                f"Expected at least one training image of every class, received {sum(counts.values())} of "
                f"{len(counts)} classes: none of {', '.join(missing[:8])}.",
                "Use more training images, add some to these classes, or leave the classes out.",
            )

    def class_counts(self, split: str) -> dict[str, int]:
        """Images per class in a split, in the order of the classes.

        Raises:
            EspalierError: there is no split of that name.
        """
        counts = np.bincount(self.labels[self.split(split)], minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}


@dataclass(frozen=True, slots=True)
class Opened:
    """A data set as it was when it was opened.

    Attributes:
        title, fingerprint, entry, listing, classes, corrections: as of `ImageData`.
        images: number of images by split.
        notes: sentences on its splits and on what was left out.
    """

    title: str
    fingerprint: str
    entry: str = ""
    listing: str = ""
    classes: tuple[str, ...] = ()
    images: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    corrections: Resolved = ()

    def as_plain(self) -> dict[str, Any]:
        """As plain data (survives JSON)."""
        corrections = [list(one) for one in self.corrections]
        return {
            **asdict(self), "classes": list(self.classes), "notes": list(self.notes), "corrections": corrections,
        }  # fmt: skip

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Opened":
        """From plain data.

        Raises:
            ValueError: when it is not what `as_plain` gives.
        """
        try:
            classes = tuple(str(name) for name in plain["classes"])
            notes = tuple(str(note) for note in plain["notes"])
            images = {str(name): int(count) for name, count in plain["images"].items()}
            title, fingerprint, entry, listing = (
                str(plain[name]) for name in ("title", "fingerprint", "entry", "listing")
            )
            corrections = tuple((int(row), int(label)) for row, label in plain.get("corrections", ()))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no record of an opened data set: {error!r}") from error
        return cls(title, fingerprint, entry, listing, classes, images, notes, corrections)

    def differences(self, data: "ImageData") -> list[str]:
        """How `data` differs from it, in parts of a sentence; not empty where the fingerprints differ."""
        now, before = data.classes, self.classes
        gained, lost = (
            [name for name in now if name not in before],
            [name for name in before if name not in now],
        )
        parts = [
            f"{'the class' if len(names) == 1 else f'{len(names)} classes'} {', '.join(names[:4])} {what}"
            for names, what in ((lost, "gone"), (gained, "new"))
            if names
        ]
        if not parts and now != before:
            parts.append(
                f"the classes in another order ({', '.join(now[:4])} instead of {', '.join(before[:4])})"
            )
        counts = data.opened.images
        parts += [
            f"{counts[name]} {name} images instead of {count}"
            for name, count in self.images.items()
            if name in counts and counts[name] != count
        ]
        if not parts and data.fingerprint != self.fingerprint:
            parts.append("other images, or the same ones elsewhere")
        return parts


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
