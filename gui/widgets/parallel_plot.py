"""Parallel coordinates: a line for each of many, from setting to setting to what it reached; a click chooses one."""

from collections.abc import Collection, Mapping
from itertools import pairwise

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QToolTip, QWidget

from core.comparison.coordinates import Axis, Coordinates, Polyline
from gui.base import theme
from gui.base.translation import tr

_NEAR = 8.0  # pixels from a line that still mean it
_TOP_LINES, _BOTTOM = 3, 12


class ParallelPlot(QWidget):
    """Paints `Coordinates`.

    Args:
        nothing: what is said where there are no lines.

    Signals:
        chosen: the id of a line.
    """

    chosen = Signal(str)

    def __init__(self, name: str, nothing: str) -> None:
        super().__init__()
        self._nothing = nothing
        self.setObjectName(name)
        self.setAccessibleName(tr("Parallel coordinates; the table holds the same figures"))
        self.setMouseTracking(True)
        self.coordinates = Coordinates((), ())
        self._colours: Mapping[str, str] = {}
        self._selected: Collection[str] = ()

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 120)

    def show_coordinates(self, coordinates: Coordinates, colours: Mapping[str, str]) -> None:
        """Show these lines; `colours` by their groups, the accent's for others."""
        self.coordinates, self._colours = coordinates, colours
        self.update()

    def show_selected(self, ids: Collection[str]) -> None:
        """Draw these on top."""
        self._selected = ids
        self.update()

    def retheme(self) -> None:
        self.update()

    # places

    def _area(self) -> QRectF:
        line = self.fontMetrics().height()
        return QRectF(self.rect()).adjusted(46, _TOP_LINES * line, -46, -line - _BOTTOM)

    def _x(self, number: int) -> float:
        area, count = self._area(), len(self.coordinates.axes)
        return area.center().x() if count < 2 else area.left() + area.width() * number / (count - 1)

    def points(self, line: Polyline) -> list[QPointF]:
        """Where a line crosses the axes that it is on."""
        area = self._area()
        return [
            QPointF(self._x(number), area.bottom() - place * area.height())
            for number, place in enumerate(line.places)
            if place is not None
        ]

    # painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, c = QPainter(self), theme.colours()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.coordinates.lines or len(self.coordinates.axes) < 2:
            painter.setPen(QColor(c.muted))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._nothing)
            return
        chosen = [line for line in self.coordinates.lines if line.id in self._selected]
        for line in self.coordinates.lines:
            colour = QColor(self._colours.get(line.group) or c.accent)
            colour.setAlphaF(0.25 if chosen else 0.75)
            self._line(painter, line, QPen(colour, 1.4))
        for line in chosen:
            self._line(painter, line, QPen(QColor(self._colours.get(line.group) or c.accent), 3))
        for number, axis in enumerate(self.coordinates.axes):
            self._axis(painter, number, axis)

    def _line(self, painter: QPainter, line: Polyline, pen: QPen) -> None:
        points = self.points(line)
        painter.setPen(pen)
        painter.drawPolyline(points)
        painter.setBrush(pen.color())
        for point in points:
            painter.drawEllipse(point, 2.5, 2.5)

    def _axis(self, painter: QPainter, number: int, axis: Axis) -> None:
        c, area, x = theme.colours(), self._area(), self._x(number)
        painter.setPen(QPen(QColor(c.strong_border), 1))
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        count, line = len(self.coordinates.axes), self.fontMetrics().height()
        width = min(area.width() / max(count - 1, 1), 150.0) - 2
        centre = Qt.AlignmentFlag.AlignHCenter
        bold = QFont(self.font())
        bold.setWeight(QFont.Weight.DemiBold)
        bold.setPointSizeF(0.85 * bold.pointSizeF())
        painter.setFont(bold)
        painter.setPen(QColor(c.text))
        name = QRectF(x - width / 2, 0, width, (_TOP_LINES - 1) * line - 3)
        painter.drawText(
            name, int(centre | Qt.AlignmentFlag.AlignBottom) | Qt.TextFlag.TextWordWrap, axis.name
        )
        painter.setFont(self.font())
        painter.setPen(QColor(c.muted))
        for place, words in axis.ticks:
            y = area.bottom() - place * area.height()
            inner = 0.0 < place < 1.0
            where = QRectF(x + 6, y - line / 2, width / 2, line)
            if not inner:
                where = QRectF(x - width / 2, y + 3 if place == 0 else y - line - 1, width, line)
            shown = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, int(where.width()))
            painter.drawText(where, Qt.AlignmentFlag.AlignLeft if inner else centre, shown)

    # the mouse

    def line_at(self, place: QPointF) -> Polyline | None:
        """The line nearest to a point, where one is near."""
        best: tuple[float, Polyline] | None = None
        for line in self.coordinates.lines:
            points = self.points(line)
            for first, second in pairwise(points):
                distance = _distance(place, first, second)
                if distance <= _NEAR and (best is None or distance < best[0]):
                    best = distance, line
        return best[1] if best is not None else None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        line = self.line_at(event.position())
        self.setCursor(Qt.CursorShape.PointingHandCursor if line else Qt.CursorShape.ArrowCursor)
        if line is None:
            QToolTip.hideText()
            return
        pairs = zip(self.coordinates.axes, line.words, strict=True)
        words = "\n".join([line.label, *(f"{axis.name}: {value}" for axis, value in pairs if value)])
        QToolTip.showText(event.globalPosition().toPoint(), words, self)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        line = self.line_at(event.position())
        if line is not None:
            self.chosen.emit(line.id)


def _distance(point: QPointF, first: QPointF, second: QPointF) -> float:
    """From a point to a straight piece of a line."""
    along = second - first
    length = along.x() ** 2 + along.y() ** 2
    share = 0.0 if not length else QPointF.dotProduct(point - first, along) / length
    nearest = first + along * min(max(share, 0.0), 1.0)
    apart = point - nearest
    return float((apart.x() ** 2 + apart.y() ** 2) ** 0.5)
