"""Paints one card of the editor's list, and the piece of the tree beside it."""

from PySide6.QtCore import QAbstractItemModel, QEvent, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from gui.base import theme
from gui.base.translation import tr
from gui.editor.branch_lines import BranchLines, Edge
from gui.editor.cards import Card, CardModel, Index

_APART = 10  # pixels between title and mark
_LEAST = 4  # letters of a mark, below which it says nothing


class CardDelegate(QStyledItemDelegate):
    """Paints a card and the piece of the tree beside it; the box on the right switches a stage."""

    GAP, LANE, LEFT = 6, 16, 8

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        model = index.model()
        assert isinstance(model, CardModel)
        lines = 3 if model.cards[index.row()].tall else 2
        return QSize(200, lines * self._line(option) + 12 + self.GAP)

    @staticmethod
    def _line(option: QStyleOptionViewItem) -> int:
        """The height of a line of text."""
        return max(19, option.fontMetrics.height() + 3)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        model = index.model()
        assert isinstance(model, CardModel)
        card, c = model.cards[index.row()], theme.colours()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = self.box_of(option.rect, index)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        border = c.bad if card.problems else c.accent if selected else c.border
        painter.setPen(QPen(QColor(border), 1.5 if selected or card.problems else 1))
        painter.setBrush(QColor(c.selection if selected else c.surface if card.enabled else c.window))
        painter.drawRoundedRect(QRectF(box).adjusted(0.75, 0.75, -0.75, -0.75), 8, 8)
        if selected and option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(QColor(c.text), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(box).adjusted(3, 3, -3, -3), 6, 6)
        self._tree(painter, option.rect, index.row() - 2, model.branch_lines)
        ratio = painter.device().devicePixelRatio() if painter.device() else 1
        colour = "bad" if card.problems else "accent" if card.enabled else "muted"
        painter.drawPixmap(box.left() + 12, box.center().y() - 11, theme.pixmap(card.icon, colour, 22, ratio))
        self._texts(painter, option, box, card)
        if card.kind == "stage":
            self._check_box(painter, box, card.enabled)
        painter.restore()

    def _texts(self, painter: QPainter, option: QStyleOptionViewItem, box: QRect, card: Card) -> None:
        c = theme.colours()
        left, right = box.left() + 46, box.right() - (40 if card.kind == "stage" else 12)
        bold, small = QFont(option.font), QFont(option.font)
        bold.setWeight(QFont.Weight.DemiBold)
        small.setPointSizeF(option.font.pointSizeF() * 0.9)
        line, top = self._line(option), box.top() + 6
        end = box.right() - 12  # of the lines above and below the box that switches the stage
        title, mark = _shared(end - left, QFontMetrics(bold), QFontMetrics(small), card)
        colour = c.bad if card.problems else c.muted
        _write(painter, QRect(end - mark, top, mark, line), small, colour, card.mark, right=True)
        colour = c.text if card.enabled else c.muted
        _write(painter, QRect(left, top, title, line), bold, colour, card.title)
        words = card.summary if card.enabled else tr("Switched off · {summary}", summary=card.summary)
        _write(painter, QRect(left, top + line, right - left, line), small, c.muted, words)
        if not card.tall:
            return
        time = QFontMetrics(small).horizontalAdvance(card.time) + 4 if card.time else 0
        third = QRect(left, top + 2 * line, end - left - (time + 8 if time else 0), line)
        _write(painter, third, small, c.bad if card.facts.startswith("⚠") else c.text, card.facts)
        if time:
            where = QRect(end - time, top + 2 * line, time, line)
            _write(painter, where, small, c.muted, card.time, right=True)

    def _check_box(self, painter: QPainter, box: QRect, checked: bool) -> None:
        c = theme.colours()
        rect = QRectF(self._check_rect(box))
        painter.setPen(QPen(QColor(c.accent if checked else c.strong_border), 1))
        painter.setBrush(QColor(c.accent if checked else c.surface))
        painter.drawRoundedRect(rect.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        if checked:
            pen = QPen(QColor(c.on_accent), 2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap)
            pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
            painter.setPen(pen)
            corner = rect.topLeft()
            painter.drawPolyline([corner + QPointF(x, y) for x, y in ((4.5, 9.2), (7.6, 12.2), (13.2, 5.8))])

    def _tree(self, painter: QPainter, rect: QRect, row: int, branch_lines: BranchLines) -> None:
        if row < 0:
            return
        c = theme.colours()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(c.strong_border), 1.6))
        self._lines(painter, rect, row, branch_lines.edges)
        painter.setPen(QPen(QColor(c.window), 2))
        painter.setBrush(QColor(c.accent))
        painter.drawEllipse(QPointF(self._x(rect, branch_lines.lane[row]), self._y(rect)), 5.5, 5.5)

    def _lines(self, painter: QPainter, rect: QRect, row: int, edges: tuple[Edge, ...]) -> None:
        """What of the edges lies in a row; a line that several share is drawn once, or it would look bolder."""
        y, top, bottom = self._y(rect), rect.top(), rect.bottom() + 1
        passing = {edge.trunk for edge in edges if edge.parent < row < edge.child}
        for trunk in passing:
            painter.drawLine(QPointF(self._x(rect, trunk), top), QPointF(self._x(rect, trunk), bottom))
        for start, trunk in {(edge.from_lane, edge.trunk) for edge in edges if edge.parent == row}:
            begin, end = self._x(rect, start), self._x(rect, trunk)
            path = QPainterPath(QPointF(begin, y))
            path.cubicTo(QPointF(begin, bottom - 1), QPointF(end, y), QPointF(end, bottom))
            painter.drawPath(path)
        for edge in edges:
            if edge.child == row:
                x, corner = self._x(rect, edge.trunk), y - self.LANE
                path = QPainterPath(QPointF(x, corner if edge.trunk in passing else top))
                path.lineTo(x, corner)
                path.quadTo(QPointF(x, y), QPointF(self._x(rect, edge.lane), y))
                painter.drawPath(path)

    def editorEvent(
        self, event: QEvent, model: QAbstractItemModel, option: QStyleOptionViewItem, index: Index
    ) -> bool:
        """A click on the box, or the space bar, switches the stage."""
        assert isinstance(model, CardModel)
        if not index.flags() & Qt.ItemFlag.ItemIsUserCheckable:
            return False
        if isinstance(event, QMouseEvent):
            inside = self._check_rect(self.box_of(option.rect, index)).adjusted(-8, -8, 8, 8)
            toggles = event.type() == QEvent.Type.MouseButtonRelease and inside.contains(
                event.position().toPoint()
            )
        else:
            toggles = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Space
        if not toggles:
            return False
        card = model.cards[index.row()]
        now = Qt.CheckState.Unchecked if card.enabled else Qt.CheckState.Checked
        return model.setData(index, now, Qt.ItemDataRole.CheckStateRole)

    def box_of(self, rect: QRect, index: Index) -> QRect:
        """The card's own rectangle inside its row."""
        model = index.model()
        assert isinstance(model, CardModel)
        gutter = self.LEFT + self.LANE * model.branch_lines.count + 4
        return rect.adjusted(gutter, 0, -2, -self.GAP)

    def _check_rect(self, box: QRect) -> QRect:
        return QRect(box.right() - 30, box.center().y() - 9, 18, 18)

    def _x(self, rect: QRect, lane: int) -> float:
        return rect.left() + self.LEFT + lane * self.LANE + 3.0

    def _y(self, rect: QRect) -> float:
        return rect.top() + (rect.height() - self.GAP) / 2


def _shared(width: int, bold: QFontMetrics, small: QFontMetrics, card: Card) -> tuple[int, int]:
    """How much of a line the title and the mark beside it get: the title first, unless something is wrong."""
    whole = wanted = small.horizontalAdvance(card.mark) + 4 if card.mark else 0
    if not card.problems:
        wanted = min(whole, width - bold.horizontalAdvance(card.title) - 4 - _APART)
        if wanted < min(whole, small.horizontalAdvance(card.mark[:_LEAST] + "…")):
            wanted = 0
    return width - (wanted + _APART if wanted else 0), wanted


def _write(
    painter: QPainter, where: QRect, font: QFont, colour: str, words: str, right: bool = False
) -> None:
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    painter.setFont(font)
    painter.setPen(QColor(colour))
    shown = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, where.width())
    painter.drawText(where, side | Qt.AlignmentFlag.AlignVCenter, shown)
