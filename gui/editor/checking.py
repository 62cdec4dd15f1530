"""The check of a document: a pre-flight through every stage, then an estimate, on the given worker."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from core.common.control import RunControl
from core.document.pipeline import Pipeline
from core.engine.document_check import CheckResult, check_document
from core.engine.preflight import Trial, Watcher
from core.runs.home import Home
from gui.base.translation import tr
from gui.base.worker import Say, Worker


class Checking(QObject):
    """One check at a time.

    Signals:
        progressed: done part 0…1 and a sentence.
        tried: the `Trial` of a stage.
        checked: the `CheckResult`.
        ended: the worker is free again, whatever came of it.
    """

    progressed = Signal(float, str)
    tried = Signal(object)
    checked = Signal(object)
    ended = Signal()

    def __init__(self, worker: Worker, home: Home, parent: QObject | None = None):
        super().__init__(parent)
        self.worker, self._home = worker, home
        worker.happened.connect(self._take)
        worker.completed.connect(self.checked)
        worker.ended.connect(self.ended)

    def start(self, pipeline: Pipeline, base: Path, options: Mapping[str, Any]) -> None:
        """Check a document without broken rules; `options` are the machine's, as for the engine."""
        home = self._home

        def job(control: RunControl, say: Say) -> CheckResult:
            watcher = Watcher(lambda done, words: say((done, words)), say)
            return check_document(pipeline, base, home, options, control, watcher)

        self.worker.start(tr("the check"), job)

    def stop(self) -> None:
        """Give the check up."""
        self.worker.stop()

    def _take(self, reports: list[Any]) -> None:
        for item in reports:
            if isinstance(item, Trial):
                self.tried.emit(item)
        steps = [item for item in reports if not isinstance(item, Trial)]
        if steps:
            self.progressed.emit(*steps[-1])
