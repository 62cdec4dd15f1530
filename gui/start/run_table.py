"""The table of runs: what can be chosen and opened in it, and how wide its columns are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from core.runs.final_figures import FinalFigures
from core.runs.library import RunLine
from gui.base.translation import tr
from gui.data.classes import turned
from gui.start.run_model import (
    DATA,
    LATENCY,
    NAME,
    NETWORK,
    SIZE,
    STARTED,
    STATUS,
    TAGS,
    TOOK,
    TOP1,
    RunModel,
    text_of,
)
from gui.widgets.tables import set_up_rows

_LATE = (STARTED, TOOK, TOP1)  # what is sorted from the largest on at first
_ORDER = (NAME, STATUS, TOP1, SIZE, LATENCY, DATA, NETWORK, STARTED, TOOK, TAGS)
_NARROW = 980
_AROUND = 10  # rows above and below those in view whose figures are read with them
_LOOK_MS = 40
_WIDTHS = (150, 76, 102, 148, 104, 76, 92, 92, 118, 126)  # pixels of each column where room is short
_WIDEST = 320  # pixels that a text's column takes at most; the name takes what is left
_PADDING, _ICON = 24, 24  # pixels around a text, and of an icon before it
_MEASURED = 300  # rows whose texts are measured


class RunTable(QTableView):
    """Several rows can be chosen; Enter or a double click opens, Delete deletes.

    Signals:
        opened: the folder of a run.
        delete_wanted: the chosen runs shall go.
        choice_changed: other rows are chosen.
        figures_wanted: the folders of runs whose figures are needed for what is in view.
    """

    opened = Signal(object)
    delete_wanted = Signal()
    choice_changed = Signal()
    figures_wanted = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.runs = RunModel()
        self._own_widths: dict[int, int] = {}  # by column: what a person has dragged
        self._fitting = False
        self._fit_soon = QTimer(self)  # once for many figures that arrive
        self._fit_soon.setSingleShot(True)
        self._fit_soon.setInterval(0)
        self._fit_soon.timeout.connect(self._fit)
        self._text_widths: dict[int, int] = {}  # by column: the longest text's, as far as it is known
        for signal in (self.runs.modelReset, self.runs.dataChanged):
            signal.connect(self._texts_changed)
        self._looking = QTimer(self)
        self._looking.setSingleShot(True)
        self._looking.setInterval(_LOOK_MS)
        self._looking.timeout.connect(lambda: self.figures_wanted.emit(self.needed()))
        self.setModel(self.runs)
        set_up_rows(self, "runs-list", tr("Runs"), 36)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setStyleSheet(
            "QTableView { border: none; border-radius: 0; } QTableView::item { padding: 0 8px; }"
        )
        header = self.horizontalHeader()
        header.setSectionsClickable(True)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        for place, column in enumerate(_ORDER):
            header.moveSection(header.visualIndex(column), place)
        header.sectionClicked.connect(self._sort)
        header.sectionResized.connect(self._resized)
        self.doubleClicked.connect(lambda index: self.opened.emit(self.runs.lines[index.row()].folder))
        self.selectionModel().selectionChanged.connect(lambda _now, _before: self.choice_changed.emit())
        self.verticalScrollBar().valueChanged.connect(lambda _value: self._looking.start())

    def chosen(self) -> list[RunLine]:
        """The chosen runs, from top to bottom."""
        return [self.runs.lines[index.row()] for index in self.selectionModel().selectedRows()]

    def needed(self) -> list[Path]:
        """The runs whose figures have to be known: those in view, or all where their order or choice depends on figures."""
        if not self.isVisible():
            return []
        first, last = self.rowAt(0), self.rowAt(self.viewport().height() - 1)
        last = len(self.runs.lines) - 1 if last < 0 else last
        near = [line.folder for line in self.runs.lines[max(0, first - _AROUND) : last + 1 + _AROUND]]
        others = (line.folder for line in self.runs.all) if self.runs.by_figures else ()
        return list(dict.fromkeys((*near, *others)))

    def show_lines(self, lines: Sequence[RunLine]) -> None:
        """Show other runs; those that were chosen stay chosen."""
        self._keeping(lambda: self.runs.show_lines(lines))

    def show_figures(self, figures: Mapping[Path, FinalFigures]) -> None:
        """The figures of some runs are read."""
        if self.runs.by_figures:
            self._keeping(lambda: self.runs.show_figures(figures))
        else:
            self.runs.show_figures(figures)

    def search(self, words: str) -> None:
        self._keeping(lambda: self.runs.search(words))

    def choose(self, folder: Path) -> None:
        """Choose one run."""
        row = next((row for row, line in enumerate(self.runs.lines) if line.folder == folder), -1)
        if row >= 0:
            self.selectRow(row)

    def _sort(self, column: int) -> None:
        first = Qt.SortOrder.DescendingOrder if column in _LATE else Qt.SortOrder.AscendingOrder
        order = turned(self.runs.sorted, column, first)
        self._keeping(lambda: self.runs.sort(column, order))

    def _keeping(self, change: Any) -> None:
        chosen = {line.folder for line in self.chosen()}
        change()
        flags = self.selectionModel().SelectionFlag.Select | self.selectionModel().SelectionFlag.Rows
        for row, line in enumerate(self.runs.lines):
            if line.folder in chosen:
                self.selectionModel().select(self.runs.index(row, 0), flags)
        self.choice_changed.emit()
        self._looking.start()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._looking.start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._looking.start()
        self._fit()

    def _texts_changed(self, *_: object) -> None:
        self._text_widths.clear()
        self._fit_soon.start()

    def _fit(self) -> None:
        """Give columns what their texts need, as far as there is room, and the name the rest; a person's widths stay."""
        room = self.viewport().width()
        narrow = room < _NARROW  # the name needs the room more
        self._fitting = True
        for column in (TAGS, TOOK):
            self.setColumnHidden(column, narrow)
        shown = [column for column in range(len(_WIDTHS)) if not self.isColumnHidden(column)]
        needed = {column: self._needed(column) for column in shown}
        widths = {column: min(_WIDTHS[column], needed[column]) for column in shown}
        widths |= {column: width for column, width in self._own_widths.items() if column in shown}
        left = room - sum(widths.values())
        for column in (NAME, *shown):
            if left > 0 and column not in self._own_widths:
                more = min(left, max(0, needed[column] - widths[column]))
                widths[column] += more
                left -= more
        if NAME not in self._own_widths:
            widths[NAME] += max(0, left)
        for column, width in widths.items():
            self.setColumnWidth(column, width)
        self._fitting = False

    def _needed(self, column: int) -> int:
        """The width in which a column's heading and its texts are read whole, up to a limit."""
        if column not in self._text_widths:
            texts = {text_of(line, column) for line in self.runs.lines[:_MEASURED]}
            self._text_widths[column] = max(map(self.fontMetrics().horizontalAdvance, texts), default=0)
        words = self._text_widths[column] + _PADDING + _ICON * (column in (NAME, STATUS))
        return max(self.horizontalHeader().sectionSizeHint(column), min(words, _WIDEST))

    def _resized(self, column: int, _before: int, width: int) -> None:
        if not self._fitting:
            self._own_widths[column] = width

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.opened.emit(self.runs.lines[self.currentIndex().row()].folder)
        elif event.key() == Qt.Key.Key_Delete and self.chosen():
            self.delete_wanted.emit()
        else:
            super().keyPressEvent(event)
