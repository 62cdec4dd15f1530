"""Parallel coordinates: an upright axis for each free setting and each figure, a line for each trial."""

from itertools import pairwise
from math import log

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from core.document import dimensions
from core.document.dimensions import Dimension
from core.records.metrics import METRICS
from core.search.records import TrialRecord
from gui.base import theme
from gui.base.translation import tr
from gui.study.reading import ShownStudy

_TOP, _BOTTOM, _SIDE = 44, 26, 52
_NEAR = 9.0  # pixels from a line within which a click chooses it


class ParallelCoordinates(QWidget):
    """Signals: chosen (number of a trial)."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("study-parallel")
        self.setAccessibleName(tr("Settings and figures of every trial as lines; the table holds the same"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(150)
        self._shown: ShownStudy | None = None
        self._selected = 0

    def show_study(self, shown: ShownStudy | None) -> None:
        """Draw a search as far as it is."""
        self._shown = shown
        self.update()

    def show_selected(self, number: int) -> None:
        """Mark a trial; 0 for none."""
        self._selected = number
        self.update()

    def lines(self) -> list[tuple[TrialRecord, list[QPointF | None]]]:
        """Every trial that was made, and where its line crosses each axis; None where a setting did not count."""
        shown = self._shown
        if shown is None:
            return []
        trials = [one for one in shown.study.trials if one.state == "done" and one.same_as is None]
        axes = self._axes(trials)
        return [
            (trial, [_point(place, trial, x, self.height()) for x, (_, place) in zip(self._xs(len(axes)), axes, strict=True)])
            for trial in trials
        ]  # fmt: skip

    def _xs(self, count: int) -> list[float]:
        wide = self.width() - 2 * _SIDE
        return [_SIDE + wide * index / max(1, count - 1) for index in range(count)]

    def _axes(self, trials: list[TrialRecord]) -> "list[tuple[tuple[str, str, str], _Place]]":
        """Of each axis its title with the words at its lower and upper end, and what places a trial on it."""
        assert self._shown is not None
        axes: list[tuple[tuple[str, str, str], _Place]] = []
        for dimension in self._shown.study.dimensions:
            place = _Setting(dimension)
            axes.append(((dimension.label, *place.ends), place))
        for name in self._shown.study.search.aims:
            figures = [one.metrics[name].value for one in trials if name in one.metrics]
            known = [value for value in figures if value is not None]
            aim = _Figure(name, min(known, default=0.0), max(known, default=1.0))
            axes.append(((METRICS[name].label, *aim.ends), aim))
        return axes

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter, c = QPainter(self), theme.colours()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        lines = self.lines()
        if not lines or self._shown is None:
            painter.setPen(QColor(c.muted))
            painter.drawText(
                self.rect(), int(Qt.AlignmentFlag.AlignCenter), tr("Drawn when a trial is done.")
            )
            return
        best = {one.number for one in self._shown.best}
        ranked = sorted(lines, key=lambda pair: (pair[0].number == self._selected, pair[0].number in best))
        for trial, points in ranked:
            selected = trial.number == self._selected
            colour = QColor(c.text if selected else c.accent if trial.number in best else c.strong_border)
            colour.setAlpha(255 if selected or trial.number in best else 120)
            painter.setPen(QPen(colour, 2.6 if selected else 1.8 if trial.number in best else 1.0))
            painter.drawPath(_path(points))
        self._draw_axes(painter, [trial for trial, _ in lines])

    def _draw_axes(self, painter: QPainter, trials: list[TrialRecord]) -> None:
        c = theme.colours()
        axes = self._axes(trials)
        small = QFont(self.font())
        small.setPointSizeF(self.font().pointSizeF() * 0.85)
        painter.setFont(small)
        metrics, high = painter.fontMetrics(), self.height()
        room = (self.width() - 2 * _SIDE) / max(1, len(axes) - 1) - 6 if len(axes) > 1 else 2.0 * _SIDE
        for x, ((title, low, top), _) in zip(self._xs(len(axes)), axes, strict=True):
            painter.setPen(QPen(QColor(c.border), 1.4))
            painter.drawLine(QPointF(x, _TOP), QPointF(x, high - _BOTTOM))
            width = max(40.0, min(room, 150.0))
            for words, y, colour in (
                (title, 2.0, c.text),
                (top, 20.0, c.muted),
                (low, high - _BOTTOM + 4.0, c.muted),
            ):
                shown = metrics.elidedText(
                    words.rpartition(": ")[2] if ": " in words else words,
                    Qt.TextElideMode.ElideMiddle,
                    int(width),
                )
                box = QRectF(min(max(0.0, x - width / 2), self.width() - width), y, width, 18)
                painter.setPen(QColor(colour))
                painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), shown)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the line that is nearest."""
        near = [(_distance(points, event.position()), trial.number) for trial, points in self.lines()]
        distance, number = min(near, default=(_NEAR + 1, 0))
        if distance <= _NEAR:
            self.chosen.emit(number)


class _Place:
    """Where a trial lies on an axis: 0 at its lower end, 1 at its upper; None where it is not on it."""

    ends: tuple[str, str] = ("", "")

    def share(self, trial: TrialRecord) -> float | None:
        raise NotImplementedError


class _Setting(_Place):
    """A free setting; choices stand at equal distances."""

    def __init__(self, dimension: Dimension):
        self.dimension = dimension
        low, high = (
            (dimension.choices[0], dimension.choices[-1])
            if dimension.kind == "choice"
            else (dimension.low, dimension.high)
        )
        self.ends = (dimensions.in_words(dimension, low), dimensions.in_words(dimension, high))

    def share(self, trial: TrialRecord) -> float | None:
        one = self.dimension
        if one.path not in trial.values:
            return None
        value = trial.values[one.path]
        if one.kind == "choice":
            names = [repr(choice) for choice in one.choices]
            return names.index(repr(value)) / max(1, len(names) - 1) if repr(value) in names else None
        if not isinstance(value, int | float):
            return None
        if one.log and one.low > 0:
            return log(value / one.low) / log(one.high / one.low)
        return (value - one.low) / ((one.high - one.low) or 1.0)


class _Figure(_Place):
    """A figure, from the smallest to the largest that was seen."""

    def __init__(self, name: str, low: float, high: float):
        kind = METRICS[name]
        self.name, self.low, self.high = name, low, high
        self.ends = (f"{low * kind.scale:.4g}", f"{high * kind.scale:.4g}")

    def share(self, trial: TrialRecord) -> float | None:
        metric = trial.metrics.get(self.name)
        if metric is None or metric.value is None:
            return None
        return (metric.value - self.low) / ((self.high - self.low) or 1.0)


def _point(place: _Place, trial: TrialRecord, x: float, height: float) -> QPointF | None:
    share = place.share(trial)
    return None if share is None else QPointF(x, height - _BOTTOM - share * (height - _BOTTOM - _TOP))


def _path(points: list[QPointF | None]) -> QPainterPath:
    """A line through the points that are there."""
    there = [point for point in points if point is not None]
    path = QPainterPath(there[0]) if there else QPainterPath()
    for point in there[1:]:
        path.lineTo(point)
    return path


def _distance(points: list[QPointF | None], at: QPointF) -> float:
    """How far a point is from the line, upright."""
    there = [point for point in points if point is not None]
    for left, right in pairwise(there):
        if left.x() <= at.x() <= right.x():
            share = (at.x() - left.x()) / ((right.x() - left.x()) or 1.0)
            return abs(left.y() + share * (right.y() - left.y()) - at.y())
    return float("inf")
