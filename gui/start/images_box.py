"""Choosing images of one's own, and what was found there."""

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from core.common.errors import EspalierError
from core.common.paths import resolved
from core.data.guess_source import ENDINGS
from core.data.place_contents import FoundImages
from gui.base import theme
from gui.base.translation import tr
from gui.base.worker import Failure
from gui.start.typed_line import TypedLine
from gui.start.ways import path_row
from gui.widgets.buttons import card, text

_MOST_NOTES = 6


class ImagesBox(QWidget):
    """A path with buttons that pick it; below it sentences about the images.

    Signals:
        wanted: a path to look at.
        changed: other images are found, or none.
    """

    wanted = Signal(object)
    changed = Signal()

    def __init__(self, advice: str):
        super().__init__()
        self.found: FoundImages | None = None
        self._advice = advice
        self.line = TypedLine("own-images", tr("Place of the images"))
        self.line.setPlaceholderText(
            tr("A folder with a folder of images for each class, or a zip file of that")
        )
        self.line.settled.connect(self._look)
        self.words = text(advice, "muted", wrap=True)
        self.words.setObjectName("own-found")
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.frame = card()
        inside = QVBoxLayout(self.frame)
        inside.setContentsMargins(14, 10, 14, 10)
        inside.addWidget(self.words)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(
            path_row(
                self.line,
                ("own-folder", tr("Folder…"), self._pick_folder),
                ("own-file", tr("Zip or list…"), self._pick_file),
            )
        )
        column.addWidget(self.frame)
        self._looked_at = self._asked = ""

    @property
    def busy(self) -> bool:
        """Whether the place that stands there was not looked at yet."""
        return self.line.text().strip() != self._looked_at

    def look(self, path: Path) -> None:
        """Take this place, also again: it may hold other files by now."""
        self._looked_at = ""
        self.line.take(str(path))

    def show_looking(self, words: str) -> None:
        self._show(words, "")

    def show_found(self, found: FoundImages) -> None:
        """What lies there; nothing is shown where the path was changed meanwhile."""
        if self.line.text().strip() != self._asked:
            return
        self.found, self._looked_at = found, self._asked
        sentences = found.sentences()
        more = [tr("{count} more remarks stand in Data.", count=len(sentences) - _MOST_NOTES)]
        self._show(
            "\n".join(sentences[:_MOST_NOTES] + (more if len(sentences) > _MOST_NOTES else [])), "fine"
        )
        self.changed.emit()

    def show_failure(self, failure: Failure) -> None:
        """Why nothing there can be used; likewise."""
        if self.line.text().strip() != self._asked:
            return
        self._looked_at = self._asked
        self._show(f"{failure.message} {failure.advice}".strip(), "problems")
        self.changed.emit()

    def _show(self, words: str, role: str) -> None:
        self.words.setText(words)
        theme.mark(self.words, "role", "" if role else "muted")
        theme.mark(self.frame, "role", role or "card")

    def _look(self) -> None:
        text = self.line.text().strip()
        if text == self._looked_at:
            return
        self.found, self._asked = None, text
        self.changed.emit()
        if not text:
            self._looked_at = ""
            self._show(self._advice, "")
            return
        try:
            self.wanted.emit(resolved(text, Path.home()))
        except EspalierError as error:
            self.show_failure(Failure(error.message, error.advice, "", True))

    def _pick_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, tr("Choose the folder of your images"), self._start())
        if chosen:
            self.look(Path(chosen))

    def _pick_file(self) -> None:
        kinds = tr("Images ({endings})", endings=" ".join(f"*{ending}" for ending in ENDINGS))
        chosen, _ = QFileDialog.getOpenFileName(self, tr("Choose your images"), self._start(), kinds)
        if chosen:
            self.look(Path(chosen))

    def _start(self) -> str:
        return self.line.text().strip() or str(Path.home())
