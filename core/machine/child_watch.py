"""Watches a child process at its work, from outside: suspended, idle, or silent for too long.

The child does nothing for it, so that what it measures stays as it is. Each limit is generous: a suspended
process does nothing by itself, an idle one has used no processor and told nothing for a quarter of an hour,
and a silent one has told no progress for as long as its job may take (`core.machine.jobs`).
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from core.common.durations import time_taken
from core.common.logs import passed_over
from core.machine.processes import is_suspended

if TYPE_CHECKING:
    import psutil  # a measuring process, which shares this module, stays small

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_SUSPENDED_SAID, SUSPENDED_SECONDS = 5.0, 30.0
_IDLE_SAID, IDLE_SECONDS = 120.0, 900.0
_IDLE_CPU = 0.02  # processor seconds that count as doing something

SUSPENDED, IDLE, SILENT = "suspended", "idle", "silent"

_listeners: list[Callable[[str], None]] = []


@contextmanager
def trouble_told_to(listener: Callable[[str], None]) -> Iterator[None]:
    """While this lasts, `listener` hears in a sentence what is wrong with any child; on a thread of its own."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell_trouble(text: str) -> None:
    """Write a sentence about a child into the log and pass it to who listens."""
    _log.warning("%s", text)
    for listener in list(_listeners):
        with passed_over(_log, "Trouble with a process was not passed on", Exception):  # the disk may be full
            listener(text)


class ChildWatch:
    """Watches one process during one job, on a thread of its own.

    Args:
        doing: the job in words.
        silent_seconds: how long the job may tell no progress.
        kill: called with `SUSPENDED`, `IDLE` or `SILENT` when a limit is reached.
    """

    def __init__(self, process: int, doing: str, silent_seconds: float, kill: Callable[[str], None]):
        self._doing, self._silent_limit, self._kill = doing, silent_seconds, kill
        self._number = process
        self._process: psutil.Process | None = None
        self._cpu = self._others_cpu = 0.0  # seconds when they were last found at work
        self._suspended = self._idle = self._silent = 0.0
        self._said: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="child watch", daemon=True)

    def __enter__(self) -> "ChildWatch":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def heard(self) -> None:
        """The child has told something: it is neither idle nor silent."""
        self._idle = self._silent = 0.0

    def _watch(self) -> None:
        import psutil

        last = time.monotonic()
        while not self._over.wait(_LOOK_SECONDS):
            now = time.monotonic()
            passed = min(now - last, 2 * _LOOK_SECONDS)  # this process may have been suspended itself
            last = now
            with passed_over(_log, "A watched process has ended", psutil.Error):
                self._look(passed)

    def _look(self, passed: float) -> None:
        import psutil

        self._process = self._process or psutil.Process(self._number)
        self._silent += passed
        self._suspended = self._suspended + passed if is_suspended(self._number) else 0.0
        self._idle = 0.0 if self._works() else self._idle + passed
        if self._suspended >= SUSPENDED_SECONDS:
            self._kill(SUSPENDED)
        elif self._idle >= IDLE_SECONDS:
            self._kill(IDLE)
        elif self._silent >= self._silent_limit:
            self._kill(SILENT)
        elif self._suspended >= _SUSPENDED_SAID:
            self._say_once(
                SUSPENDED,
                f"The process that is at work on “{self._doing}” is suspended; it is replaced unless it goes on "
                f"within {SUSPENDED_SECONDS:.0f} seconds.",
            )
        elif self._idle >= _IDLE_SAID:
            self._say_once(
                IDLE,
                f"The process that is at work on “{self._doing}” has done nothing for {time_taken(self._idle)}; "
                f"it is replaced after {time_taken(IDLE_SECONDS)}.",
            )

    def _works(self) -> bool:
        """Whether the process has computed since it was last found at work, or, where it seems idle, what it started."""
        assert self._process is not None
        times = self._process.cpu_times()
        cpu = times.user + times.system
        if cpu - self._cpu >= _IDLE_CPU:
            self._cpu = cpu
            return True
        if self._idle < _IDLE_SAID / 2:  # looking for the others costs more
            return False
        others_cpu = sum(_cpu_of(process) for process in self._process.children(recursive=True))
        if abs(others_cpu - self._others_cpu) < _IDLE_CPU:
            return False
        self._others_cpu = others_cpu
        return True

    def _say_once(self, kind: str, text: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            tell_trouble(text)


def _cpu_of(process: "psutil.Process") -> float:
    import psutil

    with passed_over(_log, "A process ended while it was looked at", psutil.Error):
        times = process.cpu_times()
        return times.user + times.system
    return 0.0
