"""What tables of rows have in common."""

from PySide6.QtCore import QModelIndex, QSortFilterProxyModel, Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QTableView


def set_up_rows(table: QTableView, name: str, label: str, height: int) -> None:
    """Show rows of this height, which are chosen as a whole; Tab leads on to what follows the table."""
    table.setObjectName(name)
    table.setAccessibleName(label)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTabKeyNavigation(False)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(height)
    table.horizontalHeader().setHighlightSections(False)


class SortedTable(QTableView):
    """A table that a person sorts and filters; its rows are numbered as in the model behind it.

    Signals:
        chosen: the row that is current now, -1 for none.
    """

    chosen = Signal(int)

    def __init__(self, name: str, label: str, shown: QSortFilterProxyModel, height: int):
        """`shown` sorts and filters, and has its source model already."""
        super().__init__()
        self.shown = shown
        shown.setParent(self)
        self.setModel(shown)
        set_up_rows(self, name, label, height)
        self.setSortingEnabled(True)
        self.horizontalHeader().setSortIndicatorClearable(True)
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.selectionModel().currentRowChanged.connect(lambda now, _before: self.chosen.emit(self._row(now)))

    def current(self) -> int:
        """The row that is current, -1 for none."""
        return self._row(self.currentIndex())

    def select(self, row: int) -> None:
        """Make a row current, where the filter shows it."""
        index = self.shown.mapFromSource(self.shown.sourceModel().index(row, 0))
        if index.isValid():
            self.setCurrentIndex(index)
            self.scrollTo(index)

    def step(self, rows: int) -> None:
        """Go on so many rows as they are shown, as far as there are."""
        index = self.currentIndex()
        there = index.sibling(index.row() + rows, index.column())
        if there.isValid():
            self.setCurrentIndex(there)

    def _row(self, index: QModelIndex) -> int:
        return self.shown.mapToSource(index).row() if index.isValid() else -1
