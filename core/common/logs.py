"""Logging by the standard library: what a program of ours notes down, where, and how much.

Loggers are `logging.getLogger(__name__)`; their names say the package. The window, the command line and
the process of a run write into one file, `logs/espalier.log` in the home; the processes for single jobs
write to their standard error, which the program that started them keeps in a file of its own. Every
process begins with the level of the one that started it (`ESPALIER_LOG_LEVEL`).

Levels: *error*, what nobody foresaw; *warning*, what did not work and was gone without; *info*, when runs and
processes start and end, what came from a cache, what timing decided; *debug*, everything that is passed over.
Lines hold times, process numbers, paths and ids, and nothing else of a person.
"""

import contextlib
import logging
import os
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from core.common.shown_text import harmless

LEVELS = ("warning", "info", "debug")
LEVEL_VARIABLE = "ESPALIER_LOG_LEVEL"
LOG_NAME = "espalier.log"
_ROOTS = ("core", "gui")
_MOST_BYTES, _OLD_FILES = 1_000_000, 3
_LOCK_SECONDS = 0.05
_WAITING_LINES = 200  # kept while another process holds the file


def start_logging(kind: str, folder: Path, level: str = "", verbose: bool = False) -> None:
    """Write what this process notes down into `folder`; called again, the new choices count.

    Args:
        kind: what the process is, in a word: "window", "command", "run".
        level: one of `LEVELS`; empty takes that of the process that started this one, else "info".
        verbose: everything, and on standard error too.
    """
    end_logging()
    _attach(SharedFile(folder / LOG_NAME, kind))
    if verbose:
        _attach(StandardError())
    set_level("debug" if verbose else level)


def log_to_standard_error() -> None:
    """For processes whose standard error is kept in a file by whoever started them."""
    end_logging()
    _attach(StandardError())
    set_level("")


def set_level(level: str) -> None:
    """How much is noted down from now on, by this process and those that it starts."""
    chosen = next((each for each in (level, os.environ.get(LEVEL_VARIABLE, "")) if each in LEVELS), "info")
    os.environ[LEVEL_VARIABLE] = chosen
    for name in _ROOTS:
        logging.getLogger(name).setLevel(chosen.upper())


def end_logging() -> None:
    """Note nothing down any more."""
    for name in _ROOTS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        for handler in _attached(name):
            logger.removeHandler(handler)


@contextlib.contextmanager
def passed_over(
    logger: logging.Logger, what: str, *errors: type[BaseException], level: int = logging.DEBUG
) -> Iterator[None]:
    """Go on after one of `errors`, and note it down; `what` says what did not work, as a sentence without its end."""
    try:
        yield
    except errors as error:
        logger.log(level, "%s: %s", what, in_a_line(error))


def in_a_line(error: BaseException) -> str:
    """An exception's kind and text in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


class SharedFile(logging.Handler):
    """Appends to a file that several processes share; at a size it is renamed, and the oldest removed.

    Every line is written under a lock, with the file opened and closed again: so two processes never mix their
    lines or rename at the same time, and Windows, where an open file cannot be renamed, does as Linux
    does. Lines that find the file held for longer than a moment wait for the next one. A folder that cannot be
    written to costs the lines and nothing else.
    """

    def __init__(self, path: Path, kind: str):
        super().__init__()
        self.path = path
        from filelock import FileLock  # a measuring process, which needs none, stays small

        self._lock_file = FileLock(path.with_name(f".{path.name}.lock"))
        self._waiting: deque[str] = deque(maxlen=_WAITING_LINES)
        self._folder_made = False
        self.setFormatter(
            logging.Formatter(f"%(asctime)s %(levelname)-7s {kind} {os.getpid()} %(name)s: %(message)s")
        )

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.append(harmless(self.format(record)) + "\n")
            if not self._folder_made:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._folder_made = True
            with self._lock_file.acquire(timeout=_LOCK_SECONDS):
                self._rotate()
                with self.path.open("a", encoding="utf-8", errors="replace") as file:
                    file.writelines(self._waiting)
                self._waiting.clear()
        except (
            OSError
        ):  # held for long, or not to be written to: the one place that has nowhere to note it down
            self._folder_made = False

    def _rotate(self) -> None:
        if not self.path.is_file() or self.path.stat().st_size < _MOST_BYTES:
            return
        for number in range(_OLD_FILES - 1, 0, -1):
            older = self._older(number)
            if older.is_file():
                older.replace(self._older(number + 1))
        self.path.replace(self._older(1))

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the moment, so that progress bars are not torn."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(logging.Formatter("%(levelname)-7s %(name)s: %(message)s"))

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def _attach(handler: logging.Handler) -> None:
    for name in _ROOTS:
        logging.getLogger(name).addHandler(handler)


def _attached(name: str = _ROOTS[0]) -> list[logging.Handler]:
    ours = (SharedFile, StandardError)
    return [handler for handler in logging.getLogger(name).handlers if isinstance(handler, ours)]
