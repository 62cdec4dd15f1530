"""The runs as rows: name, tags, status, date, duration, and the figures of their results."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from core.common.numbers import significant
from core.runs.final_figures import FinalFigures
from core.runs.library import RunLine, matches
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.data.classes import ARROWS
from gui.runs.status_words import status_word

Index = QModelIndex | QPersistentModelIndex
NAME, TAGS, STATUS, STARTED, TOOK, TOP1, SIZE, LATENCY, DATA, NETWORK = range(10)
_FIGURES = {TOP1: "top1", SIZE: "size_mb", LATENCY: "latency_ms"}  # by which they are sorted
_OF_RESULTS = (*_FIGURES, DATA, NETWORK)  # what is read on its own
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
            return text_of(line, column)
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
            return f"{tr(_TITLES[column])}: {text_of(line, column)}"
        return None


def text_of(line: RunLine, column: int) -> str:
    """What stands in a cell."""
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
    return text_of(line, column).casefold()


def _side(column: int) -> int:
    right = column == TOOK or column in _FIGURES
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    return int(side | Qt.AlignmentFlag.AlignVCenter)
