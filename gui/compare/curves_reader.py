"""Reads the training curves of the compared runs on a worker."""

from pathlib import Path

from PySide6.QtCore import QObject

from core.common.control import RunControl
from core.comparison.run_curves import Band, bands
from gui.base.latest_job import LatestJob
from gui.base.messages import Messages
from gui.base.translation import tr
from gui.base.worker import Say
from gui.compare.curves_plot import CurvesPlot


class CurvesReader(QObject):
    """Answers the plot's question; a newer one replaces the one under way."""

    def __init__(self, plot: CurvesPlot, messages: Messages, parent: QObject):
        super().__init__(parent)
        self._job = LatestJob(self)
        self._job.done.connect(lambda _request, found: plot.show_bands(found))
        self._job.failed.connect(lambda _request, failure: messages.failure(failure))
        plot.wanted.connect(self._read)

    def _read(self, folders: list[str]) -> None:
        def job(control: RunControl, _say: Say) -> dict[str, tuple[Band, ...]]:
            found = {}
            for folder in folders:
                control.checkpoint()
                found[folder] = bands(Path(folder))
            return found

        self._job.ask(tuple(folders), tr("reading curves"), job)
