"""The window's size and the place of its splitters, kept from one time to the next."""

from PySide6.QtCore import QByteArray, QSettings, QSize
from PySide6.QtWidgets import QMainWindow, QSplitter

_FIRST, _SMALLEST = (1280, 800), (900, 600)
_MOST = 0.9  # of the screen: its panels and the window's frame need room, too


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
    room = window.screen().availableSize()
    window.setMinimumSize(QSize(*_SMALLEST).boundedTo(room * _MOST))
    if not (isinstance(geometry, QByteArray) and window.restoreGeometry(geometry)):
        window.resize(QSize(*_FIRST).boundedTo(room * _MOST))
    for splitter in window.findChildren(QSplitter):
        state = settings.value(f"splitter/{splitter.objectName()}")
        if isinstance(state, QByteArray):
            splitter.restoreState(state)
