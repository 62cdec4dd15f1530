"""A line of the Data place: how many labels a person has corrected and images left out, and a way to see them."""

from pathlib import Path

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from core.data.image_data import ImageData
from core.data.label_corrections import corrections_file, counted
from gui.base.translation import tr
from gui.widgets.buttons import ElidedLabel


class NotedLine(QWidget):
    """Hidden where nothing is noted.

    Signals:
        images_wanted: the rows of the noted images, and a title for them.
    """

    images_wanted = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("data-noted")
        self._rows: np.ndarray = np.zeros(0, np.int64)
        self.words = ElidedLabel()
        self.words.setObjectName("data-noted-words")
        self.button = QPushButton(tr("Show these images"))
        self.button.setObjectName("data-noted-show")
        self.button.setToolTip(
            tr("See the images that are noted; in the large view of one its note can be taken back")
        )
        self.button.clicked.connect(self._show)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        row.addWidget(self.words, 1)
        row.addWidget(self.button)
        self.hide()

    def _show(self) -> None:
        self.images_wanted.emit(self._rows, tr("Noted in your list · click one to see it larger"))

    def show_data(self, data: ImageData, place: Path) -> None:
        """Say what is noted of the data set at `place`."""
        self.setVisible(bool(data.corrections))
        if data.corrections:
            file, words = corrections_file(place), counted(data.corrections)
            self._rows = np.array([row for row, _label in data.corrections], np.int64)
            self.words.setText(tr("By your list {file}, {words}.", file=file.name, words=words))
            self.words.setToolTip(str(file))
