"""The job behind a `JobPage`: started, kept, shown, and its result sent into the open pipeline."""

from typing import Any, ClassVar, Generic

from PySide6.QtCore import QObject, Signal

from core.document import overrides
from core.document.pipeline import Pipeline
from core.runs.home import Home
from core.runs.stage_files import StageFile
from gui.base.document import Document
from gui.base.latest_job import LatestJob
from gui.base.messages import Messages
from gui.base.result_cache import ResultCache
from gui.base.translation import tr
from gui.base.worker import Job
from gui.inspect.job_page import JobPage, Result


class PageJob(QObject, Generic[Result]):
    """Owns the worker behind a page, and keeps the newest result of each model; of a job that was stopped, what it had
    finished, where there is no whole result of the kind.

    A job says what it does with a request (`_work`), how a result reads as a sentence (`_found`), which stage made the
    network that was looked at (`_stage`), and how a result is written into a pipeline (`_written`, `_sent`).

    Signals:
        status_message: a sentence for the status bar. edited: the id of a stage that took a result.
    """

    TITLE: ClassVar[str] = ""
    """What is going on, in small letters; marked for translation."""
    EDIT: ClassVar[str] = ""
    """The step that can be undone; marked for translation."""

    status_message = Signal(str)
    edited = Signal(str)

    def __init__(
        self, page: JobPage[Result], home: Home, document: Document, messages: Messages, parent: QObject
    ):
        super().__init__(parent)
        self._page, self._home, self._document = page, home, document
        self._model: StageFile | None = None
        self._reason = ""
        self._results = ResultCache({})
        self.job = LatestJob(self)
        self.job.done.connect(self._done)
        self.job.failed.connect(lambda _request, failure: messages.failure(failure))
        self.job.stopped.connect(
            lambda _request: self.status_message.emit(tr("Stopped before anything was finished."))
        )
        self.job.moved.connect(page.working.show_progress)
        self.job.changed.connect(lambda: page.show_busy(self.job.title if self.job.busy else ""))
        page.working.stop_wanted.connect(self.job.stop)
        page.wanted.connect(self._ask)
        page.send_wanted.connect(self._send)
        document.changed.connect(self._offer)

    def show(self, model: StageFile | None) -> None:
        """Show what is known of a model."""
        self._model = model
        self._page.show_result(self.result(model))
        self._offer()

    def set_running(self, reason: str) -> None:
        """A reason keeps the job from starting."""
        self._reason = reason
        self._page.allow(reason)

    def result(self, model: StageFile | None) -> Result | None:
        """What was found of a model; None where nothing is known."""
        found: Result | None = self._results.get(("result", model))
        return found

    def _ask(self, request: Any) -> None:
        if self._model is not None and not self._reason:
            self.job.ask(("result", self._model), tr(self.TITLE), self._work(self._model, request))

    def _done(self, request: Any, result: Result) -> None:
        before = self._results.get(request)
        if not result.extent.whole and type(before) is type(result) and before.extent.whole:
            self.status_message.emit(tr("Stopped; the result from before stays."))
            return
        self._results[request] = result
        if request[1] == self._model:
            self._page.show_result(result)
        self.status_message.emit(self._found(result))

    def _offer(self) -> None:
        """Stages of the open pipeline that take a result."""
        after, pipeline = self._stage(self._model) if self._model is not None else "", self._document.pipeline
        self._page.show_targets({kind: overrides.targets(pipeline, kind, after) for kind in self._page.TAKEN})

    def _send(self, target: overrides.Target, what: Any) -> None:
        """One edit of the open pipeline, which can be undone."""
        result = self.result(self._model)
        if self._model is None or result is None:
            return
        pipeline, id = self._written(target, what, self._stage(self._model), result)
        self._document.apply(pipeline, tr(self.EDIT))
        self.status_message.emit(self._sent(pipeline.stage(id).title, what))
        self.edited.emit(id)

    def _work(self, model: StageFile, request: Any) -> Job:
        """What is done on the worker."""
        raise NotImplementedError

    def _found(self, result: Result) -> str:
        """A result in a sentence."""
        raise NotImplementedError

    def _stage(self, model: StageFile) -> str:
        """The stage whose network was looked at; a new stage that takes the result continues it."""
        raise NotImplementedError

    def _written(
        self, target: overrides.Target, what: Any, after: str, result: Result
    ) -> tuple[Pipeline, str]:
        """The open pipeline with what is sent, and the id of the stage that took it."""
        raise NotImplementedError

    def _sent(self, title: str, what: Any) -> str:
        """That the stage called `title` took it, in a sentence."""
        raise NotImplementedError
