"""What lies at a place that a person has named: classes, images, splits and sizes, before anything is decoded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.numbers import grouped, percent
from core.common.paths import resolved
from core.common.shown_text import some_of
from core.data.catalogue import find_source
from core.data.guess_source import guess_source
from core.data.settings import DataSettings
from core.data.source import Watch
from core.data.splits import TEST, TRAIN, VALIDATION

SIZES = (32, 48, 64, 96, 128, 160, 192, 224)
"""Sides in pixels that are offered besides the images' own."""
_CLASSES_SHOWN = 6
_FEW = 20  # images of a class, below which its figures say little


@dataclass(frozen=True, slots=True)
class FoundImages:
    """A data set as its files describe it.

    Attributes:
        source: the kind of data set, a key of `SOURCES`. path: what it is opened with.
        counts: images of each class, in the order of `classes`.
        training, validation, test: images of each split that the data set brings; 0 where it brings none.
        sides: the smallest and the largest shorter side of the images looked at, in pixels.
        square: all of those are squares of one size.
        notes: sentences on what was left out.
    """

    source: str
    path: Path
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    training: int
    validation: int
    test: int
    sides: tuple[int, int]
    square: bool
    grey: bool
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        return sum(self.counts)

    @property
    def own_size(self) -> int | None:
        """The images' own side in pixels, where they all have one that networks are made for."""
        return self.sides[0] if self.square and self.sides[0] <= SIZES[-1] else None

    @property
    def data(self) -> dict[str, str]:
        """As the data section of a pipeline names it."""
        return {"source": self.source, "path": str(self.path)}

    def sentences(self) -> list[str]:
        """What was found, for a person."""
        return [self._classes(), self._sizes(), self._splits(), *self._few(), *self.notes]

    def _classes(self) -> str:
        most = sorted(zip(self.classes, self.counts, strict=True), key=lambda pair: -pair[1])
        named = [f"{name} {grouped(number)}" for name, number in most]
        shown = ", ".join(named[:_CLASSES_SHOWN]) + (", …" if len(named) > _CLASSES_SHOWN else "")
        return f"{grouped(self.images)} images of {len(self.classes)} classes: {shown}."

    def _sizes(self) -> str:
        low, high = self.sides
        kind = "grey" if self.grey else "colour"
        if self.square:
            return f"All of {low} × {low} pixels, {kind}."
        return (
            f"Of {low} to {high} pixels on the shorter side, {kind}."
            if low != high
            else f"{low} pixels on the shorter side, {kind}."
        )

    def _splits(self) -> str:
        defaults = DataSettings()
        brought = [f"{grouped(self.training)} to train on"]
        brought += [f"{grouped(self.validation)} for validation"] if self.validation else []
        brought += [f"{grouped(self.test)} to test on"] if self.test else []
        drawn = []
        if not self.validation:
            drawn.append(f"{percent(defaults.validation_fraction)} of them for validation")
        if not self.test:
            drawn.append(f"{percent(defaults.test_fraction)} to test on")
        sentence = f"{', '.join(brought)}" if len(brought) > 1 else "No split is given"
        return sentence + (f"; drawn from the training images: {' and '.join(drawn)}." if drawn else ".")

    def _few(self) -> list[str]:
        few = [name for name, count in zip(self.classes, self.counts, strict=True) if count < _FEW]
        if not few:
            return []
        return [f"Fewer than {_FEW} images: {some_of(few)}. Figures of so few images are rough."]


def find_images(
    path: Path, control: RunControl, progress: Callable[[float, str], None] = lambda _, __: None
) -> FoundImages:
    """Look at a folder, zip file, archive or list of images, without decoding them all.

    Raises:
        EspalierError: nothing is there, or nothing that can be opened as a data set.
        Stopped: a person asked to stop.
    """
    watch = Watch(control, progress)
    at = resolved(path, Path())
    if not at.exists():
        raise EspalierError(
            f"There is nothing at {at}.", "Look at how the path is written, or choose a folder or file."
        )
    source, place = guess_source(at, watch)
    contents = find_source(source).locate(place.resolve(), watch).open()
    control.checkpoint()
    overview = contents.pictures.overview(control)
    counts = np.bincount(overview.labels, minlength=len(contents.classes))
    training, validation, test = (
        int((overview.membership == code).sum()) for code in (TRAIN, VALIDATION, TEST)
    )
    sides = [min(height, width) for height, width, _ in overview.shapes]
    square = len(set(overview.shapes)) == 1 and overview.shapes[0][0] == overview.shapes[0][1]
    return FoundImages(
        source, place, contents.classes, tuple(int(count) for count in counts), training, validation, test,
        (min(sides), max(sides)), square, all(channels == 1 for *_, channels in overview.shapes),
        (*contents.notes, *_unreadable(contents.problems)),
    )  # fmt: skip


def _unreadable(problems: Sequence[tuple[str, str]]) -> list[str]:
    if not problems:
        return []
    return [f"{len(problems)} files cannot be used: {some_of([name for name, _ in problems])}."]
