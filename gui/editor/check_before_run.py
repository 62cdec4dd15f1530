"""Runs the check for "Run" and "Check" and shows it in the editor's panel, then starts the run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QSettings, Signal

from core.engine.document_check import CheckResult
from core.engine.known_times import KnownTimes
from core.runs.home import Home
from gui.base.document import Document
from gui.base.translation import tr
from gui.base.worker import Failure, Worker
from gui.editor.check_panel import CheckPanel
from gui.editor.checking import Checking
from gui.editor.forecasts import Forecasts

_KEY = "check-before-run"


class CheckBeforeRun(QObject):
    """Checks a document before it runs, once for each state that it is in; one may edit meanwhile.

    Signals:
        ready: the run may start.
        shown: the panel has something to show.
        go_wanted: the problem that a person wants to see.
        again_wanted: check the document as it is now.
        status_message: a sentence for the status bar.
    """

    ready = Signal()
    shown = Signal()
    go_wanted = Signal(object)
    again_wanted = Signal()
    status_message = Signal(str)

    def __init__(
        self, panel: CheckPanel, document: Document, forecasts: Forecasts, home: Home, worker: Worker,
        parent: QObject,
    ):  # fmt: skip
        super().__init__(parent)
        self.panel, self._document, self._forecasts = panel, document, forecasts
        self.checking = Checking(worker, home, self)
        self._then_run = self._run_next = self._again = False
        self._text, self._checked = "", (document.pipeline, Path(document.base))
        worker.failed.connect(self._failed)
        worker.stopped.connect(lambda: panel.show_given_up(tr("It was stopped.")))
        self.checking.progressed.connect(panel.show_progress)
        self.checking.tried.connect(panel.show_trial)
        self.checking.checked.connect(self._check_done)
        self.checking.ended.connect(self._ended)
        document.changed.connect(self._document_changed)
        panel.run_wanted.connect(self._run_wanted)
        panel.again_wanted.connect(self._check_again)
        panel.go_wanted.connect(self.go_wanted)
        panel.stop_wanted.connect(self.checking.stop)
        panel.every_time.toggled.connect(lambda on: QSettings().setValue(_KEY, "true" if on else "false"))

    @property
    def every_time(self) -> bool:
        """Whether a person wants the check before every run."""
        return str(QSettings().value(_KEY, "true")).lower() == "true"

    def run(self, options: Mapping[str, Any]) -> None:
        """Start the run, after the check where it is wanted and this document has not passed it."""
        if self.checking.worker.running:
            self._then_run = True  # it runs when the check that goes on has found nothing
            self.shown.emit()
            return
        if not self.every_time or self._forecasts.checked == self._passed_as(options):
            self.ready.emit()
            return
        self.check(options, then_run=True)

    def check(self, options: Mapping[str, Any], then_run: bool = False) -> None:
        """Check the document as it is now, in the panel."""
        if self.checking.worker.running:
            self.shown.emit()
            return
        document = self._document
        self._then_run, self._run_next, self._text = then_run, False, self._passed_as(options)
        self._checked = document.pipeline, Path(document.base)
        self.panel.begin(document.pipeline, then_run, self.every_time)
        self.shown.emit()
        self.checking.start(document.pipeline, Path(document.base), options)

    def _passed_as(self, options: Mapping[str, Any]) -> str:
        return f"{dict(options)}\n{self._document.text}"

    @property
    def _stale(self) -> bool:
        return self._text.partition("\n")[2] != self._document.text

    def _document_changed(self) -> None:
        self.panel.set_stale(self._stale)

    def _check_done(self, result: CheckResult) -> None:
        if result.preflight.passed:
            self._forecasts.checked = self._text
        if result.estimate is not None:
            self._forecasts.show_times(KnownTimes(*self._checked, result.estimate.stages))
            self.status_message.emit(result.estimate.lines()[-1])
        if not self.panel.isHidden():
            self.panel.show_result(result.preflight, result.estimate)
        if result.preflight.passed and self._then_run and not self._stale:
            self._run_next = True
            self.panel.close_panel()

    def _failed(self, failure: Failure) -> None:
        self.panel.show_given_up(f"{failure.message} {failure.advice}".strip())

    def _run_wanted(self) -> None:
        """Run now; where the check is still going on it has to end first."""
        self._run_next = True
        self.panel.close_panel()
        if not self.checking.worker.running:
            self._ended()

    def _check_again(self) -> None:
        """Check what the document is now; a check that goes on is of no use any more."""
        self._again = self.checking.worker.running
        if self._again:
            self.checking.stop()
        else:
            self.again_wanted.emit()

    def _ended(self) -> None:
        if self._again:
            self._again = False
            self.again_wanted.emit()
        elif self._run_next:
            self._run_next = False
            self.ready.emit()
