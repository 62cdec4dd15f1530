"""Images of one class (or of all, a few of each first) as a grid that fills as one scrolls."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QListView

from core.data.image_data import ImageData
from core.data.label_corrections import LEFT_OUT
from gui.base.translation import tr
from gui.data.classes import ALL, SPLIT_TITLES
from gui.data.correcting import noted_in_words
from gui.data.pictures import PixmapCache, marked

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
        self._noted: Mapping[int, int] = {}
        self.ratio = 1.0

    def show_data(self, data: ImageData | None) -> None:
        """Show another data set, or the same one with other labels, whose files' names are kept."""
        if data is None or self._data is None or not data.entry or data.entry != self._data.entry:
            self._names = ()
        self._data, self._noted = data, dict(data.corrections) if data is not None else {}
        self._thumbs = PixmapCache(data, SIDE) if data else None
        self.show_rows(())

    def show_names(self, names: Sequence[str]) -> None:
        """The file of every image of the data set."""
        self._names = names

    def show_rows(self, rows: Rows) -> None:
        self.beginResetModel()
        self.rows, self._shown = rows, min(_STEP, len(rows))
        self.endResetModel()

    @property
    def entry(self) -> str:
        """The name of the data set's images in the cache; empty where none is shown."""
        return self._data.entry if self._data is not None else ""

    def about(self, image: int) -> str:
        """What an image of the data set is, in words."""
        if self._data is None:
            return ""
        name = self._names[image] if image < len(self._names) else tr("image {number}", number=image)
        splits = self._data.splits
        split = next(
            (tr(SPLIT_TITLES[each]).lower() for each in splits if _holds(splits[each], image)), tr("not used")
        )
        return f"{self._class(image)} · {split} · {name}"

    def noted(self, image: int) -> str | None:
        """What is noted of an image: its class, "" where it is left out, None for nothing."""
        if image not in self._noted:
            return None
        return "" if self._noted[image] == LEFT_OUT else self._class(image)

    def _class(self, image: int) -> str:
        assert self._data is not None
        label = int(self._data.labels[image])
        return self._data.classes[label] if label >= 0 else tr("a class that is not used")

    def named(self, image: int) -> tuple[str, str]:
        """An image's file and its class; empty texts where they are not known."""
        if self._data is None or image >= len(self._names):
            return "", ""
        return self._names[image], self._class(image)

    def pixels(self, image: int) -> np.ndarray:
        assert self._data is not None
        return np.asarray(self._data.images[image])

    def pixels_of_file(self, name: str) -> np.ndarray | None:
        """The pixels of the image in a file; None where it is not among the images."""
        return self.pixels(list(self._names).index(name)) if name in self._names else None

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
        image = int(self.rows[index.row()])
        if role == Qt.ItemDataRole.DecorationRole and self._thumbs is not None:
            return marked(self._thumbs.of(image, self.ratio), self.noted(image))
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return "\n".join([self.about(image), *noted_in_words(self.noted(image))])
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
