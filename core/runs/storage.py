"""The disk space that runs and caches take, and clearing what can be computed again."""

import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.common.parts import remove_abandoned
from core.runs.home import Home

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
        ("cache/models", "cache/artefacts", "cache/measurements"), "Clear caches",
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

    Raises:
        Stopped: when a person does not want to wait for it.
    """
    uses = []
    for kind in KINDS:
        sizes = [size for folder in _folders(home, kind) for size in _sizes(folder, control)]
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
    freed = 0
    for folder in _folders(home, storage):
        size = sum(_sizes(folder, control))
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise EspalierError(
                f"{folder} could not be cleared away: {error.strerror or error}.",
                "Close whatever has its files open, and try again.",
            ) from error
        freed += size
    return freed


def tidy(home: Home) -> None:
    """Remove what killed processes left half written in the home; what others are writing stays."""
    for folder, levels in ((home.folder, 0), (home.runs, 0), (home.logs, 0), (home.cache, _LEVELS)):
        remove_abandoned(folder, levels, ours=True)


def _folders(home: Home, kind: Kind) -> list[Path]:
    folders = [home.folder / name for name in kind.folders]
    if kind.id == "cache" and home.cache.is_dir():
        known_folders = {home.folder / name for known in KINDS for name in known.folders}
        folders += sorted(
            path for path in home.cache.iterdir() if path.is_dir() and path not in known_folders
        )
    return folders


def _sizes(folder: Path, control: RunControl | None) -> Iterator[int]:
    """Bytes of every file below `folder`; links are not followed."""
    for place, _folders, names in os.walk(folder):
        if control is not None:
            control.checkpoint()
        for name in names:
            with passed_over(_log, f"{name} went away while sizes were added up", OSError):
                yield (Path(place) / name).lstat().st_size


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
