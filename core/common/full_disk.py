"""Whether a disk is full, and what file system it has. Imports no library."""

import errno
import re
from pathlib import Path

from core.common.errors import EspalierError

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
# Libraries written in other languages raise errors of their own, with the system's words in the text.
_WORDS = ("no space left on device", "disk quota exceeded", "file too large", "not enough space on the disk", "disk is full")  # fmt: skip
# NumPy and PyTorch give no reason, only that fewer bytes were taken than they wrote.
_SHORT_WRITE = re.compile(
    r"\d+ requested and \d+ written|unexpected pos \d+ vs \d+|PytorchStreamWriter failed writing"
)
_NETWORK_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "afs", "lustre", "gpfs", "beegfs", "ceph")


def full_disk(error: BaseException) -> EspalierError | None:
    """The failure in words when the disk or a quota is full, here or in what caused `error`; else None."""
    cause: BaseException | None = error
    while cause is not None:
        number = cause.errno if isinstance(cause, OSError) else None
        text = str(cause)
        if number in _FULL or any(words in text.lower() for words in _WORDS) or _SHORT_WRITE.search(text):
            place = (
                f" while writing {cause.filename}" if isinstance(cause, OSError) and cause.filename else ""
            )
            return EspalierError(
                f"The disk or your quota on it is full{place}.",
                "Free some space (the caches may be deleted at any time), or name another folder in "
                "ESPALIER_HOME; then go on with the run.",
                str(cause),
            )
        cause = cause.__cause__ or cause.__context__
    return None


def file_system_of(folder: Path) -> str:
    """The kind of file system that a folder is on, as Linux names it; "unknown" elsewhere."""
    mounts = Path("/proc/self/mounts")
    if not mounts.is_file():
        return "unknown"
    best, kind, place = "", "unknown", folder.resolve()
    for line in mounts.read_text(errors="replace").splitlines():
        _, point, file_system, *_ = line.split()
        point = point.replace("\\040", " ")
        if place.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, file_system
    return kind


def over_the_network(system: str) -> bool:
    """Whether a kind of file system keeps its files on another machine."""
    return system in _NETWORK_SYSTEMS
