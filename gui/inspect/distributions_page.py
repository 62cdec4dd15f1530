"""Weights and activations of a chosen layer, of both models over each other."""

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (  # fmt: skip
    QCheckBox,
    QHBoxLayout,
    QListWidget,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from gui.base.translation import tr
from gui.inspect.histogram_plot import HistogramPlot
from gui.inspect.work import Distribution
from gui.widgets.buttons import ElidedLabel, EmptyState, card
from gui.widgets.combo import Combo
from gui.widgets.narrow_layout import TurningSplitter
from gui.widgets.progress_line import ProgressLine
from gui.widgets.search_box import SearchBox


class DistributionsPage(QWidget):
    """Layers on the left, their histogram on the right.

    Signals:
        wanted: "weights" or "activations", and the path of a layer.
    """

    wanted = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.what = Combo("distribution-what", tr("What is shown"))
        self.what.addItem(tr("Weights"), "weights")
        self.what.addItem(tr("Activations"), "activations")
        self.what.activated.connect(lambda _index: self.ask())
        self.logarithmic = QCheckBox(tr("Logarithmic"))
        self.logarithmic.setObjectName("distribution-logarithmic")
        self.logarithmic.setToolTip(tr("Count in powers of ten, so that rare values are seen"))
        self.search = SearchBox("distribution-search", tr("Search layers"), tr("Search layers"))
        self.search.textChanged.connect(self._fill)
        self.layers = QListWidget()
        self.layers.setObjectName("distribution-layers")
        self.layers.setAccessibleName(tr("Layers"))
        self.layers.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.layers.setStyleSheet("QListWidget::item { padding: 4px 6px; }")
        self.layers.currentItemChanged.connect(lambda _now, _before: self.ask())
        self.source = ElidedLabel()
        self.source.setObjectName("distribution-source")
        self.source.setProperty("role", "muted")
        self.working = ProgressLine("distribution", tr("Progress of reading activations"))
        self.plot = HistogramPlot()
        self.logarithmic.toggled.connect(self.plot.set_logarithmic)
        self.empty = EmptyState(
            "distribution",
            tr("Choose a layer"),
            tr(
                "The distribution of its weights or activations appears here, of both models over each other."
            ),
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 10, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(self._top())
        layout.addWidget(self.working)
        layout.addWidget(self._panes(), 1)

    def _top(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(self.what)
        row.addWidget(self.logarithmic)
        row.addWidget(self.source, 1)
        return row

    def _panes(self) -> QWidget:
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.search)
        column.addWidget(self.layers, 1)
        frame = card()
        self._stack = QStackedLayout(frame)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.plot)
        splitter = TurningSplitter("distribution-splitter", left, frame)
        splitter.setSizes([300, 840])
        splitter.setStretchFactor(1, 1)
        left.setMinimumWidth(200)
        return splitter

    @property
    def layer(self) -> str:
        """The chosen layer, "" for none."""
        item = self.layers.currentItem()
        return item.text() if item is not None else ""

    def show_names(self, names: Sequence[str], keep: str = "") -> None:
        """Offer these layers; `keep` (or the one before) stays chosen where it is among them."""
        layer = keep or self.layer
        self.names = list(names)
        self._fill(self.search.text())
        self.choose(layer if layer in self.names else (self.names[0] if self.names else ""))

    def choose(self, layer: str) -> None:
        """Choose a layer and ask for it."""
        if layer and not self.layers.findItems(layer, Qt.MatchFlag.MatchExactly):
            self.search.clear()
        with QSignalBlocker(self.layers):
            matches = self.layers.findItems(layer, Qt.MatchFlag.MatchExactly) if layer else []
            self.layers.setCurrentRow(self.layers.row(matches[0]) if matches else -1)
        self.ask()

    def ask(self) -> None:
        """Ask for what is chosen."""
        if self.layer:
            self.wanted.emit(str(self.what.currentData()), self.layer)
        else:
            self._stack.setCurrentIndex(0)
            self.source.setText("")

    def show_distribution(self, distribution: Distribution, names: Sequence[str]) -> None:
        """Show histograms; `names` says of what, in the same order."""
        self.source.setText(distribution.source + ".")
        self.plot.show_histograms(list(zip(names, distribution.histograms, strict=True)))
        self._stack.setCurrentIndex(1)

    def retheme(self) -> None:
        self.plot.retheme()

    def _fill(self, words: str) -> None:
        chosen = self.layer
        with QSignalBlocker(self.layers):
            self.layers.clear()
            self.layers.addItems([name for name in self.names if words.strip().lower() in name.lower()])
            matches = self.layers.findItems(chosen, Qt.MatchFlag.MatchExactly) if chosen else []
            if matches:
                self.layers.setCurrentItem(matches[0])
