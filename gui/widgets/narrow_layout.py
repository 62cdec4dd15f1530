"""What gives way in a narrow window: parts that turn below each other, and rows that break.

`fit(room)` is called with the width in pixels that a place has (`gui.shell.places`); the place's view itself is called
with the height, as `fit_height(room)`, where it has such a method.
"""

from collections.abc import Sequence

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtWidgets import QBoxLayout, QHBoxLayout, QLayout, QLayoutItem, QWidget

from gui.widgets.splitter import Splitter

_STACKED = 240  # pixels: the least height of a part that stands above or below another, unless it has its own


class TurningSplitter(Splitter):
    """Side by side; `fit` turns it.

    Args:
        heights: the least height in pixels of each part while they stand below each other.
    """

    def __init__(self, name: str, *parts: QWidget, heights: Sequence[int] = ()):
        super().__init__(name, *parts)
        self._sizes: list[int] = []
        self._heights = heights or [_STACKED] * len(parts)

    def setSizes(self, sizes: Sequence[int]) -> None:
        """The sizes that parts have side by side; also while they stand below each other."""
        self._sizes = list(sizes)
        super().setSizes(sizes)

    @property
    def stacked(self) -> bool:
        """Whether its parts stand below each other."""
        return self.orientation() == Qt.Orientation.Vertical

    def fit(self, room: int) -> None:
        """Turn as so many pixels of width allow."""
        every = (self.widget(number) for number in range(self.count()))
        parts = [part for part in every if part is not None]
        stacked = least_width(parts, self.handleWidth()) > room
        if stacked == self.stacked:
            return
        if stacked and self.isVisible():  # before it is shown its parts have none
            self._sizes = self.sizes()
        self.setOrientation(Qt.Orientation.Vertical if stacked else Qt.Orientation.Horizontal)
        for part, height in zip(parts, self._heights, strict=True):
            part.setMinimumHeight(height if stacked else 0)
        if not stacked:
            super().setSizes(self._sizes)
        tell_above(self)


class TurningRow(QWidget):
    """Parts side by side; below each other where there is no room.

    Args:
        stretch: how what room is left is shared; all alike unless given.
    """

    def __init__(self, *parts: QWidget, gap: int = 12, stretch: Sequence[int] = ()):
        super().__init__()
        self._parts, self._gap = parts, gap
        self._row = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(gap)
        for number, part in enumerate(parts):
            self._row.addWidget(part, stretch[number] if stretch else 1)

    def sizeHint(self) -> QSize:
        """Side by side no more height than the parts need, as `Splitter`."""
        hint = super().sizeHint()
        beside = self._row.direction() == QBoxLayout.Direction.LeftToRight
        return QSize(hint.width(), self.minimumSizeHint().height()) if beside else hint

    def fit(self, room: int) -> None:
        """Turn as so many pixels of width allow."""
        turn(self._row, least_width(self._parts, self._gap) > room)


def beside(first: QWidget, *others: QWidget, gap: int = 8) -> QWidget:
    """Widgets that stay in a row, the first of which takes the room that is left."""
    whole = QWidget()
    row = QHBoxLayout(whole)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(gap)
    row.addWidget(first, 1)
    for widget in others:
        row.addWidget(widget)
    return whole


def turn(row: QBoxLayout, stacked: bool) -> None:
    """Lay a row's parts below each other, or side by side again."""
    ways = QBoxLayout.Direction
    way = ways.TopToBottom if stacked else ways.LeftToRight
    if way != row.direction():
        row.setDirection(way)
        tell_above(row.parentWidget())


def tell_above(part: QWidget) -> None:
    """Let everything around a part ask it anew how much room it needs; Qt asks only for what was shown once."""
    around: QWidget | None = part
    while around is not None and not around.isWindow():
        around.updateGeometry()
        layout = around.layout()
        if layout is not None:
            layout.invalidate()
        around = around.parentWidget()


def least_width(parts: Sequence[QWidget], gap: int) -> int:
    """The pixels that parts side by side need."""
    said = Qt.WidgetAttribute.WA_WState_ExplicitShowHide  # one that was never shown is hidden, too
    shown = [part for part in parts if not (part.isHidden() and part.testAttribute(said))]
    wanted = (max(part.minimumWidth(), part.minimumSizeHint().width()) for part in shown)
    return sum(wanted) + gap * max(0, len(shown) - 1)


class Flow(QLayout):
    """Lays widgets in rows and begins a new one where the width is used up.

    Attributes:
        whole: it asks for room for all of them in one row.
    """

    def __init__(self, parent: QWidget | None = None, gap: int = 2):
        super().__init__(parent)
        self.whole = False
        self._items: list[QLayoutItem] = []
        self._gap = gap
        self.setContentsMargins(0, 0, 0, 0)

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._place(QRect(0, 0, width, 0), False)

    def setGeometry(self, rect: QRect) -> None:
        super().setGeometry(rect)
        self._place(rect, True)

    def sizeHint(self) -> QSize:
        return self.minimumSize()

    def minimumSize(self) -> QSize:
        shown = [
            item.sizeHint() if self.whole else item.minimumSize()
            for item in self._items
            if not item.isEmpty()
        ]
        widths, high = [size.width() for size in shown], max((size.height() for size in shown), default=0)
        if self.whole:
            return QSize(sum(widths) + self._gap * max(0, len(widths) - 1), high)
        return QSize(max(widths, default=0), high)

    def _place(self, rect: QRect, move: bool) -> int:
        x, y, row = rect.x(), rect.y(), 0
        for item in self._items:
            if item.isEmpty():
                continue
            size = item.sizeHint()
            if x > rect.x() and x + size.width() > rect.right() + 1:
                x, y, row = rect.x(), y + row + self._gap, 0
            if move:
                item.setGeometry(QRect(QPoint(x, y), size))
            x, row = x + size.width() + self._gap, max(row, size.height())
        return y + row - rect.y()
