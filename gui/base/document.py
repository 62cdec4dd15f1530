"""The open pipeline: its file, its history of changes, its problems."""

from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from core.common.errors import Problem
from core.common.files import write_atomically
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.runs.open_document import OpenedDocument

_MOST_STEPS = 500  # that can be undone: each keeps a pipeline of its own, some 20 KB


class Document(QObject):
    """Holds the immutable pipeline; every edit replaces it and can be undone.

    Signals:
        changed: the pipeline, its problems or the file's name are other than before.
    """

    changed = Signal()

    def __init__(self, opened: OpenedDocument):
        super().__init__()
        self.undo_stack = QUndoStack(self)
        self.undo_stack.setUndoLimit(_MOST_STEPS)
        self._visit = 0
        self.open(opened)
        self.undo_stack.cleanChanged.connect(self.changed)

    def open(self, opened: OpenedDocument) -> None:
        """Show another document; its history starts empty."""
        self.path, self.base, self.made = opened.path, opened.base, opened.made
        self.opened_name = opened.pipeline.name  # before a person gave it another one
        self.undo_stack.clear()
        if opened.unsaved:
            self.undo_stack.resetClean()
        self._set(opened.pipeline)

    def apply(self, pipeline: Pipeline, text: str, merge: str = "") -> None:
        """Replace the pipeline; `text` names the step for undo, edits with the same `merge` become one."""
        if pipeline != self.pipeline or documents.dumps(pipeline) != self.text:
            self.undo_stack.push(
                _Edit(self, self.pipeline, pipeline, text, f"{self._visit} {merge}" if merge else "")
            )

    def end_merging(self) -> None:
        """The next edit is a step of its own: a person has left the field, or pressed Enter."""
        self._visit += 1

    def save(self, path: Path) -> None:
        """Write the file; raises `EspalierError` when it cannot be written."""
        write_atomically(path, self.text)
        self.path, self.base, self.made = path, path.parent, False
        self.undo_stack.setClean()
        self.changed.emit()

    @property
    def modified(self) -> bool:
        return not self.undo_stack.isClean()

    @property
    def name(self) -> str:
        return self.path.name if self.path else self.pipeline.name

    def _set(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.text = documents.dumps(pipeline)
        self.problems: list[Problem] = documents.check(pipeline)
        self.changed.emit()


class _Edit(QUndoCommand):
    """From one pipeline to the next."""

    def __init__(self, document: Document, before: Pipeline, after: Pipeline, text: str, merge: str):
        super().__init__(text)
        self._document, self._before, self._after, self._merge = document, before, after, merge

    def redo(self) -> None:
        self._document._set(self._after)

    def undo(self) -> None:
        self._document._set(self._before)

    def id(self) -> int:
        return hash(self._merge) % 2**31 if self._merge else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, _Edit) or other._merge != self._merge:
            return False
        self._after = other._after
        return True
