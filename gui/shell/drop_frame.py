"""What is seen while files are dragged over the window: a frame that says what dropping them does."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from gui.base import theme
from gui.base.translation import tr


class DropFrame(QLabel):
    """Lies over the place that is shown and lets every event through."""

    def __init__(self, window: QWidget):
        super().__init__(tr("Drop to open it here: nothing is moved"), window)
        theme.style(self)
        self.setObjectName("drop-frame")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def show_over(self, area: QWidget) -> None:
        """Cover `area`."""
        self.setGeometry(area.geometry().adjusted(6, 6, -6, -6))
        self.show()
        self.raise_()
