"""Which classes are taken for which, accuracy per class, and what changed in both."""

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from core.analysis.confusion import ClassFigures, class_figures, row_percent
from core.analysis.flips import AnswerPair
from gui.base.translation import tr
from gui.inspect.confusion_view import ConfusionView
from gui.widgets.bar_table import BarTable, Cell, Column
from gui.widgets.buttons import ElidedLabel
from gui.widgets.combo import Combo
from gui.widgets.narrow_layout import TurningSplitter


class ClassesPage(QWidget):
    """The confusion matrix on the left, the classes on the right.

    Signals:
        cell_chosen: the true class, the answer, and whether the compared model's images are meant.
    """

    cell_chosen = Signal(int, int, bool)

    def __init__(self) -> None:
        super().__init__()
        self._pair: AnswerPair | None = None
        self.which = self._choice("confusion-model", tr("Whose answers"))
        self.unit = self._choice("confusion-unit", tr("Unit of the cells"))
        for words, name in ((tr("Images"), "counts"), (tr("Percent of the row"), "percent")):
            self.unit.addItem(words, name)
        self.words = ElidedLabel()
        self.words.setObjectName("confusion-words")
        self.words.setProperty("role", "muted")
        self.matrix = ConfusionView()
        self.matrix.cell_chosen.connect(self._cell)
        self.table = BarTable("classes", tr("Accuracy of every class"))
        top = QHBoxLayout()
        top.setSpacing(10)
        top.addWidget(self.which)
        top.addWidget(self.unit)
        top.addWidget(self.words, 1)
        splitter = TurningSplitter("classes-splitter", self.matrix, self.table)
        splitter.setSizes([628, 514])
        splitter.setStretchFactor(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 10, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(top)
        layout.addWidget(splitter, 1)

    def _choice(self, name: str, label: str) -> QComboBox:
        box = Combo(name, label)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        box.setMaximumWidth(330)
        box.activated.connect(lambda _index: self._fill())
        return box

    def show_pair(self, pair: AnswerPair, name: str, reference: str) -> None:
        """Show the answers of a model, and of the one that it is compared with."""
        self._pair = pair
        before = self.which.currentData()
        with QSignalBlocker(self.which):
            self.which.clear()
            self.which.addItem(name, tr("after"))
            if pair.before is not None:
                self.which.addItem(reference, tr("before"))
                self.which.addItem(
                    tr("Difference: {name} − {other}", name=name, other=reference), "difference"
                )
            self.which.setCurrentIndex(max(0, self.which.findData(before)))
        self._fill()

    def clear(self) -> None:
        """Nothing is known yet."""
        self._pair = None
        self.which.clear()
        self.words.setText("")
        self.matrix.show_matrix((), self.matrix.matrix.values[:0, :0], False, False)
        self.table.show_rows((), ())

    def retheme(self) -> None:
        for view in (self.matrix, self.table):
            view.viewport().update()

    def _fill(self) -> None:
        pair, which = self._pair, self.which.currentData()
        if pair is None:
            return
        percent = self.unit.currentData() == "percent"
        shown = pair.before if which == "before" and pair.before is not None else pair.after
        values = row_percent(shown.counts) if percent else shown.counts.astype(float)
        signed = which == "difference" and pair.before is not None
        if signed and pair.before is not None:
            values = values - (row_percent(pair.before.counts) if percent else pair.before.counts)
        self.matrix.show_matrix(pair.after.classes, values, percent, signed)
        words = tr("Rows are the true class, columns the answer; a click on a cell shows its images.")
        if signed:
            words = tr("More (+) or fewer (−) images than before; red cells are unwelcome changes. ") + words
        self.words.setText(words)
        self._fill_classes(pair)

    def _fill_classes(self, pair: AnswerPair) -> None:
        now = class_figures(pair.after)
        before = class_figures(pair.before) if pair.before is not None else None
        columns = [
            Column(tr("Class"), "", False, True),
            Column(tr("Images"), tr("Test images of this class")),
        ]
        columns.append(Column(tr("Accuracy"), tr("Percent of its images that are right (recall)")))
        if before is not None:
            columns.append(
                Column(tr("Change"), tr("In points, against the compared model on the same images"))
            )
        columns.append(Column(tr("Precision"), tr("Percent of the answers with it that are right")))
        largest = max((_change(a, b) for a, b in zip(now, before or (), strict=False)), key=abs, default=0.0)
        cells = []
        order = (
            sorted(range(len(now)), key=lambda n: _change(now[n], before[n]))
            if before is not None
            else range(len(now))
        )
        for number in order:  # what lost most stands first
            figures = now[number]
            row = [Cell(figures.name), Cell(str(figures.images), figures.images), _percent(figures.recall)]
            if before is not None:
                row.append(_signed(_change(figures, before[number]), abs(largest)))
            row.append(_percent(figures.precision))
            cells.append(row)
        self.table.show_rows(columns, cells)

    def _cell(self, true: int, guess: int) -> None:
        self.cell_chosen.emit(true, guess, self.which.currentData() == "before")


def _change(now: ClassFigures, before: ClassFigures) -> float:
    return (now.recall or 0.0) - (before.recall or 0.0)


def _percent(value: float | None) -> Cell:
    return Cell("—") if value is None else Cell(f"{value:.1f}", value, value / 100)


def _signed(value: float, largest: float) -> Cell:
    if abs(value) < 0.05:
        return Cell("= 0.0", 0.0, 0.0)
    mark, sign = ("▲", "+") if value > 0 else ("▼", "−")
    tone = "good" if value > 0 else "bad"
    return Cell(f"{mark} {sign}{abs(value):.1f}", value, abs(value) / largest if largest else 0.0, tone)
