"""A window on a chain of three stages, and what is dragged into its editor."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import (
    QApplication,
)

from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.runs.open_document import OpenedDocument
from gui.editor.card_list import CardList
from gui.shell.main_window import MainWindow

TREE = """
espalier: 1
name: Tree
data: {source: fashion-mnist-sample, image_size: 16, train_images: 128, validation_images: 32, test_images: 32}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: base, kind: train, name: Base, settings: {training: {epochs: 1}}}
  - {id: small, kind: prune-channels, name: Small, settings: {ratio: 0.3, training: {epochs: 1}}}
  - {id: more, kind: train, name: More, settings: {training: {epochs: 1}}}
"""


@pytest.fixture
def tree(make_window: Callable[..., MainWindow], tmp_path: Path) -> MainWindow:
    """The window on a chain of three stages, in the editor."""
    window = make_window(OpenedDocument(documents.loads(TREE), None, tmp_path))
    window.resize(1280, 800)
    window.go("pipeline")
    window.session.options = lambda: {"device": "cpu", "threads": 1}
    return window


def parents(pipeline: Pipeline) -> dict[str, str]:
    return {node.id: pipeline.written_parent(node) for node in pipeline.stages}


def drop(cards: CardList, what: str, mime: str, place: QPoint) -> bool:
    """Drag something in from outside and drop it; whether it was taken."""
    carried = QMimeData()
    carried.setData(mime, what.encode())
    action, buttons, none = (
        Qt.DropAction.CopyAction,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    enter = QDragEnterEvent(place, action, carried, buttons, none)
    QApplication.sendEvent(cards.viewport(), enter)
    move = QDragMoveEvent(place, action, carried, buttons, none)
    QApplication.sendEvent(cards.viewport(), move)
    if not move.isAccepted():
        return False
    assert cards.drop is not None
    dropped = QDropEvent(QPointF(place), action, carried, buttons, none)
    QApplication.sendEvent(cards.viewport(), dropped)
    assert cards.drop is None
    return dropped.isAccepted()
