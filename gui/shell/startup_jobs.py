"""Long work beside the run: loading PyTorch once, looking for a run that goes on, checks before a run."""

from typing import Any

from PySide6.QtCore import QObject, Signal

from core.common.control import RunControl
from core.runs.home import Home
from core.runs.run_folder import RunFolder, running_runs
from gui.base.messages import Messages
from gui.base.translation import tr
from gui.base.worker import Failure, Say, Worker


class StartupJobs(QObject):
    """Owns a worker for each of them.

    Signals:
        device_found: which device the engine will use, in words.
        running_found: a `RunFolder` of the home that a process works at.
    """

    device_found = Signal(str)
    running_found = Signal(object)

    def __init__(self, home: Home, messages: Messages, parent: QObject):
        super().__init__(parent)
        self._home = home
        self.torch_loader, self.run_finder, self.estimator = Worker(self), Worker(self), Worker(self)
        self.run_finder.completed.connect(self._take_running)
        self.run_finder.failed.connect(messages.failure)
        self._messages = messages
        self.torch_loader.completed.connect(self.device_found.emit)
        self.torch_loader.failed.connect(self._not_loaded)

    def warm_up(self, options: dict[str, Any]) -> None:
        """Load PyTorch beside the visible window, and say which device it found."""

        def job(_control: RunControl, _say: Say) -> str:
            from core.engine.options import Options

            machine = Options(**options).resolved()
            if machine.device != "cpu":
                return tr("GPU · {device}", device=machine.device)
            return tr("Processor · threads: {count}", count=machine.threads)

        if not self.torch_loader.running:
            self.torch_loader.start(tr("loading PyTorch"), job)

    def find_running(self) -> None:
        """Look for runs that go on: a window that was closed has left one, or another window follows it."""
        if not self.run_finder.running:
            self.run_finder.start(
                tr("looking for runs that go on"), lambda _control, _say: running_runs(self._home)
            )

    def _take_running(self, runs: list[RunFolder]) -> None:
        if runs:
            self.running_found.emit(runs[0])

    def _not_loaded(self, failure: Failure) -> None:
        self.device_found.emit(tr("Engine not available"))
        self._messages.failure(failure)
