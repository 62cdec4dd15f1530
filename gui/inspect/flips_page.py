"""The flips gallery: the very images that compression lost or won, and all other test images."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from core.analysis.flips import KINDS, AnswerPair, Kind
from core.data.image_data import ImageData
from gui.base.translation import tr
from gui.inspect.gallery import FlipsGallery
from gui.inspect.top_five import EnlargedFlip, FlipDetails
from gui.widgets.buttons import ElidedLabel, EmptyState, card
from gui.widgets.combo import Combo
from gui.widgets.progress_line import ProgressLine

_SIDE = 150


class FlipsPage(QWidget):
    """Filters above, cards on the left, the image that is looked at on the right.

    Signals:
        correction_wanted: an image's file and its class, which is wrong.
    """

    correction_wanted = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self._pair: AnswerPair | None = None
        self._names = ("", "")
        self.kind = self._choice("flips-kind", tr("Which images"))
        self.true = self._choice("flips-class", tr("True class"))
        self.was = self._choice("flips-before", tr("Answer before"))
        self.now = self._choice("flips-now", tr("Answer now"))
        self.words = ElidedLabel()
        self.words.setObjectName("flips-words")
        self.words.setProperty("role", "muted")
        self.working = ProgressLine("flips", tr("Progress of opening the images"))
        self.gallery = FlipsGallery()
        self.gallery.looked_at.connect(self._show_image)
        self.gallery.enlarge.connect(self._enlarge)
        self.details = FlipDetails("flip", _SIDE)
        self.details.correction_wanted.connect(self.correction_wanted)
        self.empty = EmptyState(
            "flips", tr("No such image"), tr("No test image fits these filters; choose others.")
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 10, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(self._filters())
        layout.addWidget(self.words)
        layout.addWidget(self.working)
        layout.addLayout(self._panes(), 1)

    def _choice(self, name: str, label: str) -> QComboBox:
        box = Combo(name, label)
        box.setToolTip(label)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        box.activated.connect(lambda _index: self._fill())
        return box

    def _filters(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        for box in (self.kind, self.true, self.was, self.now):
            row.addWidget(box)
        row.addStretch(1)
        return row

    def _panes(self) -> QHBoxLayout:
        side = card()
        inside = QVBoxLayout(side)
        inside.setContentsMargins(14, 14, 14, 10)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        page = QWidget()
        page.setProperty("role", "page")
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 4, 0)
        column.addWidget(self.details)
        scroll.setWidget(page)
        inside.addWidget(scroll)
        side.setFixedWidth(316)
        self._side = side
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.gallery)
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self._stack, 1)
        row.addWidget(side)
        return row

    def clear(self) -> None:
        """Nothing is known yet."""
        self._pair = None
        self.gallery.cards.show_pair(None)
        for box in (self.kind, self.true, self.was, self.now):
            box.clear()
        self.words.setText("")
        self._side.hide()

    def show_pair(self, pair: AnswerPair, name: str, reference: str) -> None:
        """Show the answers of a model, and of the one that it is compared with."""
        self._pair, self._names = pair, (name, reference)
        self.gallery.cards.show_pair(pair)
        chosen = self.kind.currentData()
        with QSignalBlocker(self.kind):
            self.kind.clear()
            for kind in pair.kinds:
                self.kind.addItem(f"{KINDS[kind]} ({pair.count(kind)})", kind)
            self.kind.setCurrentIndex(max(0, self.kind.findData(chosen)))
        for box, words in (
            (self.true, tr("All classes")),
            (self.was, tr("Any answer before")),
            (self.now, tr("Any answer now")),
        ):
            self._offer(box, words, pair.after.classes)
        self.was.setVisible(pair.before is not None)
        self._fill()

    @staticmethod
    def _offer(box: QComboBox, words: str, classes: tuple[str, ...]) -> None:
        with QSignalBlocker(box):
            place = box.currentIndex() if box.count() == len(classes) + 1 else 0
            box.clear()
            box.addItem(words, None)
            for label, name in enumerate(classes):
                box.addItem(name, label)
            box.setCurrentIndex(max(0, place))

    def show_data(self, data: ImageData | None, names: tuple[str, ...] = ()) -> None:
        """Where the pictures come from, and the file of each."""
        self.gallery.cards.show_data(data, names)
        self._show_image(self._image())

    def show_noted(self, noted: Mapping[str, str]) -> None:
        """What is noted of labels, by file."""
        self.gallery.cards.show_noted(noted)
        self._show_image(self._image())

    def show_cell(self, true: int, guess: int, before: bool) -> None:
        """Show the images of one cell of a confusion matrix."""
        with QSignalBlocker(self.kind):
            self.kind.setCurrentIndex(self.kind.findData("all"))
        self.true.setCurrentIndex(true + 1)
        self.was.setCurrentIndex(guess + 1 if before else 0)
        self.now.setCurrentIndex(0 if before else guess + 1)
        self._fill()

    def retheme(self) -> None:
        self.gallery.viewport().update()
        self.details.update()

    def _fill(self) -> None:
        pair = self._pair
        if pair is None:
            return
        kind: Kind = self.kind.currentData()
        images = pair.images(kind, self.true.currentData(), self.now.currentData(), self._was())
        self.gallery.show_images(images)
        self._stack.setCurrentIndex(1 if len(images) else 0)
        self._side.setVisible(bool(len(images)))
        count = tr("{count} shown, the surest answers first. ", count=len(images)) if len(images) else ""
        self.words.setText(count + pair.sentence)

    def _was(self) -> Any:
        return self.was.currentData() if self.was.isVisibleTo(self) else None

    def _image(self) -> int:
        row = self.gallery.currentIndex().row()
        return int(self.gallery.cards.images[row]) if 0 <= row < len(self.gallery.cards.images) else -1

    def _show_image(self, image: int) -> None:
        if image >= 0:
            self.details.show_image(self.gallery.cards, image, *self._names)

    def _enlarge(self, row: int) -> None:
        dialog = EnlargedFlip(self, self.gallery.cards, row, *self._names)
        dialog.details.correction_wanted.connect(self.correction_wanted)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
