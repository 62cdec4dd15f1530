"""The status bar: what happens, how far the run is, how long it takes, on which device."""

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QMainWindow, QProgressBar, QWidget

from core.common.numbers import percent
from gui.base import theme
from gui.base.translation import tr
from gui.runs.run_session import Session
from gui.widgets.buttons import ElidedLabel, text

_MESSAGE_MS = 8000


class StatusBar(QObject):
    """Fills a window's status bar."""

    def __init__(self, window: QMainWindow):
        super().__init__(window)
        self.bar = window.statusBar()
        theme.style(self.bar)
        self.bar.setObjectName("status")
        self.bar.setSizeGripEnabled(False)
        self.phase = ElidedLabel()
        self.phase.setObjectName("status-phase")
        self.progress = QProgressBar()
        self.progress.setObjectName("status-progress")
        self.progress.setAccessibleName(tr("Progress of the run"))
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedWidth(150)
        self._message = self._usual = ""
        self._step = self._message_step = 0
        self._timer = QTimer(window)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._forget)
        self.left, self.device = text(), text(tr("Loading the engine …"))
        self.left.setObjectName("status-left")
        self.device.setObjectName("status-device")
        self.bar.addWidget(_space(6))
        self.bar.addWidget(self.phase, 1)
        for widget in (self.progress, self.left, _space(8), self.device, _space(6)):
            self.bar.addPermanentWidget(widget)

    def say(self, sentence: str) -> None:
        """A sentence for a few seconds."""
        self._message, self._message_step = sentence, self._step
        self.phase.setText(sentence)
        self._timer.start(_MESSAGE_MS)

    def show_step(self, step: int) -> None:
        """The document's history is at this step; what was said at a later one, now undone, goes."""
        self._step = step
        if self._message and step < self._message_step:
            self._forget()

    def show(self, session: Session, modified: bool, problems: int) -> None:
        """The state of the run, or of the document while nothing runs."""
        state, running = session.state, session.steered != "idle"
        self.progress.setVisible(running)
        self.left.setVisible(running)
        self.progress.setValue(round(state.fraction * 1000))
        words = {"paused": tr("paused"), "stopping": tr("stopping …")}.get(session.steered)
        self.left.setText(f"{percent(state.fraction)} · {words or state.left or tr('estimating …')}")
        self._usual = self._words(session, modified, problems)
        self.phase.setText(self._message or self._usual)

    def _words(self, session: Session, modified: bool, problems: int) -> str:
        state = session.state
        if session.steered != "idle":
            stage = state.stages.get(state.current)
            phase = tr("Paused") if session.steered == "paused" else state.phase
            return " · ".join(part for part in (stage.name if stage else "", phase) if part) or tr(
                "Starting …"
            )
        if problems:
            return tr("Problems to solve before this pipeline can run: {count}", count=problems)
        if state.done is not None:
            return state.done.message
        return tr("Ready to run · unsaved changes") if modified else tr("Ready to run")

    def _forget(self) -> None:
        self._message = ""
        self.phase.setText(self._usual)

    def show_awake(self, words: str) -> None:
        """Whether the computer is kept from sleeping, as the tooltip of the run's progress."""
        for widget in (self.left, self.progress):
            widget.setToolTip(words)

    def show_device(self, words: str) -> None:
        self.device.setText(words)


def _space(width: int) -> QWidget:
    space = QWidget()
    space.setFixedWidth(width)
    return space
