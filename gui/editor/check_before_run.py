"""Runs the check for "Run" and "Check", then starts the run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QSettings, Signal
from PySide6.QtWidgets import QWidget

from core.engine.document_check import CheckResult
from core.runs.home import Home
from gui.base.document import Document
from gui.base.worker import Failure, Worker
from gui.editor.check_dialog import CheckDialog
from gui.editor.checking import Checking
from gui.editor.forecasts import Forecasts

_KEY = "check-before-run"


class CheckBeforeRun(QObject):
    """Checks a document before it runs, once for each state that it is in.

    Signals:
        ready: the run may start.
        go_wanted: the problem that a person wants to see.
        status_message: a sentence for the status bar.
    """

    ready = Signal()
    go_wanted = Signal(object)
    status_message = Signal(str)

    def __init__(self, window: QWidget, document: Document, forecasts: Forecasts, home: Home, worker: Worker):
        super().__init__(window)
        self._window, self._document, self._forecasts = window, document, forecasts
        self.checking = Checking(worker, home, self)
        self.dialog: CheckDialog | None = None
        self._then_run = self._run_next = False
        self._text = ""
        worker.failed.connect(self._failed)
        self.checking.checked.connect(self._check_done)
        self.checking.ended.connect(self._ended)

    @property
    def every_time(self) -> bool:
        """Whether a person wants the check before every run."""
        return str(QSettings().value(_KEY, "true")).lower() == "true"

    def run(self, options: Mapping[str, Any]) -> None:
        """Start the run, after the check where it is wanted and this document has not passed it."""
        if self.checking.worker.running:
            return
        if not self.every_time or self._forecasts.checked == self._passed_as(options):
            self.ready.emit()
            return
        self.check(options, then_run=True)

    def check(self, options: Mapping[str, Any], then_run: bool = False) -> None:
        """Open the check of the document as it is now."""
        if self.checking.worker.running:
            return
        document = self._document
        self._then_run, self._run_next, self._text = then_run, False, self._passed_as(options)
        dialog = CheckDialog(self._window, document.pipeline, then_run, self.every_time)
        self.checking.progressed.connect(dialog.show_progress)
        self.checking.tried.connect(dialog.show_trial)
        dialog.run_wanted.connect(self._run_wanted)
        dialog.go_wanted.connect(self.go_wanted)
        dialog.stop_wanted.connect(self.checking.stop)
        dialog.every_time.toggled.connect(lambda on: QSettings().setValue(_KEY, "true" if on else "false"))
        dialog.finished.connect(lambda _result: self._closed(dialog))
        self.dialog = dialog
        dialog.open()
        self.checking.start(document.pipeline, Path(document.base), options)

    def _passed_as(self, options: Mapping[str, Any]) -> str:
        return f"{dict(options)}\n{self._document.text}"

    def _check_done(self, result: CheckResult) -> None:
        if result.preflight.passed:
            self._forecasts.checked = self._text
        if result.estimate is not None:
            times = {stage.id: stage.seconds for stage in result.estimate.stages}
            self._forecasts.show_times(self._text.partition("\n")[2], times)
            self.status_message.emit(result.estimate.lines()[-1])
        if self.dialog is None:
            return
        self.dialog.show_result(result.preflight, result.estimate)
        if result.preflight.passed and self._then_run:
            self._run_next = True
            self.dialog.accept()

    def _failed(self, failure: Failure) -> None:
        if self.dialog is not None:
            self.dialog.show_given_up(f"{failure.message} {failure.advice}".strip())

    def _run_wanted(self) -> None:
        """Run now; where the check is still going on it has to end first."""
        self._run_next = True
        if self.checking.worker.running:
            self.checking.stop()
        else:
            self._ended()

    def _ended(self) -> None:
        if self._run_next:
            self._run_next = False
            self.ready.emit()

    def _closed(self, dialog: CheckDialog) -> None:
        self.checking.progressed.disconnect(dialog.show_progress)
        self.checking.tried.disconnect(dialog.show_trial)
        self.dialog = None
        dialog.deleteLater()
