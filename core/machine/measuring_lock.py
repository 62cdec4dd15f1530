"""One measurement at a time on a machine: a lock for all processes of all users.

Two programs that time networks at the same time slow each other down, and neither sees it in its own clock. The lock is
a file that everybody may open, in the system's temporary folder; who holds it is a process, so that one that dies lets
go. Where somebody made that file for themselves alone, a file of one's own takes its place: then only one's own
measurements wait for each other. Containers with a temporary folder of their own do not see each other either.
"""

import logging
import math
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from core.common.control import RunControl
from core.common.logs import in_a_line
from core.machine.jobs import ProgressCallback

_log = logging.getLogger(__name__)

FOLDER = (
    Path(os.environ.get("PROGRAMDATA", tempfile.gettempdir())) if sys.platform == "win32" else Path("/tmp")
)
LONGEST = 120.0
"""Seconds that a measurement waits for others, unless the environment says otherwise; after that it goes on beside them."""
PATIENCE_VARIABLE = "ESPALIER_PATIENCE"
_BRIEFLY, _HOLDS = 10.0, 600.0  # seconds to wait where that was in vain before, and for how long that is so
WAITING = "Waiting"
"""How the texts begin that say that measuring waits."""

_NAME = "espalier-measuring"
_EVERYBODY = 0o666
_LOOK = 0.2  # seconds
_SAID = 1.0  # seconds of waiting before a word is said
_held = threading.local()
_vain_waits: list[float] = []  # when waiting ended in vain, in this process


def patience(usual: float) -> float:
    """Seconds to wait for a quieter machine, as the environment says, else the usual ones."""
    chosen = os.environ.get(PATIENCE_VARIABLE, "").strip()
    try:
        seconds = float(chosen or usual)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        _log.warning("%s is %r, not a number of seconds: it is %g", PATIENCE_VARIABLE, chosen, usual)
        return usual
    return seconds


@contextmanager
def measuring_alone(
    control: RunControl | None = None,
    tell: ProgressCallback = lambda fraction, text: None,
    longest: float | None = None,
) -> Iterator[None]:
    """Hold the machine for a measurement; inside another one of the same thread it is held already.

    Args:
        tell: hears of waiting. longest: seconds to wait.

    Raises:
        Stopped: a person asked to stop while it waited.
    """
    if getattr(_held, "machine", False):
        yield
        return
    lock = _obtained(control, tell, patience(LONGEST) if longest is None else longest)
    _held.machine = True
    try:
        yield
    finally:
        _held.machine = False
        if lock is not None:
            lock.release()


def saying_waits(say: Callable[[str], None], on_fraction: Callable[[float], None]) -> ProgressCallback:
    """A callback for progress that passes on how far it is, and says when waiting begins and what follows it."""
    waiting = False

    def progress(fraction: float, text: str) -> None:
        nonlocal waiting
        if text.startswith(WAITING) != waiting:
            waiting = not waiting
            say(text)
        on_fraction(fraction)

    return progress


def _obtained(control: RunControl | None, tell: ProgressCallback, longest: float) -> FileLock | None:
    """The lock, held; None where it could not be had."""
    started, said = time.monotonic(), False
    if _vain_waits and started - _vain_waits[-1] < _HOLDS:
        longest = min(longest, _BRIEFLY)
    for path in (FOLDER / f"{_NAME}.lock", FOLDER / f"{_NAME}-{_user()}.lock"):
        try:
            while True:
                try:
                    lock = FileLock(path, timeout=0, mode=_EVERYBODY, fallback_to_soft=False)
                    lock.acquire()
                    return lock
                except Timeout:
                    waited = time.monotonic() - started
                if waited >= longest:
                    _vain_waits.append(time.monotonic())
                    _log.warning(
                        "Measuring goes on beside another measurement, after %.0f s of waiting.", waited
                    )
                    return None
                if waited >= _SAID and not said:
                    tell(0.0, f"{WAITING}: another measurement is under way on this machine")
                    said = True
                if control is not None:
                    control.checkpoint()
                time.sleep(_LOOK)
        except (OSError, NotImplementedError) as error:
            _log.info("The lock for measurements %s cannot be used: %s", path, in_a_line(error))
    return None


def _user() -> str:
    return str(os.getuid()) if sys.platform != "win32" else os.environ.get("USERNAME", "me")
