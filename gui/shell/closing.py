"""Closing the window: asks about a run and unsaved changes, then waits for the window's own work to end."""

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget

from gui.base.messages import Messages
from gui.base.translation import QT_TR_NOOP, tr
from gui.base.worker import Worker
from gui.runs.run_session import Session

_LIMIT_MS = 20_000
LEAVE, STOP = QT_TR_NOOP("Leave it running"), QT_TR_NOOP("Stop and quit")
LATER, CANCEL = QT_TR_NOOP("Quit when it is done"), QT_TR_NOOP("Cancel")


class Closing(QObject):
    """Decides whether a window may close now; closes it again when the last worker has ended.

    It waits for every `Worker` below the window.

    Args:
        run: the session; a person is asked whether its run goes on without the window.
        may_leave: asks about unsaved changes.
        waiting: how many runs are still in the queue.
    """

    def __init__(
        self,
        window: QWidget,
        run: Session,
        messages: Messages,
        may_leave: Callable[[], bool],
        say: Callable[[str], None],
        waiting: Callable[[], int] = lambda: 0,
    ):
        super().__init__(window)
        self._window, self._run, self._messages = window, run, messages
        self._may_leave, self._say, self._waiting = may_leave, say, waiting
        self.is_closing = self.after_run = False
        self._limit = QTimer(self)
        self._limit.setSingleShot(True)
        self._limit.setInterval(_LIMIT_MS)
        self._limit.timeout.connect(self._still_busy)

    def may_close(self) -> bool:
        """True when nothing is left to ask or to wait for."""
        if not self.is_closing:
            answer = self._ask_about_run() if self._run.worker.running else STOP
            if answer not in (LEAVE, STOP) or not self._may_leave():
                return False
            if answer == LEAVE:
                self._run.leave()
        self._set_going(True)
        busy = self._busy()
        if not busy:
            return True
        self._window.setEnabled(False)
        self._say(tr("Stopping {work} …", work=busy[0].title))
        for worker in busy:
            worker.ended.connect(self._ended)
            worker.stop()
        self._limit.start()
        return False

    def _set_going(self, is_closing: bool) -> None:
        """From now on nothing starts: a timer that fires late would start work that nobody ends."""
        self.is_closing = is_closing
        for worker in self._workers():
            worker.retired = is_closing

    def run_ended(self, how: str) -> None:
        """Close the window if that was wanted after the run; one that failed stays to be read."""
        if not self.after_run or (how == "completed" and self._waiting()):
            return
        self.after_run = False
        if how == "completed":
            QTimer.singleShot(0, self._window, self._window.close)

    def _ask_about_run(self) -> str:
        """What a person wants to become of the run; "" where the window stays for now."""
        waiting = self._waiting()
        more = tr("Runs in the queue, which is kept: {count}.", count=waiting) if waiting else ""
        explanation = tr(
            "It can go on without the window, which follows it again when it is opened. Stopping keeps every "
            "finished epoch; Resume run goes on with it next time."
        )
        answer = self._messages.question(
            tr("A run is going on"),
            tr("A run is going on. What should happen to it?"),
            f"{explanation} {more}".strip(),
            (LEAVE, STOP, LATER, CANCEL),
        )
        self.after_run = answer == LATER and self._may_leave()
        if self.after_run:
            if not self._run.worker.running:  # it ended while the question was open
                return STOP
            self._say(tr("The window closes when every run is done; closing it again asks again."))
        return answer if answer != LATER else ""

    def _workers(self) -> list[Worker]:
        return self._window.findChildren(Worker)

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers() if worker.running]

    def _ended(self) -> None:
        if self.is_closing and not self._busy():
            QTimer.singleShot(0, self._window, self._window.close)

    def _still_busy(self) -> None:
        busy = self._busy()
        if not busy:
            return
        self._set_going(False)
        self._window.setEnabled(True)
        titles = ", ".join(worker.title for worker in busy)
        self._messages.inform(
            tr("Still working"),
            tr("Still going on: {work}.", work=titles),
            tr("It was asked to stop and will. Close the window again in a moment."),
        )
