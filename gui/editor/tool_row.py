"""The row of buttons above the cards."""

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

_GAP, _AROUND = 2, 8  # pixels between buttons, and around the word
_STYLES = Qt.ToolButtonStyle


class ToolRow(QWidget):
    """A button for every action; the first has its word beside its icon where there is room.

    Args:
        left, right: actions at either end.
    """

    def __init__(self, left: Sequence[QAction], right: Sequence[QAction]):
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(_GAP)
        self._buttons = [self._button(action) for action in (*left, *right)]
        for number, button in enumerate(self._buttons):
            if number == len(left):
                row.addStretch(1)
            row.addWidget(button)
        self._worded = self._buttons[0]
        self._worded.setToolButtonStyle(_STYLES.ToolButtonTextBesideIcon)

    @staticmethod
    def _button(action: QAction) -> QToolButton:
        button = QToolButton()
        button.setDefaultAction(action)
        button.setObjectName(f"tool-{action.objectName()}")
        button.setAccessibleName(action.objectName().replace("-", " ").capitalize())
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return button

    def minimumSizeHint(self) -> QSize:
        """With icons alone."""
        hints = [button.sizeHint() for button in self._buttons]
        icon, gaps = self._buttons[-1].sizeHint().width(), _GAP * (len(hints) - 1)
        return QSize(icon * len(hints) + gaps, max(hint.height() for hint in hints))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        word = self._worded.fontMetrics().horizontalAdvance(self._worded.text()) + _AROUND
        fits = self.minimumSizeHint().width() + word <= self.width()
        self._worded.setToolButtonStyle(
            _STYLES.ToolButtonTextBesideIcon if fits else _STYLES.ToolButtonIconOnly
        )
