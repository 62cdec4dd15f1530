"""Curves over one time line, with boundaries between stages, marked points and a crosshair.

The caller keeps the points; this widget shows arrays. Curves are down-sampled by their peaks
and clipped to what is visible, so that a million points stay cheap.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.legend import Legend, sign, star
from gui.widgets.plot_parts import Readout, SidewaysBox, TimeAxis, show_axes, value_at

_BEST = "best-epoch"
_ZOOM, _STEPS = 1.5, 60
_NAME_ROWS = 2  # that the names of stages take turns in
_BESIDE_NAME = 12  # pixels between a boundary, its name and what comes behind
_SMOOTH_POINTS = 20_000  # drawn with smooth edges; more of them lie closer than a pixel anyway


@dataclass(frozen=True, slots=True)
class CurveStyle:
    """How a curve is drawn: a place in the theme's series of colours, width, dots, dashes."""

    label: str
    colour: int
    width: float = 2.0
    dots: bool = False
    dashed: bool = False
    faint: bool = False


@dataclass(slots=True)
class _Curve:
    style: CurveStyle
    line: pg.PlotDataItem
    behind: pg.PlotDataItem


class CurvePlot(QWidget):
    """One plot: named curves, stage boundaries, best points.

    Signals:
        pointed: x under the pointer (or moved to by arrow keys), None when it left.
        moved: a person zoomed or panned; `whole` takes it back.
        whole_wanted: a double click asks for the whole run.
    """

    pointed = Signal(object)
    moved = Signal()
    whole_wanted = Signal()

    def __init__(self, name: str, label: str, unit: str = "", named: bool = True):
        """`named`: boundaries carry their names; `unit` follows the values in the read-out."""
        super().__init__()
        self.setObjectName(f"plot-{name}")
        self.setAccessibleName(label)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolTip("")
        self._curves: dict[str, _Curve] = {}
        self._hidden: set[str] = set()
        self._marks: list[pg.GraphicsObject] = []
        self._bounds: list[tuple[float, str]] = []
        self._points: list[tuple[float, float, str]] = []
        self._named, self._unit = named, unit
        self._place: float | None = None
        self._small = QFont(self.font())
        self._small.setPointSizeF(self._small.pointSizeF() * 0.9)
        self.box = SidewaysBox()
        self.bottom = TimeAxis()
        self.plot = pg.PlotWidget(viewBox=self.box, axisItems={"bottom": self.bottom})
        self.plot.setObjectName(f"plot-area-{name}")
        self.plot.setFrameShape(self.plot.Shape.NoFrame)
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.viewport().setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.viewport().installEventFilter(self)
        self.plot.hideButtons()
        self.item = self.plot.getPlotItem()
        self.item.setDownsampling(auto=True, mode="peak")  # of the plot: it overrules its curves'
        self.item.setClipToView(True)
        self.best = pg.ScatterPlotItem(symbol="star", size=15, pxMode=True)
        self.best.setZValue(20)
        self.item.addItem(self.best)
        self.cross = pg.InfiniteLine(angle=90)
        self.cross.setZValue(30)
        self.cross.hide()
        self.item.addItem(self.cross, ignoreBounds=True)
        self.readout = Readout(self.plot)
        self.legend = Legend(name)
        self.legend.toggled.connect(self._toggle)
        heading = QHBoxLayout()
        heading.setContentsMargins(12, 0, 10, 0)
        heading.setSpacing(10)
        heading.addWidget(text(label, "section"), 0, Qt.AlignmentFlag.AlignTop)
        heading.addWidget(self.legend, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(heading)
        layout.addWidget(self.plot, 1)
        self.plot.scene().sigMouseMoved.connect(self._mouse_moved)
        self.box.sigRangeChangedManually.connect(lambda *_: self.moved.emit())
        self.box.whole_wanted.connect(self.whole_wanted)
        self.box.sigXRangeChanged.connect(lambda *_: self._fit_names())
        self.box.sigResized.connect(lambda *_: self._fit_names())
        self.retheme()
        self._show_axes()

    # what is drawn

    def show_curve(
        self, name: str, style: CurveStyle, x: np.ndarray, y: np.ndarray, raw: np.ndarray | None = None
    ) -> None:
        """Show (or change) a curve; NaN in `y` makes a gap. `raw` is drawn faintly behind it."""
        if name not in self._curves:
            new_curve = _Curve(style, *(self._new_item(z) for z in (1, 0)))
            self._curves[name] = new_curve
            self._paint(new_curve)
            self._show_or_hide(name)
            self._rebuild_legend()
        curve = self._curves[name]
        for item in (curve.line, curve.behind):
            item.opts["antialias"] = len(x) <= _SMOOTH_POINTS
        curve.line.setData(x, y)
        curve.behind.setData(*((x, raw) if raw is not None else ([], [])))
        self._show_axes()

    def keep_only(self, names: Sequence[str]) -> None:
        """Take away curves that are no longer there."""
        gone = [name for name in self._curves if name not in names]
        for name in gone:
            curve = self._curves.pop(name)
            self.item.removeItem(curve.line)
            self.item.removeItem(curve.behind)
        if gone:
            self._rebuild_legend()
        self._show_axes()

    def _show_axes(self) -> None:
        curves = [curve.line.getOriginalDataset()[0] for curve in self._curves.values()]
        show_axes(self.item, any(x is not None and len(x) for x in curves))

    def show_boundaries(self, bounds: Sequence[tuple[float, str]]) -> None:
        """Vertical lines where stages begin, each with its name."""
        for mark in self._marks:
            self.item.removeItem(mark)
        self._marks, self._bounds = [], list(bounds)
        c = theme.colours()
        for number, (x, _words) in enumerate(bounds):
            line = pg.InfiniteLine(
                x,
                angle=90,
                pen=pg.mkPen(c.strong_border, width=1, style=Qt.PenStyle.DashLine),
                label="" if self._named else None,
                labelOpts={
                    "position": 0.99 - 0.075 * (number % _NAME_ROWS),
                    "anchors": [(0, 0), (0, 0)],
                    "color": c.muted,
                    "movable": False,
                },
            )
            if self._named:
                line.label.setFont(self._small)
            self.item.addItem(line, ignoreBounds=True)
            self._marks.append(line)
        self._fit_names()

    def _fit_names(self) -> None:
        """Each name as far as the next one in its row, or the plot's edge, leaves room; the read-out has it whole."""
        if not self._named:
            return
        metrics, (low, high) = QFontMetrics(self._small), self.box.viewRange()[0]
        scale = self.box.width() / ((high - low) or 1.0)
        for number, (mark, (x, words)) in enumerate(zip(self._marks, self._bounds, strict=True)):
            following = self._bounds[number + _NAME_ROWS :][:1]
            end = min(high, following[0][0]) if following else high
            room = int((end - x) * scale) - _BESIDE_NAME
            shown = words
            if metrics.horizontalAdvance(words) > room:
                shown = metrics.elidedText(words, Qt.TextElideMode.ElideRight, max(0, room))
            mark.label.setFormat(shown.replace("{", "{{").replace("}", "}}"))

    def show_best(self, points: Sequence[tuple[float, float, str]]) -> None:
        """Stars at the best epochs; the third part is the star's tooltip. Where the value is none, no star."""
        points = [point for point in points if isfinite(point[1])]
        renew = bool(points) != bool(self._points)
        self._points = list(points)
        if renew:
            self._rebuild_legend()
        self.best.setData(
            x=[x for x, _y, _tip in points],
            y=[y for _x, y, _tip in points],
            data=[tip for _x, _y, tip in points],
            tip=lambda x, y, data: data,
            hoverable=True,
        )

    def values(self) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        """What is drawn, by name: for tests and for copying."""
        return {name: curve.line.getOriginalDataset() for name, curve in self._curves.items()}

    def shown(self) -> tuple[list[tuple[float, str]], list[tuple[float, float, str]]]:
        """The boundaries and the stars that are drawn."""
        return self._bounds, self._points

    def retheme(self) -> None:
        """Draw in the theme's colours."""
        c = theme.colours()
        self.plot.setBackground(QColor(c.surface))
        for name in ("left", "bottom"):
            axis = self.item.getAxis(name)
            axis.setPen(pg.mkPen(c.border))
            axis.setTextPen(pg.mkPen(c.muted))
            axis.setStyle(tickLength=4, hideOverlappingLabels=True)
        self.item.getAxis("left").setWidth(48)
        self.item.showGrid(x=False, y=True, alpha=0.16)
        self.cross.setPen(pg.mkPen(c.muted, width=1))
        self.best.setBrush(pg.mkBrush(c.warning))
        self.best.setPen(pg.mkPen(c.surface))
        for curve in self._curves.values():
            self._paint(curve)
        self._rebuild_legend()
        self.show_boundaries(self._bounds)

    # zoom

    def whole(self) -> None:
        """Show everything, and follow it as it grows; sideways a plot that is linked to another shows what that one does."""
        linked = self.box.linkedView(pg.ViewBox.XAxis) is not None
        self.box.enableAutoRange(axis=pg.ViewBox.YAxis if linked else pg.ViewBox.XYAxes)
        self.box.updateAutoRange()

    def begin(self) -> None:
        """Forget the frame of what was shown before: a first point alone would keep its width."""
        self.box.setRange(xRange=(0, 1), yRange=(0, 1))

    def zoom(self, closer: bool) -> None:
        """Zoom around the crosshair where it is shown, else around the middle."""
        low, high = self.box.viewRange()[0]
        centre = self._place if self._place is not None and low <= self._place <= high else (low + high) / 2
        factor = 1 / _ZOOM if closer else _ZOOM
        self.box.setXRange(centre - (centre - low) * factor, centre + (high - centre) * factor, padding=0)
        self.moved.emit()

    # the crosshair

    def point_at(self, x: float | None, where: Callable[[float], str]) -> None:
        """Put the crosshair at `x` and list every curve's value there; None takes it away."""
        low, high = self.box.viewRange()[0]
        self._place = x
        if x is None or not self._curves or not low <= x <= high:
            self.cross.hide()
            self.readout.hide()
            return
        values = self._values_at(x)
        self.cross.setValue(x)
        self.cross.show()
        top = self.box.mapFromView(QPointF(x, self.box.viewRange()[1][1]))
        at = QPointF(self.plot.mapFromScene(self.box.mapToScene(top)))
        at.setY(self.plot.height() / 2)
        self.readout.say(where(x), values, at, self.plot)
        sentence = ", ".join(f"{words} {value}" for words, (value, _colour) in values.items())
        self.setAccessibleDescription(f"{where(x)}: {sentence}")

    def _values_at(self, x: float) -> dict[str, tuple[str, str]]:
        values = {}
        bounds, series = [place for place, _words in self._bounds], theme.colours().series
        for name, curve in self._curves.items():
            if name in self._hidden:
                continue
            value, raw = (self._value(item, x, bounds) for item in (curve.line, curve.behind))
            if value is not None:
                figure = self._number(value) + (
                    tr(" (raw {number})", number=self._number(raw)) if raw is not None else ""
                )
                values[tr(curve.style.label)] = (figure, series[curve.style.colour % len(series)])
        return values

    def _value(self, item: pg.PlotDataItem, x: float, bounds: Sequence[float]) -> float | None:
        places, values = item.getOriginalDataset()
        return None if places is None else value_at(places, values, x, bounds)

    def _number(self, value: float) -> str:
        return f"{value:.2f} {self._unit}" if self._unit else f"{value:.4g}"

    def _mouse_moved(self, at: QPointF) -> None:
        inside = self.box.sceneBoundingRect().contains(at)
        self.pointed.emit(float(self.box.mapSceneToView(at).x()) if inside else None)

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self.pointed.emit(None)
        return False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move the crosshair, plus and minus zoom, Home shows everything, Escape lets go."""
        low, high = self.box.viewRange()[0]
        keys, key = Qt.Key, event.key()
        if key in (keys.Key_Left, keys.Key_Right):
            step = (high - low) / _STEPS * (1 if key == keys.Key_Right else -1)
            start = (low + high) / 2 if self._place is None else self._place
            self.pointed.emit(min(max(start + step, low), high))
        elif key in (keys.Key_Plus, keys.Key_Equal, keys.Key_Minus):
            self.zoom(key != keys.Key_Minus)
        elif key == keys.Key_Home:
            self.whole_wanted.emit()
        elif key == keys.Key_Escape and self._place is not None:
            self.pointed.emit(None)
        else:
            super().keyPressEvent(event)

    # inside

    def _new_item(self, z: int) -> pg.PlotDataItem:
        item = pg.PlotDataItem(connect="finite", antialias=True, autoDownsampleFactor=1.5)
        item.curve.setSegmentedLineMode("on")  # many short lines are drawn far faster than one long path
        item.setZValue(z)
        self.item.addItem(item)
        return item

    def _toggle(self, name: str, shown: bool) -> None:
        (self._hidden.discard if shown else self._hidden.add)(name)
        self._show_or_hide(name)

    def _show_or_hide(self, name: str) -> None:
        curve = self._curves.get(name)
        for item in (curve.line, curve.behind) if curve else (self.best,):
            item.setVisible(name not in self._hidden)
        self.box.updateAutoRange()

    def _rebuild_legend(self) -> None:
        c, ratio = theme.colours(), self.devicePixelRatioF()
        entries = []
        for name, curve in self._curves.items():
            style = curve.style
            colour = c.series[style.colour % len(c.series)]
            entries.append((name, tr(style.label), sign(colour, style.dashed, style.dots, ratio)))
        if self._points:
            entries.append((_BEST, tr("best epoch"), star(c.warning, ratio)))
        self.legend.show_entries(entries, self._hidden)

    def _paint(self, curve: _Curve) -> None:
        style, series = curve.style, theme.colours().series
        colour = QColor(series[style.colour % len(series)])
        curve.behind.setPen(pg.mkPen(_towards_ground(colour, 0.3), width=1))
        if style.faint:
            colour = _towards_ground(colour, 0.55)
        pen_style = Qt.PenStyle.DashLine if style.dashed else Qt.PenStyle.SolidLine
        curve.line.setPen(pg.mkPen(colour, width=style.width, style=pen_style))
        if style.dots:
            curve.line.setSymbol("o")
            curve.line.setSymbolSize(6)
            curve.line.setSymbolBrush(pg.mkBrush(colour))
            curve.line.setSymbolPen(None)


def _towards_ground(colour: QColor, share: float) -> QColor:
    """So much of a colour on the plot's ground; opaque, because translucent lines are drawn slowly."""
    ground = QColor(theme.colours().surface)
    pairs = (
        (colour.red(), ground.red()),
        (colour.green(), ground.green()),
        (colour.blue(), ground.blue()),
    )
    return QColor(*(round(channel * share + below * (1 - share)) for channel, below in pairs))
