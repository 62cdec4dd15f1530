"""The classes with their images per split: a table whose cells are the bars of a histogram."""

from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter
from PySide6.QtWidgets import (  # fmt: skip
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from core.common.numbers import grouped
from core.data.image_data import ImageData
from core.data.splits import SPLITS
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.widgets.tables import set_up_rows

Index = QModelIndex | QPersistentModelIndex
ALL = -1
ARROWS = {Qt.SortOrder.AscendingOrder: " ▴", Qt.SortOrder.DescendingOrder: " ▾"}
SPLIT_TITLES = {
    "train": QT_TR_NOOP("Training"),
    "validation": QT_TR_NOOP("Validation"),
    "test": QT_TR_NOOP("Test"),
}
LABEL, SHARE = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1


def turned(now: tuple[int, Qt.SortOrder], column: int, first: Qt.SortOrder) -> Qt.SortOrder:
    """The order after a click on a column's header: `first`, and the other one on the second click."""
    if now != (column, first):
        return first
    both = (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder)
    return both[1] if first == both[0] else both[0]


class ClassModel(QAbstractTableModel):
    """First row: all classes together. Then a row a class: its name, and its images in each split."""

    def __init__(self) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()
        self._counts = np.zeros((0, len(SPLITS)), np.int64)
        self._order: list[int] = []
        self.sorted = (0, Qt.SortOrder.AscendingOrder)

    def show_data(self, data: ImageData | None) -> None:
        self.beginResetModel()
        self._names = data.classes if data else ()
        if data:
            columns = [list(data.class_counts(split).values()) for split in SPLITS]
            self._counts = np.array(columns, np.int64).T
        self._order, self.sorted = list(range(len(self._names))), (0, Qt.SortOrder.AscendingOrder)
        self.endResetModel()

    def label(self, row: int) -> int:
        """The class in a row; `ALL` in the first."""
        return self._order[row - 1] if row > 0 else ALL

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() or not self._names else len(self._order) + 1

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else 1 + len(SPLITS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            title = tr(SPLIT_TITLES[SPLITS[section - 1]]) if section else tr("Class")
            return title + (ARROWS[self.sorted[1]] if section == self.sorted[0] else "")
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if section else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tr("Click to sort") if not section else tr("Images of each class; click to sort")
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        label, column = self.label(index.row()), index.column()
        if role == LABEL:
            return label
        if column == 0:
            name = tr("All classes") if label == ALL else self._names[label]
            name_roles = (
                Qt.ItemDataRole.DisplayRole,
                Qt.ItemDataRole.ToolTipRole,
                Qt.ItemDataRole.AccessibleTextRole,
            )
            return name if role in name_roles else None
        counts = self._counts[:, column - 1]
        count = int(counts.sum() if label == ALL else counts[label])
        if role == Qt.ItemDataRole.DisplayRole:
            return grouped(count)
        if role == SHARE:
            return 0.0 if label == ALL else count / max(1, int(counts.max()))
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            share = count / max(1, int(counts.sum())) * 100
            title = tr(SPLIT_TITLES[SPLITS[column - 1]]).lower()
            return tr(
                "{number} {title} images, {share:.3g} % of all",
                number=grouped(count),
                title=title,
                share=share,
            )
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """By name in the data set's own order, or by the number of images; the first row stays."""
        self.sorted = (column, order)
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        labels = [self.label(index.row()) for index in before]
        ordered = list(range(len(self._names)))
        if column > 0:
            ordered.sort(key=lambda label: int(self._counts[label, column - 1]))
        self._order = ordered if order == Qt.SortOrder.AscendingOrder else ordered[::-1]
        rows = {label: row + 1 for row, label in enumerate(self._order)}
        self.changePersistentIndexList(
            before,
            [
                self.index(rows.get(label, 0), index.column())
                for index, label in zip(before, labels, strict=True)
            ],
        )
        self.layoutChanged.emit()
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(SPLITS))


class BarDelegate(QStyledItemDelegate):
    """A number with a bar below it, as long as the class is large; the splits have their own colours."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(super().sizeHint(option, index).width() + 20, 36)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        c = theme.colours()
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, QColor(c.selection))
        painter.setPen(QColor(c.border))
        painter.drawLine(option.rect.bottomLeft(), option.rect.bottomRight())
        inside = option.rect.adjusted(10, 0, -10, 0)
        share = index.data(SHARE) or 0.0
        if share:
            self._bar(painter, inside, index.column(), share)
        font = QFont(option.font)
        if index.data(LABEL) == ALL:
            font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(QColor(c.text))
        side = Qt.AlignmentFlag.AlignRight if index.column() else Qt.AlignmentFlag.AlignLeft
        words = painter.fontMetrics().elidedText(
            str(index.data()), Qt.TextElideMode.ElideRight, inside.width()
        )
        lift = 7 if index.column() and index.data(LABEL) != ALL else 0
        painter.drawText(inside.adjusted(0, 0, 0, -lift), side | Qt.AlignmentFlag.AlignVCenter, words)
        painter.restore()

    def _bar(self, painter: QPainter, inside: QRect, column: int, share: float) -> None:
        series = theme.colours().series
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(series[(column - 1) % len(series)]))
        width = max(2.0, inside.width() * share)
        painter.drawRoundedRect(QRectF(inside.right() - width + 1, inside.bottom() - 9, width, 4), 2, 2)


class ClassTable(QTableView):
    """A row a class; the arrow keys and a click choose whose images are shown."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = ClassModel()
        self.setModel(self.classes)
        set_up_rows(self, "classes", tr("Classes and their images"), 36)
        self.setItemDelegate(BarDelegate(self))
        self.setStyleSheet("QTableView { border: none; border-radius: 0; }")
        header = self.horizontalHeader()
        header.setSectionsClickable(True)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in range(1, 1 + len(SPLITS)):
            self.setColumnWidth(column, 88)
        header.sectionClicked.connect(self._sort)

    def show_data(self, data: ImageData | None) -> None:
        """Show these classes in their own order; all of them are chosen."""
        self.classes.show_data(data)
        if data:
            self.selectRow(0)

    def _sort(self, column: int) -> None:
        """The largest classes come first; a second click turns the order round."""
        first = Qt.SortOrder.DescendingOrder if column else Qt.SortOrder.AscendingOrder
        self.classes.sort(column, turned(self.classes.sorted, column, first))
