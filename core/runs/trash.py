"""Deleted runs: moved to the home's `trash`, put back on undo, gone for good after some days."""

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.common.errors import EspalierError
from core.runs.home import Home
from core.runs.library import RunLine, add_entry, remove_entry
from core.runs.run_folder import RunFolder

_log = logging.getLogger(__name__)

KEPT_DAYS = 30


@dataclass(frozen=True, slots=True)
class Deleted:
    """A run that can be put back.

    Attributes:
        folder: its present path; a run from elsewhere is only taken off the list and keeps its path.
        entry: what the list knew of a run from elsewhere.
    """

    folder: Path
    name: str
    at: float
    entry: dict[str, Any] | None = field(default=None)


def delete(home: Home, lines: Sequence[RunLine]) -> list[Deleted]:
    """Move runs to the trash; runs from elsewhere are only taken off the list.

    Raises:
        EspalierError: when one is being written, or cannot be moved; those before it are deleted.
    """
    return [_delete(home, line) for line in lines]


def _delete(home: Home, line: RunLine) -> Deleted:
    now = time.time()
    if line.elsewhere:
        return Deleted(line.folder, line.name, now, remove_entry(home, line.folder))
    run = RunFolder(line.folder)  # also one with links in it: neither renaming nor removing follows them
    with run.locked():
        run.update_info(deleted=now)
    target = home.folder / "trash" / line.folder.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        line.folder.rename(target)
    except OSError as error:
        raise EspalierError(
            f"The run “{line.name}” could not be moved to the trash: {error.strerror or error}.",
            "Close whatever has its files open, and try again.",
        ) from error
    return Deleted(target, line.name, now)


def restore(home: Home, deleted: Deleted) -> Path:
    """Put a run back; returns its path.

    Raises:
        EspalierError: when its place is taken, or the trash was emptied.
    """
    if deleted.entry is not None:
        add_entry(home, deleted.folder, deleted.entry)
        return deleted.folder
    target = home.runs / deleted.folder.name
    try:
        if target.exists():
            raise FileExistsError(17, "its place is taken")
        home.runs.mkdir(parents=True, exist_ok=True)
        deleted.folder.rename(target)
    except OSError as error:
        raise EspalierError(
            f"The run “{deleted.name}” could not be put back: {error.strerror or error}.",
            f"It lies in {deleted.folder}, unless the trash was emptied.",
        ) from error
    RunFolder(target).update_info(deleted=None)
    return target


def trashed(home: Home) -> list[Deleted]:
    """The runs in the trash, last deleted first."""
    deleted = []
    folder = home.folder / "trash"
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            info = RunFolder(place).info
        except EspalierError as error:
            _log.debug("Something in the trash is no run: %s", error.message)
            continue
        deleted.append(Deleted(place, info.name or place.name, info.deleted or 0.0))
    return sorted(deleted, key=lambda one: -one.at)


def empty_trash(home: Home, days: float = KEPT_DAYS) -> None:
    """Remove for good what was deleted longer ago; 0 removes everything."""
    for deleted in trashed(home):
        if time.time() - deleted.at >= days * 86400:
            shutil.rmtree(deleted.folder, ignore_errors=True)
