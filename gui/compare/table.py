"""The table of the comparison desk: sorts by its heading, columns can be dragged, rows pinned and hidden."""

from collections.abc import Sequence

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QMenu

from core.analysis.rows import Row
from gui.base import theme
from gui.base.translation import tr
from gui.compare.state import LABEL
from gui.widgets.metric_table import MetricModel, MetricTable


class ComparisonTable(MetricTable):
    """Emits what a person asks for; `CompareView` decides.

    Signals:
        sort_wanted: the id of a metric (or `LABEL`).
        columns_moved: metric ids in their new order.
        columns_menu_wanted: a place on the screen.
        pin_wanted: id of the row to compare all others with, "" for none.
        hide_wanted: ids of rows.
        width_chosen: a column was made wider or narrower.
        inspect_wanted: a `Row` to look into. measure_wanted: rows whose files are to be measured again.
    """

    sort_wanted = Signal(str)
    columns_moved = Signal(list)
    columns_menu_wanted = Signal(QPoint)
    pin_wanted = Signal(str)
    hide_wanted = Signal(list)
    width_chosen = Signal()
    inspect_wanted = Signal(object)
    measure_wanted = Signal(list)

    def __init__(self, model: MetricModel):
        super().__init__("comparison", tr("Comparison of stages"), model, shrink=True)
        self._fitting = False
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        header = self.horizontalHeader()
        header.setSectionsClickable(True)
        header.setSectionsMovable(True)
        header.setFirstSectionMovable(False)
        header.setSortIndicatorShown(True)
        header.setSortIndicatorClearable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(
            lambda place: self.columns_menu_wanted.emit(header.mapToGlobal(place))
        )
        header.sectionClicked.connect(lambda section: self.sort_wanted.emit(self._metric(section)))
        header.sectionMoved.connect(lambda *_: QTimer.singleShot(0, self, self._moved))
        header.sectionResized.connect(self._resized)
        self.pin = self._action("pin-row", tr("&Compare all with this row"), "Ctrl+B", self._pin)
        self.hide_rows = self._action("hide-rows", tr("&Hide"), QKeySequence.StandardKey.Delete, self._hide)
        self.sort = self._action("sort-column", tr("&Sort by this column"), "Ctrl+Shift+L", self._sort)
        self.inspect = self._action("inspect-row", tr("&Inspect this file"), "Ctrl+I", self._inspect)
        self.measure = self._action("measure-again", tr("&Measure again"), "Ctrl+M", self._measure)
        self.activated.connect(lambda _index: self._inspect())
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._menu)
        self.retheme()

    def chosen(self) -> list[Row]:
        """The selected rows from top to bottom."""
        selected = sorted(index.row() for index in self.selectionModel().selectedRows())
        return [self.metrics.rows[number] for number in selected]

    def current(self) -> Row | None:
        """The row that the keyboard stands on, while it is selected."""
        index = self.currentIndex()
        return self.metrics.rows[index.row()] if index.isValid() and self.chosen() else None

    def select_rows(self, places: Sequence[int]) -> None:
        """Select exactly these rows, and scroll to the first."""
        selection = QItemSelection()
        last = self.metrics.columnCount() - 1
        for place in places:
            selection.select(self.metrics.index(place, 0), self.metrics.index(place, last))
        if places:
            current = self.metrics.index(places[0], max(self.currentIndex().column(), 0))
            self.selectionModel().setCurrentIndex(current, QItemSelectionModel.SelectionFlag.NoUpdate)
            self.scrollTo(current)
        self.selectionModel().select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)

    def show_order(self, name: str, descending: bool) -> None:
        """Mark the heading that the rows are sorted by."""
        ids = [kind.id for kind in self.metrics.kinds]
        section = 0 if name == LABEL else ids.index(name) + 1 if name in ids else -1
        down = Qt.SortOrder.DescendingOrder if descending else Qt.SortOrder.AscendingOrder
        blocked = self.horizontalHeader().blockSignals(True)
        self.horizontalHeader().setSortIndicator(section, down)
        self.horizontalHeader().blockSignals(blocked)
        self.horizontalHeader().viewport().update()

    def retheme(self) -> None:
        self.pin.setIcon(theme.icon("pin"))
        self.inspect.setIcon(theme.icon("inspect"))
        self.measure.setIcon(theme.icon("clock"))
        self.hide_rows.setIcon(theme.icon("off"))
        self.viewport().update()

    def fit_columns(self, *_: object) -> None:
        self._fitting = True
        super().fit_columns()
        self._fitting = False

    def _action(self, name: str, text: str, key: str | QKeySequence.StandardKey, slot: object) -> QAction:
        action = QAction(text, self)
        action.setObjectName(name)
        action.setShortcut(QKeySequence(key))
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.triggered.connect(slot)
        self.addAction(action)
        return action

    def _menu(self, place: QPoint) -> None:
        rows, current = self.chosen(), self.current()
        if current is None:
            return
        menu = QMenu(self)
        menu.setObjectName("comparison-menu")
        self.pin.setText(tr("&Compare with each run's own baseline") if self._is_pin(current) else tr("&Compare all with this row"))  # fmt: skip
        self.hide_rows.setText(
            tr("&Hide this row") if len(rows) < 2 else tr("&Hide these {count} rows", count=len(rows))
        )
        self.inspect.setEnabled(current.report is not None)
        menu.addActions([self.inspect, self.measure, self.pin, self.sort, self.hide_rows])
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.viewport().mapToGlobal(place))

    pinned = ""  # the id of the pinned row

    def _is_pin(self, row: Row) -> bool:
        return bool(self.pinned) and row.id == self.pinned

    def _pin(self) -> None:
        row = self.current()
        if row is not None:
            self.pin_wanted.emit("" if self._is_pin(row) else row.id)

    def _inspect(self) -> None:
        row = self.current()
        if row is not None and row.report is not None:
            self.inspect_wanted.emit(row)

    def _measure(self) -> None:
        if rows := [row for row in self.chosen() if row.report is not None]:
            self.measure_wanted.emit(rows)

    def _hide(self) -> None:
        if self.chosen():
            self.hide_wanted.emit([row.id for row in self.chosen()])

    def _sort(self) -> None:
        if self.currentIndex().isValid():
            self.sort_wanted.emit(self._metric(self.currentIndex().column()))

    def _metric(self, section: int) -> str:
        return self.metrics.kinds[section - 1].id if section else LABEL

    def _moved(self) -> None:
        """Emit the new order, and put the sections back: the model will bring the order."""
        header = self.horizontalHeader()
        order = sorted(range(1, self.metrics.columnCount()), key=header.visualIndex)
        names = [self._metric(section) for section in order]
        blocked = header.blockSignals(True)
        for section in range(self.metrics.columnCount()):
            header.moveSection(header.visualIndex(section), section)
        header.blockSignals(blocked)
        self.columns_moved.emit(names)

    def _resized(self, section: int, _before: int, width: int) -> None:
        if not self._fitting and section < self.metrics.columnCount():
            self.own_widths[self._name(section)] = width
            self.width_chosen.emit()
