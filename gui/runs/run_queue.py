"""Runs that wait for their turn, and the list that shows them."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QSettings, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QListWidget, QPushButton, QToolButton, QVBoxLayout, QWidget

from core.common.errors import EspalierError
from core.common.logs import in_a_line
from core.document import pipeline as documents
from core.document.data_axis import per_data_set
from core.document.pipeline import Pipeline
from core.runs.series import new_series
from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import card, text

_log = logging.getLogger(__name__)

_KEY = "queue"


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A pipeline on one data set as it was when it was queued, where its relative paths start, and its series."""

    pipeline: Pipeline
    base: Path
    series: str = ""


def runs_of(pipeline: Pipeline, base: Path) -> list[QueuedRun]:
    """What a document is run as: one run, or one for each of its data sets."""
    series = new_series(pipeline)
    return [QueuedRun(one, base, series) for one in per_data_set(pipeline)]


class RunQueue(QObject):
    """First in, first out, unless a person reorders; remembered when the window closes.

    Signals:
        changed: other entries, or another order.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self.entries: list[QueuedRun] = _remembered()

    def add(self, *runs: QueuedRun) -> int:
        """Put runs at the end; how many wait now."""
        self.entries += runs
        self._store()
        return len(self.entries)

    def add_first(self, *runs: QueuedRun) -> None:
        """Put runs before all others: they belong to the one that has just begun."""
        self.entries[:0] = runs
        self._store()

    def remove(self, index: int) -> None:
        self.entries.pop(index)
        self._store()

    def move(self, index: int, by: int) -> int:
        """Move an entry up (−1) or down (1); where it is then."""
        target = min(max(0, index + by), len(self.entries) - 1)
        self.entries.insert(target, self.entries.pop(index))
        self._store()
        return target

    def take_first(self) -> QueuedRun | None:
        """The next one, which waits no longer."""
        if not self.entries:
            return None
        first = self.entries.pop(0)
        self._store()
        return first

    def _store(self) -> None:
        entries = [[documents.dumps(one.pipeline), str(one.base), one.series] for one in self.entries]
        QSettings().setValue(_KEY, json.dumps(entries))
        self.changed.emit()


def _remembered() -> list[QueuedRun]:
    """What waited when the window was closed; what cannot be read any more is left out."""
    waiting = []
    try:
        for content, base, *series in json.loads(str(QSettings().value(_KEY, "[]"))):
            waiting.append(QueuedRun(documents.loads(content), Path(base), *series))
    except (ValueError, TypeError, EspalierError) as error:
        _log.warning("What waited in the queue cannot all be read: %s", in_a_line(error))
    return waiting


class QueuePane(QWidget):
    """The waiting runs; there only while some wait.

    Args:
        start: starts the first one now.
    """

    def __init__(self, queue: RunQueue, start: Callable[[], None]):
        super().__init__()
        self.setObjectName("queue-pane")
        self._queue = queue
        self.list = _List(self._remove)
        self.start = QPushButton(tr("Start next"))
        self.start.setObjectName("queue-start")
        self.start.setToolTip(tr("Start the first waiting run"))
        self.start.clicked.connect(lambda: start())
        self.up, self.down, self.off = (
            _tool(name, words)
            for name, words in (
                ("up", tr("Move up")),
                ("down", tr("Move down")),
                ("remove", tr("Remove from the queue")),
            )
        )
        self.up.clicked.connect(lambda: self._move(-1))
        self.down.clicked.connect(lambda: self._move(1))
        self.off.clicked.connect(self._remove)
        row = QHBoxLayout()
        row.setContentsMargins(14, 0, 8, 0)
        row.setSpacing(4)
        self.title = text(tr("Waiting"), "section")
        row.addWidget(self.title)
        row.addStretch(1)
        for button in (self.up, self.down, self.off, self.start):
            row.addWidget(button)
        frame = card()
        inside = QVBoxLayout(frame)
        inside.setContentsMargins(1, 6, 1, 4)
        inside.setSpacing(2)
        inside.addLayout(row)
        inside.addWidget(self.list)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        self._idle = True
        queue.changed.connect(self._fill)
        self.list.currentRowChanged.connect(lambda _row: self._enable())
        self.retheme()
        self._fill()

    def show_idle(self, idle: bool) -> None:
        """Whether a run could start now."""
        self._idle = idle
        self._enable()

    def retheme(self) -> None:
        for button, name in ((self.up, "up"), (self.down, "down"), (self.off, "remove")):
            button.setIcon(theme.icon(name))

    def _fill(self) -> None:
        row = self.list.currentRow()
        self.list.clear()
        names = [one.pipeline.name for one in self._queue.entries]
        self.list.addItems([f"{number}.  {name}" for number, name in enumerate(names, 1)])
        self.list.setCurrentRow(min(max(row, 0), len(names) - 1))
        self.title.setText(tr("Waiting runs: {count}", count=len(names)))
        self.setVisible(bool(names))
        height = self.list.sizeHintForRow(0) if names else 0
        self.list.setFixedHeight(min(len(names), 4) * max(height, 20) + 6)
        self._enable()

    def _enable(self) -> None:
        row, count = self.list.currentRow(), self.list.count()
        self.up.setEnabled(row > 0)
        self.down.setEnabled(0 <= row < count - 1)
        self.off.setEnabled(row >= 0)
        self.start.setEnabled(self._idle and count > 0)
        self.start.setVisible(self._idle)

    def _move(self, by: int) -> None:
        self.list.setCurrentRow(self._queue.move(self.list.currentRow(), by))

    def _remove(self) -> None:
        if self.list.currentRow() >= 0:
            self._queue.remove(self.list.currentRow())


class _List(QListWidget):
    def __init__(self, remove: Callable[[], None]):
        super().__init__()
        self.setObjectName("queue-list")
        self.setAccessibleName(tr("Runs that wait"))
        self.setStyleSheet("QListWidget { border: none; }")
        self._remove = remove

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Delete:
            self._remove()
        else:
            super().keyPressEvent(event)


def _tool(name: str, words: str) -> QToolButton:
    button = QToolButton()
    button.setObjectName(f"queue-{name}")
    button.setToolTip(words)
    button.setAccessibleName(words)
    return button
