"""The button that says which runs are compared, and the list that opens below it."""

from collections.abc import Collection, Sequence

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPoint, QPointF, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPen, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (  # fmt: skip
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QListView,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui.base import theme
from gui.base.translation import tr
from gui.compare.reader import RunEntry
from gui.widgets.buttons import text
from gui.widgets.search_box import SearchBox

_FOLDER, _WORDS = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
_WIDTH, _HEIGHT = 400, 420
_ARROW = 12


class RunList(QFrame):
    """A searchable list of runs to tick.

    Signals:
        toggled: a run's folder, and whether it is wanted.
        only: the folder of the one run that is wanted.
        cleared: no run is wanted but the current one.
    """

    toggled = Signal(str, bool)
    only = Signal(str)
    cleared = Signal()

    def __init__(self, parent: QWidget, *buttons: QWidget):
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("run-list")
        self.setProperty("role", "popup")
        self._entries: list[RunEntry] = []
        self._model = QStandardItemModel(self)
        self._proxy = QSortFilterProxyModel(self)
        self._proxy.setSourceModel(self._model)
        self._proxy.setFilterRole(_WORDS)
        self.search = SearchBox("run-search", tr("Search runs"), tr("Search runs by name, date, tag or note"))
        self.search.textChanged.connect(lambda words: self._proxy.setFilterFixedString(words.casefold()))
        self.search.installEventFilter(self)
        self.list = QListView()
        self.list.setObjectName("run-choices")
        self.list.setAccessibleName(tr("Runs; Space ticks one, Enter shows it alone"))
        self.list.setModel(self._proxy)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setUniformItemSizes(True)
        self.list.setSpacing(2)
        self.list.clicked.connect(self._toggle)
        self.list.doubleClicked.connect(self._only)
        self.list.installEventFilter(self)
        self.count = text("", "muted")
        self.none = QPushButton(tr("Untick all"))
        self.none.setObjectName("runs-none")
        self.none.clicked.connect(self.cleared)
        foot = QHBoxLayout()
        foot.addWidget(self.count, 1)
        for button in (self.none, *buttons):
            foot.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 10)
        layout.setSpacing(8)
        layout.addWidget(self.search)
        layout.addWidget(self.list, 1)
        layout.addLayout(foot)
        self.resize(_WIDTH, _HEIGHT)

    def show_entries(self, entries: Sequence[RunEntry]) -> None:
        """Offer these runs; a list that is as before is left as it is."""
        if list(entries) == self._entries:
            return
        self._entries = list(entries)
        current = self.list.currentIndex().data(_FOLDER)
        scrolled = self.list.verticalScrollBar().value()
        self._model.clear()
        for entry in entries:
            item = QStandardItem(f"{entry.title}\n{entry.about}")
            item.setData(entry.folder, _FOLDER)
            item.setData(entry.words, _WORDS)
            item.setToolTip(entry.folder)
            item.setCheckState(Qt.CheckState.Unchecked)
            self._model.appendRow(item)
        for row in range(self._proxy.rowCount()):
            if self._proxy.index(row, 0).data(_FOLDER) == current:
                self.list.setCurrentIndex(self._proxy.index(row, 0))
        self.list.verticalScrollBar().setValue(scrolled)

    def show_ticked(self, folders: Collection[str]) -> None:
        """Tick exactly these."""
        for row in range(self._model.rowCount()):
            item = self._model.item(row)
            on = Qt.CheckState.Checked if item.data(_FOLDER) in folders else Qt.CheckState.Unchecked
            if item.checkState() != on:
                item.setCheckState(on)
        self.count.setText(
            tr(
                "{count} of {rowcount} compared",
                count=len(folders),
                rowcount=max(self._model.rowCount(), len(folders)),
            )
        )
        self.none.setEnabled(len(folders) > 1)

    def _toggle(self, index: QModelIndex) -> None:
        on = index.data(Qt.ItemDataRole.CheckStateRole) != Qt.CheckState.Checked.value
        self.toggled.emit(str(index.data(_FOLDER)), on)

    def _only(self, index: QModelIndex) -> None:
        self.only.emit(str(index.data(_FOLDER)))
        self.hide()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Down leads from the search into the list; Space ticks, Enter shows one run alone."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            key, index = event.key(), self.list.currentIndex()
            if watched is self.search and key == Qt.Key.Key_Down and self._proxy.rowCount():
                self.list.setFocus()
                self.list.setCurrentIndex(self._proxy.index(0, 0))
                return True
            if watched is self.list and index.isValid() and key == Qt.Key.Key_Space:
                self._toggle(index)
                return True
            if watched is self.list and index.isValid() and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._only(index)
                return True
            if key == Qt.Key.Key_Escape:
                self.hide()
                return True
        return super().eventFilter(watched, event)


class RunButton(QPushButton):
    """Says how many runs are compared; opens the list.

    Signals:
        opened: the list is being opened, and shall be as the runs are now.
    """

    opened = Signal()

    def __init__(self, *buttons: QWidget):
        super().__init__(tr("Runs"))
        self.setObjectName("runs")
        self.setProperty("hasmenu", True)
        self.setToolTip(tr("Choose the runs that are compared"))
        self.list = RunList(self, *buttons)
        self.clicked.connect(self.open)

    def show_ticked(self, folders: Collection[str]) -> None:
        self.list.show_ticked(folders)
        self.setText(tr("Runs: {count}", count=len(folders)) if folders else tr("Runs"))
        self.setAccessibleName(tr("Runs to compare, {count} chosen", count=len(folders)))

    def open(self) -> None:
        """Show the list below the button."""
        place = self.mapToGlobal(QPoint(self.width() - self.list.width(), self.height() + 4))
        self.list.move(max(place.x(), 0), place.y())
        self.list.show()
        self.list.search.setFocus()
        self.opened.emit()

    def retheme(self) -> None:
        self.setIcon(theme.icon("folder"))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The arrow of a button with a menu: what opens is a list, but it opens the same way."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.palette().buttonText().color(), 1.2))
        right, middle = self.width() - _ARROW, self.height() / 2
        painter.drawPolyline([QPointF(right + x, middle + y) for x, y in ((-6, -1.5), (-3, 1.5), (0, -1.5))])
