"""The runs as a table: name, tags, status, date, duration, and the figures of their results."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from core.common.numbers import significant
from core.runs.final_figures import FinalFigures
from core.runs.library import RunLine, matches
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.data.classes import ARROWS, turned
from gui.runs.status_words import status_word
from gui.widgets.tables import set_up_rows

Index = QModelIndex | QPersistentModelIndex
NAME, TAGS, STATUS, STARTED, TOOK, TOP1, SIZE, LATENCY, DATA, NETWORK = range(10)
_FIGURES = {TOP1: "top1", SIZE: "size_mb", LATENCY: "latency_ms"}  # by which they are sorted
_OF_RESULTS = (*_FIGURES, DATA, NETWORK)  # what is read on its own
_LATE = (STARTED, TOOK, TOP1)  # what is sorted from the largest on at first
_ORDER = (NAME, STATUS, TOP1, SIZE, LATENCY, DATA, NETWORK, STARTED, TOOK, TAGS)
_NARROW = 980
_AROUND = 10  # rows above and below those in view whose figures are read with them
_LOOK_MS = 40
_NAME_WIDTH = 150
_TITLES = (
    QT_TR_NOOP("Name"),
    QT_TR_NOOP("Tags"),
    QT_TR_NOOP("Status"),
    QT_TR_NOOP("Started"),
    QT_TR_NOOP("Took"),
    QT_TR_NOOP("Top-1"),
    QT_TR_NOOP("Size"),
    QT_TR_NOOP("Latency"),
    QT_TR_NOOP("Data set"),
    QT_TR_NOOP("Network"),
)
_ICONS = {
    "completed": ("done", "good"), "stopped": ("pause", "muted"), "failed": ("error", "bad"),
    "running": ("running", "accent"), "interrupted": ("warning", "warning"), "new": ("waiting", "muted"),
    "missing": ("warning", "warning"), "paused": ("pause", "accent"),
}  # fmt: skip


class RunModel(QAbstractTableModel):
    """Rows of `RunLine` that fit the search, in the chosen order."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[RunLine] = []
        self.lines: list[RunLine] = []
        self._words = ""
        self.sorted = (STARTED, Qt.SortOrder.DescendingOrder)

    def show_lines(self, lines: Sequence[RunLine]) -> None:
        """Show other runs."""
        self.all = list(lines)
        self._arrange()

    @property
    def by_figures(self) -> bool:
        """Whether which rows are shown, or their order, depends on the results."""
        return bool(self._words.strip()) or self.sorted[0] in _OF_RESULTS

    def show_figures(self, figures: Mapping[Path, FinalFigures]) -> None:
        """The figures of some runs are read."""
        self.all = [
            replace(line, figures=figures[line.folder]) if line.folder in figures else line
            for line in self.all
        ]
        if self.by_figures:
            self._arrange()
            return
        for row, line in enumerate(self.lines):
            if line.folder in figures:
                self.lines[row] = replace(line, figures=figures[line.folder])
                self.dataChanged.emit(self.index(row, TOP1), self.index(row, NETWORK))

    def search(self, words: str) -> None:
        """Show only runs in which every word stands."""
        self._words = words
        self._arrange()

    def replace(self, line: RunLine) -> None:
        """A run got another name, tags or notes; it keeps its row."""
        self.all = [line if one.folder == line.folder else one for one in self.all]
        for row, one in enumerate(self.lines):
            if one.folder == line.folder:
                self.lines[row] = line
                self.dataChanged.emit(self.index(row, 0), self.index(row, NETWORK))

    def _arrange(self) -> None:
        column, order = self.sorted
        fitting = [line for line in self.all if matches(line, self._words)]
        known = [line for line in fitting if _key(line, column) is not None]
        known.sort(key=lambda line: _key(line, column), reverse=order == Qt.SortOrder.DescendingOrder)
        arranged = known + [line for line in fitting if _key(line, column) is None]
        if [line.folder for line in arranged] == [line.folder for line in self.lines] and arranged:
            self.lines = arranged  # who writes notes on a run goes on writing
            self.dataChanged.emit(self.index(0, 0), self.index(len(arranged) - 1, NETWORK))
            self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, NETWORK)
            return
        self.beginResetModel()
        self.lines = arranged
        self.endResetModel()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self.sorted = (column, order)
        self._arrange()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.lines)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(_TITLES)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return tr(_TITLES[section]) + (ARROWS[self.sorted[1]] if section == self.sorted[0] else "")
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _side(section)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        line, column = self.lines[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(line, column)
        if role == Qt.ItemDataRole.DecorationRole and column == STATUS:
            return theme.icon(*_ICONS[line.status])
        if role == Qt.ItemDataRole.DecorationRole and column == NAME and line.elsewhere:
            return theme.icon("folder", "muted")
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _side(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            place = (
                tr("Lies elsewhere and is only read: {folder}", folder=line.folder)
                if line.elsewhere
                else str(line.folder)
            )
            busy = column == LATENCY and line.figures.latency_range is not None
            range_words = (
                tr("The machine was busy, so this is a range; measure again in Compare") if busy else ""
            )
            return range_words or "\n".join(part for part in (line.name, line.notes, place) if part)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{tr(_TITLES[column])}: {_text(line, column)}"
        return None


def _text(line: RunLine, column: int) -> str:
    figures = line.figures
    if column == TOP1:
        return "" if figures.top1 is None else f"{figures.top1:.2f} %"
    if column == SIZE:
        return "" if figures.size_mb is None else f"{significant(figures.size_mb, 3)} MB"
    if column == LATENCY:
        return f"{figures.latency} ms" if figures.latency else ""
    words = (line.name, ", ".join(line.tags), status_word(line.status), line.when, line.took)
    return {DATA: figures.data, NETWORK: figures.network}.get(column) or (
        words[column] if column < TOP1 else ""
    )


def _key(line: RunLine, column: int) -> Any:
    if column == STARTED:
        return line.started
    if column == TOOK:
        return line.seconds or 0.0
    if column in _FIGURES:
        return getattr(line.figures, _FIGURES[column])
    return _text(line, column).casefold()


def _side(column: int) -> int:
    right = column == TOOK or column in _FIGURES
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    return int(side | Qt.AlignmentFlag.AlignVCenter)


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
        widths = (_NAME_WIDTH, 76, 102, 148, 104, 76, 92, 92, 118, 126)
        for column, width in enumerate(widths):
            self.setColumnWidth(column, width)
        for place, column in enumerate(_ORDER):
            header.moveSection(header.visualIndex(column), place)
        header.sectionClicked.connect(self._sort)
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
        width = self.viewport().width()
        self.setColumnHidden(TAGS, width < _NARROW)  # the name needs the room more
        self.setColumnHidden(TOOK, width < _NARROW)
        others = sum(self.columnWidth(column) for column in range(1, NETWORK + 1))
        self.setColumnWidth(NAME, max(_NAME_WIDTH, width - others))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.opened.emit(self.runs.lines[self.currentIndex().row()].folder)
        elif event.key() == Qt.Key.Key_Delete and self.chosen():
            self.delete_wanted.emit()
        else:
            super().keyPressEvent(event)
