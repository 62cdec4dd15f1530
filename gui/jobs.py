"""Long work beside the run: loading PyTorch once, checks before a run, exports."""

from typing import Any

from PySide6.QtCore import QObject, Signal

from core.control import RunControl
from gui.export.view import ExportRequest, ExportView
from gui.messages import Messages
from gui.worker import Failure, Say, Worker


class Jobs(QObject):
    """Owns a worker for each of them.

    Signals:
        device_found: which device the engine will use, in words.
        said: a sentence for the status bar.
    """

    device_found = Signal(str)
    said = Signal(str)

    def __init__(self, export: ExportView, messages: Messages, parent: QObject):
        super().__init__(parent)
        self.warmer, self.exporter, self.estimator = Worker(self), Worker(self), Worker(self)
        self._export, self._messages = export, messages
        self.warmer.completed.connect(self.device_found.emit)
        self.warmer.failed.connect(self._not_warm)
        export.wanted.connect(self._start_export)
        export.stop_wanted.connect(self.exporter.stop)
        self.exporter.happened.connect(lambda batch: export.show_progress(*batch[-1]))
        self.exporter.completed.connect(self._exported)
        self.exporter.stopped.connect(self._export_stopped)
        self.exporter.failed.connect(self._export_failed)

    def warm_up(self, options: dict[str, Any]) -> None:
        """Load PyTorch beside the visible window, and say which device it found."""

        def job(_control: RunControl, _say: Say) -> str:
            from core.engine import Options

            found = Options(**options).resolved()
            count = f"{found.threads} thread{'s' if found.threads > 1 else ''}"
            return f"Processor · {count}" if found.device == "cpu" else f"GPU · {found.device}"

        if not self.warmer.running:
            self.warmer.start("loading PyTorch", job)

    def _not_warm(self, failure: Failure) -> None:
        self.device_found.emit("Engine not available")
        self._messages.failure(failure)

    def _start_export(self, request: ExportRequest) -> None:
        def job(control: RunControl, say: Say) -> Any:
            from core.exporting import export_stage

            run, key, artefact = request.results.run, request.stage_key, request.artefact_id
            return export_stage(
                run, key, artefact, request.target, control, lambda part, words: say((part, words))
            )

        if not self.exporter.running:
            self.exporter.start("the export", job)

    def _exported(self, result: Any) -> None:
        self._export.show_result(result)
        self.said.emit(f"Exported to {result.path}.")

    def _export_stopped(self) -> None:
        self._export.show_ended()
        self.said.emit("The export was stopped; nothing was written.")

    def _export_failed(self, failure: Failure) -> None:
        self._export.show_ended()
        self._messages.failure(failure)
