"""The rail on the left: the places of the window."""

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QLabel, QToolButton, QVBoxLayout, QWidget

from gui.base import theme
from gui.base.actions import PLACES
from gui.base.translation import tr

_WIDTH, _GAP = 94, 2


class Rail(QWidget):
    """One button a place; the current one is marked by a bar, its ground and its weight."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("rail")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 14, 0, 12)
        layout.setSpacing(_GAP)
        mark = self._mark = QLabel()
        mark.setPixmap(theme.app_icon().pixmap(QSize(38, 38), self.devicePixelRatioF()))
        layout.addWidget(mark, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(8)
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self.buttons: dict[str, QToolButton] = {}
        for number, (place, name) in enumerate(PLACES, 1):
            title = tr(name)
            button = QToolButton()
            button.setObjectName(f"go-{place}")
            button.setProperty("rail", True)
            button.setText(title)
            button.setAccessibleName(title)
            button.setToolTip(f"{title}  (Ctrl+{number})")
            button.setCheckable(True)
            button.setIconSize(QSize(24, 24))
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda _=False, place=place: self.chosen.emit(place))
            self._group.addButton(button)
            self.buttons[place] = button
            layout.addWidget(button)
        layout.addStretch(1)
        self._fit()
        self.retheme()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._fit()

    def _fit(self) -> None:
        """Pictures above the names where there is room for them, else the names alone."""
        line = self.fontMetrics().height()
        tall, low, count = 34 + 2 * line, line + 17, len(self.buttons)
        whole = count * (tall + _GAP) + self._mark.sizeHint().height() + 34
        pictures = self.height() >= whole
        style = (
            Qt.ToolButtonStyle.ToolButtonTextUnderIcon if pictures else Qt.ToolButtonStyle.ToolButtonTextOnly
        )
        self._mark.setVisible(pictures)
        widest = max(self.fontMetrics().horizontalAdvance(b.text()) for b in self.buttons.values())
        width = max(_WIDTH, widest * 11 // 10 + 22)
        self.setFixedWidth(width)
        self.setMinimumHeight(count * (low + _GAP) + 30)
        for button in self.buttons.values():
            button.setToolButtonStyle(style)
            button.setFixedSize(width, tall if pictures else low)

    def show_place(self, place: str) -> None:
        """Mark the current place; where the keyboard is in the rail, it goes along, or two places would look chosen."""
        self.buttons[place].setChecked(True)
        focused = self.window().focusWidget()
        if focused is None or self.isAncestorOf(focused):
            self.buttons[place].setFocus()
        self.retheme()

    def retheme(self) -> None:
        for place, button in self.buttons.items():
            button.setIcon(theme.icon(place, "accent" if button.isChecked() else "muted"))
