"""Data sources: they list the files of a data set first and read its pixels later, for `core.data.store`.

`n` images of `h` × `w` pixels with `c` channels (1 grey, 3 colour), all uint8.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from core.common.control import RunControl
from core.common.numbers import grouped
from core.common.regular_files import refuse_others

T = TypeVar("T")
PathKind = Literal["none", "file", "folder", "file or folder"]
Problem = tuple[str, str]
Stamp = tuple[str, int, int, int, int]
"""A file's name, size in bytes, times of modification and of change of its entry in nanoseconds, and number.

The last two tell files apart that were exchanged with name, size and time kept: a program can set the time of
modification, but not these.
"""
Link = tuple[str, str]
"""A folder that is a link, and the folder of the same data set that it leads to."""

PICTURE_SIDE = 224
"""Side in pixels that images of different sizes are decoded to where no size is set."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How images are stored.

    Attributes:
        keep_size: the images keep their size; otherwise each is made a square while decoding.
        resize: "crop" or "stretch": how they are made square.
    """

    height: int
    width: int
    channels: int
    keep_size: bool = True
    resize: str = "crop"


class PlanBroken(Exception):
    """An image does not fit the plan that the first ones suggested; `plan` fits all seen so far."""

    def __init__(self, plan: Plan):
        super().__init__(str(plan))
        self.plan = plan


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rows:
    """What is known of some images in a row.

    Attributes:
        labels: int64 [k].
        membership: int8 [k]; 0 training, 1 validation, 2 test (`core.data.splits`).
        problems: images that could not be read: path and reason.
        done: images read or given up so far, of `total`.
        animated: paths of images of which only the first frame is taken.
    """

    labels: np.ndarray
    membership: np.ndarray
    problems: tuple[Problem, ...] = ()
    done: int
    total: int
    animated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Block(Rows):
    """Some images in a row: uint8 [k, h, w, c]."""

    images: np.ndarray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EncodedBlock(Rows):
    """Some images in a row, as their files hold them.

    Attributes:
        contents: the bytes of each file. digests: SHA-256 of each.
        shapes: int64 [k, 3]: height, width and channels of each, upright.
    """

    contents: list[bytes]
    digests: list[bytes]
    shapes: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """What a data set's files say before they are decoded.

    Attributes:
        labels: int64 [n]. membership: int8 [n], as of `Block`.
        shapes: height, width and channels of some of the images, spread over all.
    """

    labels: np.ndarray
    membership: np.ndarray
    shapes: tuple[tuple[int, int, int], ...]


class Images(Protocol):
    """uint8 [n, h, w, c]; an index gives the images that it names as a NumPy array.

    Attributes:
        nbytes: as they are kept.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def nbytes(self) -> int: ...
    def __len__(self) -> int: ...
    def __getitem__(self, key: Any) -> Any: ...


class Pictures(Protocol):
    """Images that can be read in order, several times.

    Attributes:
        names: the file of each below the data set's place; empty where they are no files of their own.
    """

    @property
    def names(self) -> Sequence[str]: ...

    def overview(self, control: RunControl) -> Overview:
        """Which images there are; quick where they are files.

        Raises:
            EspalierError: none of them can be decoded.
        """

    def plan(self, image_size: int | None, resize: str, control: RunControl) -> Plan:
        """How to store them; a first guess where looking at all of them would take long."""

    def read(self, plan: Plan, control: RunControl) -> Iterator[Block]:
        """All images, as the plan says.

        Raises:
            PlanBroken: an image does not fit; read again with its `plan`.
            Stopped: a person asked to stop.
        """


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a data set: classes and images, and what was left out.

    Attributes:
        untrained: the classes that no training image is of, which is right.
    """

    classes: tuple[str, ...]
    pictures: Pictures
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    untrained: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Located:
    """A data set whose files are listed, but not read.

    Attributes:
        stamps: of every file: when they are the same, the decoded images are.
        open: reads the listing's meaning; may take seconds for large archives, and can be stopped as the listing.
        resizes: images larger than the requested size are made smaller while decoding.
    """

    title: str
    place: str
    stamps: tuple[Stamp, ...]
    open: Callable[[], Contents]
    resizes: bool = False


class Watch:
    """Who may stop the listing of a place, and who hears how far it is.

    Args:
        control: stops or holds the listing.
        tell: hears of it, as of decoding, a few times a second.
    """

    _EVERY_SECONDS = 0.3

    def __init__(
        self, control: RunControl | None = None, tell: Callable[[float, str], None] = lambda _, __: None
    ):
        self._control, self._tell = control, tell
        self._told = time.monotonic()

    def at(self, count: int, doing: str) -> None:
        """`doing` is through with so many.

        Raises:
            Stopped: a person asked to stop.
        """
        if self._control is not None:
            self._control.checkpoint()
        if time.monotonic() - self._told >= self._EVERY_SECONDS:
            self._told = time.monotonic()
            self._tell(0.0, f"{doing}: {grouped(count)} so far")

    def each(self, items: Iterable[T], doing: str) -> Iterator[T]:
        """The items, with a look at whether to stop before each."""
        for count, item in enumerate(items):
            self.at(count, doing)
            yield item


Locate = Callable[[Path, Watch], Located]


@dataclass(frozen=True, slots=True)
class DataSource:
    """One kind of data set.

    Attributes:
        help: one sentence for the form.
        path_kind: what a person has to pick.
        file_filter: for the file dialog, where a file may be picked: "Zip files (*.zip)".
        image_files: the place is a tree of image files, whose headers the inspection looks at.
        numbers_by_value: classes whose names are all numbers stand in the order of their values, not of their text.
        licence: a sentence for the model card.
        locate: lists the place; gets an absolute path (the current folder for "none"), and who may stop it.
    """

    id: str
    title: str
    help: str
    path_kind: PathKind
    locate: Locate
    file_filter: str = ""
    image_files: bool = False
    numbers_by_value: bool = False
    licence: str = "Data: its licence is not known to Espalier; see where the images come from."


def stamp(path: Path, name: str | None = None) -> Stamp:
    """A file's stamp.

    Raises:
        OSError: there is none, or it is no regular file.
    """
    return stamp_of(path.stat(), name or path.name)


def stamp_of(about: os.stat_result, name: str) -> Stamp:
    """The same, from what the file system said."""
    refuse_others(about.st_mode, name)
    return (name, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)


class ArrayPictures:
    """Images that one call brings into memory: the bundled sample, IDX files."""

    BLOCK = 1024
    names = ()

    def __init__(self, load: Callable[[], tuple[np.ndarray, np.ndarray, np.ndarray]]):
        """`load` gives images uint8 [n, h, w, c], labels int64 [n] and membership int8 [n]."""
        self._load = load
        self._loaded: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def overview(self, control: RunControl) -> Overview:
        images, labels, membership = self._arrays()
        height, width, channels = images.shape[1:]
        return Overview(labels, membership, ((height, width, channels),))

    def plan(self, image_size: int | None, resize: str, control: RunControl) -> Plan:
        images = self._arrays()[0]
        return Plan(images.shape[1], images.shape[2], images.shape[3])

    def read(self, plan: Plan, control: RunControl) -> Iterator[Block]:
        images, labels, membership = self._arrays()
        for first in range(0, len(images), self.BLOCK):
            control.checkpoint()
            part = slice(first, first + self.BLOCK)
            done = min(first + self.BLOCK, len(images))
            yield Block(
                images=images[part],
                labels=labels[part],
                membership=membership[part],
                done=done,
                total=len(images),
            )

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded
