"""The recipes as a column of cards."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QFontMetrics, QKeyEvent, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from core.runs.library import RecipeLine
from gui.base import theme
from gui.base.translation import tr

Index = QModelIndex | QPersistentModelIndex
RECIPE = Qt.ItemDataRole.UserRole
_LINES = 4


class RecipeModel(QAbstractListModel):
    """Rows of `RecipeLine`."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: Sequence[RecipeLine] = ()

    def show_lines(self, lines: Sequence[RecipeLine]) -> None:
        if len(lines) != len(self.lines):
            self.beginResetModel()
            self.lines = lines
            self.endResetModel()
        elif lines != self.lines:
            self.lines = lines
            self.dataChanged.emit(self.index(0), self.index(len(lines) - 1))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.lines)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        line = self.lines[index.row()]
        if role == RECIPE:
            return line
        if role == Qt.ItemDataRole.DisplayRole:
            return line.recipe.name
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{line.recipe.about}\n\n{line.last_duration}."
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{line.recipe.name}. {line.recipe.about} {line.last_duration}."
        return None


class RecipeDelegate(QStyledItemDelegate):
    """Title, what it does, how long it took."""

    PAD, GAP = 14, 8

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        view = self.parent()
        width = view.viewport().width() if isinstance(view, QListView) else 380
        line: RecipeLine = index.data(RECIPE)
        words = self._about_height(line.recipe.about, option.font, width - 2 * self.PAD - 6)
        high = QFontMetrics(option.font).height()
        return QSize(width, 2 * self.PAD + high + 6 + words + 8 + high + self.GAP)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        c = theme.colours()
        line: RecipeLine = index.data(RECIPE)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        focused = bool(option.state & QStyle.StateFlag.State_HasFocus)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = option.rect.adjusted(1, 0, -5, -self.GAP)
        painter.setPen(QPen(QColor(c.accent if hovered or focused else c.border), 1.5 if focused else 1))
        painter.setBrush(QColor(c.hover if hovered else c.surface))
        painter.drawRoundedRect(QRectF(box).adjusted(0.75, 0.75, -0.75, -0.75), 8, 8)
        inside = box.adjusted(self.PAD, self.PAD, -self.PAD, -self.PAD)
        bold = QFont(option.font)
        bold.setWeight(QFont.Weight.DemiBold)
        high = QFontMetrics(option.font).height()
        painter.setFont(bold)
        painter.setPen(QColor(c.text))
        name = painter.fontMetrics().elidedText(line.recipe.name, Qt.TextElideMode.ElideRight, inside.width())
        painter.drawText(QRect(inside.left(), inside.top(), inside.width(), high), 0, name)
        painter.setFont(option.font)
        painter.setPen(QColor(c.muted))
        words = QRect(inside.left(), inside.top() + high + 6, inside.width(), inside.height())
        words.setBottom(inside.bottom() - high - 8)
        about = shortened(line.recipe.about, QFontMetrics(option.font), words.width())
        painter.drawText(words, Qt.TextFlag.TextWordWrap, about)
        self._last(painter, inside, line, high)
        painter.restore()

    def _last(self, painter: QPainter, inside: QRect, line: RecipeLine, high: int) -> None:
        timed = line.timed
        c = theme.colours()
        ratio = painter.device().devicePixelRatio() if painter.device() else 1
        top = inside.bottom() - high + 1
        icon = theme.pixmap("done" if timed else "waiting", "accent" if timed else "muted", 16, ratio)
        painter.drawPixmap(inside.left(), top + (high - 16) // 2, icon)
        painter.setPen(QColor(c.text if timed else c.muted))
        words = painter.fontMetrics().elidedText(
            line.last_duration, Qt.TextElideMode.ElideRight, inside.width() - 22
        )
        painter.drawText(QRect(inside.left() + 22, top, inside.width() - 22, high), 0, words)

    def _about_height(self, words: str, font: QFont, width: int) -> int:
        metrics = QFontMetrics(font)
        shown = shortened(words, metrics, width)
        return metrics.boundingRect(QRect(0, 0, width, 1000), Qt.TextFlag.TextWordWrap, shown).height()


def shortened(words: str, metrics: QFontMetrics, width: int) -> str:
    """As many words as fit into the lines of a card, with "…" behind where some are left out."""
    most = _LINES * metrics.lineSpacing() + 2

    def fits(text: str) -> bool:
        return metrics.boundingRect(QRect(0, 0, width, 1000), Qt.TextFlag.TextWordWrap, text).height() <= most

    if fits(words):
        return words
    parts = words.split()
    low, high = 1, len(parts)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(" ".join(parts[:middle]) + " …") else (low, middle - 1)
    return " ".join(parts[:low]).rstrip(",;:.") + " …"


class RecipeCards(QListView):
    """Opens a recipe on a click or on Enter.

    Signals:
        chosen: the recipe's file.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("recipes")
        self.setProperty("role", "cards")
        self.setAccessibleName(tr("Recipes"))
        self.recipes = RecipeModel()
        self.setModel(self.recipes)
        self.setItemDelegate(RecipeDelegate(self))
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor)
        self.clicked.connect(self._choose)

    def _choose(self, index: QModelIndex) -> None:
        self.chosen.emit(self.recipes.lines[index.row()].recipe.path)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self._choose(self.currentIndex())
            return
        super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.scheduleDelayedItemsLayout()  # the texts need another height
