"""The one bridge between long work and the window.

A `Worker` runs a Qt-free job on its own thread. What the job reports comes back in batches on the
window's thread, however fast it does; then exactly one of `completed`, `failed` and `stopped`
follows, on every path, a `RuntimeError` included. Connect first, then `start`.
"""

import ctypes
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QThread, QTimer, Signal, Slot

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from gui.base.translation import tr

_log = logging.getLogger(__name__)

Say = Callable[[Any], None]
Job = Callable[[RunControl, Say], Any]

_STACK = 64 * 1024 * 1024  # native code needs more than some platforms' half megabyte
_BATCH_MS = 60
_C_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed, for people; `expected` is False for an error of the program itself."""

    message: str
    advice: str
    details: str
    expected: bool


@dataclass(frozen=True, slots=True)
class _Outcome:
    kind: str
    value: Any = None


class Worker(QObject):
    """One job at a time on its own thread.

    Signals:
        happened: what the job reported since the last batch, in order; the last is never lost.
        completed: the job's result.
        failed: a `Failure`.
        stopped: a person asked to stop.
    """

    happened = Signal(list)
    completed = Signal(object)
    failed = Signal(object)
    stopped = Signal()
    ended = Signal()

    def __init__(self, parent: QObject | None = None, merge: Callable[[list[Any]], list[Any]] | None = None):
        """`merge` may leave out of a batch what later items of it made superfluous."""
        super().__init__(parent)
        self._merge = merge or (lambda items: items)
        self._thread: _Thread | None = None
        self._delivered = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._deliver)
        self.control = RunControl()
        self.title = ""
        self.retired = False  # then `start` does nothing: the window is closing

    @property
    def running(self) -> bool:
        """Whether a job is under way: from `start` until its terminal signal."""
        return self._thread is not None

    def start(self, title: str, job: Job) -> RunControl:
        """Run `job`; `title` says to a person what is going on. Nothing happens where `retired`.

        Raises:
            RuntimeError: when a job is running already.
        """
        if self._thread is not None:
            raise RuntimeError(f"the worker is busy with {self.title!r}")
        self.title, self.control = title, RunControl()
        if self.retired:
            return self.control
        thread = _Thread(job, self.control)
        thread.woken.connect(self._woken)
        thread.over.connect(self._finished)
        self._thread = thread
        thread.start()
        return self.control

    def stop(self) -> None:
        """Ask the job to stop; `stopped` (or another ending) follows."""
        self.control.stop()

    def close(self, seconds: float) -> bool:
        """Ask to stop and wait at most so long; False when the job is still going on."""
        if self._thread is None:
            return True
        self.control.stop()
        ended = self._thread.wait(round(seconds * 1000))
        if ended:
            self._finished(self._thread)
        return ended

    @Slot()
    def _woken(self) -> None:
        waited = (time.monotonic() - self._delivered) * 1000
        if waited >= _BATCH_MS:
            self._deliver()
        elif not self._timer.isActive():
            self._timer.start(round(_BATCH_MS - waited))

    @Slot()
    def _deliver(self) -> None:
        if self._thread is not None:
            self._hand_over(self._thread.take())

    def _hand_over(self, items: list[Any]) -> None:
        if items:
            self._delivered = time.monotonic()
            self.happened.emit(self._merge(items))

    @Slot(object)
    def _finished(self, thread: "_Thread") -> None:
        if thread is not self._thread:
            return  # `close` was faster than the signal
        thread.wait()
        self._timer.stop()
        self._hand_over(thread.take())
        outcome = thread.outcome or _Outcome(
            "failed", Failure("The work ended without a word.", "", "", False)
        )
        self._thread = None
        thread.deleteLater()
        if outcome.kind == "completed":
            self.completed.emit(outcome.value)
        elif outcome.kind == "stopped":
            self.stopped.emit()
        else:
            self.failed.emit(outcome.value)
        self.ended.emit()


class _Thread(QThread):
    """The thread of one job; keeps what it reported and how it ended."""

    woken = Signal()
    over = Signal(object)

    def __init__(self, job: Job, control: RunControl):
        super().__init__()
        self.setStackSize(_STACK)
        self._job, self._control = job, control
        self._lock = threading.Lock()
        self._items: list[Any] = []
        self.outcome: _Outcome | None = None

    def run(self) -> None:
        try:
            self.outcome = _Outcome("completed", self._job(self._control, self._say))
        except Stopped:
            self.outcome = _Outcome("stopped")
        except BaseException as error:
            _log.warning("A job of the window failed", exc_info=error)
            self.outcome = _Outcome("failed", failure(error))
        finally:
            give_memory_back()
            self.over.emit(self)

    def _say(self, item: Any) -> None:
        with self._lock:
            first = not self._items
            self._items.append(item)
        if first:
            self.woken.emit()

    def take(self) -> list[Any]:
        """What was reported since the last call."""
        with self._lock:
            items, self._items = self._items, []
        return items


def give_memory_back() -> None:
    """Return freed memory to the system; glibc would keep the hundreds of megabytes of a training."""
    trim = getattr(_C_LIBRARY, "malloc_trim", None)
    if trim is not None:
        trim(0)


def failure(error: BaseException) -> Failure:
    """An exception in words."""
    details = "".join(traceback.format_exception(error))
    if isinstance(error, EspalierError):
        return Failure(error.message, error.advice, error.details or details, True)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        advice = tr("Choose a smaller batch size or image size, or another device, and run again.")
        return Failure(tr("The memory was not enough."), advice, details, True)
    text = str(error) or type(error).__name__
    advice = tr("Nothing that was finished is lost. The details help to report it.")
    return Failure(tr("Something unexpected happened: {error}", error=text), advice, details, False)
