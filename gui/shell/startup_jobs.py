"""Long work beside the run: starting the tool process, looking for a run that goes on, checks before a run."""

from typing import Any

from PySide6.QtCore import QObject, Signal

from core.common.control import RunControl
from core.engine.options import Options, resolve
from core.machine.child import Child
from core.runs.finding import running_runs
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from gui.base.messages import Messages
from gui.base.translation import tr
from gui.base.worker import Failure, Say, Worker


class StartupJobs(QObject):
    """Owns a worker for each of them.

    Args:
        tool: the window's tool process.

    Signals:
        device_found: which device the engine will use, in words.
        running_found: a `RunFolder` of the home that a process works at.
    """

    device_found = Signal(str)
    running_found = Signal(object)

    def __init__(self, home: Home, tool: Child, messages: Messages, parent: QObject):
        super().__init__(parent)
        self._home, self._tool = home, tool
        self.tool_starter, self.run_finder, self.estimator = Worker(self), Worker(self), Worker(self)
        self.run_finder.completed.connect(self._take_running)
        self.run_finder.failed.connect(messages.failure)
        self._messages = messages
        self.tool_starter.completed.connect(self.device_found.emit)
        self.tool_starter.failed.connect(self._not_loaded)

    def warm_up(self, options: dict[str, Any]) -> None:
        """Start the tool process, which loads PyTorch, and say which device it found."""

        def job(control: RunControl, _say: Say) -> str:
            machine = Options(**self._tool.call(resolve, options, control))
            if machine.device != "cpu":
                return tr("GPU · {device}", device=machine.device)
            return tr("Processor · threads: {count}", count=machine.threads)

        if not self.tool_starter.running:
            self.tool_starter.start(tr("loading PyTorch"), job)

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
