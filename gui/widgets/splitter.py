"""Parts whose sizes a person changes by dragging what is between them."""

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
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

    def createHandle(self) -> QSplitterHandle:
        return _Handle(self.orientation(), self)

    def restoreState(self, state: QByteArray | bytes | bytearray | memoryview) -> bool:
        """Take sizes that were kept; the width of the handles, which is kept with them, stays as it is."""
        restored = super().restoreState(state)
        self.setHandleWidth(WIDTH)
        return restored


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
