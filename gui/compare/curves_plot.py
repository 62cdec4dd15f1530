"""Training curves of the compared runs over each other: a colour a run, a dash a stage, a band over seeds."""

from collections.abc import Sequence
from html import escape

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from core.comparison.compared_runs import ComparedRun
from core.comparison.run_curves import Band
from gui.base import theme
from gui.base.translation import tr
from gui.compare.run_colours import run_colours
from gui.widgets.buttons import text
from gui.widgets.plot_parts import put_in_theme, show_axes, still_plot

_DASHES = (
    (Qt.PenStyle.SolidLine, "━━"), (Qt.PenStyle.DashLine, "╍╍"), (Qt.PenStyle.DotLine, "┈┈"),
    (Qt.PenStyle.DashDotLine, "━·"), (Qt.PenStyle.DashDotDotLine, "━··"),
)  # fmt: skip


class CurvesPlot(QWidget):
    """Shows validation accuracy by epoch.

    Signals:
        wanted: it is visible and needs the curves of these folders.
    """

    wanted = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self._runs: list[ComparedRun] = []
        self._bands: dict[str, tuple[Band, ...]] = {}
        self.plot = still_plot(
            "run-curves", tr("Validation accuracy by epoch, of every run and stage that trained")
        )
        self.item = self.plot.getPlotItem()
        self.legend = text("", "help", wrap=True)
        self.legend.setObjectName("run-curves-legend")
        self.legend.setTextFormat(Qt.TextFormat.RichText)  # names are escaped in it
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.legend)
        layout.addWidget(self.plot, 1)
        self.retheme()

    def show_runs(self, runs: Sequence[ComparedRun]) -> None:
        """Compare these runs."""
        self._runs = list(runs)
        self._ask()
        self._draw()

    def show_bands(self, bands: dict[str, tuple[Band, ...]]) -> None:
        """Take curves that have been read, by folder."""
        self._bands = bands
        self._draw()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._ask()

    def retheme(self) -> None:
        put_in_theme(self.plot, self.item)
        self.item.showGrid(x=False, y=True, alpha=0.16)
        self._draw()

    def _ask(self) -> None:
        """Curves are read while they are looked at, and not for every comparison."""
        folders = [run.folder for run in self._runs]
        if self.isVisible() and folders:
            self.wanted.emit(folders)

    def _draw(self) -> None:
        self.item.clear()
        c, colours = theme.colours(), run_colours(self._runs)
        stages = list(dict.fromkeys(b.name for run in self._runs for b in self._bands.get(run.folder, ())))
        parts = []
        for run in self._runs:
            for band in self._bands.get(run.folder, ()):
                number = stages.index(band.name)
                colour = QColor(colours.get(run.folder) or c.series[number % len(c.series)])
                self._draw_band(band, colour, _DASHES[number % len(_DASHES)][0])
        for number, name in enumerate(stages):
            sign = _DASHES[number % len(_DASHES)][1]
            ink = c.muted if colours else c.series[number % len(c.series)]
            parts.append(f'<span style="color:{ink}">{sign}</span>&nbsp;{escape(name)}')
        self.legend.setText(" &nbsp; ".join(parts) if stages else tr("No stage of these runs was trained."))
        self.item.setLabel("bottom", tr("Epoch"), color=c.muted)
        self.item.setLabel("left", tr("Validation top-1 [%]"), color=c.muted)
        show_axes(self.item, bool(stages))
        self.item.autoRange()

    def _draw_band(self, band: Band, colour: QColor, dash: Qt.PenStyle) -> None:
        x = np.arange(1, len(band.mean) + 1, dtype=float)
        if band.seeds > 1:
            ground = QColor(colour)
            ground.setAlpha(48)
            edges = [
                pg.PlotCurveItem(x, np.array(side), pen=pg.mkPen(None)) for side in (band.low, band.high)
            ]
            for edge in edges:
                self.item.addItem(edge)
            self.item.addItem(pg.FillBetweenItem(*edges, brush=ground))
        dots = (
            {"symbol": "o", "symbolSize": 5, "symbolBrush": colour, "symbolPen": None} if len(x) < 40 else {}
        )
        self.item.addItem(
            pg.PlotDataItem(
                x, np.array(band.mean), pen=pg.mkPen(colour, width=2, style=dash), antialias=True, **dots
            )
        )
