"""The disk space that runs and caches take, and clearing what can be computed again."""

import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.common.partial_files import remove_abandoned
from core.runs.home import Home
from core.runs.shared_files import CONTENTS, remove_unused

_log = logging.getLogger(__name__)

_LEVELS = 2  # of folders in the cache above an entry: its kind, and the beginning of its key


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of stored data.

    Attributes:
        about: what it is, and what losing it costs.
        folders: below the home folder.
        clear: what to call clearing it away; "" where that is not offered.
    """

    id: str
    title: str
    about: str
    folders: tuple[str, ...]
    clear: str = ""


KINDS: tuple[Kind, ...] = (
    Kind("runs", "Runs", "Finished and stopped runs with their models. Delete single runs at Start.", ("runs",)),
    Kind(
        "data", "Prepared images", "Decoded images. Made again when a data set is opened, which takes a while.",
        ("cache/data",), "Clear images",
    ),
    Kind(
        "cache", "Stage caches",
        "Trained stages, exported files and measurements that a later run may take over. "
        "Without them, a run that repeats a stage trains it again.",
        ("cache/models", "cache/artefacts", "cache/measurements", "cache/contents"), "Clear caches",
    ),
    Kind("trash", "Deleted runs", "Runs that were deleted and can still be put back.", ("trash",), "Empty trash"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StorageUse:
    """The room that a kind takes, in bytes, and the number of its files."""

    kind: Kind
    bytes: int
    files: int


def used(home: Home, control: RunControl | None = None) -> list[StorageUse]:
    """The room that every kind takes; anything in the caches that no kind names counts as stage caches.

    A file that several kinds share counts once, for the first of them: a cached network of a run takes no room of its own.

    Raises:
        Stopped: when a person does not want to wait for it.
    """
    uses, seen = [], set()
    for kind in KINDS:
        sizes = []
        for folder in _folders(home, kind):
            for about in _files(folder, control):
                identity = (about.st_dev, about.st_ino) if about.st_nlink > 1 else None
                sizes.append(0 if identity in seen else about.st_size)
                if identity is not None:
                    seen.add(identity)
        uses.append(StorageUse(kind, sum(sizes), len(sizes)))
    return uses


def clear(home: Home, kind: str, control: RunControl | None = None) -> int:
    """Remove everything of a kind that can be cleared; the bytes that became free.

    Raises:
        EspalierError: when a run goes on that may need it, or the disk refuses.
    """
    storage = next(known for known in KINDS if known.id == kind)
    if not storage.clear:
        raise EspalierError(f"{storage.title} cannot be cleared away here.", "Delete single runs at Start.")
    if kind != "trash":
        _nothing_runs(home)
    folders = _folders(home, storage)
    freed = _freed(about for folder in folders for about in _files(folder, control))
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise EspalierError(
                f"{folder} could not be cleared away: {error.strerror or error}.",
                "Close whatever has its files open, and try again.",
            ) from error
    return freed


def _freed(files: Iterable[os.stat_result]) -> int:
    """The bytes that become free when these files go: those of a content whose last name is among them."""
    left: dict[tuple[int, int], int] = {}
    freed = 0
    for about in files:
        identity = (about.st_dev, about.st_ino)
        left[identity] = left.get(identity, about.st_nlink) - 1
        freed += about.st_size if left[identity] <= 0 else 0
    return freed


def tidy(home: Home) -> None:
    """Remove what killed processes left half written in the home; what others are writing stays."""
    for folder, levels in ((home.folder, 0), (home.runs, 0), (home.logs, 0), (home.cache, _LEVELS)):
        remove_abandoned(folder, levels, ours=True)
    with passed_over(_log, "Contents that nobody uses stay", OSError):
        remove_unused(home.cache / CONTENTS, home.cache)


def _folders(home: Home, kind: Kind) -> list[Path]:
    folders = [home.folder / name for name in kind.folders]
    if kind.id == "cache" and home.cache.is_dir():
        known_folders = {home.folder / name for known in KINDS for name in known.folders}
        folders += sorted(
            path for path in home.cache.iterdir() if path.is_dir() and path not in known_folders
        )
    return folders


def _files(folder: Path, control: RunControl | None) -> Iterator[os.stat_result]:
    """What the system knows of every file below `folder`; symbolic links are not followed."""
    for place, _folders, names in os.walk(folder):
        if control is not None:
            control.checkpoint()
        for name in names:
            with passed_over(_log, f"{name} went away while sizes were added up", OSError):
                yield (Path(place) / name).lstat()


def _nothing_runs(home: Home) -> None:
    """Nothing, unless a run of this or of another program is being written."""
    for lock in home.runs.glob("*/.lock") if home.runs.is_dir() else ():
        try:
            with FileLock(lock, timeout=0):
                pass
        except Timeout as error:
            raise EspalierError(
                f"The run {lock.parent.name} goes on and may need the caches.",
                "Wait until it has ended, or stop it.",
            ) from error
