"""Sensitivity scans: started, kept, shown, and sent into the open pipeline."""

from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Signal

from core.deploy.quantization.sensitivity import UNITS
from core.document import overrides
from core.runs.home import Home
from core.runs.stage_files import StageFile
from gui.base.document import Document
from gui.base.latest_job import LatestJob
from gui.base.messages import Messages
from gui.base.result_cache import ResultCache
from gui.base.translation import tr
from gui.inspect import work
from gui.inspect.layers_page import Sensitivity
from gui.inspect.sensitivity_page import SensitivityPage


class Scanning(QObject):
    """Owns the worker behind the `SensitivityPage`.

    Signals:
        scanned: a model whose sensitivities are known now.
        status_message: a sentence for the status bar. edited: the id of a stage that took an override.
    """

    scanned = Signal(object)
    status_message = Signal(str)
    edited = Signal(str)

    def __init__(
        self, page: SensitivityPage, home: Home, document: Document, messages: Messages, parent: QObject
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
        page.scan_wanted.connect(self._scan)
        page.send_wanted.connect(self._send)
        document.changed.connect(self._offer)

    def show(self, model: StageFile | None) -> None:
        """Show what is known of a model."""
        self._model = model
        self._page.show_scan(self._latest.get(("scan", model)))
        self._offer()

    def set_running(self, reason: str) -> None:
        """A reason keeps scans from starting."""
        self._busy = reason
        self._page.allow(reason)

    def sensitivity(self, model: StageFile) -> Sensitivity | None:
        """What is known of how much the layers matter: a scan's result, or the stage's own ranking."""
        result = self._latest.get(("scan", model))
        if isinstance(result, work.PruneScan):
            shares = sorted({share for layer in result.layers for share in layer.top1})
            share = shares[len(shares) // 2]
            values = {layer.path: layer.loss(share, result.top1) for layer in result.layers}
            source = tr(
                "Points of validation accuracy lost with {share:.0f} % of its channels at zero",
                share=100 * share,
            )
            return Sensitivity(values, "points", False, source)
        if isinstance(result, work.QuantizeScan):
            source = tr("Signal to noise of the logits when only this layer computes with integers")
            return Sensitivity(dict(result.ranking), result.unit, result.measure != "divergence", source)
        return _ranked_by_stage(model)

    def _scan(self, request: work.ScanRequest) -> None:
        if self._model is not None and not self._busy:
            job = partial(work.scan, self._model, request, self._home)
            self.job.ask(("scan", self._model), tr("the sensitivity scan"), job)

    def _done(self, request: Any, result: work.Scan) -> None:
        self._latest[request] = result
        if request[1] == self._model:
            self._page.show_scan(result)
        self.status_message.emit(
            tr("The sensitivity of every layer is known; it also stands in the layer table.")
        )
        self.scanned.emit(request[1])

    def _offer(self) -> None:
        """Stages of the open pipeline that an override can go to."""
        after, pipeline = self._model.report.id if self._model is not None else "", self._document.pipeline
        self._page.show_targets({scan: overrides.targets(pipeline, scan, after) for scan in overrides.SCANS})

    def _send(self, target: overrides.Target, text: str) -> None:
        """One edit of the open pipeline, which can be undone."""
        result = self._latest.get(("scan", self._model))
        if self._model is None or result is None:
            return
        pipeline, id = overrides.with_override(
            self._document.pipeline, target, text, self._model.report.id, result.request.scope
        )
        self._document.apply(pipeline, tr("Take over the sensitivity scan"))
        self.status_message.emit(
            tr(
                "'{title}' has settings for single layers now; Undo takes them back.",
                title=pipeline.stage(id).title,
            )
        )
        self.edited.emit(id)


def _ranked_by_stage(model: StageFile) -> Sensitivity | None:
    """The ranking that quantization by sensitivity left in the stage's facts."""
    ranking = model.report.facts.get("ranking")
    if not ranking:
        return None
    measure = str(getattr(model.pipeline.stage(model.report.id).parameters, "measure", "sqnr"))
    values = {str(name): float(value) for name, value in ranking}
    source = tr("What this stage ranked its layers by; the most sensitive stayed float")
    return Sensitivity(values, UNITS.get(measure, ""), measure != "divergence", source)
