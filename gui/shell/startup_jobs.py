"""Long work beside the run: loading PyTorch once, checks before a run."""

from typing import Any

from PySide6.QtCore import QObject, Signal

from core.common.control import RunControl
from gui.base.messages import Messages
from gui.base.translation import tr
from gui.base.worker import Failure, Say, Worker


class Jobs(QObject):
    """Owns a worker for each of them.

    Signals:
        device_found: which device the engine will use, in words.
    """

    device_found = Signal(str)

    def __init__(self, messages: Messages, parent: QObject):
        super().__init__(parent)
        self.warmer, self.estimator = Worker(self), Worker(self)
        self._messages = messages
        self.warmer.completed.connect(self.device_found.emit)
        self.warmer.failed.connect(self._not_warm)

    def warm_up(self, options: dict[str, Any]) -> None:
        """Load PyTorch beside the visible window, and say which device it found."""

        def job(_control: RunControl, _say: Say) -> str:
            from core.engine.options import Options

            found = Options(**options).resolved()
            if found.device != "cpu":
                return tr("GPU · {device}", device=found.device)
            return tr("Processor · threads: {count}", count=found.threads)

        if not self.warmer.running:
            self.warmer.start(tr("loading PyTorch"), job)

    def _not_warm(self, failure: Failure) -> None:
        self.device_found.emit(tr("Engine not available"))
        self._messages.failure(failure)
