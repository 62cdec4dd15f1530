"""The lock on a run folder: the process that works in it holds it until it ends, so that nobody else writes there."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout

from core.common.errors import EspalierError
from core.common.full_disk import full_disk

LOCK_FILE = ".lock"


class RunLock:
    """The lock on one run folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    @cached_property
    def _lock(self) -> FileLock:
        return FileLock(self.folder / LOCK_FILE)

    @contextmanager
    def held(self, wait: float = 0.0) -> Iterator[None]:
        """Hold the folder for writing; by one `RunLock` it may be held several times over.

        Args:
            wait: seconds to wait for another process, such as one that looks whether the run goes on.

        Raises:
            EspalierError: when another process holds it.
        """
        try:
            self._remove_link()
            self._lock.acquire(timeout=wait)
        except Timeout as error:
            raise EspalierError(
                f"The run in {self.folder} is being written by another process.",
                "Wait for it, or stop it there.",
            ) from error
        except OSError as error:
            raise full_disk(error) or EspalierError(
                f"The run in {self.folder} cannot be locked: {error.strerror or error}.",
                "Network folders need a lock service; choose a folder on this machine's own disk.",
            ) from error
        try:
            yield
        finally:
            self._lock.release()

    def _remove_link(self) -> None:
        """Locking would empty what a link in the lock's place leads to."""
        lock = self.folder / LOCK_FILE
        if lock.is_symlink():
            lock.unlink()

    @property
    def taken(self) -> bool:
        """Whether a process holds the folder now."""
        path = self.folder / LOCK_FILE
        if (
            path.is_symlink() or not path.is_file()
        ):  # a check must not write into a folder that may belong to another person
            return False
        probe = FileLock(path)
        try:
            probe.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:
            return False
        probe.release()
        return False
