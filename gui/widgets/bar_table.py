"""A table of names and figures: bars in its cells, sorted by a click on a heading, searched by typing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (  # fmt: skip
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRectF,
    QSize,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import (  # fmt: skip
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
)

from core.common.numbers import grouped
from gui.base import theme
from gui.widgets.tables import SortedTable

Index = QModelIndex | QPersistentModelIndex
SORT, SHARE, TONE, AROUND = (Qt.ItemDataRole.UserRole + number for number in range(4))
_ROW, _PAD, _BAR = 30, 10, 4
_WIDEST = 160  # of a column of words; longer ones are cut, their tooltip is whole


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `number` ones stand on the right. `stretch`: takes what room is left."""

    title: str
    tip: str = ""
    number: bool = True
    stretch: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        value: what it is sorted by; the text where None.
        share: length of its bar, 0…1; None without a bar.
        tone: colour of the theme that the text (and the bar) take; never the only sign.
        around: where its interval begins and ends on the bar, 0…1; None without one.
    """

    text: str
    value: float | None = None
    share: float | None = None
    tone: str = ""
    tip: str = ""
    around: tuple[float, float] | None = None


def count_cell(value: int, largest: float) -> Cell:
    """A number of things with its share of the largest; a line for none."""
    if not value:
        return Cell("—", 0.0)
    return Cell(grouped(value), value, value / largest)


class BarModel(QAbstractTableModel):
    """Rows of cells."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: Sequence[Column] = ()
        self.cells: Sequence[Sequence[Cell]] = ()

    def show(self, columns: Sequence[Column], cells: Sequence[Sequence[Cell]]) -> None:
        self.beginResetModel()
        self.columns, self.cells = columns, cells
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.cells)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.tip or None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(_side(column) | Qt.AlignmentFlag.AlignVCenter)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        cell, column = self.cells[index.row()][index.column()], self.columns[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return cell.text
        if role == SORT:
            return cell.text.casefold() if not column.number else _sorted(cell.value)
        if role == SHARE:
            return cell.share
        if role == TONE:
            return cell.tone
        if role == AROUND:
            return cell.around
        if role == Qt.ItemDataRole.ToolTipRole:
            return cell.tip or (cell.text if not column.number else None)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{column.title}: {cell.text}" + (f", {cell.tip}" if cell.tip else "")
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(_side(column) | Qt.AlignmentFlag.AlignVCenter)
        return None


def _side(column: Column) -> Qt.AlignmentFlag:
    return Qt.AlignmentFlag.AlignRight if column.number else Qt.AlignmentFlag.AlignLeft


def _sorted(value: float | None) -> float:
    """Missing figures stand at the end of falling orders."""
    return float("-inf") if value is None else value


class BarTable(SortedTable):
    """The table."""

    def __init__(self, name: str, label: str):
        self.rows, shown = BarModel(), QSortFilterProxyModel()
        shown.setSourceModel(self.rows)
        shown.setSortRole(SORT)
        shown.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        shown.setFilterKeyColumn(-1)
        super().__init__(name, label, shown, _ROW)
        self.setItemDelegate(_BarDelegate(self))
        self.horizontalHeader().setStretchLastSection(False)

    def show_rows(self, columns: Sequence[Column], cells: Sequence[Sequence[Cell]]) -> None:
        """Show these; what was sorted by stays where the columns are the same."""
        same = [column.title for column in columns] == [column.title for column in self.rows.columns]
        self.rows.show(columns, cells)
        if not same:
            self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
            self.shown.sort(-1)
        self.fit_columns()

    def search(self, text: str) -> None:
        """Show only rows that hold the text."""
        self.shown.setFilterFixedString(text.strip())

    def texts(self, column: int) -> list[str]:
        """What a column shows, from top to bottom."""
        return [str(self.shown.index(row, column).data()) for row in range(self.shown.rowCount())]

    def fit_columns(self) -> None:
        """Give every column what it needs and the rest to those that stretch."""
        self.resizeColumnsToContents()
        header, columns = self.horizontalHeader(), self.rows.columns
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        free = self.viewport().width() - sum(header.sectionSize(n) for n in range(len(columns)))
        stretched = [number for number, column in enumerate(columns) if column.stretch]
        for number, column in enumerate(columns):
            if not column.number and not column.stretch and header.sectionSize(number) > _WIDEST:
                free += header.sectionSize(number) - _WIDEST
                header.resizeSection(number, _WIDEST)
        for number in stretched:
            size = header.sectionSize(number) + free // len(stretched)
            header.resizeSection(number, max(size, 90))

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)  # type: ignore[arg-type]
        self.fit_columns()


class _BarDelegate(QStyledItemDelegate):
    """Text, and a thin bar below it."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        width = QFontMetrics(option.font).horizontalAdvance(str(index.data())) + 2 * _PAD + 4
        return QSize(max(width, 76 if index.data(SHARE) is not None else 40), _ROW)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        c, rect = theme.colours(), option.rect
        tone = index.data(TONE) or ""
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(c.selection))
        painter.setPen(QColor(c.border))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        share = index.data(SHARE)
        up = 3 if share is not None else 0
        if share is not None:
            self._bar(painter, rect, float(share), getattr(c, tone) if tone else c.accent)
            if (around := index.data(AROUND)) is not None:
                self._interval(painter, rect, *around)
        painter.setFont(option.font)
        painter.setPen(QColor(getattr(c, tone) if tone else c.text))
        inside = rect.adjusted(_PAD, -up, -_PAD, -up)
        shown = painter.fontMetrics().elidedText(
            str(index.data()), Qt.TextElideMode.ElideMiddle, inside.width()
        )
        painter.drawText(inside, int(index.data(Qt.ItemDataRole.TextAlignmentRole)), shown)
        painter.restore()

    def _interval(self, painter: QPainter, rect: Any, low: float, high: float) -> None:
        """A line from one bound to the other, with an end at each, across the bar."""
        left, width = rect.left() + _PAD, rect.width() - 2 * _PAD
        first, last = (left + width * max(0.0, min(1.0, bound)) for bound in (low, high))
        middle = rect.bottom() - _BAR / 2 - 3
        painter.setPen(QPen(QColor(theme.colours().text), 1.2))
        painter.drawLine(QPointF(first, middle), QPointF(last, middle))
        for end in (first, last):
            painter.drawLine(QPointF(end, middle - 3), QPointF(end, middle + 3))

    def _bar(self, painter: QPainter, rect: Any, share: float, colour: str) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        whole = QRectF(rect.left() + _PAD, rect.bottom() - _BAR - 3, rect.width() - 2 * _PAD, _BAR)
        painter.setBrush(QColor(theme.colours().hover))
        painter.drawRoundedRect(whole, 2, 2)
        length = whole.width() * max(0.0, min(1.0, share))
        if length >= 1:
            painter.setBrush(QColor(colour))
            painter.drawRoundedRect(QRectF(whole.left(), whole.top(), max(length, 3), _BAR), 2, 2)
