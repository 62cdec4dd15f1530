"""A wrong label, where it is seen: the right class is noted beside the data set, or the image left out."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from core.common.errors import EspalierError
from core.data.label_corrections import correct, corrections_file
from gui.base import theme
from gui.base.messages import Messages
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.combo import Combo

_AS_FILES, _LEFT_OUT = 0, 1  # the first entries of the list; the classes follow


class CorrectionDialog(QDialog):
    """Asks what an image shows; accepted when a person has said it."""

    def __init__(self, parent: QWidget | None, place: Path, image: str, present: str, classes: Sequence[str]):
        super().__init__(parent)
        theme.style(self)
        self.setObjectName("correction-dialog")
        self.setWindowTitle(tr("A wrong label"))
        self.setMinimumWidth(480)
        self._classes = list(classes)
        self.box = Combo("correction-choice", tr("What the image shows"))
        self.box.addItem(tr("What its file says"))
        self.box.addItem(tr("Leave it out"))
        self.box.addItems(self._classes)
        self.box.setCurrentIndex(_LEFT_OUT)
        save, cancel = QPushButton(tr("Note it")), QPushButton(tr("Cancel"))
        save.setObjectName("correction-save")
        cancel.setObjectName("correction-cancel")
        save.setProperty("primary", True)
        save.setDefault(True)
        save.clicked.connect(self.accept)
        cancel.clicked.connect(self.reject)
        label = text(tr("It shows"), "section")
        label.setBuddy(self.box)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(save)
        row.addWidget(cancel)
        column = QVBoxLayout(self)
        column.setContentsMargins(22, 18, 22, 16)
        column.setSpacing(10)
        column.addWidget(
            text(tr("{image} is labelled “{present}”", image=image, present=present), "heading", wrap=True)
        )
        column.addWidget(label)
        column.addWidget(self.box)
        column.addWidget(
            text(
                tr("Noted in {file}, beside the data set. The image itself stays as it is; runs that begin from now on take "
                   "the list into account and say so.", file=corrections_file(place).name),
                "muted",
                wrap=True,
            )
        )  # fmt: skip
        column.addLayout(row)

    @property
    def label(self) -> str | None:
        """The right class, "" to leave the image out, None for what the file says."""
        chosen = self.box.currentIndex()
        return None if chosen == _AS_FILES else "" if chosen == _LEFT_OUT else self._classes[chosen - 2]


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

    def ask(self, parent: QWidget, place: Path, image: str, present: str, classes: Sequence[str]) -> None:
        """Ask what `image` of the data set at `place` shows."""
        dialog = CorrectionDialog(parent, place, image, present, classes)
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
        self.status_message.emit(tr("Noted in {file}; it counts from the next run on.", file=file))
        self.corrected.emit()


def correct_button(name: str) -> QPushButton:
    """The button that asks; off until the image's file is known."""
    button = QPushButton(tr("Wrong label…"))
    button.setObjectName(name)
    button.setToolTip(tr("Say what the image shows, or leave it out"))
    button.setEnabled(False)
    button.setAutoDefault(False)
    return button
