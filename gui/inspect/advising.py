"""Trials of calibrations: started, kept, shown, and their advice sent into the open pipeline."""

from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Signal

from core.deploy.quantization.advice import Advice, Question
from core.document import overrides
from core.runs.home import Home
from core.runs.stage_files import StageFile
from gui.base.document import Document
from gui.base.latest_job import LatestJob
from gui.base.messages import Messages
from gui.base.result_cache import ResultCache
from gui.base.translation import tr
from gui.inspect import work
from gui.inspect.calibration_page import CalibrationPage


class Advising(QObject):
    """Owns the worker behind the `CalibrationPage`.

    Signals:
        status_message: a sentence for the status bar. edited: the id of a stage that took an advice.
    """

    status_message = Signal(str)
    edited = Signal(str)

    def __init__(
        self, page: CalibrationPage, home: Home, document: Document, messages: Messages, parent: QObject
    ):
        super().__init__(parent)
        self._page, self._home, self._document = page, home, document
        self._model: StageFile | None = None
        self._busy = ""
        self._latest = ResultCache({})
        self.job = LatestJob(self)
        self.job.done.connect(self._done)
        self.job.failed.connect(lambda _request, failure: messages.failure(failure))
        self.job.moved.connect(page.working.show_progress)
        self.job.changed.connect(lambda: page.show_busy(self.job.title if self.job.busy else ""))
        page.working.stop_wanted.connect(self.job.stop)
        page.wanted.connect(self._try)
        page.send_wanted.connect(self._send)
        document.changed.connect(self._offer)

    def show(self, model: StageFile | None) -> None:
        """Show what is known of a model."""
        self._model = model
        self._page.show_advice(self._latest.get(("advice", model)))
        self._offer()

    def set_running(self, reason: str) -> None:
        """A reason keeps trials from starting."""
        self._busy = reason
        self._page.allow(reason)

    def _try(self, question: Question) -> None:
        if self._model is not None and not self._busy:
            job = partial(work.advice, self._model, question, self._home)
            self.job.ask(("advice", self._model), tr("trying calibrations"), job)

    def _done(self, request: Any, advice: Advice) -> None:
        self._latest[request] = advice
        if request[1] == self._model:
            self._page.show_advice(advice)
        self.status_message.emit(advice.sentence)

    def _offer(self) -> None:
        """Stages of the open pipeline that calibrate."""
        after = self._model.float_stage if self._model is not None else ""
        self._page.show_targets(overrides.targets(self._document.pipeline, "calibrate", after))

    def _send(self, target: overrides.Target) -> None:
        """One edit of the open pipeline, which can be undone."""
        advice = self._latest.get(("advice", self._model))
        if self._model is None or advice is None:
            return
        pipeline, id = overrides.with_settings(
            self._document.pipeline, target, advice.settings, self._model.float_stage
        )
        self._document.apply(pipeline, tr("Take the advice on calibration"))
        self.status_message.emit(
            tr("'{title}' calibrates by {method} on {images} images now; Undo takes it back.",
               title=pipeline.stage(id).title, **advice.settings)
        )  # fmt: skip
        self.edited.emit(id)
