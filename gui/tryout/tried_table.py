"""The images that were tried, as a list to step through: each model's answer, and whether they agree."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import (  # fmt: skip
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHeaderView

from core.analysis.tryout import Trial
from core.common.numbers import percent
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.tryout.answers import milliseconds
from gui.tryout.work import TryoutImage
from gui.widgets.tables import SortedTable

Index = QModelIndex | QPersistentModelIndex
SORT = Qt.ItemDataRole.UserRole
IMAGE, TRUE, FIRST, SECOND, AGREE, FIRST_TIME, SECOND_TIME = range(7)
_TITLES = (
    QT_TR_NOOP("Image"),
    QT_TR_NOOP("Shows"),
    QT_TR_NOOP("Baseline says"),
    QT_TR_NOOP("Compressed says"),
    QT_TR_NOOP("Agreement"),
    QT_TR_NOOP("Baseline time"),
    QT_TR_NOOP("Compressed time"),
)
_TIMES = {FIRST_TIME: 0, SECOND_TIME: 1}
_ANSWERS = {FIRST: 0, SECOND: 1}
_WORDS = {True: QT_TR_NOOP("✓  agree"), False: QT_TR_NOOP("≠  differ"), None: ""}


class TriedModel(QAbstractTableModel):
    """Images in the order they came, each with its trial once it has one."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[TryoutImage] = []
        self.trials: list[Trial | None] = []
        self._told: dict[int, str] = {}  # by row, the class that a person said
        self.places: tuple[int | None, int | None] = (0, 1)

    @property
    def waiting(self) -> list[tuple[int, TryoutImage]]:
        """Images that no model has seen yet, with their rows."""
        return [(row, self.items[row]) for row, trial in enumerate(self.trials) if trial is None]

    @property
    def done(self) -> Iterator[Trial]:
        return (trial for trial in self.trials if trial is not None)

    def show_models(self, places: tuple[int | None, int | None], trials: Sequence[Trial | None] = ()) -> None:
        """Where the baseline's and the compressed model's answers stand in a trial; only these trials are known."""
        self.beginResetModel()
        self.places = places
        self.trials = [*trials, *[None] * (len(self.items) - len(trials))]
        for row, trial in enumerate(self.trials):
            if trial is not None:
                self.trials[row] = self._as_told(row, trial)
        self.endResetModel()

    def add(self, items: Sequence[TryoutImage]) -> None:
        """Append images."""
        if items:
            first = len(self.items)
            self.beginInsertRows(QModelIndex(), first, first + len(items) - 1)
            self.items += items
            self.trials += [None] * len(items)
            self.endInsertRows()

    def set_trial(self, row: int, trial: Trial) -> Trial:
        """An image was tried; what a person said that it shows stays."""
        told = self.trials[row] = self._as_told(row, trial)
        self.dataChanged.emit(self.index(row, 0), self.index(row, len(_TITLES) - 1))
        return told

    def _as_told(self, row: int, trial: Trial) -> Trial:
        return replace(trial, truth=self._told.get(row, trial.truth))

    def set_truth(self, row: int, truth: str) -> None:
        """A person says which class an image shows; "" for unknown."""
        trial, self._told[row] = self.trials[row], truth
        if trial is not None:
            self.set_trial(row, trial)

    def keep_tried(self) -> None:
        """Forget the images that no model has seen."""
        tried = [row for row, trial in enumerate(self.trials) if trial is not None]
        self.beginResetModel()
        self.items, self.trials = [self.items[row] for row in tried], [self.trials[row] for row in tried]
        self._told = {new: self._told[old] for new, old in enumerate(tried) if old in self._told}
        self.endResetModel()

    def clear(self) -> None:
        """Forget all images."""
        self.beginResetModel()
        self.items, self.trials, self._told = [], [], {}
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.items)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(_TITLES)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return tr(_TITLES[section])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(_side(section))
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._words(row, column)
        if role == SORT:
            return self._order(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(_side(column))
        if role == Qt.ItemDataRole.ForegroundRole:
            return self._colour(row, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return str(self.items[row].source) if column == IMAGE else None
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{tr(_TITLES[column])}: {self._words(row, column) or 'nothing'}"
        return None

    def _words(self, row: int, column: int) -> str:
        item, trial = self.items[row], self.trials[row]
        if column == IMAGE:
            return item.name
        if trial is None:
            return "…" if column == AGREE else ""
        if trial.problem:
            return tr("⚠  not readable") if column == AGREE else ""
        if column == AGREE:
            return tr("✗  both wrong") if trial.agree_wrongly else tr(_WORDS[trial.agree])
        if column == TRUE:
            return trial.truth
        place = self.places[_ANSWERS.get(column, _TIMES.get(column, 0))]
        if place is None:
            return ""
        answer = trial.answers[place]
        if column in _TIMES:
            return milliseconds(answer.seconds)
        name, share = answer.best[0]
        mark = {None: "", True: "✓ ", False: "✗ "}[trial.right(place)]
        return f"{mark}{name}  {percent(share)}"

    def _order(self, row: int, column: int) -> Any:
        trial = self.trials[row]
        place = self.places[_TIMES[column]] if column in _TIMES else None
        if place is not None and trial is not None and trial.answers:
            return trial.answers[place].seconds
        return self._words(row, column).casefold()

    def _colour(self, row: int, column: int) -> QColor | None:
        trial, c = self.trials[row], theme.colours()
        place = self.places[_ANSWERS[column]] if column in _ANSWERS else None
        if trial is not None and place is not None and trial.right(place) is False:
            return QColor(c.bad)
        if trial is None or column != AGREE:
            return None
        if trial.problem:
            return QColor(c.warning)
        if trial.agree is None:
            return None
        return QColor(c.good if trial.agree and not trial.agree_wrongly else c.bad)


class _Filter(QSortFilterProxyModel):
    """All images, or those on which the models differ and those that could not be read."""

    only_differing = False

    def filterAcceptsRow(self, row: int, parent: Index) -> bool:
        model = self.sourceModel()
        if not self.only_differing or not isinstance(model, TriedModel):
            return True
        trial = model.trials[row]
        return trial is not None and (trial.agree is False or bool(trial.problem))


class TriedTable(SortedTable):
    """The table."""

    def __init__(self) -> None:
        self.rows, self._filter = TriedModel(), _Filter()
        self._filter.setSourceModel(self.rows)
        self._filter.setSortRole(SORT)
        super().__init__("tried", tr("Images that were tried"), self._filter, 28)
        self.setStyleSheet("QTableView::item { padding: 0 5px; }")
        header = self.horizontalHeader()
        for column, width in (
            (TRUE, 130),
            (FIRST, 170),
            (SECOND, 170),
            (AGREE, 130),
            (FIRST_TIME, 120),
            (SECOND_TIME, 140),
        ):
            header.resizeSection(column, width)
        header.setSectionResizeMode(IMAGE, QHeaderView.ResizeMode.Stretch)

    def only_differing(self, only: bool) -> None:
        """Show only what differs or cannot be read; the current image stays current where it is shown."""
        current = self.current()
        self._filter.beginFilterChange()
        self._filter.only_differing = only
        self._filter.endFilterChange(QSortFilterProxyModel.Direction.Rows)
        if current >= 0:
            self.select(current)


def _side(column: int) -> Qt.AlignmentFlag:
    right = Qt.AlignmentFlag.AlignRight if column in _TIMES else Qt.AlignmentFlag.AlignLeft
    return right | Qt.AlignmentFlag.AlignVCenter
