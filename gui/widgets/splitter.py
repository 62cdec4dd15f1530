"""Parts whose sizes a person changes by dragging what is between them."""

from PySide6.QtCore import QByteArray, QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSplitter, QSplitterHandle, QWidget

from gui.base import theme

WIDTH = 12  # pixels between two parts
_GRIP = QSize(3, 32)  # pixels across and along the handle
_ROUND = 3  # pixels: the radius of the ground below the mouse


class Splitter(QSplitter):
    """Side by side, or below each other. No part can be dragged to nothing.

    Args:
        name: its object name, by which its sizes are kept.
    """

    def __init__(self, name: str, *parts: QWidget, orientation: Qt.Orientation = Qt.Orientation.Horizontal):
        super().__init__(orientation)
        self.setObjectName(name)
        self.setChildrenCollapsible(False)
        self.setHandleWidth(WIDTH)
        for part in parts:
            self.addWidget(part)

    def sizeHint(self) -> QSize:
        """A place scrolls where its parts would like more height than there is: they ask for what they need."""
        return QSize(super().sizeHint().width(), self.minimumSizeHint().height())

    def createHandle(self) -> QSplitterHandle:
        return _Handle(self.orientation(), self)

    def restoreState(self, state: QByteArray | bytes | bytearray | memoryview) -> bool:
        """Take sizes that were kept; the width of the handles, which is kept with them, stays as it is."""
        restored = super().restoreState(state)
        self.setHandleWidth(WIDTH)
        return restored


class FittingSplitter(Splitter):
    """Two parts, one above the other: the upper has what it has use for (its greatest height), as long as the lower
    keeps `lower` pixels, and the lower has the rest; until a person drags the handle.
    """

    def __init__(self, name: str, above: QWidget, below: QWidget, lower: int):
        super().__init__(name, above, below, orientation=Qt.Orientation.Vertical)
        self._above, self._below, self._lower = above, below, lower
        self._chosen = False  # by a person
        self.splitterMoved.connect(self._moved)

    def saveState(self) -> QByteArray:
        """Nothing as long as no person has dragged the handle."""
        return super().saveState() if self._chosen else QByteArray()

    def restoreState(self, state: QByteArray | bytes | bytearray | memoryview) -> bool:
        self._chosen = super().restoreState(state)
        return self._chosen

    def event(self, event: QEvent) -> bool:
        done = super().event(event)
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize) and not self._chosen:
            room = self.height() - self.handleWidth()
            least = max(self._lower, self._below.minimumSizeHint().height())
            height = max(0, min(self._above.maximumHeight(), room - least))
            if self.sizes() != [height, room - height]:
                self.setSizes([height, room - height])
        return done

    def _moved(self, _place: int, _handle: int) -> None:
        self._chosen = True


class _Handle(QSplitterHandle):
    """A short line in the middle; under the mouse in the accent colour, on a ground that shows what is dragged.

    It paints itself: parts of the window have the stylesheet one by one, and a splitter around such parts has none.
    """

    def __init__(self, orientation: Qt.Orientation, parent: QSplitter):
        super().__init__(orientation, parent)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)  # painted again when the mouse comes and goes

    def paintEvent(self, event: QPaintEvent) -> None:
        c, painter = theme.colours(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        whole, pointed = QRectF(self.rect()), self.underMouse()
        if pointed:
            painter.setBrush(QColor(c.border))
            painter.drawRoundedRect(whole, _ROUND, _ROUND)
        upright = self.orientation() == Qt.Orientation.Horizontal  # it stands between parts side by side
        grip = QRectF(0, 0, *(_GRIP if upright else _GRIP.transposed()).toTuple())
        grip.moveCenter(whole.center())
        painter.setBrush(QColor(c.accent if pointed else c.strong_border))
        painter.drawRoundedRect(grip, _GRIP.width() / 2, _GRIP.width() / 2)
        painter.end()
