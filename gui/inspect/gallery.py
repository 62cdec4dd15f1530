"""Test images as cards: the picture, what it is, and what the models answered."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import (  # fmt: skip
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
)

from core.analysis.confusion import Answers
from core.analysis.flips import AnswerPair
from core.common.numbers import percent
from core.data.image_data import ImageData
from gui.base import theme
from gui.base.translation import tr
from gui.data.correcting import noted_in_words
from gui.data.pictures import PixmapCache, marked

Index = QModelIndex | QPersistentModelIndex
SIDE = 96
_WIDTH, _HEIGHT, _PAD, _LINE = 148, 172, 8, 17
_STEP = 120
LINES = Qt.ItemDataRole.UserRole


class FlipsModel(QAbstractListModel):
    """Images of the test split; pictures are made when they are first painted, more rows when one scrolls."""

    def __init__(self) -> None:
        super().__init__()
        self.images: np.ndarray = np.zeros(0, np.int64)
        self.pair: AnswerPair | None = None
        self.data_: ImageData | None = None
        self.names: tuple[str, ...] = ()
        self._noted: Mapping[str, str] = {}
        self.ratio = 1.0
        self._shown = 0
        self._thumbs: PixmapCache | None = None

    def show_pair(self, pair: AnswerPair | None) -> None:
        self.pair = pair
        self.show_images(np.zeros(0, np.int64))

    def show_data(self, data: ImageData | None, names: tuple[str, ...] = ()) -> None:
        """Where the pictures come from, and the file of each; None while they are being opened."""
        self.data_, self.names = data, names
        self._thumbs = PixmapCache(data, SIDE) if data is not None else None
        if self._shown:
            self.dataChanged.emit(self.index(0), self.index(self._shown - 1))

    def show_noted(self, noted: Mapping[str, str]) -> None:
        """What is noted of labels, by file, as of `core.data.label_corrections`."""
        self._noted = noted
        if self._shown:
            self.dataChanged.emit(self.index(0), self.index(self._shown - 1))

    def noted(self, image: int) -> str | None:
        """What is noted of an image: its class, "" where it is left out, None for nothing."""
        return self._noted.get(self.name(image))

    def show_images(self, images: np.ndarray) -> None:
        """Show these places in the test split."""
        self.beginResetModel()
        self.images, self._shown = images, min(_STEP, len(images))
        self.endResetModel()

    def row_of(self, image: int) -> int:
        """Where an image of the test split stands in the data set."""
        return int(self.data_.split("test")[image]) if self.data_ is not None else -1

    def name(self, image: int) -> str:
        """The file of an image of the test split; empty where it is not known."""
        row = self.row_of(image)
        return self.names[row] if 0 <= row < len(self.names) else ""

    def pixels(self, image: int) -> np.ndarray | None:
        """An image's pixels, None while the data set is not open."""
        return np.asarray(self.data_.images[self.row_of(image)]) if self.data_ is not None else None

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else self._shown

    def canFetchMore(self, parent: Index) -> bool:
        return self._shown < len(self.images)

    def fetchMore(self, parent: Index) -> None:
        more = min(self._shown + _STEP, len(self.images))
        self.beginInsertRows(QModelIndex(), self._shown, more - 1)
        self._shown = more
        self.endInsertRows()

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        image = int(self.images[index.row()])
        if role == Qt.ItemDataRole.DecorationRole:
            picture = self._thumbs.of(self.row_of(image), self.ratio) if self._thumbs is not None else None
            return marked(picture, self.noted(image)) if picture is not None else None
        if role == LINES:
            return self.lines(image)
        if role in (Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole):
            name = self.name(image) or tr("test image {image}", image=image)
            lines = [words for words, _tone in self.lines(image)]
            return "\n".join([name, *noted_in_words(self.noted(image)), *lines])
        return None

    def lines(self, image: int) -> list[tuple[str, str]]:
        """What is written below a picture, each line with its colour's name."""
        if self.pair is None:
            return []
        after, before = self.pair.after, self.pair.before
        lines = [(tr("is {name}", name=after.classes[int(after.labels[image])]), "text")]
        if before is not None:
            lines.append(self._answer(tr("was {name}"), before, image))
        return [*lines, self._answer(tr("now {name}"), after, image)]

    @staticmethod
    def _answer(word: str, answers: Answers, image: int) -> tuple[str, str]:
        right = bool(answers.right[image])
        name = answers.classes[int(answers.guesses[image])]
        words = f"{'✓' if right else '✖'} {word.format(name=name)} {percent(answers.confidence[image])}"
        return words, "good" if right else "bad"


class FlipsGallery(QListView):
    """The grid of cards.

    Signals:
        looked_at: an image of the test split that is current now, -1 for none.
        enlarge: a row to see larger.
    """

    looked_at = Signal(int)
    enlarge = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("flips")
        self.setAccessibleName(tr("Test images"))
        self.cards = FlipsModel()
        self.setModel(self.cards)
        self.setItemDelegate(_CardDelegate(self))
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setGridSize(QSize(_WIDTH, _HEIGHT))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # or cards would jump about
        self.setStyleSheet("QListView { padding: 6px; }")
        self.selectionModel().currentChanged.connect(lambda now, _before: self.looked_at.emit(self._at(now)))
        self.doubleClicked.connect(lambda index: self.enlarge.emit(index.row()))

    def show_images(self, images: np.ndarray) -> None:
        """Show these, the first one looked at."""
        self.cards.ratio = self.devicePixelRatioF()
        self.cards.show_images(images)
        self.scrollToTop()
        if len(images):
            self.setCurrentIndex(self.cards.index(0))
        else:
            self.looked_at.emit(-1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Cards share the width, so that no gap is left on the right."""
        room = self.viewport().width() - 2
        self.setGridSize(QSize(room // max(1, room // _WIDTH), _HEIGHT))
        super().resizeEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.enlarge.emit(self.currentIndex().row())
            return
        super().keyPressEvent(event)

    def _at(self, index: QModelIndex) -> int:
        return int(self.cards.images[index.row()]) if index.isValid() else -1


class _CardDelegate(QStyledItemDelegate):
    """Picture above, lines below."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        view = self.parent()
        return view.gridSize() if isinstance(view, QListView) else QSize(_WIDTH, _HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        c, rect = theme.colours(), option.rect.adjusted(3, 3, -3, -3)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(QColor(c.accent))
            painter.setBrush(QColor(c.selection))
            painter.drawRoundedRect(rect, 6, 6)
        picture = index.data(Qt.ItemDataRole.DecorationRole)
        place = QRect(rect.center().x() - SIDE // 2, rect.top() + _PAD, SIDE, SIDE)
        if picture is None:
            painter.fillRect(place, QColor(c.hover))
        else:
            size = picture.deviceIndependentSize().toSize()
            inner = QRect(place)
            inner.setSize(size)
            inner.moveCenter(place.center())
            painter.drawPixmap(inner, picture)
        top = place.bottom() + 6
        for number, (words, tone) in enumerate(index.data(LINES)):
            line = QRect(rect.left() + 2, top + number * _LINE, rect.width() - 4, _LINE)
            painter.setPen(QColor(getattr(c, tone)))
            shown = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, line.width())
            painter.drawText(line, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter, shown)
        painter.restore()
