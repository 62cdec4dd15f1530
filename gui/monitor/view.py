"""The monitor: curves, the run's stages, progress, log; buttons that steer the run."""

from html import escape

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QTextCursor
from PySide6.QtWidgets import (  # fmt: skip
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QSplitter,
    QStackedLayout,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from gui import theme
from gui.monitor.curves import Curves
from gui.monitor.stage_table import StageTable
from gui.monitor.state import LogLine, RunState, time_left
from gui.widgets.buttons import ActionButton, Empty, Header, card, text
from gui.widgets.throttle import Throttle

_REDRAW_MS = 100


class MonitorView(QWidget):
    """Shows a `RunState` that somebody else keeps up to date."""

    def __init__(self, run: QAction, resume: QAction, pause: QAction, finish: QAction, stop: QAction):
        super().__init__()
        self.setObjectName("place-monitor")
        self.state = RunState()
        self._logged = 0
        self.throttle = Throttle(self._redraw, _REDRAW_MS, self)
        self.header = Header(
            "Monitor",
            *(ActionButton(action) for action in (pause, finish, stop, resume)),
            ActionButton(run, primary=True),
        )
        self.curves, self.stages, self.log = Curves(), StageTable(), self._make_log()
        self.bar = QProgressBar()
        self.bar.setObjectName("run-progress")
        self.bar.setAccessibleName("Progress of the run")
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.percent, self.left, self.phase = text(), text("", "muted"), text("", "muted")
        self.empty = Empty(
            "monitor",
            "No run yet",
            "Press Run to train, compress and measure every stage of the pipeline. "
            "Its curves, progress and log appear here.",
            ActionButton(run, primary=True),
        )
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addLayout(self._progress())
        column.addWidget(self._panes(), 1)
        self._stack = QStackedLayout()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 16, 22, 14)
        layout.setSpacing(10)
        layout.addWidget(self.header)
        layout.addLayout(self._stack, 1)
        self._redraw()

    def _make_log(self) -> QTextEdit:
        log = QTextEdit()
        log.setObjectName("log")
        log.setAccessibleName("Log of the run")
        log.setReadOnly(True)
        log.document().setMaximumBlockCount(5000)
        log.setStyleSheet("QTextEdit { border: none; }")
        log.setTabChangesFocus(True)
        return log

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
        inside.addWidget(self.curves)
        side = QSplitter(Qt.Orientation.Vertical)
        side.setObjectName("monitor-side")
        side.setHandleWidth(12)
        side.setChildrenCollapsible(False)
        side.addWidget(_titled("Stages", self.stages))
        side.addWidget(_titled("Log", self.log))
        side.setSizes([340, 240])
        splitter = QSplitter()
        splitter.setObjectName("monitor-splitter")
        splitter.setChildrenCollapsible(False)
        splitter.setHandleWidth(12)
        splitter.addWidget(plots)
        splitter.addWidget(side)
        splitter.setSizes([740, 380])
        splitter.setStretchFactor(0, 1)
        side.setMinimumWidth(300)
        return splitter

    def show_state(self, state: RunState, steered: str) -> None:
        """Show `state`; `steered` is "paused", "stopping" or empty."""
        if state is not self.state:
            self.state, self._logged = state, 0
            self.log.clear()
        self._steered = steered
        if state.measuring and not self.throttle.held:
            self.throttle.call()
            self._redraw()
            self.throttle.hold()
        elif not state.measuring and self.throttle.held:
            self.throttle.release()
        self._show_progress()
        self.throttle.call()

    def retheme(self) -> None:
        self.curves.retheme()
        self.stages.retheme()
        self.log.clear()
        self._logged = 0
        self._redraw()

    _steered = ""

    def _show_progress(self) -> None:
        state = self.state
        self._stack.setCurrentIndex(1 if state.stages else 0)
        self.percent.setText(f"{state.fraction * 100:.0f} %")
        self.bar.setValue(round(state.fraction * 1000))
        words = {"paused": "Paused; Resume goes on", "stopping": "Stopping after the current step …"}
        left = words.get(self._steered) or time_left(state.seconds_left)
        self.left.setText(left)
        self.left.setVisible(bool(left))
        about = f"{state.run} · {state.phase}" if state.phase else state.run
        if state.measuring:
            about += " · the curves stand still so that nothing disturbs the measurement"
        self.header.show_texts(state.pipeline or "Monitor", about or "Nothing has run yet.")

    def _redraw(self) -> None:
        self._show_progress()
        self.stages.show_state(self.state)
        self.curves.redraw(self.state)
        fresh = self.state.log[self._logged :]
        self._logged = len(self.state.log)
        if fresh:
            self._append(fresh)

    def _append(self, lines: list[LogLine]) -> None:
        c = theme.colours()
        bar = self.log.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 4
        cursor = QTextCursor(self.log.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        for item in lines:
            stage = self.state.stages.get(item.stage)
            name = f'<span style="color:{c.muted}">{escape(stage.name)}:</span> ' if stage else ""
            mark = {"warning": ("⚠ Warning: ", c.warning), "error": ("✖ Failed: ", c.bad)}.get(
                item.level, ("", c.text)
            )
            if not self.log.document().isEmpty():
                cursor.insertBlock()
            cursor.insertHtml(f'{name}<span style="color:{mark[1]}">{mark[0]}{escape(item.text)}</span>')
        if at_end:
            bar.setValue(bar.maximum())


def _titled(title: str, inside: QWidget) -> QWidget:
    frame = card()
    column = QVBoxLayout(frame)
    column.setContentsMargins(1, 10, 1, 4)
    column.setSpacing(0)
    label: QLabel = text(title, "section")
    label.setContentsMargins(14, 0, 14, 4)
    column.addWidget(label)
    column.addWidget(inside, 1)
    return frame
