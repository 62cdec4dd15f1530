"""A heat map as a table: every cell carries its figure; the best one a star."""

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from core.analysis.heat_map import HeatMap
from gui.base import theme
from gui.base.translation import tr

Index = QModelIndex | QPersistentModelIndex
_DEEPEST = 0.55  # share of the accent in the best cell: text stays readable on it


class HeatModel(QAbstractTableModel):
    """A heat map as a table."""

    def __init__(self) -> None:
        super().__init__()
        self.map: HeatMap | None = None

    def show_map(self, shown: HeatMap | None) -> None:
        self.beginResetModel()
        self.map = shown
        values = [value for row in shown.cells for value in row if value is not None] if shown else []
        self._low, self._high = (min(values), max(values)) if values else (0.0, 0.0)
        self.endResetModel()

    _low = _high = 0.0

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() or self.map is None else len(self.map.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() or self.map is None else len(self.map.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if self.map is None or role != Qt.ItemDataRole.DisplayRole:
            return None
        return (self.map.columns if orientation == Qt.Orientation.Horizontal else self.map.rows)[section]

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        shown = self.map
        assert shown is not None
        value = shown.cells[index.row()][index.column()]
        best = value is not None and value == self._high > self._low
        if role == Qt.ItemDataRole.DisplayRole:
            return "—" if value is None else f"{value:.1f}{' ★' if best else ''}"
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignCenter)
        if role == Qt.ItemDataRole.BackgroundRole and value is not None:
            return self._ground(value)
        if role == Qt.ItemDataRole.FontRole and best:
            font = QFont()
            font.setWeight(QFont.Weight.Bold)
            return font
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            place = f"{shown.row_name} {shown.rows[index.row()]}, {shown.column_name} {shown.columns[index.column()]}"
            return f"{place}: {tr('no figure') if value is None else f'{value:.2f} {shown.unit}'}"
        return None

    def _ground(self, value: float) -> QColor:
        share = _DEEPEST * (value - self._low) / (self._high - self._low) if self._high > self._low else 0.0
        c = theme.colours()
        low, high = QColor(c.surface), QColor(c.accent)
        if theme.contrast(c.surface, c.text) > theme.contrast(c.accent, c.text):
            share *= 0.75  # a light ground under dark text, a dark one under light text
        mix = [round(a + (b - a) * share) for a, b in zip(low.getRgb()[:3], high.getRgb()[:3], strict=True)]  # type: ignore[index]
        return QColor(*mix)


class HeatTable(QTableView):
    """Shows a `HeatModel`; rows and columns fill the room that there is."""

    def __init__(self, name: str):
        super().__init__()
        self.heat = HeatModel()
        self.setObjectName(name)
        self.setAccessibleName(tr("Heat map of the grid"))
        self.setModel(self.heat)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setStyleSheet("QTableView { border: none; border-radius: 0; }")
        for header in (self.horizontalHeader(), self.verticalHeader()):
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
            header.setMinimumSectionSize(34)
