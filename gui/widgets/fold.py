"""A heading that opens and closes what is below it."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QToolButton, QWidget

from gui.base import theme
from gui.widgets.buttons import text


class Fold(QWidget):
    """A heading that opens and closes what is below it."""

    def __init__(self, title: str, help: str, inside: QWidget, opened: bool = False):
        super().__init__()
        self.inside = inside
        self.button = QToolButton()
        self.button.setProperty("role", "fold")
        self.button.setText(title)
        self.button.setToolTip(help)
        self.button.setAccessibleName(title)
        self.button.setAccessibleDescription(help)
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.toggled.connect(self._show)
        self.note = text(help)
        self.note.setProperty("role", "muted")
        self.note.setWordWrap(True)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.setVerticalSpacing(4)
        layout.addWidget(self.button, 0, 0)
        layout.addWidget(self.note, 0, 1)
        layout.setColumnStretch(1, 1)
        layout.addWidget(inside, 1, 0, 1, 2)
        self.button.setChecked(opened)
        self._show(opened)

    def _show(self, opened: bool) -> None:
        self.inside.setVisible(opened)
        self.retheme()

    def retheme(self) -> None:
        """Take the icon of the theme."""
        self.button.setIcon(theme.icon("less" if self.button.isChecked() else "more", "muted"))


def keep_space(widget: QWidget) -> QSizePolicy:
    """The widget's size policy, with its place kept while it is hidden."""
    policy = widget.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    return policy
