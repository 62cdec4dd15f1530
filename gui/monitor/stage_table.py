"""The list of a run's stages: state as icon and as word, what it is doing, how far it is."""

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from core.common.durations import duration, time_left
from core.machine.measuring_lock import WAITING
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.runs.run_state import RunState, StageState
from gui.widgets.buttons import ElidedLabel, text

STATUS: dict[str, tuple[str, str, str]] = {
    "waiting": ("waiting", "muted", QT_TR_NOOP("Waiting")),
    "running": ("running", "accent", QT_TR_NOOP("Running")),
    "done": ("done", "good", QT_TR_NOOP("Done")),
    "cached": ("cached", "good", QT_TR_NOOP("From the cache")),
    "failed": ("error", "bad", QT_TR_NOOP("Failed")),
    "paused": ("pause", "accent", QT_TR_NOOP("Paused")),
    "stopped": ("pause", "warning", QT_TR_NOOP("Stopped")),
    "interrupted": ("warning", "warning", QT_TR_NOOP("Interrupted")),
}


class StageTable(QScrollArea):
    """One row a stage; rows are made once and then only change.

    Signals:
        inspect_wanted: the key of a finished stage to look into.
    """

    inspect_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("stage-states")
        self.setAccessibleName(tr("Stages of the run"))
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._rows: dict[str, _Row] = {}
        self._keys: list[str] = []
        self._fill()

    def _fill(self) -> None:
        page = QWidget()
        page.setProperty("role", "page")
        self._layout = QVBoxLayout(page)
        self._layout.setContentsMargins(14, 10, 14, 10)
        self._layout.setSpacing(12)
        self._rows = {}
        for key in self._keys:
            self._rows[key] = _Row(key)
            self._rows[key].inspect.triggered.connect(lambda _=False, key=key: self.inspect_wanted.emit(key))
            self._layout.addWidget(self._rows[key])
        self._layout.addStretch(1)
        self.setWidget(page)

    def show_state(self, state: RunState, paused: bool = False) -> None:
        """Show the stages as they are; `paused`: the one under way is held."""
        if list(state.stages) != self._keys:
            self._keys = list(state.stages)
            self._fill()
        for key, stage in state.stages.items():
            held = paused and stage.status == "running"
            self._rows[key].show_stage(stage, "paused" if held else stage.status)

    def texts(self) -> list[str]:
        """What the rows say."""
        return [row.spoken for row in self._rows.values()]

    def retheme(self) -> None:
        for row in self._rows.values():
            row.retheme()


class _Row(QWidget):
    def __init__(self, key: str) -> None:
        super().__init__()
        self.setObjectName(f"stage-state-{key}")
        self._shown: tuple[object, ...] = ()
        self._status = ""
        self.spoken = ""
        self.inspect = QAction(tr("&Inspect this stage"), self)
        self.inspect.setObjectName(f"inspect-stage-{key}")
        self.inspect.setEnabled(False)
        self.addAction(self.inspect)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self._icon = QLabel()
        self._icon.setFixedSize(QSize(22, 22))
        self._name = ElidedLabel()
        self._name.setStyleSheet("font-weight: 600;")
        self._state = text("", "muted")
        self._detail = ElidedLabel()
        self._detail.setProperty("role", "muted")
        self._bar = QProgressBar()
        self._bar.setRange(0, 1000)
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(tr("Progress of this stage"))
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(10)
        layout.setVerticalSpacing(3)
        layout.setColumnStretch(1, 1)
        layout.addWidget(self._icon, 0, 0)
        layout.addWidget(self._name, 0, 1)
        layout.addWidget(self._state, 0, 2, Qt.AlignmentFlag.AlignRight)
        layout.addWidget(self._detail, 1, 1, 1, 2)
        layout.addWidget(self._bar, 2, 1, 1, 2)

    def show_stage(self, stage: StageState, status: str) -> None:
        shown = (
            stage.name,
            status,
            stage.phase,
            round(stage.fraction * 1000),
            stage.epoch,
            stage.epochs,
            stage.best_epoch,
            round(stage.seconds_left or 0),
        )
        if shown == self._shown:
            return
        words = STATUS[status][2]
        if self._status != status:
            self._status = status
            self.retheme()
        self._shown = shown
        finished = status in ("done", "cached")
        self.inspect.setEnabled(finished)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus if finished else Qt.FocusPolicy.NoFocus)
        self.setToolTip(tr("Double-click to inspect this stage") if finished else "")
        self._name.setText(stage.name)
        self._state.setText(tr(words))
        detail = _detail(stage, status)
        self._detail.setText(detail)
        self._detail.setVisible(bool(detail))
        self._bar.setVisible(status in ("running", "paused"))
        self._bar.setValue(round(stage.fraction * 1000))
        self.spoken = ", ".join(part for part in (stage.name, words, detail) if part)
        self.setAccessibleName(self.spoken)

    def retheme(self) -> None:
        """Take the icon of the theme."""
        if self._status:
            icon, colour, _ = STATUS[self._status]
            self._icon.setPixmap(theme.pixmap(icon, colour, 20, self.devicePixelRatioF()))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.inspect.trigger()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.inspect.trigger()
            return
        super().keyPressEvent(event)


def _detail(stage: StageState, status: str) -> str:
    epochs = (
        tr("epoch {epoch} of {epochs}", epoch=stage.epoch, epochs=stage.epochs)
        if stage.epochs and stage.training
        else ""
    )
    best = (
        tr(
            "best epoch {best_epoch} ({best_value:.2f} %)",
            best_epoch=stage.best_epoch,
            best_value=stage.best_value,
        )
        if stage.best_epoch
        else ""
    )
    if status == "paused":
        return epochs
    if status == "running":
        left = "" if stage.phase.startswith(WAITING) else time_left(stage.seconds_left)
        return " · ".join(part for part in (stage.phase, epochs, left) if part)
    if status in ("done", "cached"):
        seconds = stage.report.get("seconds") or 0.0
        took = tr("took {time}", time=duration(seconds)) if seconds and status == "done" else ""
        return " · ".join(part for part in (best, took) if part)
    return " · ".join(part for part in (epochs, best) if part)
