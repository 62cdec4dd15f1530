"""Name, tags and notes of the chosen run, and what can be done with it."""

from dataclasses import replace

from PySide6.QtCore import QTimer, Signal, SignalInstance
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QWidget,
)

from core.runs.library import RunLine, parse_tags
from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import ElidedLabel, text

_PAUSE_MS = 600


class RunDetails(QFrame):
    """Shows one run; what a person writes is emitted when they pause or leave the field.

    Signals:
        edited: the run as it was, and its new name, tags and notes.
        open_wanted, reveal_wanted: with the run's folder.
        compare_wanted: the chosen runs shall stand side by side.
        delete_wanted: the chosen runs shall go.
    """

    edited = Signal(object, str, tuple, str)
    open_wanted = Signal(object)
    reveal_wanted = Signal(object)
    compare_wanted = Signal()
    delete_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("run-details")
        self.setProperty("role", "card")
        self.line: RunLine | None = None
        self.name, self.tags, self.notes = QLineEdit(), QLineEdit(), QPlainTextEdit()
        self.tags.setPlaceholderText(tr("baseline, to show, …"))
        self.notes.setPlaceholderText(tr("What this run was for, what it showed"))
        self.notes.setTabChangesFocus(True)
        self.notes.setFixedHeight(58)
        self.place = ElidedLabel()
        self.place.setProperty("role", "muted")
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self.flush)
        grid = QGridLayout(self)
        grid.setContentsMargins(14, 12, 14, 12)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(8)
        fields: tuple[tuple[str, QWidget, int, int], ...] = (
            (tr("Name"), self.name, 0, 0), (tr("Tags"), self.tags, 0, 2), (tr("Notes"), self.notes, 1, 0),
        )  # fmt: skip
        for title, field, row, column in fields:
            label = text(title, "muted")
            label.setBuddy(field)
            field.setObjectName(f"run-{title.lower()}")
            field.setAccessibleName(tr("{title} of the run", title=title))
            field.setAcceptDrops(False)  # what is dropped opens as a whole
            grid.addWidget(label, row, column)
            grid.addWidget(field, row, column + 1, 1, 3 if row else 1)
        grid.setColumnStretch(1, 3)
        grid.setColumnStretch(3, 2)
        grid.addLayout(self._buttons(), 2, 0, 1, 4)
        self.name.textEdited.connect(lambda _text: self._timer.start())
        self.tags.textEdited.connect(lambda _text: self._timer.start())
        self.notes.textChanged.connect(self._timer.start)
        self.name.editingFinished.connect(self.flush)
        self.tags.editingFinished.connect(self.flush)
        self.show_choice([])

    def _buttons(self) -> QHBoxLayout:
        self.open, self.compare, self.reveal, self.delete = (
            QPushButton(tr("Open")),
            QPushButton(tr("Compare")),
            QPushButton(tr("Show in folder")),
            QPushButton(tr("Delete")),
        )
        self.open.setToolTip(tr("Show its results and its pipeline"))
        self.compare.setToolTip(tr("Show the chosen runs side by side; Ctrl and Shift choose several"))
        self.reveal.setToolTip(tr("Show the run's folder in the file manager"))
        row = QHBoxLayout()
        row.setSpacing(8)
        for button, name in (
            (self.open, "run-open"),
            (self.compare, "run-compare"),
            (self.reveal, "run-reveal"),
            (self.delete, "run-delete"),
        ):
            button.setObjectName(name)
            row.addWidget(button)
        row.insertWidget(3, self.place, 1)
        self.open.clicked.connect(lambda: self._tell(self.open_wanted))
        self.compare.clicked.connect(self.compare_wanted)
        self.reveal.clicked.connect(lambda: self._tell(self.reveal_wanted))
        self.delete.clicked.connect(self.delete_wanted)
        return row

    def _tell(self, signal: SignalInstance) -> None:
        if self.line is not None:
            signal.emit(self.line.folder)

    def show_choice(self, lines: list[RunLine]) -> None:
        """Show the one chosen run; with several, only what can be done with all of them."""
        line = lines[0] if len(lines) == 1 else None
        same = line is not None and self.line is not None and line.folder == self.line.folder
        if same and self._timer.isActive():
            return  # who is writing is not interrupted by a list that was read again
        self.flush()
        self.line = line
        if line is not None and not (same and self._written() == (line.name, line.tags, line.notes)):
            self.name.setText(line.name)
            self.tags.setText(", ".join(line.tags))
            self.notes.setPlainText(line.notes)
        elif line is None:
            for field in (self.name, self.tags, self.notes):
                field.clear()
        self._timer.stop()
        for widget in (self.name, self.tags, self.notes, self.open, self.reveal):
            widget.setEnabled(line is not None and (line.status != "missing" or widget is self.notes))
        self.compare.setEnabled(bool(lines) and all(one.status not in ("missing", "new") for one in lines))
        self.delete.setEnabled(bool(lines))
        elsewhere = bool(lines) and all(one.elsewhere for one in lines)
        self.delete.setText(tr("Take off the list") if elsewhere else tr("Delete"))
        self.delete.setToolTip(
            tr("The folder itself stays where it is")
            if elsewhere
            else tr("Move to the trash; it can be put back  (Delete)")
        )
        words = (
            tr("{count} runs are chosen", count=len(lines))
            if len(lines) > 1
            else tr("Choose a run to name it and to write notes")
        )
        self.place.setText(str(line.folder) if line else words)

    def _written(self) -> tuple[str, tuple[str, ...], str]:
        return self.name.text().strip(), parse_tags(self.tags.text()), self.notes.toPlainText()

    def flush(self) -> None:
        """Emit at once what was written."""
        self._timer.stop()
        line = self.line
        if line is not None and self._written() != (line.name, line.tags, line.notes):
            name, tags, notes = self._written()
            self.line = replace(line, name=name, tags=tags, notes=notes)  # emitted once
            self.edited.emit(line, name, tags, notes)

    def retheme(self) -> None:
        self.open.setIcon(theme.icon("file"))
        self.compare.setIcon(theme.icon("compare"))
        self.reveal.setIcon(theme.icon("folder"))
        self.delete.setIcon(theme.icon("remove"))
