"""The menu in which a person chooses columns; it stays open while columns are ticked."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QMenu, QPushButton

from core.analysis.wording import heading
from core.records.metrics import MetricKind
from gui.base import theme
from gui.base.translation import tr


class ColumnMenu(QMenu):
    """Signals: chosen (metric ids in order), reset_wanted."""

    chosen = Signal(list)
    reset_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("columns-menu")
        self.setToolTipsVisible(True)
        self._shown: list[str] = []

    def show_columns(self, available: Sequence[MetricKind], shown: Sequence[MetricKind]) -> None:
        """Offer these columns; those that are shown are ticked."""
        self._shown = [kind.id for kind in shown]
        self.clear()
        for kind in available:
            entry = self.addAction(heading(kind))
            entry.setObjectName(f"column-{kind.id}")
            entry.setToolTip(kind.help)
            entry.setCheckable(True)
            entry.setChecked(kind.id in self._shown)
            entry.toggled.connect(lambda on, name=kind.id: self._toggled(name, on))
        self._available = [kind.id for kind in available]
        self.addSeparator()
        reset = self.addAction(tr("&Usual columns"))
        reset.setObjectName("columns-reset")
        reset.triggered.connect(self.reset_wanted)

    _available: Sequence[str] = ()

    def _toggled(self, name: str, on: bool) -> None:
        """A new column goes behind the one that stands before it in the catalogue."""
        if not on:
            self._shown = [each for each in self._shown if each != name]
        else:
            before = set(self._available[: self._available.index(name)])
            place = max((self._shown.index(each) + 1 for each in self._shown if each in before), default=0)
            self._shown.insert(place, name)
        self.chosen.emit(list(self._shown))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        entry = self.activeAction()
        if entry is not None and entry.isCheckable():
            entry.toggle()
        else:
            super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        entry = self.activeAction()
        if event.key() == Qt.Key.Key_Space and entry is not None and entry.isCheckable():
            entry.toggle()
        else:
            super().keyPressEvent(event)


class ColumnButton(QPushButton):
    """Opens the menu."""

    def __init__(self, menu: ColumnMenu):
        super().__init__(tr("Columns"))
        self.setObjectName("columns")
        self.setAccessibleName(tr("Choose columns"))
        self.setToolTip(tr("Which figures are shown. Drag a heading to move its column, click it to sort."))
        self.setProperty("hasmenu", True)
        self.setMenu(menu)

    def retheme(self) -> None:
        self.setIcon(theme.icon("columns"))
