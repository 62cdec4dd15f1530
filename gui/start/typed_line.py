"""A line that a path is typed or pasted into: it is looked at when a person pauses, or leaves it."""

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QLineEdit

_PAUSE_MS = 600  # of typing, after which the text is looked at


class TypedLine(QLineEdit):
    """Nobody has to press Enter; Enter, Tab and a pause do the same.

    Attributes:
        in_typing: whether the newest `settled` came of a pause, so that who types goes on in the line.

    Signals:
        settled: the text is to be looked at; it may be the one from before.
    """

    settled = Signal()

    def __init__(self, name: str, label: str):
        super().__init__()
        self.setObjectName(name)
        self.setAccessibleName(label)
        self.setAcceptDrops(False)  # what is dropped is taken as a whole, by the dialog
        self.in_typing = False
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(lambda: self._settle(True))
        self.textEdited.connect(lambda _text: self._pause.start())
        self.editingFinished.connect(lambda: self._settle(False))

    def take(self, words: str) -> None:
        """Look at this text."""
        self.setText(words)
        self._settle(False)

    def _settle(self, in_typing: bool) -> None:
        self._pause.stop()
        self.in_typing = in_typing
        self.settled.emit()
