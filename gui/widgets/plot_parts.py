"""What a curve plot is put together from: a view that moves sideways, an axis of durations, a read-out."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QLabel, QWidget

from gui.base import theme
from gui.base.translation import tr

_TICKS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400)


class SidewaysBox(pg.ViewBox):
    """Dragging and the wheel move along x, and y fits what is visible; over the y axis the wheel zooms y."""

    whole_wanted = Signal()

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self.setAutoVisible(y=True)

    def wheelEvent(self, event: Any, axis: int | None = None) -> None:
        super().wheelEvent(event, axis=0 if axis is None else axis)

    def mouseDragEvent(self, event: Any, axis: int | None = None) -> None:
        super().mouseDragEvent(event, axis=0 if axis is None else axis)

    def mouseClickEvent(self, event: Any) -> None:
        if event.double() and event.button() == Qt.MouseButton.LeftButton:
            event.accept()
            self.whole_wanted.emit()


def still_plot(name: str, label: str) -> pg.PlotWidget:
    """A plot that takes no focus and has no menu, for figures that a table beside it holds too."""
    plot = pg.PlotWidget()
    plot.setObjectName(name)
    plot.setAccessibleName(label)
    plot.setFrameShape(plot.Shape.NoFrame)
    plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    plot.viewport().setFocusPolicy(Qt.FocusPolicy.NoFocus)
    plot.setMenuEnabled(False)
    plot.hideButtons()
    return plot


def put_in_theme(plot: Any, item: Any) -> None:
    """Background and axes of a plot in the colours of the theme in force."""
    c = theme.colours()
    plot.setBackground(QColor(c.surface))
    for name in ("left", "bottom"):
        axis = item.getAxis(name)
        axis.setPen(pg.mkPen(c.border))
        axis.setTextPen(pg.mkPen(c.muted))
        axis.setStyle(tickLength=4, hideOverlappingLabels=True)
        axis.setSIPrefixEnableRanges(())  # switching the prefix off scales small values by 1000 once more
        axis.enableAutoSIPrefix(False)
    item.getAxis("left").setWidth(56)


def show_axes(item: Any, shown: bool) -> None:
    """Axes belong to figures: a chart without any has none."""
    for name in ("left", "bottom"):
        item.getAxis(name).setVisible(shown)


class TimeAxis(pg.AxisItem):
    """The bottom axis; shows seconds as clock times when `clock` is set."""

    def __init__(self) -> None:
        super().__init__("bottom")
        self.clock = False
        self.enableAutoSIPrefix(False)

    def tickSpacing(self, low: float, high: float, size: float) -> Any:
        if not self.clock:
            return super().tickSpacing(low, high, size)
        least = (high - low) / max(2.0, size / 110)
        major = next((step for step in _TICKS if step >= least), _TICKS[-1] * max(1, round(least / 86400)))
        return [(major, 0)]

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        if not self.clock:
            strings: list[str] = super().tickStrings(values, scale, spacing)
            return strings
        return [_clock(value) for value in values]


def _clock(seconds: float) -> str:
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def value_at(x: np.ndarray, y: np.ndarray, place: float, bounds: Sequence[float]) -> float | None:
    """The value of a curve's point nearest to `place`, in the stage that `place` lies in.

    Args:
        x: ascending; `y` is NaN where a stage ends.
        bounds: where the stages begin.
    """
    if not len(x):
        return None
    middle = int(np.searchsorted(x, place))
    near = [i for i in range(max(0, middle - 2), min(len(x), middle + 3)) if np.isfinite(y[i])]
    segment = max(0, bisect_left(bounds, place) - 1)
    near = [i for i in near if max(0, bisect_left(bounds, float(x[i])) - 1) == segment]
    if not near:
        return None
    return float(y[min(near, key=lambda i: abs(x[i] - place))])


class Readout(QLabel):
    """The box beside the crosshair: where it is, and every curve's value there."""

    def __init__(self, parent: QWidget):
        super().__init__(parent)
        self.setObjectName("readout")
        self.setProperty("role", "readout")
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.lines: list[tuple[str, str]] = []
        self.hide()

    def say(self, where: str, values: Mapping[str, tuple[str, str]], at: QPointF, inside: QWidget) -> None:
        """Show `values` (words → (text, colour)) beside the point `at` of the widget `inside`."""
        self.lines = [(words, text) for words, (text, _colour) in values.items()]
        rows = "".join(
            f'<tr><td style="color:{colour}">■&nbsp;</td><td>{escape(words)}&nbsp;&nbsp;</td>'
            f'<td align="right">{escape(text)}</td></tr>'
            for words, (text, colour) in values.items()
        )
        self.setText(
            tr("<b>{escape}</b><table cellspacing='0'>{rows}</table>", escape=escape(where), rows=rows)
        )
        self.adjustSize()
        x = at.x() + 14
        if x + self.width() > inside.width() - 4:
            x = at.x() - 14 - self.width()
        y = min(max(4.0, at.y() - self.height() / 2), max(4.0, inside.height() - self.height() - 4.0))
        self.move(round(max(4.0, x)), round(y))
        self.show()
