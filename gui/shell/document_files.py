"""Opening and saving: dialogs, unsaved changes, messages about files that cannot be used."""

import re
from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from core.common.errors import EspalierError
from core.document import edits
from core.document.pipeline import Pipeline
from core.runs.open_document import OpenedDocument, open_document
from gui.base.document import Document
from gui.base.messages import Messages
from gui.base.translation import QT_TR_NOOP, tr

_FILTER = QT_TR_NOOP("Pipelines (*.espalier.yaml *.yaml *.yml)")
SAVE, LEAVE, CANCEL = QT_TR_NOOP("Save"), QT_TR_NOOP("Don't save"), QT_TR_NOOP("Cancel")
_LONGEST_NAME = 100  # of a pipeline, which may have 120 characters
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
        self._document.open(opened)
        self._opened(opened)

    def open_made(self, pipeline: Pipeline, base: Path) -> bool:
        """Show a pipeline that was just made and stands in no file yet; False where a person stays with the open one."""
        if not self.may_leave():
            return False
        self._open(OpenedDocument(pipeline, None, base, made=True, unsaved=True))
        return True

    def new(self) -> None:
        """A pipeline of one stage, on the data set that is open."""
        self.open_made(edits.new_pipeline(self._in_full().data), self._document.base)

    def duplicate(self) -> None:
        """A copy with a name of its own, which says nothing of what it was made from."""
        name = tr("{name} copy", name=self._document.pipeline.name[:_LONGEST_NAME])
        self.open_made(edits.as_own(self._in_full(), name), self._document.base)

    def _in_full(self) -> Pipeline:
        """The document with whole paths: its copy may be saved anywhere."""
        return edits.with_absolute_paths(self._document.pipeline, self._document.base)

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
        path = Path(chosen if chosen.endswith((".yaml", ".yml")) else f"{chosen}{_ENDING}")
        return self._write(path, other=not self._document.made and path != self._document.path)

    def may_leave(self) -> bool:
        """Whether the document may be replaced; asks about unsaved changes."""
        return self._asked(tr("Save them, or go on without them."))

    def may_close(self) -> bool:
        """Whether the window may be closed; a document without a file is there again the next time (`session_memory`)."""
        if self._document.path is not None:
            return self.may_leave()
        return self._asked(
            tr("Save them in a file. Otherwise they are here again the next time, as unsaved as now.")
        )

    def _asked(self, ways: str) -> bool:
        """Whether a person lets go of unsaved changes, or saves them."""
        if not self._document.modified:
            return True
        answer = self._messages.question(
            tr("Unsaved changes"),
            tr("“{name}” has changes that are not saved.", name=self._document.name),
            ways, (SAVE, LEAVE, CANCEL),
        )  # fmt: skip
        return answer == LEAVE or (answer == SAVE and self.save())

    def _write(self, path: Path, other: bool = False) -> bool:
        """Write the document; `other`: beside what it was opened from, whose description it no longer carries."""
        document, before = self._document, self._document.pipeline
        try:
            if path.parent.resolve() != document.base.resolve():
                moved = edits.with_absolute_paths(document.pipeline, document.base)
                document.apply(moved, tr("Write paths in full"))
            if other:
                kept = document.path is not None or before.name != document.opened_name
                own = edits.as_own(document.pipeline, before.name if kept else _stem(path))
                document.apply(own, tr("Leave the description to {name}", name=before.name))
            document.save(path)
        except EspalierError as error:
            self._messages.error(error)
            return False
        described = other and (before.about or before.notes or before.paper)
        self._say(
            tr(
                "Saved {name}, without the description and notes of “{other}”.",
                name=path.name,
                other=before.name,
            )
            if described
            else tr("Saved {name}.", name=path.name)
        )
        return True


def _stem(path: Path) -> str:
    """A file's name without the endings of pipelines."""
    name = path.name.removesuffix(".yaml").removesuffix(".yml").removesuffix(".espalier")
    return " ".join(name.split())[:_LONGEST_NAME] or "Pipeline"
