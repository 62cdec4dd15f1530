"""One line for work under way: what it does, how far it is, and a button that stops it."""

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from gui.base.translation import tr
from gui.widgets.buttons import ElidedLabel
from gui.widgets.focus_keeper import FocusKeeper

_LATE_MS = 300


class ProgressLine(QWidget):
    """Hidden while nothing goes on.

    Signals:
        stop_wanted: give it up.
    """

    stop_wanted = Signal()

    def __init__(self, name: str, label: str):
        super().__init__()
        self.setObjectName(f"{name}-working")
        self.words = ElidedLabel()
        self.words.setProperty("role", "muted")
        self.bar = QProgressBar()
        self.bar.setObjectName(f"{name}-progress")
        self.bar.setAccessibleName(label)
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(220)
        self.stop = QPushButton(tr("Cancel"))
        self.stop.setObjectName(f"{name}-cancel")
        self.stop.clicked.connect(self.stop_wanted)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        row.addWidget(self.words, 1)
        row.addWidget(self.bar)
        row.addWidget(self.stop)
        self._late = QTimer(self)  # short work needs no line
        self._late.setSingleShot(True)
        self._late.setInterval(_LATE_MS)
        self._late.timeout.connect(self._appear)
        self._keyboard = FocusKeeper(self.stop)
        self.end()

    def begin(self, words: str) -> None:
        """Work begins; it is shown when it takes longer than a moment.

        Called before the work disables anything: what has the focus has it back at the end.
        """
        self.show_progress(0.0, words)
        self._keyboard.begin()
        QTimer.singleShot(0, self, self._keyboard.settle)
        if not self.isVisible():
            self._late.start()

    def show_progress(self, fraction: float, words: str) -> None:
        """Show how far it is."""
        self.words.setText(f"{words} …")
        self.bar.setValue(round(fraction * 1000))

    def _appear(self) -> None:
        self.show()
        self._keyboard.appear()

    def end(self) -> None:
        """Nothing goes on any more."""
        self._keyboard.end()
        self._late.stop()
        self.hide()
        self.bar.setValue(0)
