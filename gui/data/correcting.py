"""A wrong label, where it is seen: the right class is noted beside the data set, or the image left out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from core.common.errors import EspalierError
from core.data.label_corrections import correct, corrections_file, read_corrections
from gui.base import theme
from gui.base.messages import Messages
from gui.base.translation import tr
from gui.data.pictures import fitted
from gui.widgets.buttons import text
from gui.widgets.combo import Combo

_log = logging.getLogger(__name__)

_SIDE = 160  # pixels of the picture


@dataclass(frozen=True, slots=True)
class Labelled:
    """An image whose label may be wrong.

    Attributes:
        place: where its data set lies.
        image: its file, as the list names it.
        present: its class, as it is now.
        noted: the class that is noted, "" where it is left out, None where nothing is.
        pixels: uint8 [h, w, 1 or 3]; None where they are not at hand.
    """

    place: Path
    image: str
    present: str
    noted: str | None
    pixels: np.ndarray | None = None


class CorrectionDialog(QDialog):
    """Asks what an image shows, beginning with what is noted or with nothing; accepted when a person has said it.

    The class that it has is no correction, and not offered.

    Attributes:
        label: the right class, "" to leave the image out, None to take the note back.
    """

    def __init__(self, parent: QWidget | None, about: Labelled, classes: Sequence[str]):
        super().__init__(parent)
        theme.style(self)
        self.setObjectName("correction-dialog")
        self.setWindowTitle(tr("A wrong label"))
        self.setMinimumWidth(480)
        noted = about.noted
        self.label = noted
        others = [label for label in classes if label not in (about.present, noted)]
        self._classes = ["", *([noted] if noted else []), *others]
        self.box = Combo("correction-choice", tr("What the image shows"))
        self.box.addItems([tr("Leave it out"), *self._classes[1:]])
        self.box.setPlaceholderText(tr("Choose what it shows"))
        self.box.setCurrentIndex(-1 if noted is None else self._classes.index(noted))
        label = text(tr("It shows"), "section")
        label.setBuddy(self.box)
        column = QVBoxLayout(self)
        column.setContentsMargins(22, 18, 22, 16)
        column.setSpacing(10)
        column.addWidget(
            text(
                tr("{image} is labelled “{present}”", image=about.image, present=about.present),
                "heading",
                wrap=True,
            )
        )
        if about.pixels is not None:
            column.addWidget(self._picture(about.pixels))
        for words in noted_in_words(noted):
            column.addWidget(text(words, wrap=True))
        column.addWidget(label)
        column.addWidget(self.box)
        column.addWidget(
            text(
                tr("Noted in {file}, beside the data set. The image itself stays as it is; runs that begin from now on take "
                   "the list into account and say so.", file=corrections_file(about.place).name),
                "muted",
                wrap=True,
            )
        )  # fmt: skip
        column.addLayout(self._buttons(noted is not None))
        self.box.setFocus()

    def _picture(self, pixels: np.ndarray) -> QLabel:
        picture = QLabel()
        picture.setObjectName("correction-picture")
        picture.setAccessibleName(tr("The image"))
        picture.setPixmap(fitted(pixels, _SIDE, self.devicePixelRatioF()))
        return picture

    def _buttons(self, is_noted: bool) -> QHBoxLayout:
        back, save, cancel = (
            QPushButton(tr("Take the note back")),
            QPushButton(tr("Note it")),
            QPushButton(tr("Cancel")),
        )
        back.setToolTip(tr("The image counts again with the label that its file has"))
        save.setProperty("primary", True)
        save.setDefault(True)
        row = QHBoxLayout()
        for button, name, slot in (
            (back, "correction-take-back", lambda: self._say(None)),
            (save, "correction-save", lambda: self._say(self._classes[self.box.currentIndex()])),
            (cancel, "correction-cancel", self.reject),
        ):
            button.setObjectName(name)
            button.clicked.connect(slot)
            row.addWidget(button)
        row.insertStretch(1, 1)
        back.setVisible(is_noted)
        save.setEnabled(self.box.currentIndex() >= 0)
        self.box.currentIndexChanged.connect(lambda index: save.setEnabled(index >= 0))
        return row

    def _say(self, label: str | None) -> None:
        self.label = label
        self.accept()


class Correcting(QObject):
    """Asks, and writes the list.

    Signals:
        corrected: the list has changed.
        status_message: a sentence for the status bar.
    """

    corrected = Signal()
    status_message = Signal(str)

    def __init__(self, messages: Messages, parent: QObject):
        super().__init__(parent)
        self._messages = messages
        self.dialog: CorrectionDialog | None = None

    def ask(
        self,
        parent: QWidget,
        place: Path,
        image: str,
        present: str,
        classes: Sequence[str],
        pixels: np.ndarray | None,
    ) -> None:
        """Ask what `image` of the data set at `place` shows; see `Labelled`."""
        try:
            noted = read_corrections(place).get(image)
        except EspalierError as error:
            self._messages.error(error)
            return
        dialog = CorrectionDialog(parent, Labelled(place, image, present, noted, pixels), classes)
        dialog.accepted.connect(lambda: self._write(place, image, dialog.label))
        dialog.finished.connect(lambda _result: dialog.deleteLater())
        self.dialog = dialog
        dialog.open()

    def _write(self, place: Path, image: str, label: str | None) -> None:
        try:
            file = correct(place, image, label)
        except EspalierError as error:
            self._messages.error(error)
            return
        except OSError as error:
            self._messages.error(
                EspalierError(
                    f"The list beside {place} could not be written: {error.strerror or error}.",
                    "Make the folder that holds the data set writable, or copy the data set.",
                )
            )
            return
        said = (
            tr("Taken back from {file}; the file's label counts from the next run on.", file=file)
            if label is None
            else tr("Noted in {file}; it counts from the next run on.", file=file)
        )
        self.status_message.emit(said)
        self.corrected.emit()


def noted(place: Path) -> Mapping[str, str]:
    """What is noted of the data set at `place`, as of `read_corrections`; nothing where the list cannot be read."""
    try:
        return read_corrections(place)
    except (EspalierError, OSError) as error:  # is said where the list counts
        _log.warning("No image is marked as noted", exc_info=error)
        return {}


def noted_in_words(label: str | None) -> list[str]:
    """What is noted of an image, in a sentence; none for None."""
    if label is None:
        return []
    return [tr("Noted: it shows “{label}”.", label=label) if label else tr("Noted: it is left out.")]


class NotedLabel(QLabel):
    """What is noted of an image; hidden where nothing is."""

    def __init__(self, name: str):
        super().__init__()
        self.setObjectName(name)
        self.setProperty("role", "notice")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setContentsMargins(8, 5, 8, 5)
        self.hide()

    def show_noted(self, label: str | None) -> None:
        """Say it, as of `Labelled.noted`."""
        self.setText(" ".join(noted_in_words(label)))
        self.setVisible(label is not None)


def correct_button(name: str) -> QPushButton:
    """The button that asks; off until the image's file is known."""
    button = QPushButton(tr("Wrong label…"))
    button.setObjectName(name)
    button.setToolTip(tr("Say what the image shows, or leave it out"))
    button.setEnabled(False)
    button.setAutoDefault(False)
    return button
