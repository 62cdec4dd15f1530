"""Messages: a sentence, what to do next, details that can be copied; crashes from any thread."""

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton, QWidget

from core.common.errors import EspalierError
from gui.base.messages import MessageDialog, Messages, install_crash_hook, versions
from gui.base.theme import Theme
from gui.shell.about import AboutDialog


@pytest.fixture
def parent(qtbot: Any, theme: Theme) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.show()
    return widget


@pytest.fixture
def hooks() -> Iterator[None]:
    before = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = before


def test_an_expected_failure_shows_sentence_advice_and_details(parent: QWidget) -> None:
    dialog = Messages(parent).error(EspalierError("The zip is empty.", "Pick another.", "zip: 0 entries"))
    assert dialog.isVisible() and dialog.windowTitle() == "This did not work"
    assert (dialog.message, dialog.advice) == ("The zip is empty.", "Pick another.")
    fold = dialog.findChild(QPushButton, "message-fold")
    assert not dialog._fold.isVisible()
    fold.click()
    assert dialog._fold.isVisible() and "zip: 0 entries" in dialog._fold.toPlainText()
    dialog.findChild(QPushButton, "message-copy").click()
    text = QGuiApplication.clipboard().text()
    assert "The zip is empty." in text and "zip: 0 entries" in text and "torch" in text
    dialog.close()


@pytest.mark.parametrize("details", ["", "zip: 0 entries"])
def test_the_first_button_has_the_keyboard(qtbot: Any, parent: QWidget, details: str) -> None:
    """Details had it: Space, and Enter too, opened them."""
    dialog = Messages(parent).error(EspalierError("The zip is empty.", "Pick another.", details))
    button = dialog.focusWidget()
    assert isinstance(button, QPushButton) and button.objectName() == "message-close"
    with qtbot.waitSignal(dialog.finished):
        qtbot.keyClick(button, Qt.Key.Key_Space)


def test_a_question_gives_the_chosen_answer(parent: QWidget) -> None:
    messages = Messages(parent)

    def press(dialog: MessageDialog) -> str:
        dialog.findChild(QPushButton, "message-cancel").click()
        dialog.deleteLater()
        return dialog.chosen

    messages.ask_with = press
    assert messages.question("Unsaved", "Not saved.", "Save?", ("Save", "Cancel")) == "Cancel"


@pytest.mark.parametrize("in_thread", [False, True])
def test_what_nobody_caught_reaches_the_crash_dialog(
    qtbot: Any, parent: QWidget, hooks: None, monkeypatch: pytest.MonkeyPatch, in_thread: bool
) -> None:
    said: list[Any] = []
    messages = Messages(parent)
    monkeypatch.setattr(messages, "_open", lambda *words: said.append(words))
    crashes = install_crash_hook(messages)
    monkeypatch.setattr("gui.base.messages.traceback.print_exception", lambda *_args: None)

    def crash() -> None:
        try:
            raise KeyError("lost")
        except KeyError as error:
            sys.excepthook(KeyError, error, error.__traceback__)

    if in_thread:
        thread = threading.Thread(target=crash)
        thread.start()
        thread.join()
    else:
        crash()
    qtbot.waitUntil(lambda: len(said) == 1)
    assert said[0][1] == "Something unexpected happened" and "KeyError" in said[0][4]
    crashes.deleteLater()


def test_versions_can_be_copied(parent: QWidget) -> None:
    dialog = AboutDialog(parent)
    dialog.open()
    dialog.findChild(QPushButton, "copy-versions").click()
    assert QGuiApplication.clipboard().text() == versions()
    for name in ("Espalier", "Python", "Qt", "torch", "onnxruntime"):
        assert name in versions()
    dialog.close()
