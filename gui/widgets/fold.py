"""A heading that opens and closes what is below it."""

from collections.abc import Callable
from itertools import pairwise

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QToolButton, QWidget

from gui.base import theme
from gui.widgets.buttons import text


class Fold(QWidget):
    """A heading that opens and closes what is below it.

    Args:
        make: makes what is below, when it is opened for the first time or asked for by `build`.
    """

    def __init__(self, title: str, help: str, make: Callable[[], QWidget], opened: bool = False):
        super().__init__()
        self.inside: QWidget | None = None
        self._make = make
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
        self._layout = QGridLayout(self)
        self._layout.setContentsMargins(0, 6, 0, 0)
        self._layout.setVerticalSpacing(4)
        self._layout.addWidget(self.button, 0, 0)
        self._layout.addWidget(self.note, 0, 1)
        self._layout.setColumnStretch(1, 1)
        self.button.setChecked(opened)
        self.retheme()

    def build(self) -> None:
        """Make what is below, where it was never opened."""
        if self.inside is None:
            self.inside = self._make()
            order = [self.button, *_focus_chain(self.inside)]
            self._layout.addWidget(self.inside, 1, 0, 1, 2)
            self.inside.setVisible(self.button.isChecked())
            for before, after in pairwise(order):
                QWidget.setTabOrder(before, after)

    def _show(self, opened: bool) -> None:
        if opened:
            self.build()
        if self.inside is not None:
            self.inside.setVisible(opened)
        self.retheme()

    def retheme(self) -> None:
        """Take the icon of the theme."""
        self.button.setIcon(theme.icon("less" if self.button.isChecked() else "more", "muted"))


def _focus_chain(top: QWidget) -> list[QWidget]:
    """What takes the focus in a part that is in no window yet, in the order of the Tab key."""
    chain: list[QWidget] = []
    widget = top.nextInFocusChain()
    while widget is not None and widget is not top:
        if widget.focusPolicy() != Qt.FocusPolicy.NoFocus:
            chain.append(widget)
        widget = widget.nextInFocusChain()
    return chain


def keep_space(widget: QWidget) -> QSizePolicy:
    """The widget's size policy, with its place kept while it is hidden."""
    policy = widget.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    return policy
