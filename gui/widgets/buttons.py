"""Buttons that mirror an action, and the heading that every place begins with."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from gui.base import theme
from gui.widgets.narrow_layout import Flow, least_width, turn

_READABLE = 760  # pixels of a line of words
_GAP = 8
_TITLE = 160  # pixels that a title keeps beside the buttons


def as_written(words: str) -> str:
    """For a button or a menu: words of a person's own, in which an & marks no key."""
    return words.replace("&", "&&")


class ActionButton(QPushButton):
    """A push button that shows an action's text, icon, tooltip and state, and triggers it."""

    def __init__(self, action: QAction, primary: bool = False):
        """`primary`: what a person will want next, unless the action's property "secondary" says otherwise."""
        super().__init__()
        self.setObjectName(f"button-{action.objectName()}")
        self._action = action
        self._primary = primary
        self._shown = True
        self.clicked.connect(action.trigger)
        action.changed.connect(self._mirror)
        self._mirror()

    def _mirror(self) -> None:
        action = self._action
        self.setText(action.text().rstrip("…").replace("&", ""))
        self.setEnabled(action.isEnabled())
        if self._shown != action.isVisible():  # shown for itself, a widget without parent is a window
            self._shown = action.isVisible()
            self.setVisible(self._shown)
        primary = self._primary and not action.property("secondary")
        theme.mark(self, "primary", primary)
        icon = action.property("primary_icon") if primary and action.isEnabled() else None
        self.setIcon(icon or action.icon())
        shortcut = action.shortcut().toString()
        self.setToolTip(action.toolTip() + (f"  ({shortcut})" if shortcut else ""))
        self.setAccessibleName(action.text().replace("&", ""))
        self.setAccessibleDescription(action.toolTip())


class Header(QWidget):
    """Title and one line below on the left, buttons on the right."""

    def __init__(self, title: str, *buttons: QWidget):
        super().__init__()
        self.title = ElidedLabel(title)
        self.title.setProperty("role", "title")
        self.about = ElidedLabel()
        self.about.setProperty("role", "muted")
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addStretch(1)
        texts.addWidget(self.title)
        texts.addWidget(self.about)
        texts.addStretch(1)
        side = QWidget()
        self._side = buttons
        self._buttons = Flow(side, gap=_GAP)
        self._buttons.whole = True
        for button in buttons:
            self._buttons.addWidget(button)
        self._row = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(_GAP)
        self.setMinimumHeight(46)
        self._row.addLayout(texts, 1)
        self._row.addWidget(side, 0, Qt.AlignmentFlag.AlignVCenter)

    def fit(self, room: int) -> None:
        """The buttons below the title, in as many rows as they need, where there is no room beside it."""
        narrow = least_width(self._side, _GAP) + _TITLE > room
        self._buttons.whole = not narrow
        self._buttons.invalidate()
        turn(self._row, narrow)
        self._row.setAlignment(
            self._buttons.parentWidget(), Qt.AlignmentFlag(0) if narrow else Qt.AlignmentFlag.AlignVCenter
        )

    def show_texts(self, title: str, about: str) -> None:
        self.title.setText(title)
        self.about.setText(about)
        self.about.setVisible(bool(about))


class ElidedLabel(QLabel):
    """One line that ends in "…" where it does not fit; the whole text is its tooltip."""

    def __init__(self, text: str = ""):
        super().__init__()
        self._whole = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setMinimumWidth(40)
        self.setText(text)

    def setText(self, text: str) -> None:
        self._whole = " ".join(text.split())
        self.setToolTip(self._whole)
        self._elide()

    @property
    def whole(self) -> str:
        """The text as it was given."""
        return self._whole

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)  # type: ignore[arg-type]
        self._elide()

    def _elide(self) -> None:
        text = self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, max(40, self.width()))
        if text != self.text():
            super().setText(text)


def card(role: str = "card") -> QFrame:
    """A framed surface."""
    frame = QFrame()
    frame.setProperty("role", role)
    return frame


def line() -> QFrame:
    """A thin horizontal rule."""
    return card("line")


def text(words: str = "", role: str = "", wrap: bool = False) -> QLabel:
    """A label in one of the stylesheet's roles; names from files stay what they are, whatever they look like."""
    label = QLabel(words)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setProperty("role", role)
    label.setWordWrap(wrap)
    return label


class EmptyState(QWidget):
    """What an empty place says: what would be here, and what to do next."""

    def __init__(self, name: str, title: str, advice: str, button: QWidget | None = None):
        super().__init__()
        self.setObjectName(f"empty-{name}")
        layout = QVBoxLayout(self)
        layout.setSpacing(10)
        layout.addStretch(2)
        self.title, self.advice = text(title, "heading"), text(advice, "muted", wrap=True)
        for label in (self.title, self.advice):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            label.setMaximumWidth(_READABLE)
            row = QHBoxLayout()
            row.addStretch(1)
            row.addWidget(label, 1000)  # all of the width that it may have, in the middle of what there is
            row.addStretch(1)
            layout.addLayout(row)
        if button is not None:
            layout.addSpacing(6)
            layout.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)
