"""The heat map of a run's grid: every cell carries its figure; the best one a star."""

from collections.abc import Sequence

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from core.analysis.heat_map import HeatMap
from gui.base.translation import tr
from gui.widgets.buttons import ElidedLabel
from gui.widgets.combo import Combo
from gui.widgets.heat_table import HeatTable


class GridPane(QWidget):
    """Hidden where no run has a grid."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ElidedLabel()
        self.title.setProperty("role", "muted")
        self.choice = Combo("grid-choice", tr("Which grid"))
        self.choice.activated.connect(self._show)
        self.table = HeatTable("grid-table")
        self.model = self.table.heat
        self.axes = ElidedLabel()
        self.axes.setProperty("role", "muted")
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.choice)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.axes)
        self._maps: Sequence[tuple[str, HeatMap]] = ()

    def show_maps(self, maps: Sequence[tuple[str, HeatMap]]) -> None:
        """Offer the grids of these runs by their names."""
        if maps == self._maps:
            return
        self._maps = maps
        self.choice.clear()
        self.choice.addItems([name for name, _ in maps])
        self.choice.setVisible(len(maps) > 1)
        self._show(0)

    def retheme(self) -> None:
        self.table.viewport().update()

    def _show(self, index: int) -> None:
        shown = self._maps[index][1] if self._maps else None
        self.model.show_map(shown)
        self.title.setText(shown.title if shown else "")
        self.axes.setText(
            tr(
                "Rows: {row_name}. Columns: {column_name}. ★ the best.",
                row_name=shown.row_name,
                column_name=shown.column_name,
            )
            if shown
            else ""
        )
