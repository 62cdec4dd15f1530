"""The files of a data set: a folder's, or a zip file's, which is read without unpacking it."""

import io
import os
import posixpath
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.common.errors import EspalierError
from core.common.regular_files import Bounded, in_words, open_regular, refuse_others
from core.data.decode import Undecodable
from core.data.layout import is_litter
from core.data.reader import Opener
from core.data.source import Contents, Located, Problem, Stamp, stamp

LARGEST_ENTRY = 512_000_000
"""Bytes that one image in a zip file may unpack to."""
_LARGEST_TEXT = 500_000_000
_LARGEST_UNPACKED, _MOST_UNPACKED = 4_000_000_000, 100
"""Bytes that all files of a zip file may unpack to; more only up to so many times its own size."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The files below a folder or in a zip file, not interpreted yet.

    Attributes:
        names: sorted, with "/" between folders.
        open: gives a file by name.
        problems: files that cannot be used: path and reason.
    """

    place: str
    names: tuple[str, ...]
    open: Opener
    problems: tuple[Problem, ...]


def locate_tree(path: Path, contents: Callable[[Tree], Contents]) -> Located:
    """List a folder, or look at a zip file; `contents` interprets the files later.

    Raises:
        EspalierError: neither a folder nor a file, or it cannot be read.
    """
    if path.is_dir():
        return _locate_folder(path, contents)
    try:
        stamps = (stamp(path),)
    except OSError as error:
        raise _unreadable(path, error) from error
    return Located(path.stem, str(path), stamps, lambda: contents(_open_zip(path)), resizes=True)


def read_text(tree: Tree, name: str) -> str:
    """A text file's content; UTF-8, with or without a byte order mark.

    Raises:
        EspalierError: it cannot be read, or is in another encoding.
    """
    try:
        with tree.open(name) as file:
            return Bounded(file, _LARGEST_TEXT).read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EspalierError(
            f"Expected text in UTF-8 in {name}, received byte {error.object[error.start]:#04x} at place {error.start}.",
            "Save the file in UTF-8; in a spreadsheet program choose 'CSV UTF-8'.",
        ) from error
    except Exception as error:  # Zip files raise many kinds of errors.
        raise EspalierError(
            f"Expected a readable file {name} in {tree.place}, but it cannot be read: {in_words(error)}.",
            "Copy or download it again.",
        ) from error


def _locate_folder(folder: Path, contents: Callable[[Tree], Contents]) -> Located:
    stamps, problems = _walk(folder)
    names = tuple(name for name, _, _ in stamps)
    tree = Tree(str(folder), names, lambda name: open_regular(folder / name), tuple(problems))
    return Located(folder.name, str(folder), tuple(stamps), lambda: contents(tree), resizes=True)


def _walk(folder: Path) -> tuple[list[Stamp], list[Problem]]:
    """Every file below, sorted by name; links are followed, but no folder is entered twice."""
    stamps: list[Stamp] = []
    problems: list[Problem] = []
    visited: set[str] = set()

    def enter(place: str, prefix: str) -> None:
        real = os.path.realpath(place)
        if real in visited:
            return
        visited.add(real)
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if not is_litter(entry.name):
                    visit(entry, prefix + entry.name)

    def visit(entry: os.DirEntry[str], name: str) -> None:
        try:
            if entry.is_dir():
                enter(entry.path, name + "/")
            else:
                about = entry.stat()
                refuse_others(about.st_mode, entry.path)
                stamps.append((name, about.st_size, about.st_mtime_ns))
        except OSError as error:
            problems.append((name, f"cannot be read: {error.strerror}"))

    try:
        enter(str(folder), "")
    except OSError as error:
        raise _unreadable(folder, error) from error
    return sorted(stamps), problems


def _open_zip(path: Path) -> Tree:
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise EspalierError(
            f"Expected a folder or a zip file of images, but {path.name} cannot be read as a zip file: {error}.",
            "Choose a folder, or copy or download the zip file again.",
        ) from error
    entries, problems = _entries(archive)
    unpacked, packed = sum(info.file_size for info in entries.values()), path.stat().st_size
    if unpacked > max(_LARGEST_UNPACKED, _MOST_UNPACKED * packed):
        raise EspalierError(
            f"Expected a zip file of images, but {path.name} of {packed / 1e6:.3g} MB unpacks to {unpacked / 1e9:.3g} GB.",
            "Images cannot be packed so small; choose another file, or unpack it yourself.",
        )

    def opener(name: str) -> BinaryIO:
        return _read_entry(archive, entries[name])

    return Tree(str(path), tuple(sorted(entries)), opener, tuple(problems))


def _entries(archive: zipfile.ZipFile) -> tuple[dict[str, zipfile.ZipInfo], list[Problem]]:
    """Files by cleaned name. Names that would lead out of the archive are ignored and named."""
    entries: dict[str, zipfile.ZipInfo] = {}
    problems: list[Problem] = []
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")
        if info.is_dir() or name.endswith("/"):
            continue
        if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
            problems.append((info.filename, "ignored: its name leads out of the zip file"))
            continue
        entries[posixpath.normpath(name)] = info
    return entries, problems


def _read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    if info.flag_bits & 0x1:
        raise Undecodable("encrypted in the zip file")
    if info.file_size > LARGEST_ENTRY:
        raise Undecodable(
            f"unpacks to {info.file_size / 1e6:.0f} MB, more than the limit of {LARGEST_ENTRY / 1e6:.0f} MB"
        )
    return io.BytesIO(archive.read(info))


def _unreadable(path: Path, error: OSError) -> EspalierError:
    return EspalierError(
        f"Expected a readable folder or zip file, but {path} cannot be read: {error.strerror}.",
        "Check its permissions, or choose another.",
    )
