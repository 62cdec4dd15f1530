"""How a person steers long work: stop, pause, go on, finish this stage early.

Thread-safe and free of Qt. The window or the terminal calls the verbs; the work calls
`checkpoint` at least once a batch.
"""

import threading
import time
from collections.abc import Callable

from core.common.errors import Stopped


class RunControl:
    """Stop, pause and finish requests of one run; shared by the person's thread and the working thread."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._running = threading.Event()
        self._running.set()
        self._finish_stage = threading.Event()
        self._on_stop: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._paused_seconds = 0.0
        self.paused_total = 0.0  # seconds spent paused so far

    def stop(self) -> None:
        """Ask the work to stop as soon as it can; what is finished is kept."""
        with self._lock:
            self._stop.set()
            callbacks = list(self._on_stop)
        self._running.set()
        for callback in callbacks:
            callback()

    def pause(self) -> None:
        """Hold the work at its next checkpoint until `resume` or `stop`."""
        if not self._stop.is_set():
            self._running.clear()

    def resume(self) -> None:
        """Let paused work go on."""
        self._running.set()

    def finish_stage(self) -> None:
        """Ask the stage under way to end its training soon, keeping the best epoch; the next stage forgets it."""
        self._finish_stage.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    @property
    def paused(self) -> bool:
        return not self._running.is_set()

    def checkpoint(self) -> None:
        """Wait while paused.

        Raises:
            Stopped: when a person asked to stop.
        """
        if not self._running.is_set():
            since = time.monotonic()
            self._running.wait()
            self._paused_seconds += time.monotonic() - since
            self.paused_total += time.monotonic() - since
        if self._stop.is_set():
            raise Stopped

    def take_paused_seconds(self) -> float:
        """Seconds spent paused since the last call."""
        seconds, self._paused_seconds = self._paused_seconds, 0.0
        return seconds

    def take_finish_stage(self) -> bool:
        """Whether a person asked to finish this stage; asking once answers one stage."""
        requested = self._finish_stage.is_set()
        self._finish_stage.clear()
        return requested

    def on_stop(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when `stop` is asked for (at once if it was); returns the unsubscriber.

        Used to kill a child process that is inside a long native call.
        """
        with self._lock:
            self._on_stop.append(callback)
            stopping = self._stop.is_set()
        if stopping:
            callback()

        def remove() -> None:
            with self._lock:
                if callback in self._on_stop:
                    self._on_stop.remove(callback)

        return remove
