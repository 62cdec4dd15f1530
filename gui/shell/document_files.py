"""Opening and saving: dialogs, unsaved changes, messages about files that cannot be used."""

import re
from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from core.common.errors import EspalierError
from core.document import edits
from core.runs.open_document import OpenedDocument, open_document
from gui.base.document import Document
from gui.base.messages import Messages
from gui.base.translation import QT_TR_NOOP, tr

_FILTER = QT_TR_NOOP("Pipelines (*.espalier.yaml *.yaml *.yml)")
SAVE, LEAVE, CANCEL = QT_TR_NOOP("Save"), QT_TR_NOOP("Don't save"), QT_TR_NOOP("Cancel")
_ENDING = ".espalier.yaml"  # names the file's kind; any other YAML ending is kept


class DocumentFiles:
    """Opens and saves the window's document.

    Args:
        opened: called with what was opened, after the document has been replaced.
        say: takes a sentence for the status bar.
    """

    def __init__(
        self,
        window: QWidget,
        document: Document,
        messages: Messages,
        opened: Callable[[OpenedDocument], None],
        say: Callable[[str], None],
    ):
        self._window, self._document, self._messages = window, document, messages
        self._opened, self._say = opened, say

    def open_path(self, path: Path) -> None:
        """Open a pipeline file, a recipe or a run folder, unless a person keeps unsaved changes."""
        if not self.may_leave():
            return
        try:
            opened = open_document(path)
        except EspalierError as error:
            self._messages.error(error)
            return
        self._open(opened)

    def open_document(self, opened: OpenedDocument) -> None:
        """Open what is read already, unless a person keeps unsaved changes."""
        if self.may_leave():
            self._open(opened)

    def _open(self, opened: OpenedDocument) -> None:
        self._document.open(opened.pipeline, opened.path, opened.base)
        self._opened(opened)

    def open_file(self) -> None:
        """Ask for a pipeline file and open it."""
        start = str(self._document.base)
        chosen, _ = QFileDialog.getOpenFileName(self._window, tr("Open a pipeline"), start, tr(_FILTER))
        if chosen:
            self.open_path(Path(chosen))

    def save(self) -> bool:
        """Write the document to its file, or ask for one; False when nothing was written."""
        return self._write(self._document.path) if self._document.path else self.save_as()

    def save_as(self) -> bool:
        """Ask for a file and write the document."""
        name = re.sub(r"[^\w.]+", "-", self._document.pipeline.name.lower()).strip("-.") or "pipeline"
        start = self._document.path or Path.home() / f"{name}{_ENDING}"
        chosen, _ = QFileDialog.getSaveFileName(
            self._window, tr("Save the pipeline"), str(start), tr(_FILTER)
        )
        if not chosen:
            return False
        return self._write(Path(chosen if chosen.endswith((".yaml", ".yml")) else f"{chosen}{_ENDING}"))

    def may_leave(self) -> bool:
        """Whether the document may be replaced; asks about unsaved changes."""
        if not self._document.modified:
            return True
        answer = self._messages.question(
            tr("Unsaved changes"),
            tr("“{name}” has changes that are not saved.", name=self._document.name),
            tr("Save them, or go on without them."), (SAVE, LEAVE, CANCEL),
        )  # fmt: skip
        return answer == LEAVE or (answer == SAVE and self.save())

    def _write(self, path: Path) -> bool:
        document = self._document
        try:
            if path.parent.resolve() != document.base.resolve():
                moved = edits.with_absolute_paths(document.pipeline, document.base)
                document.apply(moved, tr("Write paths in full"))
            document.save(path)
        except EspalierError as error:
            self._messages.error(error)
            return False
        self._say(tr("Saved {name}.", name=path.name))
        return True
