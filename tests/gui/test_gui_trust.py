"""A network of one's own is looked at and trusted where it is met: on its card, before a check, before a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hands import Hands
from PySide6.QtWidgets import QLabel, QPlainTextEdit

from core.document import pipeline as documents
from core.document.own_code import untrusted_files
from core.machine.trusted_files import TrustList
from core.runs.open_document import OpenedDocument
from gui.shell.main_window import MainWindow

CODE = "import torch\n\n\ndef make_network(num_classes):\n    return torch.nn.Linear(3, num_classes)\n"
TEXT = """
espalier: 1
name: Own
data: {source: fashion-mnist-sample, train_images: 64, validation_images: 32, test_images: 40}
sources: [{id: network, kind: python, settings: {path: my networks/net.py}}]
stages: [{id: trained, kind: train, settings: {training: {epochs: 1}}}]
"""


@pytest.fixture
def own(make_window: Callable[..., MainWindow], tmp_path: Path, qtbot: Any) -> MainWindow:
    """The window on a pipeline whose Python file nobody trusts yet."""
    (tmp_path / "my networks").mkdir()
    (tmp_path / "my networks" / "net.py").write_text(CODE)
    window = make_window(OpenedDocument(documents.loads(TEXT), None, tmp_path))
    window.document.changed.emit()
    window.editor.select("source", "network")
    qtbot.waitUntil(lambda: bool(window.trusting.files))
    return window


def trusted() -> bool:
    return TrustList.default().knows(CODE.encode())


def test_the_card_asks_and_shows_the_file(own: MainWindow, qtbot: Any) -> None:
    hands = Hands(qtbot)
    assert hands.shown("trust-box")
    hands.click("trust-view")
    assert hands.find("trust-code", QPlainTextEdit).toPlainText() == CODE
    hands.click("trust-cancel")
    assert not trusted() and hands.shown("trust-box")
    hands.click("trust-continue")
    assert trusted() and not hands.shown("trust-box")


@pytest.mark.parametrize("action", ["run", "check"])
def test_before_the_file_would_run_it_is_shown(own: MainWindow, action: str, qtbot: Any) -> None:
    hands, went = Hands(qtbot), []
    own.check_before_run.run = own.check_before_run.check = lambda *_words, **_names: went.append(action)  # type: ignore[method-assign]
    getattr(own.actions_, action).trigger()
    hands.wait(lambda: hands.shown("trust-dialog"))
    hands.click("trust-cancel")
    assert not went and not trusted()
    getattr(own.actions_, action).trigger()
    hands.wait(lambda: hands.shown("trust-dialog"))
    hands.click("trust-accept")
    assert trusted()
    hands.wait(lambda: went == [action])


def test_what_was_shown_is_trusted_and_nothing_that_came_later(
    own: MainWindow, tmp_path: Path, qtbot: Any
) -> None:
    hands = Hands(qtbot)
    hands.click("trust-view")
    (tmp_path / "my networks" / "net.py").write_text("raise SystemExit\n")
    hands.click("trust-accept")
    assert trusted() and [one.text for one in untrusted_files(own.document.pipeline, tmp_path)] == [
        "raise SystemExit\n"
    ]


def test_the_window_names_no_command_line(own: MainWindow, qtbot: Any) -> None:
    own.forecasts.start()
    qtbot.waitUntil(lambda: own.forecasts.waiting, timeout=10_000)
    qtbot.waitUntil(lambda: not own.forecasts.waiting, timeout=60_000)
    shown = [label.text() + label.toolTip() for label in own.findChildren(QLabel)]
    assert any("trusted" in words for words in shown), "that it was not run is said"
    assert not [words for words in shown if "espalier " in words]
