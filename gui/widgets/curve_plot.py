"""Curves over one time line, with boundaries between stages and marked points.

Points are kept by who draws; this widget shows arrays. Curves are down-sampled by their peaks
and clipped to what is visible, so that a million points stay cheap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from gui import theme
from gui.widgets.buttons import text


@dataclass(frozen=True, slots=True)
class Look:
    """How a curve is drawn: a place in the theme's series of colours, width, dots, dashes."""

    label: str
    colour: int
    width: float = 2.0
    dots: bool = False
    dashed: bool = False
    faint: bool = False


class CurvePlot(QWidget):
    """One plot: named curves, stage boundaries, best points."""

    def __init__(self, name: str, label: str, named: bool = True):
        """`named`: boundaries carry their names."""
        super().__init__()
        self.setObjectName(f"plot-{name}")
        self.setAccessibleName(label)
        self._curves: dict[str, pg.PlotDataItem] = {}
        self._looks: dict[str, Look] = {}
        self._marks: list[pg.GraphicsObject] = []
        self._bounds: list[tuple[float, str]] = []
        self._points: list[tuple[float, float, str]] = []
        self._named = named
        self.plot = pg.PlotWidget()
        self.plot.setObjectName(f"plot-area-{name}")
        self.plot.setFrameShape(self.plot.Shape.NoFrame)
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.viewport().setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.item = self.plot.getPlotItem()
        self.best = pg.ScatterPlotItem(symbol="star", size=15, pxMode=True)
        self.best.setZValue(20)
        self.item.addItem(self.best)
        self.legend = text()
        self.legend.setObjectName(f"legend-{name}")
        heading = QHBoxLayout()
        heading.setContentsMargins(12, 0, 10, 0)
        heading.addWidget(text(label, "section"))
        heading.addStretch(1)
        heading.addWidget(self.legend)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(heading)
        layout.addWidget(self.plot, 1)
        self.retheme()

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
        self.best.setBrush(pg.mkBrush(c.warning))
        self.best.setPen(pg.mkPen(c.surface))
        for name, curve in self._curves.items():
            curve.setPen(self._pen(self._looks[name]))
            self._dots(curve, self._looks[name])
        self._rebuild_legend()
        self.show_boundaries(self._bounds)

    def show_curve(self, name: str, look: Look, x: np.ndarray, y: np.ndarray) -> None:
        """Show (or change) a curve; NaN in `y` makes a gap."""
        if name not in self._curves:
            curve = pg.PlotDataItem(connect="finite", antialias=True)
            curve.setDownsampling(auto=True, method="peak")
            curve.setClipToView(True)
            self._curves[name], self._looks[name] = curve, look
            curve.setPen(self._pen(look))
            self._dots(curve, look)
            self.item.addItem(curve)
            self._rebuild_legend()
        self._curves[name].setData(x, y)

    def keep_only(self, names: Sequence[str]) -> None:
        """Take away curves that are no longer there."""
        gone = [name for name in self._curves if name not in names]
        for name in gone:
            self.item.removeItem(self._curves.pop(name))
            self._looks.pop(name)
        if gone:
            self._rebuild_legend()

    def show_boundaries(self, bounds: Sequence[tuple[float, str]]) -> None:
        """Vertical lines where stages begin, each with its name."""
        for mark in self._marks:
            self.item.removeItem(mark)
        self._marks, self._bounds = [], list(bounds)
        c = theme.colours()
        font = QFont(self.font())
        font.setPointSizeF(font.pointSizeF() * 0.9)
        for number, (x, words) in enumerate(bounds):
            line = pg.InfiniteLine(
                x,
                angle=90,
                pen=pg.mkPen(c.strong_border, width=1, style=Qt.PenStyle.DashLine),
                label=words if self._named else None,
                labelOpts={
                    "position": 0.99 - 0.075 * (number % 2),
                    "anchors": [(0, 0), (0, 0)],
                    "color": c.muted,
                    "movable": False,
                },
            )
            if self._named:
                line.label.setFont(font)
            self.item.addItem(line, ignoreBounds=True)
            self._marks.append(line)

    def show_best(self, points: Sequence[tuple[float, float, str]]) -> None:
        """Stars at the best epochs; the third part is the star's tooltip."""
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
        return {name: curve.getOriginalDataset() for name, curve in self._curves.items()}

    def shown(self) -> tuple[list[tuple[float, str]], list[tuple[float, float, str]]]:
        """The boundaries and the stars that are drawn."""
        return self._bounds, self._points

    def _rebuild_legend(self) -> None:
        series = theme.colours().series
        parts = []
        for look in self._looks.values():
            mark = {True: "╌╌", False: "──"}[look.dashed] if not look.dots else "─●─"
            colour = series[look.colour % len(series)]
            parts.append(f'<span style="color:{colour}">{mark}</span>&nbsp;{escape(look.label)}')
        if self._points:
            parts.append(f'<span style="color:{theme.colours().warning}">★</span>&nbsp;best epoch')
        self.legend.setText("&nbsp;&nbsp;&nbsp; ".join(parts))

    def _pen(self, look: Look) -> object:
        series = theme.colours().series
        colour = QColor(series[look.colour % len(series)])
        colour.setAlpha(110 if look.faint else 255)
        style = Qt.PenStyle.DashLine if look.dashed else Qt.PenStyle.SolidLine
        return pg.mkPen(colour, width=look.width, style=style)

    def _dots(self, curve: pg.PlotDataItem, look: Look) -> None:
        if look.dots:
            series = theme.colours().series
            curve.setSymbol("o")
            curve.setSymbolSize(6)
            curve.setSymbolBrush(pg.mkBrush(series[look.colour % len(series)]))
            curve.setSymbolPen(None)
