"""Any two metrics as points: the Pareto front is drawn, intervals are lines, a click chooses the row."""

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, QSignalBlocker, QSizeF, QTimer, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QVBoxLayout

from core.analysis.interval_support import uncertain
from core.analysis.pareto import front
from core.analysis.rows import Row
from core.analysis.wording import format_metric, heading
from core.records.metrics import METRICS, MetricKind
from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.combo import Combo
from gui.widgets.plot_parts import put_in_theme, show_axes, still_plot

_RING, _RINGS = 16.0, 24  # pixels between rings, and how many are tried
_CROWD = 300  # points that names keep clear of
_NARROW = 220
_NAMED = 9  # up to so many points carry their names; beyond, the front and the chosen one


class ParetoPlot(QFrame):
    """Signals: chosen (id of a row), axes_chosen (two metric ids)."""

    chosen = Signal(str)
    axes_chosen = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumWidth(300)
        self.across, self.upward = (
            self._axis("x", tr("Horizontal axis")),
            self._axis("y", tr("Vertical axis")),
        )
        self.plot = still_plot("pareto-plot", tr("Plot of two metrics; the table holds the same figures"))
        self.plot.getViewBox().setDefaultPadding(0.08)
        self.item = self.plot.getPlotItem()
        self.spread = pg.ErrorBarItem(x=np.array([]), y=np.array([]))
        self.line = pg.PlotDataItem(antialias=True)
        self.points = pg.ScatterPlotItem(pxMode=True, hoverable=True, hoverSize=15, tip=self._tip)
        self.points.sigClicked.connect(self._clicked)
        for part in (self.spread, self.line, self.points):
            self.item.addItem(part)
        self._names: list[pg.TextItem] = []
        self._leaders: list[pg.PlotCurveItem] = []
        self._colours: Mapping[str, str] = {}
        self._naming = QTimer(self)  # once more when the plot has found its range
        self._naming.setSingleShot(True)
        self._naming.timeout.connect(self._draw_names)
        self.item.vb.sigRangeChanged.connect(lambda *_: self._naming.start(30))
        self.item.vb.sigResized.connect(lambda *_: self._naming.start(30))
        self._rows: list[Row] = []
        self._outside: Collection[str] = ()
        self._selected: Collection[str] = ()
        head = QHBoxLayout()
        head.setSpacing(6)
        head.addWidget(self.upward)
        head.addWidget(text(tr("against"), "muted"))
        head.addWidget(self.across)
        head.addStretch(1)
        self.legend = text(tr("● front  ○ beaten"), "muted")
        self.legend.setToolTip(
            tr("On the Pareto front is what no other file beats in both figures. ☆ the baseline")
        )
        head.addWidget(self.legend)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addWidget(self.plot, 1)
        self.retheme()

    def _axis(self, name: str, label: str) -> QComboBox:
        box = Combo(f"pareto-{name}", label)
        box.setMaximumWidth(170)
        box.activated.connect(
            lambda _: self.axes_chosen.emit(self.across.currentData(), self.upward.currentData())
        )
        return box

    def show_rows(
        self,
        rows: Sequence[Row],
        kinds: Sequence[MetricKind],
        axes: tuple[str, str],
        outside: Collection[str],
        selected: Collection[str],
        colours: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Draw the rows; `kinds` are the metrics to choose from, `colours` those of several runs by folder."""
        self._colours = colours
        for box, name in ((self.across, axes[0]), (self.upward, axes[1])):
            with QSignalBlocker(box):
                if [box.itemData(n) for n in range(box.count())] != [kind.id for kind in kinds]:
                    box.clear()
                    for kind in kinds:
                        box.addItem(kind.label, kind.id)
                box.setCurrentIndex(box.findData(name))
        x, y = METRICS[axes[0]], METRICS[axes[1]]
        if (x, y) != self._axes or [r.id for r in rows] != [r.id for r in self._rows]:
            self.item.enableAutoRange()
        self._axes = (x, y)
        self._rows = [row for row in rows if _has(row, x) and _has(row, y)]
        self._outside, self._selected = outside, selected
        self._draw()

    def show_selected(self, ids: Collection[str]) -> None:
        """Mark these rows."""
        if set(ids) != set(self._selected):
            self._selected = ids
            self._draw()

    def retheme(self) -> None:
        put_in_theme(self.plot, self.item)
        self.item.showGrid(x=True, y=True, alpha=0.13)
        self._draw()

    def front_ids(self) -> list[str]:
        """Ids of the rows on the front, best first metric first; rows outside the limits do not count."""
        inside = [row for row in self._rows if row.id not in self._outside]
        x, y = self._axes
        return [inside[index].id for index in front(inside, x.id, y.id)]

    _axes: tuple[MetricKind, MetricKind] = (METRICS["latency_ms"], METRICS["top1"])

    def _draw(self) -> None:
        x, y = self._axes
        best = self.front_ids()
        by_id = {row.id: row for row in self._rows}
        line = [(_scaled(by_id[id], x), _scaled(by_id[id], y)) for id in best]
        c = theme.colours()
        self.line.setData([one for one, _ in line], [two for _, two in line])
        self.line.setPen(pg.mkPen(c.accent, width=1.6))
        for name, kind in (("bottom", x), ("left", y)):
            self.item.setLabel(name, heading(kind, [row.metrics for row in self._rows]), color=c.muted)
        show_axes(self.item, bool(self._rows))
        self._draw_spread(x, y)
        self._draw_points(x, y, set(best))
        self._naming.start(0)

    def _draw_points(self, x: MetricKind, y: MetricKind, best: Collection[str]) -> None:
        """Many points share few styles: each style is made once."""
        looks: dict[tuple[str | bool, ...], dict[str, Any]] = {}
        spots = []
        for row in self._rows:
            unsure = any(uncertain(kind.id, row.metrics[kind.id]) for kind in (x, y))
            own = self._colours.get(row.origin.folder if row.origin else "", "")
            flags = (row.id in self._outside, row.id in best, row.id in self._selected, row.baseline, unsure)
            key = (own, *flags)
            if key not in looks:
                looks[key] = _look(own, *flags)
            spots.append({"pos": (_scaled(row, x), _scaled(row, y)), "data": row, **looks[key]})
        self.points.setData(spots)

    def _draw_spread(self, x: MetricKind, y: MetricKind) -> None:
        rows = [row for row in self._rows if row.id not in self._outside][: 4 * _NAMED]
        left, right, down, up = (
            np.array([abs(_bound(row, kind, side) - _scaled(row, kind)) for row in rows])
            for kind, side in ((x, "low"), (x, "high"), (y, "low"), (y, "high"))
        )
        self.spread.setData(
            x=np.array([_scaled(row, x) for row in rows]), y=np.array([_scaled(row, y) for row in rows]),
            left=left, right=right, top=up, bottom=down, pen=pg.mkPen(theme.colours().strong_border, width=1),
        )  # fmt: skip

    def _draw_names(self) -> None:
        """Names beside points where there is room; the chosen ones, the baseline and the front first."""
        for name in (*self._names, *self._leaders):
            self.item.removeItem(name)
        self._names, self._leaders = [], []
        if not self._rows or self.plot.width() < _NARROW:
            return
        x, y = self._axes
        best, few, c = self.front_ids(), len(self._rows) <= _NAMED, theme.colours()
        ranks = [
            (row.id not in self._selected, not row.baseline, row.id not in best, number, row)
            for number, row in enumerate(self._rows)
            if few or row.id in self._selected or row.baseline or row.id in best
        ]
        spots = [self._pixel(_scaled(row, x), _scaled(row, y)) for row in self._rows[:_CROWD]]
        taken = [QRectF(spot.x() - 7, spot.y() - 7, 14, 14) for spot in spots]
        area, metrics = self.item.vb.sceneBoundingRect(), QFontMetrics(self.font())
        for *_, row in sorted(ranks, key=lambda rank: rank[:4])[: 2 * _NAMED]:
            size = QSizeF(metrics.horizontalAdvance(row.label) + 8, metrics.height() + 2)
            spot = self._pixel(_scaled(row, x), _scaled(row, y))
            place = _free(spot, size, taken, area, spots)
            if place is None:  # none is left out: farther away, with a line that leads to its point
                place = _farther(spot, size, taken, area)
                if place is None:
                    continue
                self._lead(spot, place)
            taken.append(place)
            self._write(row, place, c.text if row.id in self._selected else c.muted)

    def _write(self, row: Row, place: QRectF, colour: str) -> None:
        item = pg.TextItem(row.label, color=colour, anchor=(0.5, 0.5))
        item.setPos(self.item.vb.mapSceneToView(place.center()))
        self.item.addItem(item, ignoreBounds=True)
        self._names.append(item)

    def _lead(self, spot: QPointF, place: QRectF) -> None:
        """A thin line from a point to the near end of its name."""
        end = QPointF(
            min(max(spot.x(), place.left()), place.right()), min(max(spot.y(), place.top()), place.bottom())
        )
        ends = [self.item.vb.mapSceneToView(each) for each in (spot, end)]
        line = pg.PlotCurveItem(
            [each.x() for each in ends], [each.y() for each in ends],
            pen=pg.mkPen(theme.colours().strong_border, width=1),
        )  # fmt: skip
        line.setZValue(-1)
        self.item.addItem(line, ignoreBounds=True)
        self._leaders.append(line)

    def _pixel(self, x: float, y: float) -> QPointF:
        return self.item.vb.mapViewToScene(QPointF(x, y))

    def _tip(self, x: float, y: float, data: Row) -> str:
        lines = [data.label] + ([data.origin.run] if data.origin else [])
        return "\n".join([*lines, *(f"{heading(kind)}: {format_metric(kind, data.metrics.get(kind.id))}" for kind in self._axes)])  # fmt: skip

    def _clicked(self, _item: Any, points: Sequence[Any], _event: Any) -> None:
        if len(points):
            self.chosen.emit(points[0].data().id)


def _look(
    own: str, outside: bool, best: bool, selected: bool, baseline: bool, unsure: bool
) -> dict[str, Any]:
    c = theme.colours()
    plain = own or (c.accent if best else c.muted)
    colour = c.strong_border if outside else c.warning if unsure else plain
    return {
        "size": 15 if selected else 8 if outside else 11,
        "symbol": "x" if outside else "star" if baseline else "o",
        "brush": pg.mkBrush(colour if best else c.surface),
        "pen": pg.mkPen(c.text if selected else colour, width=2.4 if selected else 1.8),
    }


def _has(row: Row, kind: MetricKind) -> bool:
    metric = row.metrics.get(kind.id)
    return metric is not None and metric.value is not None


def _scaled(row: Row, kind: MetricKind) -> float:
    return (row.metrics[kind.id].value or 0.0) * kind.scale


def _bound(row: Row, kind: MetricKind, side: str) -> float:
    bound = getattr(row.metrics[kind.id], side)
    return _scaled(row, kind) if bound is None else bound * kind.scale


def _farther(spot: QPointF, size: QSizeF, taken: Sequence[QRectF], area: QRectF) -> QRectF | None:
    """The nearest room for a name, in widening rings; None where the plot is full."""
    for ring in range(2, _RINGS):
        for step in range(12):
            angle = math.radians(30 * step + 15 * (ring % 2))
            centre = spot + QPointF(ring * _RING * 1.6 * math.cos(angle), ring * _RING * math.sin(angle))
            place = QRectF(centre - QPointF(size.width() / 2, size.height() / 2), size)
            if area.contains(place) and not any(place.intersects(each) for each in taken):
                return place
    return None


def _apart(spot: QPointF, place: QRectF) -> float:
    """Pixels from a point to the nearest of a rectangle."""
    across = max(place.left() - spot.x(), 0.0, spot.x() - place.right())
    up = max(place.top() - spot.y(), 0.0, spot.y() - place.bottom())
    return math.hypot(across, up)


def _free(
    spot: QPointF, size: QSizeF, taken: Sequence[QRectF], area: QRectF, spots: Sequence[QPointF] = ()
) -> QRectF | None:
    """Room for a name right beside a point; None where all is taken, or as near to one of the other `spots`."""
    gap, wide, high = 9.0, size.width(), size.height()
    above, below, right, left = spot.y() - 8 - high, spot.y() + 8, spot.x() + 4, spot.x() - 4 - wide
    corners = (
        (right, above), (right, below), (left, above), (left, below), (spot.x() + gap, spot.y() - high / 2),
        (spot.x() - gap - wide, spot.y() - high / 2), (spot.x() - wide / 2, above - gap),
        (spot.x() - wide / 2, below + gap),
    )  # fmt: skip
    places = [QRectF(QPointF(*corner), size) for corner in corners]
    others = [other for other in spots if other != spot]
    inside = [
        place
        for place in places
        if area.contains(place) and all(_apart(other, place) > 2 * _apart(spot, place) for other in others)
    ]
    return next((place for place in inside if not any(place.intersects(each) for each in taken)), None)
