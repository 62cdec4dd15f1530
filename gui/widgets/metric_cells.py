"""How a cell of the comparison table is drawn: the figure, and its change below."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from gui.base import theme

Index = QModelIndex | QPersistentModelIndex
CHANGE, VERDICT, LABEL_BELOW, BASELINE, OUTSIDE, UNSURE = (
    Qt.ItemDataRole.UserRole + number for number in range(6)
)
_PIN = 15


class MetricDelegate(QStyledItemDelegate):
    """Two lines a cell: the figure, and its change below."""

    PAD = 10

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        big, small = fonts(option.font)
        first = QFontMetrics(big if index.column() == 0 else option.font).horizontalAdvance(str(index.data()))
        below = index.data(CHANGE if index.column() else LABEL_BELOW) or ""
        second = QFontMetrics(small).horizontalAdvance(below)
        pin = _PIN + 4 if index.data(BASELINE) else 0
        return QSize(max(first + pin, second) + 2 * self.PAD + 2, 50)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        c = theme.colours()
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, QColor(c.selection))
        painter.setPen(QColor(c.border))
        painter.drawLine(option.rect.bottomLeft(), option.rect.bottomRight())
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QColor(c.accent))
            painter.drawRect(option.rect.adjusted(0, 0, -1, -1))
        below = index.data(CHANGE if index.column() else LABEL_BELOW) or ""
        outside = bool(index.data(OUTSIDE))
        colours = {"better": c.good, "worse": c.bad, "unsure": c.warning}
        colour = c.muted if outside else colours.get(index.data(VERDICT) or "", c.muted)
        big, small = fonts(option.font)
        font = big if index.column() == 0 else option.font
        text, line = str(index.data()), 0 if below else None
        figure = c.muted if outside else c.warning if index.data(UNSURE) else c.text
        self._line(painter, option.rect, index, text, font, figure, line)
        if below:
            self._line(painter, option.rect, index, below, small, colour, 1)
        painter.restore()

    def _line(
        self, painter: QPainter, rect: QRect, index: Index, text: str, font: QFont, colour: str,
        line: int | None,
    ) -> None:  # fmt: skip
        inside = rect.adjusted(self.PAD, 6, -self.PAD, -6)
        if line is not None:
            half = inside.height() // 2
            inside = QRect(inside.left(), inside.top() + line * half, inside.width(), half)
        if not line and index.data(BASELINE):
            ratio = painter.device().devicePixelRatio()
            top = inside.center().y() - _PIN // 2
            painter.drawPixmap(inside.left() - 2, top, theme.pixmap("pin", "accent", _PIN, ratio))
            inside.setLeft(inside.left() + _PIN + 2)
        side = Qt.AlignmentFlag.AlignRight if index.column() else Qt.AlignmentFlag.AlignLeft
        painter.setFont(font)
        painter.setPen(QColor(colour))
        shown = shortened(text, painter.fontMetrics(), inside.width(), label=not index.column())
        painter.drawText(inside, side | Qt.AlignmentFlag.AlignVCenter, shown)


def shortened(text: str, metrics: QFontMetrics, width: int, label: bool) -> str:
    """What there is room for; a label is cut in its middle: runs of one name differ in their time, which ends it."""
    middle, right = Qt.TextElideMode.ElideMiddle, Qt.TextElideMode.ElideRight
    return metrics.elidedText(text, middle if label else right, width)


def fonts(base: QFont) -> tuple[QFont, QFont]:
    """The label's font and the one for what stands below."""
    big, small = QFont(base), QFont(base)
    big.setWeight(QFont.Weight.DemiBold)
    small.setPointSizeF(base.pointSizeF() * 0.9)
    return big, small
