"""The picture of a network's graph: nodes and lines that are panned, zoomed, searched and coloured."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPen,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QGraphicsItem,
    QGraphicsPathItem,
    QGraphicsScene,
    QGraphicsView,
    QStyleOptionGraphicsItem,
    QWidget,
)

from gui.base import theme
from gui.base.translation import tr

_MARKS = {"gone": "bad", "new": "info", "narrower": "warning", "wider": "warning", "precision": "info"}
_SMALLEST, _LARGEST, _STEP = 0.05, 4.0, 1.2
_READABLE = 0.4  # scale below which words are left out
_MARGIN = 60.0
_ARROW = 4.0


class NodeItem(QGraphicsItem):
    """One node: title, a line about it, its colour by value, and what became of it."""

    def __init__(self, node: Mapping[str, Any], font: QFont):
        super().__init__()
        self.node, self._font = node, font
        self._box = QRectF(-node["width"] / 2, -node["height"] / 2, node["width"], node["height"])
        self.heat: float | None = None
        self.tint = ""
        self.change = ""
        self.found = True
        self.setPos(node["x"], node["y"])
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemIsSelectable)
        self.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def boundingRect(self) -> QRectF:
        return self._box.adjusted(-4, -4, 6, 6)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        c, box = theme.colours(), self._box
        painter.setOpacity(1.0 if self.found else 0.25)
        if self.node["block"]:  # a second sheet behind: there is more inside
            painter.setPen(QPen(QColor(c.strong_border), 1))
            painter.setBrush(QColor(c.surface))
            painter.drawRoundedRect(box.translated(3, 3), 6, 6)
        mark = _MARKS.get(self.change, "")
        edge = c.accent if self.isSelected() else getattr(c, mark) if mark else c.strong_border
        line = Qt.PenStyle.DashLine if self.change == "gone" else Qt.PenStyle.SolidLine
        painter.setPen(QPen(QColor(edge), 2.4 if self.isSelected() or mark else 1, line))
        painter.setBrush(self._ground())
        painter.drawRoundedRect(box, 6, 6)
        if option.levelOfDetailFromTransform(painter.worldTransform()) >= _READABLE:
            self._write(painter)

    def _ground(self) -> QColor:
        c = theme.colours()
        if self.tint:
            return QColor(theme.mixed(c.surface, getattr(c, self.tint), 0.25))
        return QColor(theme.mixed(c.surface, c.series[1], 0.42 * (self.heat or 0.0)))

    def _write(self, painter: QPainter) -> None:
        c = theme.colours()
        bold, small = QFont(self._font), QFont(self._font)
        bold.setWeight(QFont.Weight.DemiBold)
        small.setPointSizeF(self._font.pointSizeF() * 0.88)
        inside = self._box.adjusted(8, 4, -8, -4)
        two = bool(self.node["about"])
        half = inside.height() / 2 if two else inside.height()
        for words, font, top in ((self.node["title"], bold, 0.0), (self.node["about"], small, half)):
            if words:
                painter.setFont(font)
                painter.setPen(QColor(c.text))
                shown = painter.fontMetrics().elidedText(
                    words, Qt.TextElideMode.ElideMiddle, int(inside.width())
                )
                where = QRectF(inside.left(), inside.top() + top, inside.width(), half)
                painter.drawText(where, Qt.AlignmentFlag.AlignCenter, shown)


class GraphCanvas(QGraphicsView):
    """Shows one picture of `core.analysis.graph_blocks`.

    Signals:
        chosen: the ids of the operations of the node that a person chose; empty for none.
        folded: the path of a block that is to be folded or unfolded.
    """

    chosen = Signal(tuple)
    folded = Signal(str)

    def __init__(self, name: str, label: str):
        super().__init__()
        self.setObjectName(name)
        self.setAccessibleName(label)
        self._scene = QGraphicsScene(self)
        self._scene.setItemIndexMethod(QGraphicsScene.ItemIndexMethod.BspTreeIndex)
        self.setScene(self._scene)
        self.setDragMode(QGraphicsView.DragMode.ScrollHandDrag)
        self.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.setOptimizationFlag(QGraphicsView.OptimizationFlag.DontSavePainterState)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.MinimalViewportUpdate)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.AnchorUnderMouse)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.items_: dict[str, NodeItem] = {}
        self._lines: list[QGraphicsPathItem] = []
        self._quiet = False
        self._scene.selectionChanged.connect(self._selection_changed)
        self.retheme()

    # what is shown

    def show_picture(self, picture: Mapping[str, Any], keep: bool) -> None:
        """Show another picture; `keep` leaves the zoom, and the place as far as it is still there."""
        self._quiet = True
        self._scene.clear()
        self.items_.clear()
        self._lines.clear()
        for line in picture["lines"]:
            item = QGraphicsPathItem(_path(line["points"]))
            item.setZValue(-1)
            self._scene.addItem(item)
            self._lines.append(item)
        for node in picture["nodes"]:
            made = NodeItem(node, self.font())
            self._scene.addItem(made)
            self.items_[node["id"]] = made
        self._scene.setSceneRect(
            self._scene.itemsBoundingRect().adjusted(-_MARGIN, -_MARGIN, _MARGIN, _MARGIN)
        )
        self._quiet = False
        self.retheme()
        if not keep:
            self.show_start()

    def clear(self) -> None:
        """Show nothing."""
        self.show_picture({"lines": (), "nodes": ()}, keep=False)

    def colour(
        self, heat: Callable[[Sequence[str]], float | None], tint: Callable[[Sequence[str]], str],
        change: Callable[[Sequence[str]], str],
    ) -> None:  # fmt: skip
        """Colour every node by the operations that it stands for: a share 0…1, a colour's name, what became of it."""
        for item in self.items_.values():
            members = item.node["members"]
            item.heat, item.tint, item.change = heat(members), tint(members), change(members)
            item.update()

    def mark(self, words: str) -> int:
        """Show only what has these words plainly; how many there are. The first is brought into view."""
        parts = words.lower().split()
        found = []
        for item in self.items_.values():
            text = f"{item.node['title']} {item.node['about']} {' '.join(item.node['paths'])}".lower()
            item.found = all(part in text for part in parts)
            item.update()
            if parts and item.found:
                found.append(item)
        if found:
            self.centerOn(found[0])
        return len(found)

    def select(self, members: Sequence[str], centre: bool = True) -> None:
        """Select the node that stands for one of these operations."""
        wanted = set(members)
        self._quiet = True
        self._scene.clearSelection()
        for item in self.items_.values():
            if wanted & set(item.node["members"]):
                item.setSelected(True)
                if centre:
                    self.centerOn(item)
                break
        self._quiet = False

    # moving

    def show_start(self) -> None:
        """Begin at the input, as wide as fits and readable."""
        rect = self._scene.sceneRect()
        scale = min(1.0, max(0.8, self.viewport().width() / max(rect.width(), 1)))
        self.resetTransform()
        self.scale(scale, scale)
        self.centerOn(QPointF(rect.center().x(), rect.top()))

    def show_all(self) -> None:
        """Fit the whole network."""
        self.fitInView(self._scene.sceneRect(), Qt.AspectRatioMode.KeepAspectRatio)

    def zoom(self, factor: float) -> None:
        now = self.transform().m11()
        factor = min(max(now * factor, _SMALLEST), _LARGEST) / now
        self.scale(factor, factor)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The wheel zooms with Ctrl, and scrolls without."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom(_STEP if event.angleDelta().y() > 0 else 1 / _STEP)
            event.accept()
        else:
            super().wheelEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """A double click unfolds a block, or folds the one that an operation belongs to."""
        item = self.itemAt(event.position().toPoint())
        if isinstance(item, NodeItem):
            self._fold(item)
        else:
            super().mouseDoubleClickEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        keys = Qt.Key
        selected = [item for item in self._scene.selectedItems() if isinstance(item, NodeItem)]
        if event.key() in (keys.Key_Plus, keys.Key_Equal):
            self.zoom(_STEP)
        elif event.key() == keys.Key_Minus:
            self.zoom(1 / _STEP)
        elif event.key() == keys.Key_0:
            self.show_all()
        elif event.key() in (keys.Key_Return, keys.Key_Enter, keys.Key_Space) and selected:
            self._fold(selected[0])
        elif event.key() in (keys.Key_Down, keys.Key_Up) and not event.modifiers():
            self._step(1 if event.key() == keys.Key_Down else -1)
        else:
            super().keyPressEvent(event)

    def _step(self, by: int) -> None:
        """Select the node before or behind in the order of running."""
        items = list(self.items_.values())
        selected = self._scene.selectedItems()
        row = items.index(selected[0]) + by if selected and selected[0] in items else 0
        if items and 0 <= row < len(items):
            self._scene.clearSelection()
            items[row].setSelected(True)
            self.ensureVisible(items[row], 40, 40)

    def _fold(self, item: NodeItem) -> None:
        path = item.node["title"] if item.node["block"] else item.node["inside"]
        if path:
            self.folded.emit(path)

    def _selection_changed(self) -> None:
        if not self._quiet:
            selected = [item for item in self._scene.selectedItems() if isinstance(item, NodeItem)]
            self.chosen.emit(tuple(selected[0].node["members"]) if selected else ())

    def retheme(self) -> None:
        """Take the colours of the theme."""
        c = theme.colours()
        self.setBackgroundBrush(QColor(c.raised))
        pen = QPen(QColor(c.strong_border), 1.2)
        for line in self._lines:
            line.setPen(pen)
        for item in self.items_.values():
            item.update()

    def character(self) -> float:
        """The mean width of a letter in pixels."""
        bold = QFont(self.font())
        bold.setWeight(QFont.Weight.DemiBold)
        letters = "Conv 3×3 · 128 → 256 layer4.conv2"
        return QFontMetricsF(bold).horizontalAdvance(letters) / len(letters)

    def line_height(self) -> float:
        return QFontMetricsF(self.font()).height() + 2.0


def _path(points: Sequence[Sequence[float]]) -> QPainterPath:
    """A line with an arrow at its end."""
    places = [QPointF(x, y) for x, y in points]
    path = QPainterPath(places[0])
    for place in places[1:]:
        path.lineTo(place)
    end = places[-1]
    path.moveTo(end + QPointF(-_ARROW, -1.6 * _ARROW))
    path.lineTo(end)
    path.lineTo(end + QPointF(_ARROW, -1.6 * _ARROW))
    return path


def legend(change: str) -> str:
    """What a mark means."""
    return {
        "gone": tr("went"), "new": tr("came"), "narrower": tr("narrower"), "wider": tr("wider"),
        "precision": tr("other precision"), "same": tr("as it was"),
    }.get(change, "")  # fmt: skip
