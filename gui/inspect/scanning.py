"""Sensitivity scans, whose result is shown with the layers and sent into the open pipeline."""

from functools import partial

from PySide6.QtCore import QObject, Signal

from core.document import overrides
from core.document.pipeline import Pipeline
from core.runs.home import Home
from core.runs.stage_files import StageFile
from gui.base.document import Document
from gui.base.messages import Messages
from gui.base.translation import QT_TR_NOOP, tr
from gui.base.worker import Job
from gui.inspect import work
from gui.inspect.page_job import PageJob
from gui.inspect.sensitivity import Sensitivity, of_scan, ranked_by_stage
from gui.inspect.sensitivity_page import SensitivityPage, stopped_words


class Scanning(PageJob[work.Scan]):
    """The job behind the `SensitivityPage`.

    Signals:
        scanned: a model whose sensitivities are known now.
    """

    TITLE = QT_TR_NOOP("the sensitivity scan")
    EDIT = QT_TR_NOOP("Take over the sensitivity scan")

    scanned = Signal(object)

    def __init__(
        self, page: SensitivityPage, home: Home, document: Document, messages: Messages, parent: QObject
    ):
        super().__init__(page, home, document, messages, parent)
        self.job.done.connect(lambda request, _scan: self.scanned.emit(request[1]))

    def sensitivity(self, model: StageFile) -> Sensitivity | None:
        """What is known of how much the layers matter: a scan's result, or the stage's own ranking."""
        scan = self.result(model)
        return of_scan(scan) if scan is not None else ranked_by_stage(model)

    def _work(self, model: StageFile, request: work.ScanRequest) -> Job:
        return partial(work.scan, model, request, self._home)

    def _found(self, result: work.Scan) -> str:
        if not result.extent.whole:
            return stopped_words(result)
        return tr("The sensitivity of every layer is known; it also stands in the layer table.")

    def _stage(self, model: StageFile) -> str:
        return model.report.id

    def _written(
        self, target: overrides.Target, what: str, after: str, result: work.Scan
    ) -> tuple[Pipeline, str]:
        return overrides.with_override(self._document.pipeline, target, what, after, result.request.scope)

    def _sent(self, title: str, what: str) -> str:
        return tr("'{title}' has settings for single layers now; Undo takes them back.", title=title)
