"""Measuring files of the comparison again, on a worker; the rows then show their new figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from core.analysis.rows import Row
from core.common.control import RunControl
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from gui.base.messages import Messages
from gui.base.translation import tr
from gui.base.worker import Say, Worker
from gui.compare.view import CompareView


class Remeasuring(QObject):
    """Owns the worker behind *Measure again*.

    Signals:
        status_message: a sentence for the status bar.
    """

    status_message = Signal(str)

    def __init__(self, view: CompareView, home: Home, messages: Messages, parent: QObject):
        super().__init__(parent)
        self._view, self._home = view, home
        self._folders: list[str] = []
        self.worker = Worker(self)
        self.worker.happened.connect(lambda batch: view.working.show_progress(*batch[-1]))
        self.worker.completed.connect(self._done)
        self.worker.failed.connect(messages.failure)
        self.worker.ended.connect(self._ended)
        view.measure_wanted.connect(self.start)
        view.working.stop_wanted.connect(self.worker.stop)

    def set_running(self, running: bool) -> None:
        """Whether a run goes on; nothing is measured meanwhile."""
        self._view.allow_measuring(tr("Nothing is measured while a run goes on.") if running else "")

    def start(self, rows: Sequence[Row]) -> None:
        """Measure the files of these rows' stages."""
        wanted: dict[str, list[str]] = {}
        for row in rows:
            if row.report is not None and row.origin is not None:
                keys = wanted.setdefault(row.origin.folder, [])
                keys += [row.report.key] if row.report.key not in keys else []
        if not wanted or self.worker.running:
            return
        home, self._folders = self._home, list(wanted)

        def job(control: RunControl, say: Say) -> list[str]:
            from core.engine.measure_again import measure_again

            busy: list[str] = []
            for number, (folder, keys) in enumerate(wanted.items()):
                run = RunFolder.open(Path(folder))
                whole = len(keys) == len(run.reports())

                def tell(fraction: float, text: str, number: int = number) -> None:
                    say(((number + fraction) / len(wanted), text))

                busy += measure_again(run, home, [] if whole else keys, control, tell).busy
            return busy

        self._view.working.begin(tr("Measuring again"))
        self._view.allow_measuring(tr("Files are being measured."))
        self.worker.start(tr("measuring again"), job)

    def _done(self, busy: Any) -> None:
        if busy:
            names = ", ".join(busy)
            self.status_message.emit(tr("The machine was too busy to measure {names}.", names=names))
        else:
            self.status_message.emit(tr("Measured again."))

    def _ended(self) -> None:
        """Also after a stop: stages that were measured by then have new figures."""
        self._view.working.end()
        self._view.allow_measuring("")
        self._view.wanted.emit(self._view.chosen.folders)
