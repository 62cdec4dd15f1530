"""Decoded images on disk: one folder per entry, written under a temporary name and renamed, checked when opened.

An entry holds `images.npy` (uint8 [n, h, w, c], opened as a memory map), `rows.npz` (label,
membership and pixel sums of every image) and `entry.json` (classes, problems, notes, checksums).
An entry that does not match its checksums counts as missing.
"""

import hashlib
import json
import logging
import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, TypeVar

import numpy as np

from core.common.errors import EspalierError
from core.common.files import discard, put_in_place
from core.common.logs import in_a_line, passed_over
from core.common.partial_files import part_beside, remove_abandoned
from core.common.paths import printable
from core.data.hashed_images import CheckedImages, block_hashes
from core.data.source import Block, Contents, Images, Plan, Problem

_Entry = TypeVar("_Entry")
_log = logging.getLogger(__name__)

VERSION = 2
IMAGES, ROWS, ABOUT = "images.npy", "rows.npz", "entry.json"
FULLY_CHECKED = 256_000_000
"""Bytes up to which a file is checked as a whole when it is opened; of larger ones, evenly spread samples are, and every
block of images when it is first read (`core.data.hashed_images`)."""

_SAMPLES, _SAMPLE_BYTES = 128, 1 << 20
_SQUARES = np.square(np.arange(256, dtype=np.uint32))


class Kept(Protocol):
    """The images of a data set in the cache, before splits are drawn and limits applied.

    Attributes:
        labels: int64 [n].
        membership: int8 [n]; 0 training pool, 1 validation, 2 test.
        summary: a sentence on how they are kept, where a person needs it.
    """

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def labels(self) -> np.ndarray: ...
    @property
    def membership(self) -> np.ndarray: ...
    @property
    def problems(self) -> tuple[Problem, ...]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def summary(self) -> str: ...

    def shown(self, image_size: int | None, resize: str) -> tuple[Images, str]:
        """The images as the settings want them, and a hash of all that makes their pixels."""

    def sums_of(self, images: Images, rows: np.ndarray) -> np.ndarray:
        """`pixel_sums` of the images in these rows, or of many that are spread over them."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """Decoded images, before splits are drawn and limits applied.

    Attributes:
        images: memory-mapped uint8 [n, h, w, c].
        labels: int64 [n].
        membership: int8 [n]; 0 training pool, 1 validation, 2 test.
        sums: int64 [n, 2, c]: sum of the pixel values and of their squares, per image and channel.
        content: SHA-256 over the images' bytes.
    """

    classes: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray
    membership: np.ndarray
    sums: np.ndarray
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    content: str
    summary: str = ""

    def shown(self, image_size: int | None, resize: str) -> tuple[Images, str]:
        """See `Kept`: they were made for these settings."""
        return self.images, self.content

    def sums_of(self, images: Images, rows: np.ndarray) -> np.ndarray:
        """See `Kept`."""
        sums: np.ndarray = self.sums[rows]
        return sums


def read_entry(folder: Path) -> Entry | None:
    """The entry in `folder`; None where there is none, or where it is damaged."""
    try:
        about = read_about(folder)
        if any(checksum(folder / name) != about[name] for name in (IMAGES, ROWS)):
            _log.warning("The decoded images in %s are damaged and are made again.", folder)
            return None
        with (folder / ROWS).open("rb") as opened, np.load(opened, allow_pickle=False) as rows:
            labels, membership, sums = rows["labels"], rows["membership"], rows["sums"]
        images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
        if "blocks" in about:
            images = CheckedImages.of(images, about["blocks"], folder / IMAGES)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        _log.debug("No decoded images in %s: %s", folder, in_a_line(error))
        return None
    return Entry(
        classes=tuple(about["classes"]),
        images=images,
        labels=labels,
        membership=membership,
        sums=sums,
        problems=tuple((path, reason) for path, reason in about["problems"]),
        notes=tuple(about["notes"]),
        content=about["content"],
    )


def read_about(folder: Path) -> dict[str, Any]:
    """What an entry says of itself.

    Raises:
        OSError, ValueError, KeyError, TypeError: there is none, it is damaged, or of another version.
    """
    sealed = json.loads((folder / ABOUT).read_text("ascii"))
    about: dict[str, Any] = sealed["about"]
    if sealed["checksum"] != _seal(about) or about["version"] != VERSION:
        raise ValueError("damaged, or of another version")
    return about


class FolderWriter:
    """What writers of entries have in common: a temporary folder that gets its name when all is in it.

    Use as a context manager: what was not published is removed.
    """

    def __init__(self, cache: Path, file_name: str):
        """Raises EspalierError where the cache folder cannot be written."""
        self._cache = cache
        self._labels: list[np.ndarray] = []
        self._membership: list[np.ndarray] = []
        self._problems: list[Problem] = []
        self._animated: list[str] = []
        try:
            cache.mkdir(parents=True, exist_ok=True)
            remove_abandoned(cache, ours=True)
            self._folder = part_beside(cache / "images")
            self._folder.mkdir()
            self._file: BinaryIO = (self._folder / file_name).open("wb")
        except OSError as error:
            raise cache_error(cache, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with passed_over(_log, "The end of decoded images that nobody wants was not written", OSError):
            self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _about(self, contents: Contents) -> dict[str, Any]:
        """What every entry says of itself; the problems and animated images of the blocks are added."""
        return {
            "version": VERSION,
            "classes": list(contents.classes),
            "problems": [(printable(path), reason) for path, reason in (*contents.problems, *self._problems)],
            "notes": [printable(note) for note in (*contents.notes, *_animated_notes(self._animated))],
        }

    def _write_about(self, about: dict[str, Any]) -> None:
        sealed = {"about": about, "checksum": _seal(about)}
        (self._folder / ABOUT).write_text(json.dumps(sealed, indent=1), "ascii")

    def _rename(self, target: Path, read: Callable[[Path], _Entry | None]) -> _Entry:
        """A whole entry that another process put there meanwhile is taken; a damaged one replaced."""
        for _ in range(10):
            try:
                put_in_place(self._folder, target, replace=False)
            except OSError:
                if not target.exists():
                    raise
            entry = read(target)
            if entry is not None:
                return entry
            discard(target)
        raise EspalierError(
            f"Expected to replace the damaged entry {target}, but it comes back damaged each time.",
            "Close other copies of Espalier and check the disk, or choose another cache folder.",
        )

    def _check_space(self, needed: int, what: str, advice: str) -> None:
        """Refuse to fill the disk with bytes that do not fit."""
        try:
            free = shutil.disk_usage(self._cache).free
        except OSError as error:
            raise cache_error(self._cache, error) from error
        if needed > free:
            raise CacheRefusedError(
                f"Expected {amount(needed)} of free space for the {what} images in {self._cache}, "
                f"received {amount(free)}.",
                advice,
            )

    def _check_classes(self, labels: np.ndarray, contents: Contents) -> None:
        counts = np.bincount(labels, minlength=len(contents.classes))
        found = zip(contents.classes, counts, strict=True)
        empty = [f"'{name}'" for name, count in found if count == 0 and name not in contents.untrained]
        if not empty:
            return
        first = ": ".join(self._problems[0]) if self._problems else ""
        raise EspalierError(
            f"Expected a readable training image in every class, received none in {', '.join(empty[:8])}.",
            "Repair or remove the images of that class.",
            f"The first image that cannot be read: {first}." if first else "",
        )


class EntryWriter(FolderWriter):
    """Collects blocks of decoded images; `publish` gives the entry its name."""

    def __init__(self, cache: Path, plan: Plan):
        """Raises EspalierError where the cache folder cannot be written."""
        super().__init__(cache, IMAGES)
        self._plan = plan
        self._digest = hashlib.sha256()
        self._sums: list[np.ndarray] = []
        self._count = 0
        try:
            self._write_header()
        except OSError as error:
            raise cache_error(cache, error) from error

    def append(self, block: Block) -> None:
        """Add the block's images behind the ones before.

        Raises:
            EspalierError: the disk does not take them, or not all that will follow.
        """
        if not self._labels:
            plan = self._plan
            needed = block.total * plan.height * plan.width * plan.channels
            self._check_space(needed, "decoded", "Set a smaller image size, or free some space.")
        images = np.ascontiguousarray(block.images, dtype=np.uint8)
        try:
            self._file.write(images.data)
        except OSError as error:
            raise cache_error(self._cache, error) from error
        self._digest.update(images.data)
        self._labels.append(block.labels)
        self._membership.append(block.membership)
        self._sums.append(pixel_sums(images))
        self._problems += block.problems
        self._animated += block.animated
        self._count += len(images)

    def publish(self, name: str, contents: Contents) -> Entry:
        """Complete the entry and give it its name, at once; another process may have been faster.

        Args:
            contents: what was read; the blocks' own problems, and a note on animated images, are added.

        Raises:
            EspalierError: a class has no training image, and should have; or the disk does not take the entry.
        """
        labels, membership = np.concatenate(self._labels), np.concatenate(self._membership)
        self._check_classes(labels[membership == 0], contents)
        try:
            self._write_header()
            self._file.close()
            np.savez(
                self._folder / ROWS, labels=labels, membership=membership, sums=np.concatenate(self._sums)
            )
            about = {
                **self._about(contents),
                "content": self._digest.hexdigest(),
                IMAGES: checksum(self._folder / IMAGES),
                ROWS: checksum(self._folder / ROWS),
            }
            if (self._folder / IMAGES).stat().st_size > FULLY_CHECKED:
                about["blocks"] = block_hashes(np.load(self._folder / IMAGES, mmap_mode="r"))
            self._write_about(about)
            return self._rename(self._cache / name, read_entry)
        except OSError as error:
            raise cache_error(self._cache, error) from error

    def _write_header(self) -> None:
        """The .npy header; NumPy leaves room in it for the number of images to grow."""
        shape = (self._count, self._plan.height, self._plan.width, self._plan.channels)
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )


def pixel_sums(images: np.ndarray) -> np.ndarray:
    """Sum of the values and of their squares, per image and channel, exactly.

    Args:
        images: uint8 [k, h, w, c].

    Returns: int64 [k, 2, c].
    """
    count, height, width, channels = images.shape
    # [k, h, w, c] -> [k, c, h·w]: sums over the last axis are the fast ones.
    flat = np.ascontiguousarray(images.reshape(count, height * width, channels).transpose(0, 2, 1))
    return np.stack([flat.sum(2, dtype=np.int64), _SQUARES[flat].sum(2, dtype=np.int64)], axis=1)


class CacheRefusedError(EspalierError):
    """The cache folder does not take the decoded images; another one may."""


class CacheClearedError(CacheRefusedError):
    """Somebody cleared the cache away while the images were written to it."""


def cache_error(cache: Path, error: OSError) -> CacheRefusedError:
    """The message for a cache folder that cannot be used, or that is gone."""
    kind = CacheClearedError if isinstance(error, FileNotFoundError) else CacheRefusedError
    return kind(
        f"Expected to write decoded images to {cache}, but that failed: {error.strerror or error}.",
        "Check the free space and the permissions there, or choose another cache folder.",
    )


def _animated_notes(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    what = "1 image has" if len(names) == 1 else f"{len(names)} images have"
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return [f"{what} several frames or pages; only the first is used: {', '.join(names[:8])}{more}."]


def amount(size: int) -> str:
    """Bytes for a person."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.2f} MB"


def _seal(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode("ascii")).hexdigest()


def checksum(path: Path) -> str:
    """SHA-256 over a file's length and bytes; over samples of it where it is very large."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode("ascii"))
    with path.open("rb") as file:
        if size <= FULLY_CHECKED:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        else:
            for index in range(_SAMPLES):
                file.seek((size - _SAMPLE_BYTES) * index // (_SAMPLES - 1), os.SEEK_SET)
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
