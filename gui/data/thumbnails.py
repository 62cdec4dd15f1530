"""Images of one class (or of all, a few of each first) as a grid that fills as one scrolls."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QListView

from core.data.image_data import ImageData
from gui.base.translation import tr
from gui.data.classes import ALL, SPLIT_TITLES
from gui.data.pictures import PixmapCache

Index = QModelIndex | QPersistentModelIndex
SIDE = 84
Rows = Sequence[int] | np.ndarray
_STEP = 120


def images_of(data: ImageData, split: str, label: int) -> np.ndarray:
    """The images of a class in a split; for `ALL`, one of each class in turns, so that all are seen early."""
    rows = data.split(split)
    labels = data.labels[rows]
    if label != ALL:
        return rows[labels == label]
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=len(data.classes))
    firsts = np.repeat(np.cumsum(counts) - counts, counts)
    turns = np.empty(len(rows), np.int64)
    turns[order] = np.arange(len(rows)) - firsts
    return rows[np.lexsort((labels, turns))]


class ThumbnailModel(QAbstractListModel):
    """Small pictures by row; more of them whenever the view has come to the end."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: Rows = ()
        self._shown = 0
        self._thumbs: PixmapCache | None = None
        self._data: ImageData | None = None
        self._names: Sequence[str] = ()
        self.ratio = 1.0

    def show_data(self, data: ImageData | None) -> None:
        self._data, self._names = data, ()
        self._thumbs = PixmapCache(data, SIDE) if data else None
        self.show_rows(())

    def show_names(self, names: Sequence[str]) -> None:
        """The file of every image of the data set."""
        self._names = names

    def show_rows(self, rows: Rows) -> None:
        self.beginResetModel()
        self.rows, self._shown = rows, min(_STEP, len(rows))
        self.endResetModel()

    def about(self, row: int) -> str:
        """What an image is, in words."""
        if self._data is None:
            return ""
        image = int(self.rows[row])
        name = self._names[image] if image < len(self._names) else tr("image {number}", number=image)
        splits = self._data.splits
        split = next(
            (tr(SPLIT_TITLES[each]).lower() for each in splits if _holds(splits[each], image)), tr("not used")
        )
        return f"{self._data.classes[int(self._data.labels[image])]} · {split} · {name}"

    def named(self, row: int) -> tuple[str, str]:
        """An image's file and its class; empty texts where they are not known."""
        image = int(self.rows[row])
        if self._data is None or image >= len(self._names):
            return "", ""
        return self._names[image], self._data.classes[int(self._data.labels[image])]

    def pixels(self, row: int) -> np.ndarray:
        assert self._data is not None
        return np.asarray(self._data.images[int(self.rows[row])])

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else self._shown

    def canFetchMore(self, parent: Index) -> bool:
        return self._shown < len(self.rows)

    def fetchMore(self, parent: Index) -> None:
        more = min(self._shown + _STEP, len(self.rows))
        self.beginInsertRows(QModelIndex(), self._shown, more - 1)
        self._shown = more
        self.endInsertRows()

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DecorationRole and self._thumbs is not None:
            return self._thumbs.of(int(self.rows[index.row()]), self.ratio)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return self.about(index.row())
        return None


def _holds(rows: np.ndarray, image: int) -> bool:
    place = int(np.searchsorted(rows, image))
    return place < len(rows) and int(rows[place]) == image


class Thumbnails(QListView):
    """The grid.

    Signals:
        enlarge: the row of a picture to see larger (a click, or Enter).
    """

    enlarge = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("thumbnails")
        self.setAccessibleName(tr("Images"))
        self.pictures = ThumbnailModel()
        self.setModel(self.pictures)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setIconSize(QSize(SIDE, SIDE))
        self.setGridSize(QSize(SIDE + 12, SIDE + 12))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setStyleSheet("QListView { border: none; border-radius: 0; padding: 6px; }")
        self.clicked.connect(lambda index: self.enlarge.emit(index.row()))

    def show_rows(self, rows: Rows) -> None:
        self.pictures.ratio = self.devicePixelRatioF()
        self.pictures.show_rows(rows)
        self.scrollToTop()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.enlarge.emit(self.currentIndex().row())
            return
        super().keyPressEvent(event)
