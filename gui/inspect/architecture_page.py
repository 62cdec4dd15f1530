"""The network as a graph, and as a table what it has that the compared one has not: channels, dropped and split layers."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QHBoxLayout,
    QPushButton,
    QStackedLayout,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.analysis.layers import WORDS, Change, Difference
from core.common.numbers import percent
from gui.base.translation import tr
from gui.inspect.graph_page import GraphPage
from gui.widgets.bar_table import BarTable, Cell, Column, count_cell
from gui.widgets.buttons import ElidedLabel, EmptyState
from gui.widgets.narrow_layout import TurningRow

_TONES = {"dropped": "bad", "factorised": "info", "added": "info"}


class ArchitecturePage(QWidget):
    """The graph, or the table of changes.

    Signals:
        layer_wanted: the path of a layer whose distributions are to be shown.
    """

    layer_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._difference: Difference | None = None
        self._shown: list[Change] = []
        self.words = ElidedLabel()
        self.words.setObjectName("architecture-words")
        self.only = QCheckBox(tr("Only what changed"))
        self.only.setObjectName("architecture-only")
        self.only.setChecked(True)
        self.only.toggled.connect(lambda _on: self._fill())
        self.table = BarTable("architecture", tr("Layers before and after"))
        self.table.doubleClicked.connect(lambda _index: self._open())
        self.empty = EmptyState("architecture", "", "")
        self.graph = GraphPage()
        top = QHBoxLayout()
        top.setSpacing(10)
        top.addWidget(self.words, 1)
        top.addWidget(self.only)
        page = QWidget()
        inside = QVBoxLayout(page)
        inside.setContentsMargins(0, 10, 0, 0)
        inside.setSpacing(8)
        inside.addLayout(top)
        inside.addWidget(self.table, 1)
        changes = QWidget()
        self._stack = QStackedLayout(changes)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(page)
        self._sides = QStackedWidget()
        self._sides.addWidget(self.graph)
        self._sides.addWidget(changes)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 8, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._switch())
        layout.addWidget(self._sides, 1)
        self.show_nothing("", "")

    def _switch(self) -> QWidget:
        """Two buttons of which one is down."""
        switch, self._group = QWidget(), QButtonGroup(self)
        row = QHBoxLayout(switch)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        self.as_graph, self.as_table = QPushButton(tr("Graph")), QPushButton(tr("Table of changes"))
        for number, (button, name) in enumerate(((self.as_graph, "graph"), (self.as_table, "table"))):
            button.setObjectName(f"architecture-{name}")
            button.setProperty("role", "choice")
            button.setCheckable(True)
            self._group.addButton(button, number)
            row.addWidget(button)
        row.addStretch(1)
        self.as_graph.setChecked(True)
        self._group.idToggled.connect(lambda number, on: self._show_side(number) if on else None)
        return TurningRow(switch, self.graph.tools, gap=6, stretch=(1, 0))

    def _show_side(self, number: int) -> None:
        self._sides.setCurrentIndex(number)
        self.graph.tools.setVisible(number == 0)

    def show_nothing(self, title: str, advice: str) -> None:
        """Say why there is no difference to show."""
        self._difference = None
        self.empty.title.setText(title)
        self.empty.advice.setText(advice)
        self._stack.setCurrentIndex(0)

    def show_difference(self, difference: Difference) -> None:
        """Show a difference; a network like the other says so."""
        self._difference = difference
        if all(change.kind == "same" for change in difference.changes):
            self.show_nothing(
                tr("The same architecture"),
                tr(
                    "Every layer has the same shape in both networks; only weights or number formats can differ. "
                    "See Distributions for these."
                ),
            )
            return
        self.words.setText(difference.sentence)
        self._stack.setCurrentIndex(1)
        self._fill()

    def retheme(self) -> None:
        self.table.viewport().update()
        self.graph.retheme()

    def _fill(self) -> None:
        if self._difference is None:
            return
        changes = self._difference.changes
        self._shown = [change for change in changes if change.kind != "same" or not self.only.isChecked()]
        largest = max((change.params_before for change in changes), default=1) or 1
        columns = (
            Column(tr("Layer"), tr("Its path in the network"), False, True),
            Column(tr("Type"), tr("What it computes"), False),
            Column(tr("What became of it"), "", False),
            Column(tr("Channels before"), tr("In → out"), False),
            Column(tr("Channels after"), tr("In → out"), False, True),
            Column(tr("Parameters before"), tr("Of its weight and bias")),
            Column(tr("Parameters after"), tr("Of its weight and bias")),
            Column(tr("Left"), tr("Parameters after as a share of those before")),
        )
        self.table.show_rows(columns, [_cells(change, largest) for change in self._shown])

    def _open(self) -> None:
        row = self.table.current()
        if row >= 0 and self._shown[row].kind not in ("dropped", "factorised"):
            self.layer_wanted.emit(self._shown[row].path)


def _cells(change: Change, largest: int) -> list[Cell]:
    tone = _TONES.get(change.kind, "")
    words = WORDS[change.kind]
    if change.zeros > 0.0005:
        words += tr(", {zeros:.0f} % set to zero", zeros=100 * change.zeros)
    left = change.params_after / change.params_before if change.params_before else None
    return [
        Cell(change.path),
        Cell(change.type),
        Cell(words, tone=tone),
        Cell(change.before or "—"),
        Cell(change.after or "—"),
        count_cell(change.params_before, largest),
        count_cell(change.params_after, largest),
        Cell("—") if left is None else Cell(percent(left), left, min(left, 1.0)),
    ]
