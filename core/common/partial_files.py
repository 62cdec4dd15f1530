"""What is being written: how its parts are called, whose they are, and which nobody writes any more.

A part lies beside what it will be renamed to and is called `.NAME.part-MACHINE-PROCESS-NUMBER.SUFFIX`. Its
process removes it when writing fails; after a kill it stays, until `remove_abandoned` finds it.
"""

import functools
import hashlib
import itertools
import logging
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from core.common.logs import passed_over

_log = logging.getLogger(__name__)

_OURS = re.compile(r"^\..*\.part-(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-\d+(\..*)?$", re.DOTALL)
_OF_BEFORE = re.compile(r"^\.(part-.*|.*\.\d+\.part(\..*)?|.*\.partial)$", re.DOTALL)
_ABANDONED_SECONDS = 24 * 3600  # where nobody can ask whether the process lives
_CLOCKS_DIFFER = 3600  # seconds that a server's clock may be off this machine's
_LONGEST_STEM = 50  # characters: names of 255 bytes are the longest that file systems take
_numbers = itertools.count()


def part_beside(target: Path) -> Path:
    """A name beside `target` that nobody else uses; it ends alike, for libraries that look at the suffix."""
    owner = f"{_machine()}-{os.getpid()}-{next(_numbers)}"
    return target.with_name(f".{target.stem[:_LONGEST_STEM]}.part-{owner}{target.suffix}")


def remove_abandoned(folder: Path, levels: int = 0, ours: bool = False) -> None:
    """Remove the parts in `folder`, and so many levels below it, whose processes have ended.

    Where that cannot be asked (another machine, another version's names), those that are a day old.

    Args:
        ours: nobody else writes here, so that the plainer names of versions before are parts too.
    """
    with passed_over(_log, f"{folder} is not looked through for what was left behind", OSError):
        for entry in list(os.scandir(folder)):
            path = Path(entry.path)
            if is_part(entry.name, ours):
                with passed_over(_log, f"{path} is left behind and stays", OSError):
                    _remove_if_abandoned(path)
            elif levels and entry.is_dir(follow_symlinks=False):
                remove_abandoned(path, levels - 1, ours)


def is_part(name: str, ours: bool = True) -> bool:
    """Whether a file or folder of this name was being written; `ours` as of `remove_abandoned`."""
    return bool(_OURS.match(name) or (ours and _OF_BEFORE.match(name)))


def _remove_if_abandoned(path: Path) -> None:
    newest = max(each.lstat().st_mtime for each in (path, *_inside(path)))
    owner = _OURS.match(path.name)
    if owner and owner["machine"] == _machine():
        abandoned = not _writes(int(owner["process"]), newest)
    else:
        abandoned = time.time() - newest > _ABANDONED_SECONDS
    if not abandoned:
        return
    _log.info("Removing %s: the process that wrote it has ended.", path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _inside(path: Path) -> Iterator[Path]:
    return path.rglob("*") if path.is_dir() and not path.is_symlink() else iter(())


def _writes(process: int, newest: float) -> bool:
    """Whether the process lives and is not another one of the same number, begun after the last writing."""
    import psutil

    try:
        found = psutil.Process(process)
        same = found.create_time() < newest + _CLOCKS_DIFFER
        return same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


@functools.cache
def _machine() -> str:
    """What process numbers are unique in: the machine since it started, or the container."""
    about = [socket.gethostname()]
    for place in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with passed_over(_log, f"{place} tells nothing", OSError):
            path = Path(place)
            about.append(str(path.readlink()) if path.is_symlink() else path.read_text())
    return hashlib.sha256("\n".join(about).encode()).hexdigest()[:8]
