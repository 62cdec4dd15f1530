"""What was open when the window was closed, for the next time: the document, the run, the place, the card."""

import logging
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QSettings

from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.document import pipeline as documents
from core.runs.open_document import OpenedDocument, open_document
from core.runs.run_folder import RunFolder
from gui.base.document import Document
from gui.editor.view import EditorView
from gui.runs.run_session import Session

_log = logging.getLogger(__name__)
_LONGEST = 200_000  # characters of a document without a file of its own


def remember(document: Document, session: Session, editor: EditorView, place: str) -> None:
    """Keep it; a document without a file (a recipe, a run's) is kept as text."""
    settings, card = QSettings(), editor.selected
    text = document.text if document.path is None and len(document.text) < _LONGEST else ""
    for key, value in (
        ("path", str(document.path or "")), ("base", str(document.base)), ("text", text),
        ("made", _flag(document.made)), ("unsaved", _flag(document.path is None and document.modified)),
        ("run", str(session.run.folder) if session.run is not None else ""), ("place", place),
        ("card", f"{card.kind}/{card.id}" if card is not None else ""),
    ):  # fmt: skip
        settings.setValue(f"session/{key}", value)


def recall() -> OpenedDocument | None:
    """The document of the last time, with the run that was shown; None where there is none that can be opened."""
    path, text = _kept("path"), _kept("text")
    with passed_over(_log, "What was open the last time is not opened again", EspalierError, OSError):
        if path:
            opened = open_document(Path(path))
        elif text:
            opened = OpenedDocument(
                documents.loads(text), None, Path(_kept("base")),
                made=bool(_kept("made")), unsaved=bool(_kept("unsaved")),
            )  # fmt: skip
        else:
            return None
        return replace(opened, run=_run())
    return None


def go_back(editor: EditorView) -> str:
    """Select the card of the last time; the place that was shown."""
    kind, _, id = _kept("card").partition("/")
    if kind and editor.model.row_of(kind, id) >= 0:
        editor.select(kind, id)
    return _kept("place")


def _run() -> RunFolder | None:
    folder = _kept("run")
    with passed_over(_log, "The run of the last time is not shown again", EspalierError, OSError):
        return RunFolder.open(Path(folder)) if folder else None
    return None


def _flag(true: bool) -> str:
    return "yes" if true else ""


def _kept(key: str) -> str:
    return str(QSettings().value(f"session/{key}") or "")
