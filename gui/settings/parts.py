"""What the pages of the settings are put together from."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QGridLayout, QScrollArea, QVBoxLayout, QWidget

from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.combo import Combo


class SettingsPage(QScrollArea):
    """A heading and rows of label, widget and help."""

    def __init__(self, name: str, title: str, about: str = ""):
        super().__init__()
        self.setObjectName(f"settings-{name}")
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        page = QWidget()
        page.setProperty("role", "page")
        self.column = QVBoxLayout(page)
        self.column.setContentsMargins(4, 2, 12, 8)
        self.column.setSpacing(12)
        self.column.addWidget(text(title, "heading"))
        if about:
            self.column.addWidget(text(about, "muted", wrap=True))
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(18)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(1, 1)
        self.column.addLayout(self._grid)
        self.setWidget(page)

    def row(self, label: str, widget: QWidget, help: str = "") -> None:
        """A labelled widget with a sentence below."""
        row = self._grid.rowCount()
        words = text(label)
        words.setBuddy(widget)
        if not widget.accessibleName():
            widget.setAccessibleName(label)
        widget.setAccessibleDescription(help)
        self._grid.addWidget(words, row, 0, Qt.AlignmentFlag.AlignVCenter)
        self._grid.addWidget(widget, row, 1, Qt.AlignmentFlag.AlignLeft)
        self._grid.addWidget(text(help, "help", wrap=True), row + 1, 1)
        self._grid.setRowMinimumHeight(row + 1, 26)

    def end(self) -> None:
        """What comes stays at the top."""
        self.column.addStretch(1)


def size(count: float) -> str:
    """Bytes for people: "0 MB", "12.3 MB", "4.56 GB"."""
    if count >= 1e9:
        return f"{count / 1e9:.2f} GB"
    return f"{count / 1e6:.1f} MB" if count else "empty"


def choice(name: str, words: tuple[tuple[str, str], ...], chosen: str) -> QComboBox:
    """A box of values with their words, standing at `chosen`."""
    box = Combo(name)
    for value, title in words:
        box.addItem(tr(title), value)
    box.setCurrentIndex(max(0, box.findData(chosen)))
    return box
