"""The window's size and the place of its splitters, kept from one time to the next."""

from PySide6.QtCore import QByteArray, QSettings, QSize
from PySide6.QtWidgets import QMainWindow, QSplitter

from gui.base.screen import resize_within_screen, room_for

_FIRST, _SMALLEST = (1280, 800), (900, 600)


def remember(window: QMainWindow) -> None:
    """Keep them."""
    settings = QSettings()
    settings.setValue("geometry", window.saveGeometry())
    for splitter in window.findChildren(QSplitter):
        settings.setValue(f"splitter/{splitter.objectName()}", splitter.saveState())


def restore(window: QMainWindow) -> None:
    """Take what was kept; the first time a size that fits the screen."""
    settings = QSettings()
    geometry = settings.value("geometry")
    window.setMinimumSize(QSize(*_SMALLEST).boundedTo(room_for(window)))
    if not (isinstance(geometry, QByteArray) and window.restoreGeometry(geometry)):
        resize_within_screen(window, *_FIRST)
    for splitter in window.findChildren(QSplitter):
        state = settings.value(f"splitter/{splitter.objectName()}")
        if isinstance(state, QByteArray):
            splitter.restoreState(state)
