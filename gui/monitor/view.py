"""The monitor: curves, the run's stages, progress, queue, log, load; buttons that control the run."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.common.numbers import percent
from gui.base.translation import tr
from gui.monitor.curves import Curves
from gui.monitor.grid_strip import GridStrip
from gui.monitor.log_view import LogView
from gui.monitor.meters import Meters
from gui.monitor.stage_table import StageTable
from gui.runs.run_queue import QueuePane, RunQueue
from gui.runs.run_state import RunState
from gui.widgets.buttons import ActionButton, EmptyState, Header, card, text
from gui.widgets.narrow_layout import TurningSplitter
from gui.widgets.splitter import Splitter
from gui.widgets.throttle import Throttle

_REDRAW_MS = 100
_PLOTS, _LISTS = 460, 420  # pixels of height where they stand below each other


class MonitorView(QWidget):
    """Shows a `RunState` that the session keeps up to date."""

    def __init__(self, run: QAction, resume: QAction, pause: QAction, finish: QAction, stop: QAction):
        super().__init__()
        self.setObjectName("place-monitor")
        self.state = RunState()
        self._steered = ""
        self.throttle = Throttle(self._redraw, _REDRAW_MS, self)
        self.header = Header(
            tr("Monitor"),
            *(ActionButton(action) for action in (pause, finish, stop, resume)),
            ActionButton(run, primary=True),
        )
        self.curves, self.stages, self.log, self.meters = Curves(), StageTable(), LogView(), Meters()
        self.grid = GridStrip()
        self.queue: QueuePane | None = None
        self.bar = QProgressBar()
        self.bar.setObjectName("run-progress")
        self.bar.setAccessibleName(tr("Progress of the run"))
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.percent, self.left = text(), text("", "muted")
        self.empty = EmptyState(
            "monitor",
            tr("No run yet"),
            tr(
                "Press Run to train, compress and measure every stage of the pipeline. "
                "Its curves, progress and log appear here."
            ),
            ActionButton(run, primary=True),
        )
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addLayout(self._progress())
        column.addWidget(self._panes(), 1)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 16, 22, 14)
        layout.setSpacing(10)
        layout.addWidget(self.header)
        layout.addWidget(self._stack, 1)
        self._redraw()

    def attach_queue(self, queue: RunQueue, start: Callable[[], None]) -> None:
        """Show the runs that wait, above the log."""
        self.queue = QueuePane(queue, start)
        self._side.insertWidget(0, self.queue)

    def _progress(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(12)
        self.percent.setMinimumWidth(44)
        row.addWidget(self.percent)
        row.addWidget(self.bar, 1)
        row.addWidget(self.left)
        return row

    def _panes(self) -> QWidget:
        plots = card()
        inside = QVBoxLayout(plots)
        inside.setContentsMargins(1, 1, 1, 1)
        inside.addWidget(self.curves, 1)
        inside.addWidget(self.grid)
        lists = Splitter(
            "monitor-side",
            _framed(_titled(tr("Stages")), self.stages),
            _framed(None, self.log),
            orientation=Qt.Orientation.Vertical,
        )
        lists.setSizes([300, 240])
        side = QWidget()
        self._side = QVBoxLayout(side)
        self._side.setContentsMargins(0, 0, 0, 0)
        self._side.setSpacing(12)
        self._side.addWidget(lists, 1)
        self._side.addWidget(self.meters)
        side.setMinimumWidth(320)
        splitter = TurningSplitter("monitor-splitter", plots, side, heights=(_PLOTS, _LISTS))
        splitter.setSizes([740, 380])
        splitter.setStretchFactor(0, 1)
        return splitter

    def show_state(self, state: RunState, steered: str) -> None:
        """Show `state`; `steered` is "running", "paused", "finishing", "stopping" or "idle"."""
        self.state, self._steered = state, steered
        if state.measuring and not self.throttle.held:
            self.throttle.call()
            self._redraw()
            self.throttle.hold()
        elif not state.measuring and self.throttle.held:
            self.throttle.release()
        elif state.measuring:
            self.stages.show_state(state, self._paused)  # a word or two; what is costly to draw waits
        self.meters.hold(state.measuring)
        if self.queue is not None:
            self.queue.show_idle(steered == "idle")
        self._show_progress()
        self.throttle.call()

    def retheme(self) -> None:
        for part in (self.curves, self.grid, self.stages, self.log):
            part.retheme()
        if self.queue is not None:
            self.queue.retheme()
        self._redraw()

    @property
    def _paused(self) -> bool:
        return self._steered == "paused"

    def _show_progress(self) -> None:
        state = self.state
        waiting = self.queue is not None and self.queue.list.count() > 0
        begun = self._steered not in ("", "idle")
        self._stack.setCurrentIndex(1 if state.stages or waiting or begun else 0)
        self.percent.setText(percent(state.fraction))
        self.bar.setValue(round(state.fraction * 1000))
        words = {
            "paused": tr("Paused; Resume goes on"), "stopping": tr("Stopping after the current step …"),
            "finishing": tr("This stage ends after the epoch under way; its best epoch is kept"),
        }  # fmt: skip
        left = words.get(self._steered) or state.left
        if not left and self._steered == "running":
            left = tr("estimating …")
        self.left.setText(left)
        self.left.setVisible(bool(left))
        phase = tr("Paused") if self._paused else state.phase
        about = f"{state.run} · {phase}" if phase else state.run
        if state.measuring and not self._paused:
            about += tr(" · the curves stand still so that nothing disturbs the measurement")
        self.header.show_texts(
            state.pipeline or tr("Monitor"),
            about or (tr("Starting …") if begun else tr("Nothing has run yet.")),
        )

    def _redraw(self) -> None:
        self._show_progress()
        self.stages.show_state(self.state, self._paused)
        self.curves.redraw(self.state)
        self.grid.show_maps(self.state.grids)
        self.log.show_lines(self.state.log, self.state.stages)


def _titled(title: str) -> QLabel:
    label: QLabel = text(title, "section")
    label.setContentsMargins(14, 0, 14, 4)
    return label


def _framed(title: QWidget | None, inside: QWidget) -> QWidget:
    frame = card()
    column = QVBoxLayout(frame)
    column.setContentsMargins(1, 10 if title else 6, 1, 4)
    column.setSpacing(0)
    if title is not None:
        column.addWidget(title)
    column.addWidget(inside, 1)
    return frame
