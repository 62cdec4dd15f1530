"""Opening files that somebody else may have put there: regular files only, and no more of them than is bearable.

A named pipe waits for ever, a device such as /dev/zero never ends, and opening some devices does something. So what
is opened by a path that a person or a file named goes through here; errors are `OSError`s with a reason in words.
"""

import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A regular file, to read.

    Raises:
        OSError: there is none, it is something else (a named pipe, a socket, a device, a folder), or cannot be read.
    """
    refuse_others(Path(path).stat().st_mode, path)  # before opening, which alone may wait or do something
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        refuse_others(os.fstat(number).st_mode, path)
    except OSError:
        os.close(number)
        raise
    return os.fdopen(number, "rb")


def regular(path: Path) -> Path:
    """The path of a regular file, for libraries that open it themselves.

    Raises:
        OSError: as `open_regular`.
    """
    open_regular(path).close()
    return path


def read_bounded(path: str | os.PathLike[str], most: int) -> bytes:
    """A regular file's content.

    Raises:
        OSError: as `open_regular`, or it has more than `most` bytes.
    """
    with open_regular(path) as file:
        return Bounded(file, most).read()


def read_text(path: str | os.PathLike[str], most: int) -> str:
    """A regular file's content as UTF-8.

    Raises:
        OSError: as `read_bounded`. UnicodeDecodeError: it is no such text.
    """
    return read_bounded(path, most).decode("utf-8")


def in_words(error: Exception) -> str:
    """Why a file cannot be read, without numbers of errors and repeated paths."""
    reason = error.strerror if isinstance(error, OSError) else None
    return reason or str(error) or type(error).__name__


class Bounded(io.RawIOBase):
    """A stream of which at most `most` bytes are read: an archive's content, which may be far larger than its file.

    Reading on beyond them raises an `OSError`.
    """

    def __init__(self, file: BinaryIO, most: int):
        self._file = file
        self._most = self._left = most

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._left + 1 if size is None or size < 0 else min(size, self._left + 1)
        content = self._file.read(wanted)
        self._left -= len(content)
        if self._left < 0:
            raise OSError(errno.EINVAL, f"it holds more than {self._most / 1e6:g} MB, which is the limit")
        return content


def refuse_others(mode: int, path: str | os.PathLike[str]) -> None:
    """Nothing for the mode (`os.stat_result.st_mode`) of a regular file.

    Raises:
        OSError: for any other.
    """
    if stat.S_ISREG(mode):
        return
    words = next((f"it is {words}, not a file" for test, words in _KINDS if test(mode)), "it is not a file")
    raise OSError(errno.EINVAL, words, os.fspath(path))
