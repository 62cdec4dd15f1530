"""One image, large; the arrow keys lead to its neighbours."""

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from gui.base import theme
from gui.base.translation import tr
from gui.data.correcting import NotedLabel, correct_button
from gui.data.pictures import fitted
from gui.data.thumbnails import ThumbnailModel
from gui.widgets.buttons import ElidedLabel

_SIDE = 480


class EnlargedImage(QDialog):
    """Shows a row of a `ThumbnailModel`.

    Signals:
        correction_wanted: an image's file and its class.
    """

    correction_wanted = Signal(str, str)

    def __init__(self, parent: QWidget, pictures: ThumbnailModel, row: int):
        super().__init__(parent)
        theme.style(self)
        self.setObjectName("enlarged")
        self.setWindowTitle(tr("Image"))
        self._pictures, self.row, self._entry = pictures, row, pictures.entry
        self._image = int(pictures.rows[row])
        self.picture = QLabel()
        self.picture.setFixedSize(_SIDE, _SIDE)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.caption = ElidedLabel()
        self.caption.setObjectName("enlarged-caption")
        self.noted = NotedLabel("enlarged-noted")
        self.before, self.after = QPushButton(tr("Previous")), QPushButton(tr("Next"))
        close = QPushButton(tr("Close"))
        close.setDefault(True)
        close.clicked.connect(self.accept)
        for button, name in (
            (self.before, "enlarged-previous"),
            (self.after, "enlarged-next"),
            (close, "enlarged-close"),
        ):
            button.setObjectName(name)
        self.before.clicked.connect(lambda: self.move_by(-1))
        self.after.clicked.connect(lambda: self.move_by(1))
        buttons = QHBoxLayout()
        buttons.addWidget(self.before)
        buttons.addWidget(self.after)
        self.wrong = correct_button("enlarged-wrong")
        self.wrong.clicked.connect(lambda: self.correction_wanted.emit(*self._pictures.named(self._image)))
        buttons.addWidget(self.wrong)
        buttons.addStretch(1)
        buttons.addWidget(close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 16)
        layout.setSpacing(12)
        layout.addWidget(self.picture)
        layout.addWidget(self.caption)
        layout.addWidget(self.noted)
        layout.addLayout(buttons)
        for key, step in (("Left", -1), ("Up", -1), ("Right", 1), ("Down", 1)):
            QShortcut(QKeySequence(key), self, lambda step=step: self.move_by(step))
        pictures.modelReset.connect(self._follow)
        self.move_by(0)

    def _follow(self) -> None:
        """The grid has changed: stay at this image, wherever it is now."""
        if self._pictures.entry != self._entry:
            self.reject()
            return
        found = np.flatnonzero(np.asarray(self._pictures.rows) == self._image)
        self.row = int(found[0]) if len(found) else self.row
        self._show()

    def move_by(self, step: int) -> None:
        """Show the image so many places on, as far as there are images."""
        self.row = max(0, min(len(self._pictures.rows) - 1, self.row + step))
        self._image = int(self._pictures.rows[self.row])
        self._show()

    def _show(self) -> None:
        pixels = self._pictures.pixels(self._image)
        self.picture.setPixmap(fitted(pixels, _SIDE, self.devicePixelRatioF()))
        height, width = pixels.shape[:2]
        words = tr(
            "{about} · {width} × {height} px",
            about=self._pictures.about(self._image),
            width=width,
            height=height,
        )
        self.caption.setText(words)
        self.picture.setAccessibleName(words)
        self.noted.show_noted(self._pictures.noted(self._image))
        self.wrong.setEnabled(bool(self._pictures.named(self._image)[0]))
        self.before.setEnabled(self.row > 0)
        self.after.setEnabled(self.row + 1 < len(self._pictures.rows))
