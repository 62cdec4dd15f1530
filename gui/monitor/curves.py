"""The two plots of a run, loss and accuracy of all stages on one time line, and what shapes them."""

from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.monitor.smoothing import smoothed
from gui.monitor.timeline import AXES, Axis, Timeline
from gui.runs.run_state import RunState
from gui.widgets.buttons import text
from gui.widgets.combo import Combo
from gui.widgets.curve_plot import CurvePlot, CurveStyle
from gui.widgets.value_boxes import Slider

_LOSS = {
    "step_loss": CurveStyle(QT_TR_NOOP("training, every few steps"), 0, 1.0, faint=True),
    "train_loss": CurveStyle(QT_TR_NOOP("training"), 0, dots=True),
    "val_loss": CurveStyle(QT_TR_NOOP("validation"), 1, dots=True),
}
_TOP1 = {
    "train_top1": CurveStyle(QT_TR_NOOP("training"), 0, dots=True),
    "val_top1": CurveStyle(QT_TR_NOOP("validation"), 1, dots=True),
}
_BUTTONS = (
    ("zoom-out", "zoom-out", QT_TR_NOOP("Zoom out  (−)")),
    ("zoom-in", "zoom-in", QT_TR_NOOP("Zoom in  (+)")),
    ("zoom-whole", "fit", QT_TR_NOOP("Show the whole run  (Home, or a double click)")),
)


class Curves(QWidget):
    """Shows a `RunState`; `redraw` is called through a throttle."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = CurvePlot("loss", tr("Loss"))
        self.top1 = CurvePlot("top1", tr("Accuracy [%]"), "%", named=False)
        self.plots = (self.loss, self.top1)
        self.top1.item.setXLink(self.loss.item)
        self._state = RunState()
        self._timeline = Timeline(self._state, "step")
        self._drawn: tuple[object, ...] = ()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 8, 8, 6)
        layout.setSpacing(8)
        layout.addLayout(self._tools())
        layout.addWidget(self.loss, 1)
        layout.addWidget(self.top1, 1)
        for plot in self.plots:
            plot.pointed.connect(self._point)
            plot.moved.connect(self._moved)
            plot.whole_wanted.connect(self.show_whole)
        self.loss.box.setMouseEnabled(x=True, y=True)
        self.show_whole()
        self.retheme()

    def _tools(self) -> QHBoxLayout:
        self.smoothing = Slider()
        self.smoothing.setObjectName("smoothing")
        self.smoothing.setAccessibleName(tr("Smoothing"))
        self.smoothing.setRange(0, 99)
        self.smoothing.setFixedWidth(120)
        self.smoothing.setToolTip(tr("Moving average; the curve as it is stays visible, faintly, behind it"))
        self.smoothing.setValue(_stored_smoothing())
        self.amount = text()
        self.amount.setObjectName("smoothing-amount")
        self.amount.setMinimumWidth(32)
        self.axis = Combo("curves-axis", tr("Curves over"))
        for value, title, _label in AXES:
            self.axis.addItem(tr(title), value)
        self.axis.setCurrentIndex(max(0, self.axis.findData(QSettings().value("monitor/axis", "step"))))
        self.buttons = {name: _tool(name, tr(tip)) for name, _icon, tip in _BUTTONS}
        row = QHBoxLayout()
        row.setContentsMargins(12, 0, 6, 0)
        row.setSpacing(6)
        for widget in (text(tr("Smoothing"), "muted"), self.smoothing, self.amount):
            row.addWidget(widget)
        row.addSpacing(14)
        row.addWidget(text(tr("Over"), "muted"))
        row.addWidget(self.axis)
        row.addStretch(1)
        for button in self.buttons.values():
            row.addWidget(button)
        self.smoothing.valueChanged.connect(self._shaped)
        self.axis.currentIndexChanged.connect(self._axis_chosen)
        self.buttons["zoom-in"].clicked.connect(lambda: self.loss.zoom(True))
        self.buttons["zoom-out"].clicked.connect(lambda: self.loss.zoom(False))
        self.buttons["zoom-whole"].clicked.connect(self.show_whole)
        self._say_amount()
        return row

    def redraw(self, state: RunState) -> None:
        """Draw what is new in `state`."""
        axis: Axis = self.axis.currentData()
        shape = (state, state.version, axis, self.smoothing.value())
        if self._drawn == shape:
            return
        if state is not self._state:
            for plot in self.plots:
                plot.begin()
            self.show_whole()
        self._drawn, self._state = shape, state
        self._timeline = line = Timeline(state, axis)
        parts = {
            name: CurveStyle(_words(name), 2 + index, 1.5, dashed=True)
            for index, name in enumerate(state.part_names())
        }
        self._draw(self.loss, {**_LOSS, **parts}, line)
        self._draw(self.top1, _TOP1, line)
        for plot in self.plots:
            plot.bottom.clock = axis == "time"
            if plot.shown()[0] != line.bounds():
                plot.show_boundaries(line.bounds())
        if self.top1.shown()[1] != line.best():
            self.top1.show_best(line.best())
        self.top1.item.setLabel("bottom", tr(next(label for value, _title, label in AXES if value == axis)))

    def show_whole(self) -> None:
        """Take zoom and pan back, and follow the run."""
        for plot in self.plots:
            plot.whole()
        self.buttons["zoom-whole"].setEnabled(False)

    def retheme(self) -> None:
        for name, icon, _tip in _BUTTONS:
            self.buttons[name].setIcon(theme.icon(icon))
        for plot in self.plots:
            plot.retheme()

    def _draw(self, plot: CurvePlot, styles: dict[str, CurveStyle], line: Timeline) -> None:
        drawn = []
        weight = self.smoothing.value() / 100
        for name, style in styles.items():
            x, y = line.curve(name)
            if len(x):
                plot.show_curve(name, style, x, smoothed(y, weight), y if weight else None)
                drawn.append(name)
        plot.keep_only(drawn)

    def _point(self, x: float | None) -> None:
        for plot in self.plots:
            plot.point_at(x, self._timeline.where)

    def _moved(self) -> None:
        self.buttons["zoom-whole"].setEnabled(True)
        moved = self.sender()
        if moved is self.top1:
            self.loss.box.setXRange(*self.top1.box.viewRange()[0], padding=0)
        self._point(None)

    def _shaped(self) -> None:
        QSettings().setValue("monitor/smoothing", self.smoothing.value())
        self._say_amount()
        self.redraw(self._state)

    def _axis_chosen(self) -> None:
        QSettings().setValue("monitor/axis", self.axis.currentData())
        self.show_whole()
        self._point(None)
        self.redraw(self._state)

    def _say_amount(self) -> None:
        value = self.smoothing.value()
        self.amount.setText(f"{value / 100:.2f}" if value else tr("off"))


def _tool(name: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setObjectName(name)
    button.setToolTip(tip)
    button.setAccessibleName(tip.split("  ")[0])
    return button


def _stored_smoothing() -> int:
    try:
        return int(str(QSettings().value("monitor/smoothing", 0)))
    except ValueError:
        return 0


def _words(name: str) -> str:
    return name.removeprefix("train_").replace("_", " ")
