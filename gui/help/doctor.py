"""Checking this installation: every check in a line, to copy into a report."""

from typing import Any

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from core.common.control import RunControl
from core.doctor.checks import Examination, examine
from gui.base import theme
from gui.base.screen import resize_within_screen
from gui.base.translation import QT_TR_NOOP, tr
from gui.base.worker import Failure, Say, Worker
from gui.widgets.buttons import text

_WORDS = {
    "good": ("done", "good", QT_TR_NOOP("Good")),
    "warning": ("warning", "warning", QT_TR_NOOP("Limited")),
    "absent": ("info", "muted", QT_TR_NOOP("Not there")),
    "bad": ("error", "bad", QT_TR_NOOP("Bad")),
}


class DoctorDialog(QDialog):
    """Begins to check when it is made; `worker` outlives it."""

    def __init__(self, parent: QWidget | None, worker: Worker):
        super().__init__(parent)
        theme.style(self)
        self.setObjectName("doctor")
        self.setWindowTitle(tr("Check this installation"))
        resize_within_screen(self, 860, 560)
        self._worker = worker
        self.examination: Examination | None = None
        self.heading = text(tr("Checking …"), "heading")
        self.heading.setObjectName("doctor-heading")
        self.now = text("", "muted")
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Checking"))
        self.table = QTableWidget(0, 3)
        self.table.setObjectName("doctor-checks")
        self.table.setAccessibleName(tr("Checks"))
        self.table.setHorizontalHeaderLabels(["", tr("Check"), tr("Found")])
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setShowGrid(False)
        self.table.setWordWrap(True)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        self.copy, close = QPushButton(tr("Copy")), QPushButton(tr("Close"))
        self.copy.setObjectName("doctor-copy")
        self.copy.setToolTip(tr("Copy the report, for a bug report"))
        self.copy.clicked.connect(self._copy)
        self.copy.setEnabled(False)
        close.setObjectName("doctor-close")
        close.setDefault(True)
        close.clicked.connect(self.accept)
        row = QHBoxLayout()
        row.addWidget(self.copy)
        row.addStretch(1)
        row.addWidget(close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 16)
        layout.setSpacing(10)
        for widget in (self.heading, self.now, self.bar):
            layout.addWidget(widget)
        layout.addWidget(self.table, 1)
        layout.addLayout(row)
        self._start()

    def _start(self) -> None:
        worker = self._worker
        worker.happened.connect(self._say)
        worker.completed.connect(self.show_examination)
        worker.stopped.connect(self.reject)
        worker.failed.connect(self._failed)
        self.finished.connect(lambda _result: self._leave())
        if not worker.running:
            worker.start(tr("checking the installation"), _job)

    def _leave(self) -> None:
        worker = self._worker
        worker.stop()
        for signal, slot in (
            (worker.happened, self._say), (worker.completed, self.show_examination),
            (worker.stopped, self.reject), (worker.failed, self._failed),
        ):  # fmt: skip
            signal.disconnect(slot)

    def _say(self, names: list[str]) -> None:
        self.now.setText(tr("Looking at: {names}", names=names[-1]))

    def _failed(self, failure: Failure) -> None:
        self.heading.setText(failure.message)
        self.now.setText(failure.advice)
        self.bar.hide()

    def show_examination(self, examination: Examination) -> None:
        """Show the checks, the bad ones first."""
        self.examination = examination
        self.bar.hide()
        self.now.hide()
        bad, limited = (sum(c.state == state for c in examination.checks) for state in ("bad", "warning"))
        self.heading.setText(
            tr(
                "{bad} of {count} checks found something that will not work.",
                bad=bad,
                count=len(examination.checks),
            )
            if bad
            else tr("Everything works; checks that found a limit: {count}.", count=limited)
            if limited
            else tr("Everything works.")
        )
        order = {"bad": 0, "warning": 1, "good": 2, "absent": 3}
        checks = sorted(examination.checks, key=lambda check: order[check.state])
        self.table.setRowCount(len(checks))
        for row, check in enumerate(checks):
            icon, colour, words = _WORDS[check.state]
            lines = f"{check.found}\n→ {check.advice}" if check.advice else check.found
            cells = (
                QTableWidgetItem(theme.icon(icon, colour), tr(words)),
                QTableWidgetItem(check.name),
                QTableWidgetItem(lines),
            )
            for column, cell in enumerate(cells):
                cell.setToolTip(lines)
                self.table.setItem(row, column, cell)
        self.table.resizeRowsToContents()
        self.copy.setEnabled(True)

    def _copy(self) -> None:
        if self.examination is not None:
            QGuiApplication.clipboard().setText(self.examination.as_text())


def _job(control: RunControl, say: Say) -> Any:
    def tell(name: str) -> None:
        control.checkpoint()
        say(name)

    return examine(tell)
