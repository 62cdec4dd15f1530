"""The row to search the documents with: the words, how often they stand where, the hit before and the next."""

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QWidget

from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.widgets.buttons import text
from gui.widgets.search_box import SearchBox

_WIDTHS = 130, 240  # pixels that the box takes at least and at most
_STEPS = (
    ("previous", -1, "up", QT_TR_NOOP("The hit before"), QKeySequence.StandardKey.FindPrevious),
    ("next", 1, "down", QT_TR_NOOP("The next hit"), QKeySequence.StandardKey.FindNext),
)


class SearchRow(QWidget):
    """Find (Ctrl+F) puts the cursor into it from anywhere in the window that it stands in.

    Args:
        window: in which its keys count.

    Signals:
        changed: other words are searched for.
        stepped: 1 for the next hit, −1 for the one before.
    """

    changed = Signal()
    stepped = Signal(int)

    def __init__(self, window: QWidget):
        super().__init__()
        self.box = SearchBox("help-search", tr("Search guide and reference"), tr("Search"))
        self.box.setToolTip(tr("Guide and reference: Enter for the next hit, Shift+Enter for the one before"))
        self.box.setMinimumWidth(_WIDTHS[0])
        self.box.setMaximumWidth(_WIDTHS[1])
        self.box.textChanged.connect(lambda _words: self.changed.emit())
        self.box.returnPressed.connect(lambda: self.stepped.emit(1))
        self.count: QLabel = text("", "muted")
        self.count.setObjectName("help-found")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addStretch(1)
        row.addWidget(self.count)
        row.addWidget(self.box, 1000)  # all the room that it may have
        self.buttons: dict[str, QToolButton] = {}
        for name, step, _icon, words, key in _STEPS:
            row.addWidget(self._button(name, step, tr(words), key))
            QShortcut(key, window).activated.connect(lambda step=step: self.stepped.emit(step))
        QShortcut(QKeySequence.StandardKey.Find, window).activated.connect(self.start)
        back = QShortcut(QKeySequence("Shift+Return"), self.box)
        back.setContext(Qt.ShortcutContext.WidgetShortcut)
        back.activated.connect(lambda: self.stepped.emit(-1))
        self.retheme()

    def _button(self, name: str, step: int, words: str, key: QKeySequence.StandardKey) -> QToolButton:
        button = QToolButton()
        button.setObjectName(f"help-{name}")
        button.setAccessibleName(words)
        button.setToolTip(f"{words}  ({QKeySequence(key).toString()})")
        button.setIconSize(QSize(18, 18))
        button.clicked.connect(lambda: self.stepped.emit(step))
        self.buttons[name] = button
        return button

    @property
    def words(self) -> str:
        """What is searched for."""
        return self.box.text().strip()

    def start(self) -> None:
        """Put the cursor into the box; typing replaces the words."""
        self.box.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.box.selectAll()

    def show_count(self, number: int, count: int, elsewhere: str) -> None:
        """Which hit of how many is shown, from 1 on; `elsewhere` says where else there are some."""
        here = tr("{number} of {count}", number=number, count=count)
        if not number:
            here = tr("Found: {count}", count=count)
        if not count:
            here = "" if elsewhere else tr("Not found")
        self.count.setText(" · ".join(part for part in (here, elsewhere) if part) if self.words else "")
        for button in self.buttons.values():
            button.setEnabled(bool(self.words and (count or elsewhere)))

    def retheme(self) -> None:
        for name, _step, icon, _words, _key in _STEPS:
            self.buttons[name].setIcon(theme.icon(icon))
