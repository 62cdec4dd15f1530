"""The confusion matrix as a grid: figures in cells whose background is the deeper the more images they hold."""

from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (  # fmt: skip
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from gui.base import theme
from gui.base.translation import tr

Index = QModelIndex | QPersistentModelIndex
_HEAT = Qt.ItemDataRole.UserRole
_HEIGHT, _NARROW, _WIDE = 32, 46, 92
DEEPEST = 0.72  # of a colour on the ground of the fullest cell


class ConfusionModel(QAbstractTableModel):
    """A matrix [k, k] of figures; rows are the true class, columns the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.classes: tuple[str, ...] = ()
        self.values = np.zeros((0, 0))
        self.percent = self.signed = False
        self._largest = np.zeros(2)

    def show(self, classes: tuple[str, ...], values: np.ndarray, percent: bool, signed: bool) -> None:
        """`percent`: of the row's images; `signed`: a difference."""
        self.beginResetModel()
        self.classes, self.values, self.percent, self.signed = classes, values, percent, signed
        sizes, diagonal = np.abs(values), np.eye(len(classes), dtype=bool)
        self._largest = np.array(
            [max(1e-9, float(sizes[~diagonal].max(initial=0.0))), max(1e-9, float(sizes.max(initial=0.0)))]
        )
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.classes)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.classes)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if section >= len(self.classes):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.classes[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            word = tr("Answered with") if orientation == Qt.Orientation.Horizontal else tr("Truly")
            return f"{word} {self.classes[section]}"
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        value = float(self.values[index.row(), index.column()])
        if role == Qt.ItemDataRole.DisplayRole:
            return self._written(value)
        if role == _HEAT:
            return self._heat(index.row() == index.column(), value)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            true, guess = self.classes[index.row()], self.classes[index.column()]
            unit = " %" if self.percent else " images"
            words = self._written(value) or "0"
            return tr(
                "{true}, answered with {guess}: {words}{unit}", true=true, guess=guess, words=words, unit=unit
            ) + (" (difference)" if self.signed else "")
        return None

    def _written(self, value: float) -> str:
        if abs(value) < (0.05 if self.percent else 0.5):
            return ""
        number = f"{abs(value):.1f}" if self.percent else f"{abs(value):.0f}"
        sign = ("+" if value > 0 else "−") if self.signed else ""
        return sign + number

    def _heat(self, diagonal: bool, value: float) -> tuple[str, float]:
        """The ground's colour and strength 0…1: good where it is welcome, bad where it is not."""
        strength = abs(value) / self._largest[1 if diagonal and not self.signed else 0]
        if self.signed:
            welcome = (value > 0) == diagonal
            return ("good" if welcome else "bad"), min(1.0, float(strength))
        return ("accent" if diagonal else "bad"), min(1.0, float(strength))


class ConfusionView(QTableView):
    """The grid.

    Signals:
        cell_chosen: the true class and the answer of a cell that was clicked (or Enter pressed on).
    """

    cell_chosen = Signal(int, int)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("confusion")
        self.setAccessibleName(tr("Confusion matrix: rows are the true class, columns the answer"))
        self.matrix = ConfusionModel()
        self.setModel(self.matrix)
        self.setItemDelegate(_HeatDelegate(self))
        self.setShowGrid(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.names = _NameHeader(self)
        self.setHorizontalHeader(self.names)
        for header in (self.names, self.verticalHeader()):
            header.setHighlightSections(False)
            header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
            header.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.verticalHeader().setDefaultSectionSize(_HEIGHT)
        self.verticalHeader().setMaximumWidth(130)
        self.verticalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.clicked.connect(self._chosen)

    def show_matrix(self, classes: tuple[str, ...], values: np.ndarray, percent: bool, signed: bool) -> None:
        place = self.currentIndex().row(), self.currentIndex().column()
        self.matrix.show(classes, values, percent, signed)
        if 0 <= max(place) < len(classes) and min(place) >= 0:
            self.setCurrentIndex(self.matrix.index(*place))
        self._fit()

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)  # type: ignore[arg-type]
        self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self._chosen(self.currentIndex())
            return
        super().keyPressEvent(event)

    def _chosen(self, index: QModelIndex) -> None:
        self.cell_chosen.emit(index.row(), index.column())

    def _fit(self) -> None:
        count = len(self.matrix.classes)
        if count:
            width = max(_NARROW, min(_WIDE, self.viewport().width() // count))
            self.names.setDefaultSectionSize(width)
            self.names.turn(width)
            height = max(_HEIGHT - 6, min(_HEIGHT + 14, self.viewport().height() // count))
            self.verticalHeader().setDefaultSectionSize(height)


class _NameHeader(QHeaderView):
    """Names of the columns, turned upright where they are wider than these."""

    def __init__(self, parent: QTableView):
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._turned = False

    def turn(self, width: int) -> None:
        """Decide how names stand in columns of this width."""
        longest = self._longest()
        self._turned = longest + 16 > width
        self.setFixedHeight(min(longest + 18, 124) if self._turned else _HEIGHT + 2)

    def _longest(self) -> int:
        model, metrics = self.model(), QFontMetrics(self._bold())
        names = [str(model.headerData(n, self.orientation())) for n in range(model.columnCount())]
        return max((metrics.horizontalAdvance(name) for name in names), default=0)

    def _bold(self) -> QFont:
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold)
        return font

    def paintSection(self, painter: QPainter, rect: QRect, section: int) -> None:
        c = theme.colours()
        painter.save()
        painter.fillRect(rect, QColor(c.raised))
        painter.setPen(QColor(c.border))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        painter.setPen(QColor(c.muted))
        painter.setFont(self._bold())
        name = str(self.model().headerData(section, self.orientation()))
        if self._turned:
            painter.translate(rect.center().x(), rect.bottom() - 8)
            painter.rotate(-90)
            place = QRect(0, -rect.width() // 2, rect.height() - 12, rect.width())
            side = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        else:
            place, side = rect, Qt.AlignmentFlag.AlignCenter
        shown = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, place.width())
        painter.drawText(place, int(side), shown)
        painter.restore()


class _HeatDelegate(QStyledItemDelegate):
    """A coloured ground and a figure in a colour that can be read on it."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(QFontMetrics(option.font).horizontalAdvance(str(index.data())) + 12, _HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        c = theme.colours()
        tone, strength = index.data(_HEAT)
        ground = theme.mixed(c.surface, getattr(c, tone), DEEPEST * strength**0.6)
        painter.save()
        painter.fillRect(option.rect.adjusted(1, 1, 0, 0), QColor(ground))
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(QColor(c.text))
            painter.drawRect(option.rect.adjusted(1, 1, -1, -1))
        painter.setPen(QColor(written_on(ground)))
        painter.drawText(option.rect, Qt.AlignmentFlag.AlignCenter, str(index.data()))
        painter.restore()


def written_on(ground: str) -> str:
    """White or black, whichever can be read better; one of them always reaches a contrast of 4.5."""
    return max(("#ffffff", "#000000"), key=lambda each: theme.contrast(each, ground))
