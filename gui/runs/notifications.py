"""A notification of the system when a run has ended and its window is not active."""

import shutil
import sys

from PySide6.QtCore import QObject, QProcess, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

from gui.base import theme

_UNSEEN = ("offscreen", "minimal")
_SHOWN_MS = 10_000
_PROGRAMS = (
    ("notify-send", "--app-name=Espalier", "--icon=espalier", "--expire-time={limit}", "{title}", "{words}"),
    ("gdbus", "call", "--session", "--dest=org.freedesktop.Notifications",
     "--object-path=/org/freedesktop/Notifications", "--method=org.freedesktop.Notifications.Notify",
     "Espalier", "0", "espalier", "{title}", "{words}", "[]", "@a{{sv}} {{}}", "{limit}"),
)  # fmt: skip


class Notifications(QObject):
    """Notifies through the system; on Linux by its own programs, elsewhere by an icon in the tray that goes away again."""

    def __init__(self, window: QWidget):
        super().__init__(window)
        self._window = window
        self._tray: QSystemTrayIcon | None = None

    def tell(self, title: str, words: str) -> None:
        """Notify, unless the person looks at the window anyway."""
        if self._window.isActiveWindow() or QGuiApplication.platformName() in _UNSEEN:
            return
        QApplication.alert(self._window)
        if sys.platform not in ("win32", "darwin") and self._by_program(title, words):
            return
        if QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages():
            self._by_tray(title, words)

    def _by_program(self, title: str, words: str) -> bool:
        """Whether one of the desktop's own programs takes the message."""
        for program, *arguments in _PROGRAMS:
            if shutil.which(program):
                filled = [part.format(title=title, words=words, limit=_SHOWN_MS) for part in arguments]
                return bool(QProcess.startDetached(program, filled)[0])
        return False

    def _by_tray(self, title: str, words: str) -> None:
        if self._tray is None:
            self._tray = QSystemTrayIcon(theme.app_icon(), self)
        self._tray.show()
        self._tray.showMessage(title, words, theme.app_icon(), _SHOWN_MS)
        QTimer.singleShot(_SHOWN_MS + 2000, self._tray, self._tray.hide)
