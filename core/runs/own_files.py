"""A run folder may come from anybody: nothing outside it is read, written or removed because of what is in it.

Paths that stand in its files are checked where they are read (`core.common.inner_paths.InnerName`, `InnerPath`); links and
what else could lead out of the folder are looked for here before a run is worked with.
"""

import os
import stat
from pathlib import Path

from core.common.errors import EspalierError

_MOST_FILES = 200_000
_JUNCTION = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)  # Windows' link to a folder


def check_own_files(folder: Path) -> None:
    """Nothing for a run folder that holds files and folders only.

    Raises:
        EspalierError: naming the first symbolic link, named pipe, device or socket below it.
    """
    waiting, seen = [os.fspath(folder)], 0
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen += 1
                    if reason := _reason_against(entry):
                        raise _refused(folder, Path(entry.path), reason)
                    if seen > _MOST_FILES:
                        raise _refused(folder, Path(entry.path), f"one of more than {_MOST_FILES} files")
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except FileNotFoundError:  # removed meanwhile by the process that works in it
            continue
        except OSError as error:
            raise EspalierError(
                f"The run folder {folder} cannot be read: {error.strerror or error}.",
                "Check its permissions.",
            ) from error


def _reason_against(entry: os.DirEntry[str]) -> str:
    """What an entry is that has no business in a run folder; "" for files and folders."""
    if entry.is_symlink():
        return "a symbolic link"
    if entry.is_file(follow_symlinks=False):
        return ""
    about = entry.stat(follow_symlinks=False)
    if getattr(about, "st_reparse_tag", 0) == _JUNCTION:
        return "a link to a folder"
    return "" if stat.S_ISDIR(about.st_mode) else "a named pipe, a device or a socket"


def _refused(folder: Path, place: Path, reason: str) -> EspalierError:
    return EspalierError(
        f"Expected only files and folders in the run {folder}, but {place.relative_to(folder)} is {reason}.",
        "It could lead to files that are not the run's, so the run is not opened. Remove it, or put in its place "
        "what it stands for.",
    )
