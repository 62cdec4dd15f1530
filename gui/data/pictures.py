"""Stored images as pictures for the screen."""

from collections import OrderedDict

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPixmap

from core.data.image_data import ImageData
from gui.base import theme

_MOST_PIXMAPS = 600
_SIGN = 20  # pixels


def image_of(pixels: np.ndarray) -> QImage:
    """uint8 [h, w, 1 or 3] as an image that owns its memory."""
    height, width, channels = pixels.shape
    kind = QImage.Format.Format_Grayscale8 if channels == 1 else QImage.Format.Format_RGB888
    plain = np.ascontiguousarray(pixels)
    return QImage(plain.data, width, height, width * channels, kind).copy()


def fitted(pixels: np.ndarray, side: int, ratio: float = 1.0) -> QPixmap:
    """At most `side` logical pixels; what is enlarged shows its pixels, what is made smaller is smoothed."""
    image, pixels_side = image_of(pixels), round(side * ratio)
    smaller = max(image.width(), image.height()) > pixels_side
    how = Qt.TransformationMode.SmoothTransformation if smaller else Qt.TransformationMode.FastTransformation
    picture = QPixmap.fromImage(
        image.scaled(pixels_side, pixels_side, Qt.AspectRatioMode.KeepAspectRatio, how)
    )
    picture.setDevicePixelRatio(ratio)
    return picture


def marked(picture: QPixmap, label: str | None) -> QPixmap:
    """A small picture with the sign that something is noted of its label, as of `core.data.label_corrections`;
    as it is where that is None."""
    if label is None:
        return picture
    c, made, ratio = theme.colours(), QPixmap(picture), picture.devicePixelRatio()
    corner = QRectF(made.width() / ratio - _SIGN - 1, 1, _SIGN, _SIGN)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QColor(c.warning))
    painter.setBrush(QColor(c.warning_surface))
    painter.drawRoundedRect(corner, 4, 4)
    sign = theme.pixmap("rename" if label else "off", "warning", _SIGN - 4, ratio)
    painter.drawPixmap(corner.topLeft() + QPointF(2, 2), sign)
    painter.end()
    return made


class PixmapCache:
    """Small pictures of a data set's images, made when they are asked for and kept for a while."""

    def __init__(self, data: ImageData, side: int):
        self._data, self._side = data, side
        self._pixmaps: OrderedDict[tuple[int, float], QPixmap] = OrderedDict()

    def of(self, row: int, ratio: float) -> QPixmap:
        key = (row, ratio)
        if key not in self._pixmaps:
            self._pixmaps[key] = fitted(np.asarray(self._data.images[row]), self._side, ratio)
            if len(self._pixmaps) > _MOST_PIXMAPS:
                self._pixmaps.popitem(last=False)
        self._pixmaps.move_to_end(key)
        return self._pixmaps[key]
