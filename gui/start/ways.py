"""The three ways in: the tour, images of one's own, a model of one's own."""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.widgets.buttons import text
from gui.widgets.narrow_layout import TurningRow

WAYS = (
    ("tour", "play", QT_TR_NOOP("Try the tour"),
     QT_TR_NOOP("A small network is trained, pruned and measured on images that come along: five minutes.")),
    ("images", "data", QT_TR_NOOP("My images"),
     QT_TR_NOOP("A folder, a zip file or a list of images: train a network on them and make it small.")),
    ("model", "network", QT_TR_NOOP("My ONNX model"),
     QT_TR_NOOP("Measure a classifier that you have, make it smaller, and see what that costs.")),
)  # fmt: skip
_BESIDE = 14 + 30 + 12 + 12  # pixels beside its words: margins, picture, gap
_LINES = 3


class WayButton(QPushButton):
    """A large button: a picture, a title, and what it leads to."""

    def __init__(self, name: str, icon: str, title: str, about: str):
        super().__init__()
        self.setObjectName(f"way-{name}")
        self.setProperty("role", "way")
        self.setAccessibleName(title)
        self.setAccessibleDescription(about)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self._icon, self._picture = icon, QLabel()
        self.title, self.about = text(title, "heading"), text(about, "muted", wrap=True)
        self.about.setAlignment(Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(3)
        words.addWidget(self.title)
        words.addWidget(self.about, 1)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 11, 12, 9)
        row.setSpacing(12)
        row.addWidget(self._picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        for label in (self._picture, self.title, self.about):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def sizeHint(self) -> QSize:
        high = self.title.sizeHint().height() + _LINES * self.about.fontMetrics().lineSpacing()
        return QSize(260, high + 28)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, self.sizeHint().height())

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        """All lines of its words."""
        words = self.about.heightForWidth(width - _BESIDE)
        return max(self.sizeHint().height(), self.title.sizeHint().height() + words + 28)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.setMinimumHeight(self.heightForWidth(event.size().width()))  # also where the page has no room

    def retheme(self) -> None:
        self._picture.setPixmap(theme.pixmap(self._icon, "accent", 30, self.devicePixelRatioF()))


class Ways(TurningRow):
    """The buttons in a row.

    Signals:
        chosen: "tour", "images" or "model".
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        self.buttons = {
            name: WayButton(name, icon, tr(title), tr(about)) for name, icon, title, about in WAYS
        }
        super().__init__(*self.buttons.values())
        for name, button in self.buttons.items():
            button.clicked.connect(partial(self.chosen.emit, name))

    def retheme(self) -> None:
        for button in self.buttons.values():
            button.retheme()


def path_row(line: QWidget, *buttons: tuple[str, str, Callable[[], None]]) -> QHBoxLayout:
    """A field for a path, and buttons (name, words, what they do) that pick one."""
    row = QHBoxLayout()
    row.setSpacing(8)
    row.addWidget(line, 1)
    for name, words, act in buttons:
        button = QPushButton(words)
        button.setObjectName(name)
        button.setAutoDefault(False)
        button.clicked.connect(lambda _=False, act=act: act())
        row.addWidget(button)
    return row
