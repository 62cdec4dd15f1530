"""The tabs beside the plot: limits, settings, notes, and where there is one the paper and the grid."""

from collections.abc import Sequence

from PySide6.QtWidgets import QFrame, QVBoxLayout

from core.comparison.compared_runs import ComparedRun, run_labels
from core.comparison.report import papers_of
from gui.base.translation import tr
from gui.compare.grid_pane import GridPane
from gui.compare.limits import LimitsPane
from gui.compare.notes import NotesPane
from gui.compare.paper import PaperPane
from gui.compare.settings_pane import SettingsPane
from gui.widgets.tabs import Tabs

_LIMITS, _SETTINGS, _NOTES, _PAPER, _GRID = range(5)


class SidePanes(QFrame):
    """Shows one of them at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.setMinimumWidth(380)
        self.limits, self.settings, self.notes = LimitsPane(), SettingsPane(), NotesPane()
        self.paper, self.grid = PaperPane(), GridPane()
        self.tabs = Tabs("compare-tabs", tr("Beside the plot"))
        for pane, name in (
            (self.limits, tr("Limits")),
            (self.settings, tr("Settings")),
            (self.notes, tr("Notes")),
            (self.paper, tr("Paper")),
            (self.grid, tr("Grid")),
        ):
            self.tabs.addTab(pane, name)
        self.tabs.setCurrentIndex(_NOTES)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 6, 12, 8)
        layout.addWidget(self.tabs)

    def show_runs(self, runs: Sequence[ComparedRun]) -> None:
        """Notes, papers' tables and grids of these runs."""
        self.notes.show_runs(runs)
        papers, labels = papers_of(runs), run_labels(runs)
        maps = [
            (f"{labels[run.folder]}, {tr('grid {number}', number=number)}" if len(run.grids) > 1 else labels[run.folder], grid)
            for run in runs for number, grid in enumerate(run.grids, 1)
        ]  # fmt: skip
        self.paper.show_papers(papers)
        self.paper.show_answers([(labels[run.folder], of) for run in runs if (of := run.answers())])
        self.grid.show_maps(maps)
        self.tabs.setTabVisible(_PAPER, bool(papers))
        self.tabs.setTabVisible(_GRID, bool(maps))

    def show_limit_count(self, count: int) -> None:
        self.tabs.setTabText(_LIMITS, tr("Limits ({count})", count=count) if count else tr("Limits"))

    def retheme(self) -> None:
        self.notes.retheme()
        self.grid.retheme()
