"""What accompanies a run: the queue, the computer that stays awake, the notification at the end."""

from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from core.common.errors import EspalierError
from core.document.pipeline import Pipeline
from gui.base.messages import Messages
from gui.base.translation import QT_TR_NOOP, tr
from gui.runs.keep_awake import KeepAwake
from gui.runs.notifications import Notifications
from gui.runs.run_queue import RunQueue, runs_of
from gui.runs.run_session import Session
from gui.settings.store import Settings

ADD, CANCEL = QT_TR_NOOP("Add to the queue"), QT_TR_NOOP("Cancel")
_ENDS = {
    "completed": QT_TR_NOOP("{run} is complete"),
    "stopped": QT_TR_NOOP("{run} was stopped"),
    "failed": QT_TR_NOOP("{run} failed"),
    "interrupted": QT_TR_NOOP("{run} was interrupted"),
}


class QueueRunner(QObject):
    """Starts waiting runs one after the other.

    A run that was completed or failed makes room for the next; one that a person stopped does not,
    because who stops wants the computer for something else.

    Signals:
        started: a waiting run has started by itself.
        status_message: a sentence for the status bar.
    """

    started = Signal()
    status_message = Signal(str)

    def __init__(
        self,
        session: Session,
        settings: Settings,
        messages: Messages,
        notices: Notifications,
        parent: QObject,
    ):
        super().__init__(parent)
        self._session, self._settings, self._messages = session, settings, messages
        self._notices = notices
        self.queue = RunQueue(self)
        self.awake = KeepAwake(self)
        session.changed.connect(self._follow)
        session.run_ended.connect(self._ended)

    def offer_to_queue(self, pipeline: Pipeline, base: Path) -> None:
        """While a run goes on: ask whether `pipeline` shall wait for its turn."""
        waiting = len(self.queue.entries)
        after = tr("when it has ended")
        if waiting:
            after = (
                tr("after {count} others that wait", count=waiting)
                if waiting > 1
                else tr("after 1 other that waits")
            )
        answer = self._messages.question(
            tr("A run is going on"),
            tr("“{name}” can wait for its turn.", name=pipeline.name),
            tr(
                "It starts by itself {after}, exactly as it is now; later changes do not reach it.",
                after=after,
            ),
            (ADD, CANCEL),
        )
        if answer != ADD:
            return
        count = self.queue.add(*runs_of(pipeline, base))
        if self._session.steered == "idle":  # it ended while the question was open
            self.start_next()
            return
        self.status_message.emit(
            tr("“{name}” waits; runs in the queue: {count}.", name=pipeline.name, count=count)
        )

    def start_next(self) -> None:
        """Start the first waiting run, if none goes on."""
        if self._session.steered != "idle" or self._session.worker.retired:
            return
        first = self.queue.take_first()
        if first is None:
            return
        try:
            self._session.start(first.pipeline, first.base, first.series)
        except EspalierError as error:
            self._messages.error(error)
            return
        self.started.emit()
        self.status_message.emit(tr("Started “{name}” from the queue.", name=first.pipeline.name))

    def _follow(self) -> None:
        if self._session.steered in ("running", "paused") and self._settings.keep_awake:
            self.awake.hold()
        else:
            self.awake.release()

    def _ended(self, how: str) -> None:
        name = self._session.state.pipeline or (
            self._session.run.name if self._session.run else tr("The run")
        )
        if self._settings.notify:
            done = self._session.state.done
            self._notices.tell(tr(_ENDS[how], run=name), done.message if done is not None else "")
        if how != "stopped" and self.queue.entries:
            QTimer.singleShot(0, self, self.start_next)
