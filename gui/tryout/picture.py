"""The image that is looked at: the picture, its name, and what is odd about it."""

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QVBoxLayout

from gui.base.translation import tr
from gui.data.pictures import image_of
from gui.widgets.buttons import ElidedLabel, text

_SIDE = 208


class PictureCard(QFrame):
    """The card on the left of the answers."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.setFixedWidth(_SIDE + 76)
        self.picture = QLabel()
        self.picture.setObjectName("tryout-picture")
        self.picture.setFixedHeight(_SIDE)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.caption = ElidedLabel()
        self.caption.setObjectName("tryout-caption")
        self.caption.setProperty("role", "heading")
        self.notes = text("", "help", wrap=True)
        self.notes.setObjectName("tryout-notes")
        self.notes.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.notes.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 14, 10)
        layout.setSpacing(6)
        layout.addWidget(self.picture)
        layout.addWidget(self.caption)
        layout.addWidget(self.notes, 1)

    def show_name(self, name: str) -> None:
        """Name the image; its picture follows."""
        self.caption.setText(name)
        self.picture.setAccessibleName(tr("Image {name}", name=name))

    def show_notes(self, words: str) -> None:
        self.notes.setText(words)
        self.notes.setToolTip(words)

    def show_pixels(self, pixels: np.ndarray | QImage | None) -> None:
        """Show the picture; None while it is being opened, or where there is none."""
        image = image_of(pixels) if isinstance(pixels, np.ndarray) else pixels
        if image is None:
            self.picture.clear()
            return
        ratio = self.devicePixelRatioF()
        width, height = (round(ratio * each) for each in (self.width() - 28, _SIDE))
        smaller = image.width() > width or image.height() > height
        how = (
            Qt.TransformationMode.SmoothTransformation
            if smaller
            else Qt.TransformationMode.FastTransformation
        )
        scaled = image.scaled(width, height, Qt.AspectRatioMode.KeepAspectRatio, how)
        pixmap = QPixmap.fromImage(scaled)
        pixmap.setDevicePixelRatio(ratio)
        self.picture.setPixmap(pixmap)

    def show_nothing(self) -> None:
        """The image cannot be shown."""
        self.picture.setText(tr("No picture"))
