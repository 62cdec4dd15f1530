"""One or two histograms over each other, on common bins."""

from collections.abc import Sequence
from html import escape

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QVBoxLayout, QWidget

from core.analysis.histograms import Histogram
from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.plot_parts import put_in_theme, show_axes, still_plot

_MARKS = ("━━", "╍╍")


class HistogramPlot(QWidget):
    """The first is a filled line, the second a dashed one, so that colour is not the only sign."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[tuple[str, Histogram]] = []
        self._logarithmic = False
        self.plot = still_plot("histogram", tr("Histogram of the chosen layer"))
        self.item = self.plot.getPlotItem()
        self.legend = text(wrap=True)
        self.legend.setObjectName("histogram-legend")
        self.legend.setTextFormat(Qt.TextFormat.RichText)  # names in it are escaped
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 10, 14, 10)
        layout.setSpacing(6)
        layout.addWidget(self.legend)
        layout.addWidget(self.plot, 1)
        self.retheme()

    def show_histograms(self, shown: Sequence[tuple[str, Histogram]]) -> None:
        """Show histograms, each with its name."""
        self._shown = list(shown)
        self._draw()
        self.item.autoRange()

    def set_logarithmic(self, on: bool) -> None:
        """Count in powers of ten, so that rare values are seen."""
        self._logarithmic = on
        self._draw()
        self.item.autoRange()

    def retheme(self) -> None:
        c = theme.colours()
        put_in_theme(self.plot, self.item)
        self.item.setLabel("bottom", tr("Value"), color=c.muted)
        self.item.showGrid(x=False, y=True, alpha=0.16)
        self._draw()

    def _draw(self) -> None:
        self.item.clear()
        c, parts = theme.colours(), []
        words = tr("Share of the values [%]") + (tr(", logarithmic") if self._logarithmic else "")
        self.item.setLabel("left", words, color=c.muted)
        self.item.setLogMode(y=False)
        for number, (name, histogram) in enumerate(self._shown):
            colour = QColor(c.series[number])
            edges = np.linspace(histogram.low, histogram.high, len(histogram.counts) + 1)
            heights, floor = self._heights(histogram)
            style = Qt.PenStyle.SolidLine if number == 0 else Qt.PenStyle.DashLine
            fill = QColor(colour)
            fill.setAlpha(56 if number == 0 else 0)
            self.item.addItem(pg.PlotCurveItem(
                edges, heights, stepMode="center", pen=pg.mkPen(colour, width=2, style=style),
                fillLevel=floor, brush=pg.mkBrush(fill),
            ))  # fmt: skip
            self._mark_range(histogram, colour)
            parts.append(
                f'<span style="color:{colour.name()}">{_MARKS[number]}</span>&nbsp;<b>{escape(name)}</b>: '
                f'<span style="color:{c.muted}">{escape(histogram.sentence)}</span>'
            )
        show_axes(self.item, bool(self._shown))
        self._ticks()
        self.legend.setText("<br>".join(parts))

    def _mark_range(self, histogram: Histogram, colour: QColor) -> None:
        """Lines where a quantized file's integers end, and a ground where values are clipped."""
        if histogram.clipped is None:
            return
        bad = QColor(theme.colours().bad)
        bad.setAlpha(34)
        ends = ((histogram.range_low, histogram.low, -1), (histogram.range_high, histogram.high, 1))
        for bound, end, side in ends:
            if bound is None:
                continue
            pen = pg.mkPen(colour, width=1.4, style=Qt.PenStyle.DotLine)
            self.item.addItem(pg.InfiniteLine(bound, angle=90, pen=pen), ignoreBounds=True)
            if side * (end - bound) > 0:  # values lie beyond it
                beyond = pg.LinearRegionItem(
                    (min(bound, end), max(bound, end)), movable=False, brush=bad, pen=pg.mkPen(None)
                )
                self.item.addItem(beyond, ignoreBounds=True)

    def _heights(self, histogram: Histogram) -> tuple[np.ndarray, float]:
        """Heights to draw, and where the ground is."""
        shares = 100.0 * np.asarray(histogram.counts) / max(1, histogram.n)
        if not self._logarithmic:
            return shares, 0.0
        floor = np.log10(100.0 / max([h.n for _, h in self._shown] + [100])) - 0.3
        return np.log10(np.maximum(shares, 10**floor)), float(floor)

    def _ticks(self) -> None:
        """Percent at powers of ten where the axis is logarithmic."""
        axis = self.item.getAxis("left")
        steps = [factor * 10.0**power for power in range(-6, 3) for factor in (1, 2, 5)]
        axis.setTicks(
            [[(float(np.log10(step)), f"{step:g}") for step in steps]] if self._logarithmic else None
        )
