"""The window's size and the place of its splitters, kept from one time to the next."""

from PySide6.QtCore import QByteArray, QSettings
from PySide6.QtWidgets import QMainWindow, QSplitter


def remember(window: QMainWindow) -> None:
    """Keep them."""
    settings = QSettings()
    settings.setValue("geometry", window.saveGeometry())
    for splitter in window.findChildren(QSplitter):
        settings.setValue(f"splitter/{splitter.objectName()}", splitter.saveState())


def restore(window: QMainWindow) -> None:
    """Take what was kept; the first time a size that fits small screens."""
    settings = QSettings()
    geometry = settings.value("geometry")
    if not (isinstance(geometry, QByteArray) and window.restoreGeometry(geometry)):
        window.resize(1280, 800)
    for splitter in window.findChildren(QSplitter):
        state = settings.value(f"splitter/{splitter.objectName()}")
        if isinstance(state, QByteArray):
            splitter.restoreState(state)
