"""The settings of stages side by side; by default only those that differ."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from core.analysis.settings_table import Line, SettingRow, side_by_side
from gui.base.translation import tr
from gui.widgets.buttons import text

Index = QModelIndex | QPersistentModelIndex
_WIDEST = 220


class SettingsModel(QAbstractTableModel):
    """Settings as rows, stages as columns; a group's name stands above its settings."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Sequence[str] = ()
        self.rows: list[SettingRow] = []

    def show_stages(self, names: Sequence[str], rows: Sequence[SettingRow]) -> None:
        """Show these, with a heading for every group that has none of its own."""
        self.beginResetModel()
        self.names, self.rows = names, []
        group = ""
        for row in rows:
            if row.label and row.group != group:
                self.rows.append(SettingRow(row.group, "", ("",) * len(names)))
            self.rows.append(row)
            group = row.group
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else 1 + len(self.names)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self.names[section - 1] if section else tr("Setting")
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.FontRole and not row.label:
            font = QFont()
            font.setWeight(QFont.Weight.DemiBold)
            return font
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        if index.column() == 0:
            return f"    {row.label}" if row.label else row.group
        value = row.values[index.column() - 1]
        return "—" if value is None else value


class SettingsPane(QWidget):
    """Signals: wanted (the pane became visible or its switch was turned, and needs its stages)."""

    wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.model = SettingsModel()
        self.about = text("", "muted")
        self.only = QCheckBox(tr("Only differences"))
        self.only.setObjectName("only-differences")
        self.only.setChecked(True)
        self.only.toggled.connect(lambda _on: self.wanted.emit())
        self.table = QTableView()
        self.table.setObjectName("settings-table")
        self.table.setAccessibleName(tr("Settings of the compared stages"))
        self.table.setModel(self.model)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setTabKeyNavigation(False)
        self.table.setStyleSheet(
            "QTableView { border: none; border-radius: 0; } QTableView::item { padding: 0 5px; }"
        )
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(27)
        header = self.table.horizontalHeader()
        header.setHighlightSections(False)
        header.setResizeContentsPrecision(60)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        row = QHBoxLayout()
        row.addWidget(self.about, 1)
        row.addWidget(self.only)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.table, 1)

    def show_stages(self, names: Sequence[str], stages: Sequence[Sequence[Line]]) -> None:
        """Show the settings of these stages; without a second one there is nothing to compare."""
        rows = side_by_side(stages, self.only.isChecked() and len(stages) > 1)
        self.model.show_stages(names, rows)
        self.table.resizeColumnsToContents()
        for column in range(1, self.model.columnCount()):
            self.table.setColumnWidth(column, min(self.table.columnWidth(column) + 12, _WIDEST))
        last = self.model.columnCount() - 1
        free = self.table.viewport().width() - self.table.horizontalHeader().length()
        self.table.setColumnWidth(last, self.table.columnWidth(last) + max(free, 0))
        self.about.setText(_about(len(stages), len(rows)))

    def showEvent(self, event: object) -> None:
        super().showEvent(event)  # type: ignore[arg-type]
        self.wanted.emit()


def _about(stages: int, settings: int) -> str:
    """What is compared, in a line."""
    if stages == 1:
        return tr("Select two rows or more to compare their settings")
    if stages and not settings:
        return tr("{stages} stages, nothing differs", stages=stages)
    return tr("{stages} stages, {settings} settings", stages=stages, settings=settings)
