"""One kind of long work: a newer request replaces the one under way."""

from collections.abc import Hashable

from PySide6.QtCore import QObject, Signal

from gui.base.worker import Failure, Job, Worker


class LatestJob(QObject):
    """Runs one job at a time on its own worker and keeps what it gave.

    Signals:
        moved: what the job says of itself: fraction 0…1 and a sentence.
        done: a request and its result.
        failed: a request and its `Failure`.
        stopped: a request that was given up and gave nothing.
        changed: it began to work, or ended.
    """

    moved = Signal(float, str)
    done = Signal(object, object)
    failed = Signal(object, object)
    stopped = Signal(object)
    changed = Signal()

    def __init__(self, parent: QObject):
        super().__init__(parent)
        self.worker = Worker(self)
        self.request: Hashable | None = None
        self._next: tuple[Hashable, str, Job] | None = None
        self.worker.happened.connect(lambda batch: self.moved.emit(*batch[-1]))
        self.worker.completed.connect(self._completed)
        self.worker.failed.connect(self._failed)
        self.worker.stopped.connect(self._stopped)
        self.worker.ended.connect(self._ended)

    @property
    def title(self) -> str:
        """What is under way, as the beginning of a sentence."""
        return self.worker.title[:1].upper() + self.worker.title[1:]

    @property
    def busy(self) -> bool:
        return self.worker.running

    def ask(self, request: Hashable, title: str, job: Job) -> None:
        """Do `job`; what is under way for another request is given up."""
        if self.worker.running:
            if self.request == request and self._next is None:
                return
            self._next = (request, title, job)
            self.worker.stop()
            return
        self.request = request
        self.worker.start(title, job)
        self.changed.emit()

    def stop(self) -> None:
        """Give up what is under way."""
        self._next = None
        if self.worker.running:
            self.worker.stop()

    def _completed(self, result: object) -> None:
        if self._next is None:
            self.done.emit(self.request, result)

    def _failed(self, failure: Failure) -> None:
        if self._next is None:
            self.failed.emit(self.request, failure)

    def _stopped(self) -> None:
        if self._next is None:
            self.stopped.emit(self.request)

    def _ended(self) -> None:
        following, self._next = self._next, None
        if following is not None:
            self.ask(*following)
        else:
            self.changed.emit()
