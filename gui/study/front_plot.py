"""Two figures of every trial: the front, intervals as bars, what lies beyond a limit shaded."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from core.analysis.wording import heading
from core.records.metrics import METRICS, MetricKind
from core.search.records import TrialRecord
from core.search.text import figure
from gui.base import theme
from gui.base.translation import tr
from gui.study.reading import ShownStudy
from gui.widgets.buttons import text
from gui.widgets.combo import Combo
from gui.widgets.plot_parts import put_in_theme, still_plot

_BEYOND = 1000.0  # bounds away from the bound: where a shaded region ends that has no end


class FrontPlot(QWidget):
    """Signals: chosen (number of a trial)."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.across, self.upward = (
            self._axis("x", tr("Horizontal axis")),
            self._axis("y", tr("Vertical axis")),
        )
        self.plot = still_plot(
            "study-front", tr("Plot of two figures of every trial; the table holds the same")
        )
        self.plot.getViewBox().setDefaultPadding(0.08)
        self.item = self.plot.getPlotItem()
        self.shades = [
            pg.LinearRegionItem((0, 1), orientation=way, movable=False) for way in ("vertical", "horizontal")
        ]
        self.spread = pg.ErrorBarItem(x=np.array([]), y=np.array([]))
        self.line = pg.PlotDataItem(antialias=True)
        self.points = pg.ScatterPlotItem(pxMode=True, hoverable=True, hoverSize=15, tip=self._tip)
        self.points.sigClicked.connect(self._clicked)
        for part in (*self.shades, self.spread, self.line, self.points):
            self.item.addItem(part, ignoreBounds=part in self.shades)
        self._shown: ShownStudy | None = None
        self._selected = 0
        head = QHBoxLayout()
        head.setSpacing(6)
        head.addWidget(self.upward)
        head.addWidget(text(tr("against"), "muted"))
        head.addWidget(self.across)
        head.addStretch(1)
        legend = text(tr("● front  ○ other  × beyond a limit"), "muted")
        legend.setToolTip(
            tr(
                "Of trials that were refused or ended early, forecasts and what was known. Shaded: beyond a limit."
            )
        )
        head.addWidget(legend)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 10, 4)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addWidget(self.plot, 1)

    def _axis(self, name: str, label: str) -> QComboBox:
        box = Combo(f"study-{name}", label)
        box.setMaximumWidth(170)
        box.activated.connect(lambda _: self._axes_chosen())
        return box

    def show_study(self, shown: ShownStudy | None) -> None:
        """Draw a search as far as it is; a person's choice of axes stays."""
        self._shown = shown
        if shown is not None:
            aims = list(shown.study.search.aims)
            aims += [name for name in ("params", "macs", "top1", "size_mb") if name not in aims]
            first = (aims[1], aims[0])
            for box, default in ((self.across, first[0]), (self.upward, first[1])):
                with QSignalBlocker(box):
                    if [box.itemData(n) for n in range(box.count())] != aims:
                        box.clear()
                        for name in aims:
                            box.addItem(METRICS[name].label, name)
                        box.setCurrentIndex(box.findData(default))
        self._draw()

    def show_selected(self, number: int) -> None:
        """Mark a trial; 0 for none."""
        if number != self._selected:
            self._selected = number
            self._draw()

    def retheme(self) -> None:
        put_in_theme(self.plot, self.item)
        self.item.showGrid(x=True, y=True, alpha=0.13)
        self._draw()

    @property
    def axes(self) -> tuple[MetricKind, MetricKind]:
        """What is drawn across and upward."""
        return METRICS[self.across.currentData() or "size_mb"], METRICS[self.upward.currentData() or "top1"]

    def _axes_chosen(self) -> None:
        self.item.enableAutoRange()
        self._draw()

    def _draw(self) -> None:
        trials = self._trials()
        x, y = self.axes
        c = theme.colours()
        best = [one for one in (self._shown.best if self._shown else ()) if one in trials]
        line = sorted((_value(one, x), _value(one, y)) for one in best)
        self.line.setData([one for one, _ in line], [two for _, two in line])
        self.line.setPen(pg.mkPen(c.accent, width=1.6))
        for name, kind in (("bottom", x), ("left", y)):
            self.item.setLabel(name, heading(kind), color=c.muted)
        numbers = {one.number for one in best}
        self.points.setData([
            {"pos": (_value(one, x), _value(one, y)), "data": one, **_look(one, one.number in numbers, one.number == self._selected)}
            for one in trials
        ])  # fmt: skip
        self._draw_spread([one for one in trials if one.state == "done"], x, y)
        self._shade(x, y)

    def _trials(self) -> list[TrialRecord]:
        """Those with both figures, each file once."""
        x, y = self.axes
        every = self._shown.study.trials if self._shown is not None else ()
        return [
            one
            for one in every
            if one.same_as is None
            and all((m := one.metrics.get(kind.id)) is not None and m.value is not None for kind in (x, y))
        ]

    def _draw_spread(self, trials: Sequence[TrialRecord], x: MetricKind, y: MetricKind) -> None:
        left, right, down, up = (
            np.array([abs(_bound(one, kind, side) - _value(one, kind)) for one in trials])
            for kind, side in ((x, "low"), (x, "high"), (y, "low"), (y, "high"))
        )
        self.spread.setData(
            x=np.array([_value(one, x) for one in trials]), y=np.array([_value(one, y) for one in trials]),
            left=left, right=right, top=up, bottom=down, pen=pg.mkPen(theme.colours().strong_border, width=1),
        )  # fmt: skip

    def _shade(self, x: MetricKind, y: MetricKind) -> None:
        """Shade what lies beyond a limit of an axis."""
        limits = self._shown.study.search.limits if self._shown is not None else {}
        colour = QColor(theme.colours().bad)
        colour.setAlpha(28)
        for shade, kind in zip(self.shades, (x, y), strict=True):
            bound = limits.get(kind.id)
            shade.setVisible(bound is not None)
            if bound is None:
                continue
            end = bound * kind.scale
            far = _BEYOND * max(abs(end), 1.0)
            shade.setRegion((end - far, end) if kind.better == "higher" else (end, end + far))
            shade.setBrush(pg.mkBrush(colour))
            for line in shade.lines:
                line.setPen(pg.mkPen(theme.colours().bad, width=1, style=Qt.PenStyle.DashLine))

    def _tip(self, x: float, y: float, data: TrialRecord) -> str:
        figures = (f"{heading(kind)}: {figure(kind.id, data.metrics.get(kind.id))}" for kind in self.axes)
        return "\n".join([tr("Trial {number}", number=data.number), *figures])

    def _clicked(self, _item: Any, points: Sequence[Any], _event: Any) -> None:
        if len(points):
            self.chosen.emit(points[0].data().number)


def _look(trial: TrialRecord, best: bool, selected: bool) -> dict[str, Any]:
    c = theme.colours()
    outside = trial.state != "done" or not trial.feasible
    colour = c.accent if best else c.strong_border if outside else c.muted
    return {
        "size": 15 if selected else 8 if outside and not best else 11,
        "symbol": "x" if outside and not best else "o",
        "brush": pg.mkBrush(colour if best else c.surface),
        "pen": pg.mkPen(c.text if selected else colour, width=2.4 if selected else 1.8),
    }


def _value(trial: TrialRecord, kind: MetricKind) -> float:
    return (trial.metrics[kind.id].value or 0.0) * kind.scale


def _bound(trial: TrialRecord, kind: MetricKind, side: str) -> float:
    bound = getattr(trial.metrics[kind.id], side)
    return _value(trial, kind) if bound is None else bound * kind.scale
