"""The plots below the table, one at a time: two figures against each other, training curves, parallel coordinates."""

from collections.abc import Collection, Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QComboBox, QFrame, QVBoxLayout, QWidget

from core.analysis.rows import Row
from core.comparison import coordinates
from core.comparison.compared_runs import run_labels
from core.records.metrics import MetricKind
from gui.base.translation import tr
from gui.compare.curves_plot import CurvesPlot
from gui.compare.pareto_plot import ParetoPlot
from gui.compare.run_colours import legend, run_colours
from gui.compare.state import ComparisonState
from gui.widgets.buttons import text
from gui.widgets.combo import Combo
from gui.widgets.parallel_plot import ParallelPlot
from gui.widgets.tabs import Tabs

_LEAST = 224  # pixels of height in which a plot with its axes and choices can be read
_AXIS = 74  # pixels that an axis with its name needs


class Plots(QFrame):
    """Shows a state; every plot has the same colour for a run.

    Signals:
        chosen: the id of a row.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.pareto, self.curves, self.parallel = (
            ParetoPlot(),
            CurvesPlot(),
            ParallelPlot("parallel-plot", tr("Files that differ are shown here.")),
        )
        self._state: ComparisonState | None = None
        self._rows: Sequence[Row] = ()
        self.of = Combo("parallel-of", tr("What the lines stand for"))
        self.of.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.of.activated.connect(lambda _index: self._draw_parallel())
        lines = QWidget()
        column = QVBoxLayout(lines)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.of)
        column.addWidget(self.parallel, 1)
        self.tabs = Tabs("compare-plots", tr("Plots"))
        for page, name in (
            (self.pareto, tr("Figures")), (self.curves, tr("Training curves")), (lines, tr("Parallel coordinates")),
        ):  # fmt: skip
            self.tabs.addTab(page, name)
        self.tabs.currentChanged.connect(lambda _index: self._draw_parallel())
        self.legend = text("", "help", wrap=True)
        self.legend.setObjectName("plots-legend")
        self.legend.setTextFormat(Qt.TextFormat.RichText)  # names are escaped in it
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 6, 12, 6)
        layout.setSpacing(2)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.legend)
        self.pareto.chosen.connect(self.chosen)
        self.parallel.chosen.connect(self.chosen)

    def minimumSizeHint(self) -> QSize:
        hint = super().minimumSizeHint()
        return hint.expandedTo(QSize(0, _LEAST))

    def show_state(
        self, state: ComparisonState, rows: Sequence[Row], kinds: Sequence[MetricKind],
        outside: Collection[str], selected: Collection[str],
    ) -> None:  # fmt: skip
        """Show these rows of a state."""
        self._state, self._rows = state, rows
        self.pareto.show_rows(rows, kinds, state.axes, outside, selected, run_colours(state.runs))
        self.curves.show_runs(state.runs)
        self._offer()
        self._draw_parallel()
        self.legend.setText(legend(state.runs))
        self.legend.setVisible(bool(self.legend.text()))

    def show_selected(self, ids: Sequence[str]) -> None:
        """Mark these rows."""
        self.pareto.show_selected(ids)
        self.parallel.show_selected(ids)

    def retheme(self) -> None:
        for plot in (self.pareto, self.curves, self.parallel):
            plot.retheme()
        if self._state is not None:
            self.legend.setText(legend(self._state.runs))

    def _offer(self) -> None:
        """The files, and the grids of the runs that have one."""
        assert self._state is not None
        labels, before = run_labels(self._state.runs), self.of.currentData()
        self.of.clear()
        self.of.addItem(tr("Files of the table"), "")
        for run in self._state.runs:
            for number, _ in enumerate(run.grids):
                which = tr("Grid {number}", number=number + 1) if len(run.grids) > 1 else tr("Grid")
                self.of.addItem(
                    tr("{grid} of {run}", grid=which, run=labels[run.folder]), f"{number}|{run.folder}"
                )
        self.of.setCurrentIndex(max(0, self.of.findData(before)))
        self.of.setVisible(self.of.count() > 1)

    def _draw_parallel(self) -> None:
        """Worked out while it is looked at: settings of many runs take a moment."""
        state = self._state
        if state is None or self.tabs.currentIndex() != 2:
            return
        number, _, folder = str(self.of.currentData() or "").partition("|")
        run = next((run for run in state.runs if number and run.folder == folder), None)
        if run is not None and int(number) < len(run.grids):
            shown = coordinates.of_grid(run.grids[int(number)], folder)
        else:
            settings = {
                row.id: of.settings_of(row.report) for row in self._rows
                if row.report is not None and (of := state.run_of(row)) is not None
            }  # fmt: skip
            shown = coordinates.of_rows(self._rows, settings, max(4, self.parallel.width() // _AXIS))
        self.parallel.show_coordinates(shown, run_colours(state.runs))
