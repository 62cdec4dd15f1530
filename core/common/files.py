"""Files: the program's own resources, writing whole or not at all, hashes, compressed size."""

import hashlib
import logging
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import core
from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.common.partial_files import part_beside
from core.common.regular_files import open_regular, refuse_others

if TYPE_CHECKING:
    import numpy as np

RESOURCES = Path(core.__file__).resolve().parents[1] / "resources"
WORTH_SHARING = 16_384  # bytes; a smaller file costs hardly more than its name
_BLOCK = 1 << 20
_CHANGE_SECONDS = 5.0
_log = logging.getLogger(__name__)


class UnreadableError(OSError):
    """What was to be copied could not be read; any other error of a copy is about where it goes to."""


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """A name beside `target` to write a file to; on the disk and renamed at the end, removed on an error.

    The temporary name ends like the target, for libraries that look at the suffix.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_beside(target)
    try:
        yield part
        _sync(part)
        part.replace(target)
        _sync_folder(target.parent)
    finally:
        with passed_over(_log, f"{part} stays", OSError):
            part.unlink(missing_ok=True)


@contextmanager
def folder_beside(target: Path, replace: bool = True) -> Iterator[Path]:
    """An empty folder to fill, which becomes `target` at the end; removed on an error.

    Args:
        replace: what is there is removed; else an `OSError` is raised where something is.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_beside(target)
    part.mkdir()
    try:
        yield part
        put_in_place(part, target, replace)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def put_in_place(folder: Path, target: Path, replace: bool = True) -> None:
    """Rename a whole folder to `target`, once it is on the disk; what is there goes, or stays and is an `OSError`."""
    for path in folder.rglob("*"):
        if path.is_file():
            _sync(path)
    aside = _moved_aside(target) if replace else None
    try:
        folder.rename(target)
    except OSError:
        if aside is not None:
            aside.rename(target)
        raise
    _sync_folder(target.parent)
    if aside is not None:
        _remove(aside)


def discard(target: Path) -> None:
    """Remove a file or folder, renamed first: it never stands there incomplete under its name."""
    aside = _moved_aside(target)
    if aside is not None:
        _remove(aside)


def _moved_aside(target: Path) -> Path | None:
    aside = part_beside(target)
    try:
        target.rename(aside)
    except FileNotFoundError:
        return None
    return aside


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file whole or not at all.

    Raises:
        UnreadableError: when the source cannot be read.
        OSError: when the target cannot be written.
    """
    with written_beside(target) as part:
        _copy(source, part)


def put_link_or_copy(source: Path, target: Path) -> None:
    """Give a large file a further name, or copy it where the file system cannot; nobody may write into either afterwards.

    Raises:
        UnreadableError: when the source cannot be read.
        OSError: when the target cannot be written.
    """
    try:
        about = source.lstat()
        refuse_others(about.st_mode, source)
        if about.st_size >= WORTH_SHARING:
            os.link(source, target)
            return
    except OSError as error:  # another disk, a file system without links, somebody else's file
        _log.debug("%s is copied: %s", source, error.strerror or error)
    _copy(source, target)


def copy_folder(
    source: Path,
    target: Path,
    without: Collection[str] = (),
    put: Callable[[Path, Path], None] | None = None,
) -> None:
    """Copy what is in a folder into another that is there; symbolic links are followed. Errors as of `copy_file`.

    Args:
        without: names at the top that are left out.
        put: puts one file in its place.
    """
    put = put or _copy
    try:
        entries = sorted(path for path in source.iterdir() if path.name not in without)
        folders = [path for path in entries if path.is_dir()]
    except OSError as error:
        raise _unreadable(source, error) from error
    for path in entries:
        if path in folders:
            (target / path.name).mkdir()
            copy_folder(path, target / path.name, put=put)
        else:
            put(path, target / path.name)


def _copy(source: Path, target: Path) -> None:
    try:
        with target.open("wb") as copy:
            for block in _blocks(source):
                copy.write(block)
    except OSError as error:
        error.filename = error.filename or str(target)  # the system does not say it while writing
        raise


def _blocks(file: Path) -> Iterator[bytes]:
    try:
        with open_regular(file) as opened:
            while block := opened.read(_BLOCK):
                yield block
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(source: Path, error: OSError) -> UnreadableError:
    return UnreadableError(error.errno, error.strerror, str(source))


def _sync(file: Path) -> None:
    """Have what was written on the disk, so that a name never outlives a power cut without its content."""
    number = os.open(file, os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _sync_folder(folder: Path) -> None:
    """The same for names; not every system can."""
    if sys.platform == "win32":
        return
    with passed_over(_log, f"The names in {folder} are not on the disk yet", OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


@contextmanager
def changed_by_one(file: Path) -> Iterator[None]:
    """While a small file is read, changed and written, other processes that change it wait, for some seconds at most."""
    from filelock import FileLock  # a measuring process, which needs none, stays small

    lock = FileLock(
        file.with_name(f".{file.name}.lock"), timeout=_CHANGE_SECONDS, mode=0o666, fallback_to_soft=False
    )
    with ExitStack() as held:
        with passed_over(_log, f"{file} is changed without a lock", OSError, NotImplementedError):
            file.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(lock)
        try:
            yield
        finally:
            if lock.is_locked:
                with passed_over(_log, f"{lock.lock_file} stays", OSError):
                    Path(lock.lock_file).unlink()  # who waits notices that its file is gone and makes another


def file_size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def advice_on(error: OSError) -> str:
    """What to do where a file could not be written."""
    if isinstance(error, PermissionError):
        return "Choose a folder that you may write into."
    return "Free some space, or choose another folder."


def write_atomically(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        EspalierError: when the disk does not take it.
    """
    try:
        with written_beside(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EspalierError(
            f"{path} could not be written: {error.strerror or error}.",
            advice_on(error),
        ) from error


def save_array(target: Path, array: "np.ndarray") -> None:
    """Write a NumPy array as .npy, whole or not at all."""
    import numpy as np

    with written_beside(target) as part:
        np.save(part, array, allow_pickle=False)


def text_sha256(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def deflated_bytes(path: Path) -> int:
    """The file's size in bytes once deflated, as in a zip or an installer (zlib, level 6).

    Here sparse weights pay: runs of zeros take almost no room.
    """
    deflate = zlib.compressobj(6)
    size = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            size += len(deflate.compress(block))
    return size + len(deflate.flush())
