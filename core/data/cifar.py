"""CIFAR-10 and CIFAR-100 in their original form: "Python version", unpacked or as the .tar.gz.

Source: https://www.cs.toronto.edu/~kriz/cifar.html. A file is a pickled dict with `data`, uint8
[n, 3072] (1024 red values, then green, then blue, each row by row), and a list of labels. The
pickles are read by `core.data.plain_pickle`, which runs nothing. `n` images, `k` classes.
"""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from core.common.errors import EspalierError
from core.common.regular_files import Bounded, in_words, open_regular, read_bounded
from core.data.plain_pickle import read_pickle
from core.data.source import ArrayPictures, Contents, Located, Watch, stamp
from core.data.splits import TEST, TRAIN

LARGEST_MEMBER = 512_000_000
"""Bytes that one file in the archive may have; the largest published one has 155 million."""

LARGEST_ARCHIVE = 1_000_000_000
"""Bytes that the archive may unpack to; the larger published one has 187 million."""
_PACKED: tuple[tuple[bytes, Callable[[BinaryIO], Any]], ...] = (
    (b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open),
)  # fmt: skip
_SIDE, _CHANNELS = 32, 3
_ADVICE = "Choose the folder or the .tar.gz file of the Python version, as published."

Reader = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class _Kind:
    """One of the two data sets: its files and what the entries in them are called."""

    title: str
    folder: str
    meta: str
    train: tuple[str, ...]
    test: str
    labels: str
    names: str
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        return (self.meta, *self.train, self.test)


_KINDS = (
    _Kind(
        "CIFAR-10",
        "cifar-10-batches-py",
        "batches.meta",
        tuple(f"data_batch_{number}" for number in range(1, 6)),
        "test_batch",
        "labels",
        "label_names",
    ),
    _Kind(
        "CIFAR-100",
        "cifar-100-python",
        "meta",
        ("train",),
        "test",
        "fine_labels",
        "fine_label_names",
        ("The classes are the 100 fine labels; the 20 coarse ones are not used.",),
    ),
)


def locate(path: Path, _: Watch) -> Located:
    """List the folder (or the folder above it), or look at the archive.

    Raises:
        EspalierError: neither, or files are missing.
    """
    if not path.is_dir():
        return Located(path.name.split(".")[0], str(path), (stamp(path),), lambda: _open_archive(path))
    for folder in (path, *(path / kind.folder for kind in _KINDS)):
        for kind in _KINDS:
            if (folder / kind.meta).is_file():
                return _locate_folder(folder, kind)
    raise EspalierError(
        f"Expected the file batches.meta (CIFAR-10) or meta (CIFAR-100) in {path}, received a folder without them.",
        _ADVICE,
    )


def _locate_folder(folder: Path, kind: _Kind) -> Located:
    _check_complete(kind, [name for name in kind.files if (folder / name).is_file()], folder)

    def read(name: str) -> bytes:
        try:
            return read_bounded(folder / name, LARGEST_MEMBER)
        except OSError as error:
            raise EspalierError(
                f"Expected a readable file, but {folder / name} cannot be read: {in_words(error)}.",
                "Check its permissions.",
            ) from error

    stamps = tuple(stamp(folder / name) for name in kind.files)
    return Located(kind.title, str(folder), stamps, lambda: _contents(kind, read))


def _open_archive(path: Path) -> Contents:
    """The archive is read once from beginning to end; nothing is unpacked to the disk."""
    known_names = {name for kind in _KINDS for name in kind.files}
    contents: dict[str, bytes] = {}
    try:
        with ExitStack() as stack:
            file = stack.enter_context(open_regular(path))
            start = file.read(8)
            file.seek(0)
            for magic, unpacking in _PACKED:
                if start.startswith(magic):
                    file = stack.enter_context(unpacking(file))
            archive = stack.enter_context(tarfile.open(fileobj=Bounded(file, LARGEST_ARCHIVE), mode="r|"))
            for member in archive:
                name = PurePosixPath(member.name).name
                part = archive.extractfile(member) if member.isfile() and name in known_names else None
                if part is not None and member.size <= LARGEST_MEMBER:
                    contents[name] = part.read()
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise EspalierError(
            f"Expected CIFAR's .tar.gz archive, but {path.name} cannot be read as one: {in_words(error)}.",
            "Copy or download it again.",
        ) from error
    for kind in _KINDS:
        if kind.meta in contents:
            _check_complete(kind, contents, path)
            return _contents(kind, contents.pop)  # each file once, so that its memory is free again
    raise EspalierError(
        f"Expected the file batches.meta (CIFAR-10) or meta (CIFAR-100) in {path.name}, received an archive "
        "without them.",
        f"{_ADVICE} Another archive of images has to be unpacked first.",
    )


def _check_complete(kind: _Kind, names: Sequence[str] | dict[str, bytes], path: Path) -> None:
    missing = [name for name in kind.files if name not in names]
    if missing:
        raise EspalierError(
            f"Expected all files of {kind.title} in {path}, but {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing.",
            _ADVICE,
        )


def _contents(kind: _Kind, read: Reader) -> Contents:
    names = _values(kind.meta, read_pickle(read(kind.meta), kind.meta)).get(kind.names)
    if not isinstance(names, list) or not all(isinstance(name, str | bytes) for name in names):
        raise EspalierError(f"Expected the list {kind.names} in {kind.meta}, received none.", _ADVICE)
    classes = tuple(_text(name) for name in names)
    return Contents(classes, ArrayPictures(lambda: _load(kind, read, len(classes))), notes=kind.notes)


def _load(kind: _Kind, read: Reader, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images uint8 [n, 32, 32, 3], labels int64 [n], membership int8 [n]."""
    parts = [(*_batch(kind, name, read(name), classes), TRAIN) for name in kind.train]
    parts.append((*_batch(kind, kind.test, read(kind.test), classes), TEST))
    labels = np.concatenate([labels for _, labels, _ in parts])
    codes = np.concatenate([np.full(len(labels), code, np.int8) for _, labels, code in parts])
    images = np.empty((len(labels), _SIDE, _SIDE, _CHANNELS), np.uint8)
    first = 0
    for values, _, _ in parts:
        # [n, 3072] -> [n, c, h, w] -> [n, h, w, c]
        planes = values.reshape(len(values), _CHANNELS, _SIDE, _SIDE)
        images[first : first + len(values)] = planes.transpose(0, 2, 3, 1)
        first += len(values)
    return images, labels, codes


def _batch(kind: _Kind, name: str, data: bytes, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, 3072] and labels int64 [n]."""
    values = _values(name, read_pickle(data, name))
    images, labels = values.get("data"), values.get(kind.labels)
    if not isinstance(images, np.ndarray) or images.shape[1:] != (_SIDE * _SIDE * _CHANNELS,):
        raise EspalierError(
            f"Expected 3072 bytes for each image in {name}, received something else.", _ADVICE
        )
    if not isinstance(labels, list) or len(labels) != len(images):
        raise EspalierError(
            f"Expected the list {kind.labels} with {len(images)} labels in {name}, received "
            f"{len(labels) if isinstance(labels, list) else 'none'}.",
            _ADVICE,
        )
    if not all(type(label) is int and 0 <= label < classes for label in labels):
        raise EspalierError(f"Expected labels from 0 to {classes - 1} in {name}, received others.", _ADVICE)
    return images, np.array(labels, np.int64)


def _values(name: str, content: Any) -> dict[str, Any]:
    """A file's dict, with text as keys whichever Python wrote it."""
    if not isinstance(content, dict):
        raise EspalierError(f"Expected a pickled dict in {name}, received {type(content).__name__}.", _ADVICE)
    return {_text(key): value for key, value in content.items() if isinstance(key, str | bytes)}


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin1")
