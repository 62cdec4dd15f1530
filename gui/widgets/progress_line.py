"""One line for work under way: what it does, how far it is, and a button that stops it."""

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QApplication, QHBoxLayout, QProgressBar, QPushButton, QWidget
from shiboken6 import isValid

from gui.base.translation import tr
from gui.widgets.buttons import ElidedLabel

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
        self._late.timeout.connect(self.show)
        self._before: QWidget | None = None  # what had the focus when the work began
        self._passed_to: QWidget | None = None
        self.end()

    def begin(self, words: str) -> None:
        """Work begins; it is shown when it takes longer than a moment."""
        self.show_progress(0.0, words)
        if self._before is None:
            self._before = QApplication.focusWidget()
            QTimer.singleShot(0, self, self._notice)
        if not self.isVisible():
            self._late.start()

    def show_progress(self, fraction: float, words: str) -> None:
        """Show how far it is."""
        self.words.setText(f"{words} …")
        self.bar.setValue(round(fraction * 1000))

    def _notice(self) -> None:
        """Where Qt passed the focus on to, when what had it was disabled for the time of the work."""
        self._passed_to = QApplication.focusWidget()

    def _give_back(self) -> None:
        """The keyboard goes back to where it was, unless a person has gone elsewhere since."""
        before, passed_to = self._before, self._passed_to
        self._before = self._passed_to = None
        now = QApplication.focusWidget()
        stayed = now is None or now in (passed_to, self.stop)
        if before is not None and isValid(before) and stayed and before.isVisible() and before.isEnabled():
            before.setFocus(Qt.FocusReason.OtherFocusReason)

    def end(self) -> None:
        """Nothing goes on any more."""
        self._give_back()
        self._late.stop()
        self.hide()
        self.bar.setValue(0)
