"""The points of a grid as they come: one row for one setting, a heat map for two."""

from dataclasses import replace

from PySide6.QtWidgets import QVBoxLayout, QWidget

from core.analysis.heat_map import HeatMap
from gui.base.translation import tr
from gui.widgets.buttons import ElidedLabel
from gui.widgets.heat_table import HeatTable

_ROW, _MOST_ROWS = 30, 6


class GridStrip(QWidget):
    """Hidden where the run has no grid."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("grid-strip")
        self.words = ElidedLabel()
        self.words.setProperty("role", "section")
        self.table = HeatTable("grid-points")
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 8, 14, 10)
        column.setSpacing(6)
        column.addWidget(self.words)
        column.addWidget(self.table)
        self._shown: HeatMap | None = None
        self.hide()

    def show_map(self, grid: HeatMap | None) -> None:
        """Show the points so far."""
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
