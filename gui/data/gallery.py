"""The images of a class and a split; or those that a finding of the check is about."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from core.common.numbers import grouped
from core.data.image_data import ImageData
from core.data.splits import SPLITS
from gui.base.translation import tr
from gui.data.classes import ALL, SPLIT_TITLES
from gui.data.enlarged import EnlargedImage
from gui.data.thumbnails import Rows, Thumbnails, images_of
from gui.widgets.buttons import ElidedLabel
from gui.widgets.combo import Combo


class Gallery(QWidget):
    """A row to choose the split, and the grid below.

    Signals:
        correction_wanted: an image's file and its class, which is wrong.
    """

    correction_wanted = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.data: ImageData | None = None
        self._label = ALL
        self.split = Combo("gallery-split", tr("Split"))
        for name in SPLITS:
            self.split.addItem(tr("{split} images", split=tr(SPLIT_TITLES[name])), name)
        self.split.currentIndexChanged.connect(lambda _index: self._fill())
        self.words = ElidedLabel()
        self.words.setObjectName("gallery-words")
        self.words.setProperty("role", "muted")
        self.back = QPushButton(tr("Show all again"))
        self.back.setObjectName("gallery-back")
        self.back.clicked.connect(self._fill)
        self.grid = Thumbnails()
        self.grid.enlarge.connect(self._enlarge)
        top = QHBoxLayout()
        top.setContentsMargins(10, 8, 10, 0)
        top.setSpacing(10)
        top.addWidget(self.split)
        top.addWidget(self.words, 1)
        top.addWidget(self.back)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.grid, 1)

    def show_data(self, data: ImageData | None) -> None:
        """Show another data set."""
        self.data = data
        self._label = ALL
        self.grid.pictures.show_data(data)
        self._fill()

    def show_class(self, label: int) -> None:
        """Show one class; `ALL` shows all of them."""
        self._label = label
        self._fill()

    def show_rows(self, rows: Rows, words: str) -> None:
        """Show just these images, and say why."""
        self.grid.show_rows(rows)
        self.words.setText(words)
        self.split.hide()
        self.back.show()

    def _fill(self) -> None:
        self.back.hide()
        self.split.show()
        if self.data is None:
            self.grid.show_rows(())
            return
        rows = images_of(self.data, str(self.split.currentData()), self._label)
        self.grid.show_rows(rows)
        name = tr("all classes, in turns") if self._label == ALL else self.data.classes[self._label]
        self.words.setText(
            tr("{number} of {name} · click one to see it larger", number=grouped(len(rows)), name=name)
        )

    def _enlarge(self, row: int) -> None:
        dialog = EnlargedImage(self, self.grid.pictures, row)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.correction_wanted.connect(self.correction_wanted)
        dialog.open()
