"""The files of a data set: a folder's, or a zip file's, which is read without unpacking it."""

import io
import logging
import os
import posixpath
import re
import stat
import zipfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.common.regular_files import Bounded, in_words, open_regular
from core.data.decode import Undecodable
from core.data.layout import is_hidden_image, is_litter
from core.data.reader import LARGEST_FILE, Opener
from core.data.source import Contents, Link, Located, Problem, Stamp, Watch, stamp, stamp_of

_log = logging.getLogger(__name__)

_LARGEST_TEXT = 500_000_000
_LARGEST_UNPACKED, _MOST_UNPACKED = 4_000_000_000, 100
"""Bytes that all files of a zip file may unpack to; more only up to so many times its own size."""
_ENCRYPTED, _IN_UTF_8 = 0x1, 0x800  # flags of a member
_LONGEST_LINK = 4096
_LISTING = "Listing the files"


@dataclass(frozen=True, slots=True)
class Tree:
    """The files below a folder or in a zip file, not interpreted yet.

    Attributes:
        names: sorted, with "/" between folders.
        open: gives a file by name.
        problems: files that cannot be used: path and reason.
        links: folders that are links to others in it, whose files are listed once.
        empty: folders without a file.
        hidden: hidden images; those deep in hidden folders may be missing.
    """

    place: str
    names: tuple[str, ...]
    open: Opener
    problems: tuple[Problem, ...] = ()
    links: tuple[Link, ...] = ()
    empty: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


def locate_tree(path: Path, contents: Callable[[Tree], Contents], watch: Watch) -> Located:
    """List a folder, or look at a zip file; `contents` interprets the files later.

    Raises:
        EspalierError: neither a folder nor a file, or it cannot be read.
        Stopped: a person asked to stop.
    """
    if path.is_dir():
        return _locate_folder(path, contents, watch)
    try:
        stamps = (stamp(path),)
    except OSError as error:
        raise _unreadable(path, error) from error
    return Located(path.stem, str(path), stamps, lambda: contents(_open_zip(path, watch)), resizes=True)


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


def _locate_folder(folder: Path, contents: Callable[[Tree], Contents], watch: Watch) -> Located:
    found = _Listing(folder, watch)
    names = tuple(stamped[0] for stamped in found.stamps)
    tree = Tree(
        str(folder), names, lambda name: open_regular(folder / name), tuple(found.problems), tuple(found.links),
        tuple(found.empty), tuple(sorted(found.hidden)),
    )  # fmt: skip
    return Located(folder.name, str(folder), tuple(found.stamps), lambda: contents(tree), resizes=True)


class _Listing:
    """Every file below a folder, sorted by name.

    Links are followed, but no folder is listed twice: a folder itself comes before links to it.

    Attributes:
        stamps: of the files. problems, links, empty, hidden: as of `Tree`.
    """

    def __init__(self, folder: Path, watch: Watch):
        """Raises EspalierError where the folder cannot be read, Stopped where a person asked to stop."""
        self._watch = watch
        self.stamps: list[Stamp] = []
        self.problems: list[Problem] = []
        self.links: list[Link] = []
        self.empty: list[str] = []
        self.hidden: list[str] = []
        self._names: dict[str, str] = {}  # of folders, by where they really lie
        self._folders, self._linked = deque([(str(folder), "")]), deque[tuple[str, str]]()
        while self._folders or self._linked:
            place, name = self._folders.popleft() if self._folders else self._linked.popleft()
            try:
                self._list(place, name)
            except OSError as error:
                if not name:
                    raise _unreadable(folder, error) from error
                self.problems.append((name, f"cannot be read: {error.strerror}"))
        self.stamps.sort()
        self.links.sort()

    def _list(self, place: str, name: str) -> None:
        real = os.path.realpath(place)
        if real in self._names:
            self.links.append((name, self._names[real] or "the folder that holds it"))
            return
        self._names[real] = name
        with os.scandir(place) as entries:
            every = list(self._watch.each(entries, _LISTING))
        for entry in every:
            inside = f"{name}/{entry.name}" if name else entry.name
            if is_litter(entry.name):
                self._look_into(entry, inside)
                continue
            self._watch.at(len(self.stamps), _LISTING)
            self._add(entry, inside, real)
        if all(is_litter(entry.name) for entry in every):
            self.empty.append(name)

    def _look_into(self, entry: os.DirEntry[str], name: str) -> None:
        """Note what images a hidden file is or a hidden folder holds."""
        with passed_over(_log, f"What is hidden in {name} is not known", OSError):
            if not entry.is_dir():
                self.hidden += [name] if is_hidden_image(name) else []
                return
            with os.scandir(entry.path) as inside:
                names = [f"{name}/{one.name}" for one in self._watch.each(inside, _LISTING)]
            self.hidden += [one for one in names if is_hidden_image(one)]

    def _add(self, entry: os.DirEntry[str], name: str, folder: str) -> None:
        try:
            if entry.is_dir():
                linked = os.path.realpath(entry.path) != os.path.join(folder, entry.name)  # noqa: PTH118
                (self._linked if linked else self._folders).append((entry.path, name))
            else:
                self.stamps.append(stamp_of(entry.stat(), name))
        except OSError as error:
            self.problems.append((name, f"cannot be read: {error.strerror}"))


def _open_zip(path: Path, watch: Watch) -> Tree:
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise EspalierError(
            f"Expected a folder or a zip file of images, but {path.name} cannot be read as a zip file: {error}.",
            "Choose a folder, or copy or download the zip file again.",
        ) from error
    found = _Entries(archive, watch)
    _check_bearable(path, sum(info.file_size for info in found.files.values()))
    files = [info for info in found.files.values() if not is_litter(info.filename)]
    if files and all(info.flag_bits & _ENCRYPTED for info in files):
        raise EspalierError(
            f"Expected a zip file that opens without a password, but {path.name} is encrypted.",
            "Unpack it with its password, and choose the folder that it gives.",
        )

    def opener(name: str) -> BinaryIO:
        return _read_entry(archive, found.files[name])

    return Tree(
        str(path),
        tuple(sorted(found.files)),
        opener,
        tuple(found.problems),
        tuple(found.links),
        tuple(found.empty),
        tuple(sorted(name for name in found.files if is_hidden_image(name))),
    )


def _check_bearable(path: Path, unpacked: int) -> None:
    packed = path.stat().st_size
    if unpacked > max(_LARGEST_UNPACKED, _MOST_UNPACKED * packed):
        raise EspalierError(
            f"Expected a zip file of images, but {path.name} of {packed / 1e6:.3g} MB unpacks to {unpacked / 1e9:.3g} GB.",
            "Images cannot be packed so small; choose another file, or unpack it yourself.",
        )


class _Entries:
    """The members of a zip file.

    Attributes:
        files: by cleaned name.
        problems: names that would lead out of the archive, which are ignored.
        links, empty: as of `Tree`.
    """

    def __init__(self, archive: zipfile.ZipFile, watch: Watch):
        self.files: dict[str, zipfile.ZipInfo] = {}
        self.problems: list[Problem] = []
        self.links: list[Link] = []
        folders: set[str] = set()
        linked: list[tuple[str, str]] = []
        for info in watch.each(archive.infolist(), _LISTING):
            name = _name_of(info).replace("\\", "/")
            if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
                self.problems.append((info.filename, "ignored: its name leads out of the zip file"))
            elif info.is_dir() or name.endswith("/"):
                folders.add(posixpath.normpath(name))
            elif _is_link(info):
                linked.append((posixpath.normpath(name), archive.read(info).decode("utf-8", "replace")))
            else:
                self._add(posixpath.normpath(name), info)
        holding = {str(folder) for name in self.files for folder in PurePosixPath(name).parents}
        self.empty = sorted(folder for folder in folders - holding if not is_litter(folder))
        for name, text in linked:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), text))
            if target in holding:
                self.links.append((name, target))
            else:
                self.problems.append((name, "is a link; links to files in a zip file are not followed"))

    def _add(self, name: str, info: zipfile.ZipInfo) -> None:
        if name in self.files and not is_litter(name):
            self.problems.append((name, "is there twice; the last counts, as where the file is unpacked"))
        self.files[name] = info


def _name_of(info: zipfile.ZipInfo) -> str:
    """A member's name; many programs write UTF-8 without saying so, which zipfile takes to be code page 437."""
    if info.flag_bits & _IN_UTF_8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except ValueError:
        return info.filename


def _is_link(info: zipfile.ZipInfo) -> bool:
    link = stat.S_ISLNK(info.external_attr >> 16)
    return link and info.file_size <= _LONGEST_LINK and not info.flag_bits & _ENCRYPTED


def _read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    if info.flag_bits & _ENCRYPTED:
        raise Undecodable("encrypted in the zip file")
    if info.file_size > LARGEST_FILE:
        raise Undecodable(
            f"unpacks to {info.file_size / 1e6:.0f} MB, more than the limit of {LARGEST_FILE / 1e6:.0f} MB"
        )
    return io.BytesIO(archive.read(info))


def _unreadable(path: Path, error: OSError) -> EspalierError:
    return EspalierError(
        f"Expected a readable folder or zip file, but {path} cannot be read: {error.strerror}.",
        "Check its permissions, or choose another.",
    )
