"""The points of a grid as they come: one row for one setting, a heat map for two."""

from collections.abc import Mapping
from dataclasses import replace

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from core.analysis.heat_map import HeatMap
from gui.base.translation import tr
from gui.widgets.buttons import ElidedLabel
from gui.widgets.combo import Combo
from gui.widgets.heat_table import HeatTable

_ROW, _MOST_ROWS = 30, 6


class GridStrip(QWidget):
    """Hidden where the run has no grid; of several one is chosen, at first that whose points come."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("grid-strip")
        self.words = ElidedLabel()
        self.words.setProperty("role", "section")
        self.table = HeatTable("grid-points")
        self.choice = Combo("grid-of-run", tr("Which grid"))
        self.choice.activated.connect(self._chosen)
        head = QHBoxLayout()
        head.addWidget(self.words, 1)
        head.addWidget(self.choice)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 8, 14, 10)
        column.setSpacing(6)
        column.addLayout(head)
        column.addWidget(self.table)
        self._maps: dict[int, HeatMap] = {}
        self._shown: HeatMap | None = None
        self.hide()

    def show_maps(self, maps: Mapping[int, HeatMap]) -> None:
        """Show the points so far, by the grids' numbers."""
        if list(maps) != list(self._maps):
            self.choice.clear()
            for number in maps:
                self.choice.addItem(tr("Grid {number}", number=number + 1), number)
            self.choice.setCurrentIndex(len(maps) - 1)
            self.choice.setVisible(len(maps) > 1)
        self._maps = dict(maps)
        self._chosen()

    def _chosen(self) -> None:
        self._show(self._maps.get(self.choice.currentData()))

    def _show(self, grid: HeatMap | None) -> None:
        if grid == self._shown:
            return
        self._shown = grid
        self.setVisible(grid is not None)
        if grid is None:
            return
        cells = [value for row in grid.cells for value in row]
        done = sum(value is not None for value in cells)
        shown = _in_a_row(grid)
        self.table.heat.show_map(shown)
        header = self.table.horizontalHeader().sizeHint().height()
        self.table.setFixedHeight(header + _ROW * min(len(shown.rows), _MOST_ROWS) + 4)
        self.words.setText(
            tr("{title}: {done} of {count} points", title=grid.title, done=done, count=len(cells))
        )

    def retheme(self) -> None:
        self.table.viewport().update()


def _in_a_row(grid: HeatMap) -> HeatMap:
    """One setting's values side by side."""
    if len(grid.columns) > 1:
        return grid
    return replace(
        grid, row_name=grid.column_name, rows=(grid.row_name,), column_name=grid.row_name, columns=grid.rows,
        cells=([row[0] for row in grid.cells],),
    )  # fmt: skip
