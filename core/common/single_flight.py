"""One process at a time makes a thing that several need; the others wait until it has ended, and then look again."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from core.common.control import RunControl
from core.common.logs import in_a_line, passed_over

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_FOR_ALL = 0o666  # a lock file in a home that several people share


@contextmanager
def alone(
    lock: Path, control: RunControl | None, on_wait: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold the lock file while this lasts; nobody waits where files cannot be locked.

    The system frees the lock when its process dies.

    Args:
        control: stops the waiting; without it nobody is waited for.
        on_wait: called when waiting for another process begins.

    Raises:
        Stopped: a person asked to stop while waiting.
    """
    held = _acquired(lock, control, on_wait) if control is not None else None
    try:
        yield
    finally:
        if held is not None:
            with passed_over(_log, f"{lock} stays", OSError):
                lock.unlink()  # who waits notices that its file is gone and makes another
            held.release()


def _acquired(path: Path, control: RunControl, on_wait: Callable[[], None]) -> FileLock | None:
    """The lock, held now, after waiting; None where files cannot be locked."""
    waiting = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, mode=_FOR_ALL, fallback_to_soft=False)
        while True:
            control.checkpoint()
            try:
                lock.acquire(timeout=0)
                return lock
            except Timeout:
                if not waiting:
                    waiting = True
                    _log.info("Waiting for another process: %s.", path)
                    on_wait()
                time.sleep(_POLL_SECONDS)
    except (OSError, NotImplementedError) as error:
        _log.debug("%s cannot be locked: %s", path, in_a_line(error))
        return None
