"""Boxes and sliders with a value: the mouse wheel changes it only where the keyboard is, and elsewhere scrolls the page."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QDoubleSpinBox, QSlider, QSpinBox, QWidget

if TYPE_CHECKING:
    _Base = QWidget
else:
    _Base = object  # Qt's part comes from the class beside it


class WheelNeedsFocus(_Base):
    """To be inherited before a Qt class: the wheel neither changes its value without the focus nor takes the focus."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class SpinBox(WheelNeedsFocus, QSpinBox):
    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)


class DoubleSpinBox(WheelNeedsFocus, QDoubleSpinBox):
    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)


class Slider(WheelNeedsFocus, QSlider):
    """It lies on its side."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
