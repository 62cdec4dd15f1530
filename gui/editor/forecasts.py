"""What is known of a document before it runs: counts of every stage, times, the outcome of a check.

Counts are asked for whenever the document changes, in the window's tool process: counting needs PyTorch, which would
make the window stand still. Only the last question is answered. The outcome of a check holds for the document that was
checked; its times hold for every stage that takes the same steps, however many.

Latencies are predicted from layer times. Where this machine has not measured those of a network yet, that
is done once, in processes of their own; never while a run goes on, whose figures it would disturb.
"""

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from core.common.control import RunControl
from core.document.valid_part import valid_part
from core.engine.known_times import KnownTimes
from core.machine.child import Child
from core.runs.home import Home
from core.whatif import Forecast, jobs
from gui.base.document import Document
from gui.base.translation import tr
from gui.base.worker import Failure, Say, Worker

_REST_MS = 25  # between the last change and the question
_PATIENCE = 10.0  # seconds for the measurement of a layer to end


class Forecasts(QObject):
    """Asks on its own worker, once `start` was called.

    Args:
        tool: the window's tool process.

    Signals:
        changed: forecasts, times or the outcome of a check are other than before.
    """

    changed = Signal()

    def __init__(self, document: Document, home: Home, tool: Child, parent: QObject | None = None):
        super().__init__(parent)
        self._document, self._home, self._tool = document, home, tool
        self.worker = Worker(self)
        self.worker.happened.connect(self._take)
        self.worker.completed.connect(self._counted)
        self.worker.ended.connect(self._ended)
        self.worker.failed.connect(self._failed)
        self.by_stage: dict[str, Forecast] = {}
        self.times: dict[str, float] = {}
        self.checked = ""  # the text of the document whose check found nothing
        self._known_times: KnownTimes | None = None
        self.failure = ""  # why there are no forecasts
        self._unmeasured: list[str] = []  # networks that the last answers lack layer times of
        self._started = self._again = self._running = False
        self.measurer = Worker(self)
        self.measurer.completed.connect(self._measured_machine)
        self.measurer.ended.connect(self.changed)
        self.measures = False  # whether this machine may be measured
        self._tried: set[str] = set()  # networks whose layers could not be timed
        self._asked_text = ""
        self._part = valid_part(document.pipeline, document.problems)  # what of the document can be counted
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._ask)
        document.changed.connect(self._document_changed)

    @property
    def waiting(self) -> bool:
        """Whether an answer is on its way."""
        return self.worker.running or self._rest.isActive()

    def start(self, measures: bool = False) -> None:
        """From now on answer; with `measures` time layers where predictions need it."""
        self._started, self.measures = True, measures
        self._document_changed()

    def again(self) -> None:
        """Ask again: something outside the document has changed."""
        self._asked_text = ""
        self._document_changed()

    def set_running(self, running: bool) -> None:
        """Whether a run goes on: nothing else is measured then."""
        self._running = running
        if running:
            self.measurer.stop()
        else:
            self._measure()

    def show_times(self, known: KnownTimes) -> None:
        """What the stages take was measured, on the document as it is or was."""
        self._known_times = known
        self._tell_times()

    def _tell_times(self) -> None:
        """Times of what of the document has no problems, as far as they are known."""
        known, part = self._known_times, self._part
        times = known.of(part, Path(self._document.base)) if known is not None and part is not None else {}
        if times != self.times:
            self.times = times
            self.changed.emit()

    def _document_changed(self) -> None:
        text = self._document.text
        self._part = part = valid_part(self._document.pipeline, self._document.problems)
        self._tell_times()
        if not self._started or text == self._asked_text:
            return
        if part is None:
            self._rest.stop()
            self._asked_text = ""
            if self.by_stage:
                self.by_stage = {}
                self.changed.emit()
            return
        if self.by_stage != (kept := self._of_part()):
            self.by_stage = kept
            self.changed.emit()
        self._rest.start()

    def _ask(self) -> None:
        if self.worker.running:
            self._again = True
            self.worker.stop()
            return
        request, tool = self._request(), self._tool
        self._asked_text, self.failure = self._document.text, ""

        def job(control: RunControl, say: Say) -> Any:
            return tool.call(
                jobs.forecast, request, control, on_part=lambda part: say(Forecast(**part))
            )  # fmt: skip

        self.worker.start(tr("counting what the stages would leave"), job)

    def _request(self) -> dict[str, Any]:
        return jobs.request(self._part or self._document.pipeline, Path(self._document.base), self._home)

    def _take(self, forecasts: list[Any]) -> None:
        if self._document.text != self._asked_text:
            return
        self.by_stage = {**self._of_part(), **{forecast.id: forecast for forecast in forecasts}}
        self.changed.emit()

    def _of_part(self) -> dict[str, Forecast]:
        """What is known of the stages that can be counted; a broken stage has no figures from before."""
        part = self._part or self._document.pipeline
        ids = {node.id for node in (*part.sources, *part.stages)}
        return {id: forecast for id, forecast in self.by_stage.items() if id in ids}

    def _counted(self, answer: dict[str, Any]) -> None:
        self._unmeasured = answer["unmeasured"]

    def _ended(self) -> None:
        self.by_stage = self._of_part()
        self.changed.emit()
        if self._again:
            self._again = False
            self._rest.start()
        else:
            self._measure()

    def _measure(self) -> None:
        """Time the layers of what the last answers could not say a latency for."""
        missing = [key for key in self._unmeasured if key not in self._tried]
        if not missing or not self.measures or self._running or self.measurer.running or self.waiting:
            return
        request = self._request()

        def job(control: RunControl, say: Say) -> list[str]:
            with Child("tool", patience=_PATIENCE) as child:
                measured = child.call(jobs.measure_layers, request, control)["measured"]
            return [*missing, *measured]

        self.measurer.start(tr("measuring how fast this machine is"), job)
        self.changed.emit()

    def _measured_machine(self, keys: list[str]) -> None:
        """Ask again: there are predictions now, or there will be none."""
        self._tried |= set(keys)
        self._asked_text = ""
        self._rest.start()

    def _failed(self, failure: Failure) -> None:
        """Counts are optional: where they cannot be computed, the strip says why, and no dialog opens."""
        self.by_stage, self.failure = {}, failure.message
        self._unmeasured = []
