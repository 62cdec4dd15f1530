"""Sizes of windows and dialogs that fit the screen."""

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QWidget

_MOST = 0.9  # of the screen: its panels and the window's frame need room, too


def room_for(window: QWidget) -> QSize:
    """The largest size that a window may begin with."""
    return window.screen().availableSize() * _MOST


def resize_within_screen(window: QWidget, width: int, height: int) -> None:
    """Give a window this size, or as much of it as the screen has room for."""
    window.resize(QSize(width, height).boundedTo(room_for(window)))
