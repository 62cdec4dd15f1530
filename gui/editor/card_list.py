"""The chain as a list that cards are dragged in: shows where a card would be dropped, and emits where it was."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QItemSelectionModel, QPoint, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QFont,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QAbstractItemView, QListView

from gui.base import theme
from gui.base.translation import tr
from gui.editor.card_delegate import CardDelegate
from gui.editor.cards import MOVED, CardModel
from gui.editor.palette import NEW

_EDGE = (
    0.3  # of a card's height at either side: there a card is dropped between two, in the middle it branches
)


@dataclass(frozen=True, slots=True)
class DropPosition:
    """Where a dragged card would be dropped.

    Attributes:
        what: "stage:train", "source:onnx" from the palette, or "move:ID" of a card.
        after: id of the source or stage that it would continue; "" for a new source.
        branch: as a second continuation, beside what continues that already.
        row: of the card above the gap, or of the card that it is dropped on.
    """

    what: str
    after: str
    branch: bool
    row: int


class CardList(QListView):
    """A list view of `CardModel`.

    Signals:
        dropped: a `DropPosition` that `allowed` accepts.
    """

    dropped = Signal(object)

    def __init__(self, model: CardModel, allowed: Callable[[DropPosition], bool]):
        super().__init__()
        self._cards, self._allowed = model, allowed
        self.drop: DropPosition | None = None
        self._over = ""  # what is dragged over the list
        self.setObjectName("cards")
        self.setProperty("role", "cards")
        self.setAccessibleName(tr("Data, networks and stages"))
        self.setModel(model)
        self._painter = CardDelegate(self)
        self.setItemDelegate(self._painter)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setDragEnabled(True)
        self.setAcceptDrops(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragDrop)
        self.setDefaultDropAction(Qt.DropAction.CopyAction)
        self.setDropIndicatorShown(False)

    # dragging

    def startDrag(self, actions: Qt.DropAction) -> None:
        """One card is dragged, whatever else is selected."""
        self.selectionModel().select(self.currentIndex(), QItemSelectionModel.SelectionFlag.ClearAndSelect)
        super().startDrag(actions)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        self._over = _carried(event)
        if self._over:
            self._take_copy(event)
            self.viewport().update()
        else:
            event.ignore()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        super().dragMoveEvent(event)  # scrolls at the edges
        self._show(self._drop_at(event.position().toPoint(), _carried(event)))
        if self.drop is not None:
            self._take_copy(event)
        else:
            event.ignore()

    @staticmethod
    def _take_copy(event: QDropEvent) -> None:
        """The document moves cards, not the view: what is dragged is never taken from where it was."""
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        super().dragLeaveEvent(event)
        self._left()

    def _left(self) -> None:
        self._over = ""
        self._show(None)
        self.viewport().update()

    def dropEvent(self, event: QDropEvent) -> None:
        drop = self._drop_at(event.position().toPoint(), _carried(event))
        self._left()
        self.setState(QAbstractItemView.State.NoState)
        if drop is None:
            event.ignore()
            return
        self._take_copy(event)
        self.dropped.emit(drop)

    def _drop_at(self, place: QPoint, what: str) -> DropPosition | None:
        cards = self._cards.cards
        if not what or not cards:
            return None
        if what.startswith("source:"):
            last = max(n for n, card in enumerate(cards) if card.kind == "source")
            return DropPosition(what, "", False, last)
        row, branch = self._place(place)
        if not 0 <= row < len(cards) or cards[row].kind not in ("source", "stage"):
            return None
        drop = DropPosition(what, cards[row].id, branch, row)
        return drop if self._allowed(drop) else None

    def _place(self, place: QPoint) -> tuple[int, bool]:
        """The row that a card would follow, and whether as a branch."""
        index = self.indexAt(place)
        if not index.isValid():
            return len(self._cards.cards) - 1, False
        box = self._painter.box_of(self.visualRect(index), index)
        part = (place.y() - box.top()) / max(box.height(), 1)
        if part < _EDGE:
            return index.row() - 1, False
        return index.row(), part <= 1 - _EDGE

    def _show(self, drop: DropPosition | None) -> None:
        if drop != self.drop:
            self.drop = drop
            self.viewport().update()

    # the mark

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._over:
            self._mark_places()
        if self.drop is None:
            return
        index = self._cards.index(self.drop.row)
        box = self._painter.box_of(self.visualRect(index), index)
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.drop.branch:
            self._mark_branch(painter, box)
        else:
            self._mark_gap(painter, box)
        painter.end()

    def _mark_places(self) -> None:
        """Every gap that takes what is dragged."""
        painter, c = QPainter(self.viewport()), theme.colours()
        painter.setPen(QPen(QColor(c.accent), 1.5, Qt.PenStyle.DotLine))
        for row, card in enumerate(self._cards.cards):
            if card.kind not in ("source", "stage"):
                continue
            if self._over.startswith("source:") or not self._allowed(
                DropPosition(self._over, card.id, False, row)
            ):
                continue
            index = self._cards.index(row)
            box = self._painter.box_of(self.visualRect(index), index)
            y = box.bottom() + 1 + CardDelegate.GAP / 2
            painter.drawLine(QPointF(box.left() + 6, y), QPointF(box.right() - 2, y))
        painter.end()

    def _mark_gap(self, painter: QPainter, box: QRect) -> None:
        c, y = theme.colours(), box.bottom() + 1 + CardDelegate.GAP / 2
        painter.setPen(QPen(QColor(c.accent), 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawLine(QPointF(box.left() + 6, y), QPointF(box.right() - 2, y))
        painter.setBrush(QColor(c.surface))
        painter.drawEllipse(QPointF(box.left() + 2, y), 4, 4)

    def _mark_branch(self, painter: QPainter, box: QRect) -> None:
        c = theme.colours()
        painter.setPen(QPen(QColor(c.accent), 2, Qt.PenStyle.DashLine))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(QRectF(box).adjusted(1, 1, -1, -1), 8, 8)
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        words = tr("Branch from here")
        width = painter.fontMetrics().horizontalAdvance(words) + 20
        pill = QRect(box.right() - width - 8, box.bottom() - 28, width, 22)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(c.accent))
        painter.drawRoundedRect(QRectF(pill), 11, 11)
        painter.setPen(QColor(c.on_accent))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, words)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.DragLeave:
            self._left()
        return super().viewportEvent(event)


def _carried(event: QDropEvent) -> str:
    """What is dragged, or "" for what does not belong here."""
    data = event.mimeData()
    if data.hasFormat(NEW):
        return bytes(data.data(NEW).data()).decode()
    if data.hasFormat(MOVED):
        return "move:" + bytes(data.data(MOVED).data()).decode()
    return ""
