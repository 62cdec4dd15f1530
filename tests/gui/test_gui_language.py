"""The window speaks another language where there is a translation."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QLocale, QTranslator
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QPushButton

from gui.base.messages import MessageDialog
from gui.base.translation import install_language, tr
from gui.shell.document_files import CANCEL, LEAVE, SAVE

TS = """<?xml version="1.0" encoding="utf-8"?><!DOCTYPE TS>
<TS version="2.1" language="de"><context><name></name><message><source>Saved {name}.</source>
<translation>{name} ist gesichert.</translation></message></context></TS>"""

GUI = Path(__file__).resolve().parents[2] / "gui"


class _Marked(QTranslator):
    """A language in which every text stands between marks."""

    def translate(self, context: str, text: str, *_more: Any) -> str:
        return f"«{text}»" if context == "" else ""


@pytest.fixture
def marked(qapp: QApplication) -> Iterator[None]:
    language = _Marked()
    qapp.installTranslator(language)
    yield
    qapp.removeTranslator(language)


def test_actions_menus_and_places_are_translated(marked: None, make_window: Any) -> None:
    window = make_window()
    own = [a for a in window.findChildren(QAction) if a.objectName() in ("open", "run", "stop", "view-data")]
    assert len(own) == 4
    for action in (*own, *window.menuBar().actions()):
        assert action.text().startswith("«") and action.text().endswith("»"), action.text()
    for button in window.places.rail.buttons.values():
        assert button.text().startswith("«")
    assert window.status.phase.whole == "«Ready to run»"
    window.status.say(tr("Saved {name}.", name="a {b}"))
    assert window.status.phase.whole == "«Saved a {b}.»"


def test_answers_are_shown_translated_and_come_back_as_they_were_given(marked: None, qtbot: Any) -> None:
    dialog = MessageDialog(None, "question", "Title", "Message", "", "", (SAVE, LEAVE, CANCEL))
    qtbot.addWidget(dialog)
    button = dialog.findChild(QPushButton, "message-don't")
    assert button is not None and button.text() == "«Don't save»"
    button.click()
    assert dialog.chosen == LEAVE


def test_a_translation_is_loaded_from_its_file(qapp: QApplication, tmp_path: Path) -> None:
    (tmp_path / "espalier_de.ts").write_text(TS, encoding="utf-8")
    tool = Path(sys.executable).with_name("pyside6-lrelease")
    if not tool.is_file():
        pytest.skip("pyside6-lrelease is not installed here")
    subprocess.run([tool, tmp_path / "espalier_de.ts"], check=True, capture_output=True, timeout=60)
    assert tr("Saved {name}.", name="x") == "Saved x."
    assert not install_language(qapp, QLocale("fr"), tmp_path)
    assert install_language(qapp, QLocale("de"), tmp_path)
    try:
        assert tr("Saved {name}.", name="x") == "x ist gesichert."
    finally:
        for language in qapp.findChildren(QTranslator):
            qapp.removeTranslator(language)
            language.deleteLater()


SHOWS = {
    "setText": (0,), "setToolTip": (0,), "setWindowTitle": (0,), "setAccessibleName": (0,), "setTitle": (0,),
    "setPlaceholderText": (0,), "setAccessibleDescription": (0,), "setSpecialValueText": (0,), "setTabText": (1,),
    "addTab": (1,), "addItem": (0,), "addMenu": (0,), "addSection": (0,), "addAction": (0, 1), "QLabel": (0,),
    "QPushButton": (0,), "QCheckBox": (0,), "QAction": (0,), "text": (0,), "ElidedLabel": (0,), "LinkLabel": (0,),
    "EmptyState": (1, 2), "Fold": (0, 1), "SearchBox": (1, 2), "ProgressLine": (1,), "inform": (0, 1, 2),
    "question": (0, 1, 2), "status_message.emit": (0,), "apply": (1,), "_button": (2, 3), "_action": (1,), "Header": (0,),
}  # fmt: skip


def bare_texts(code: str) -> list[str]:
    """Words that a call shows to a person and that do not pass through `tr`."""
    found = []
    for call in (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        shown = next((places for end, places in SHOWS.items() if name == end or name.endswith(f".{end}")), ())
        for argument in (call.args[place] for place in shown if place < len(call.args)):
            bare = [argument, *getattr(argument, "values", ()), getattr(argument, "body", None), getattr(argument, "orelse", None)]  # fmt: skip
            for node in bare:
                words = node.value if isinstance(node, ast.Constant) else ""
                if isinstance(words, str) and re.search("[A-Za-z]{2}", re.sub("Ctrl|Espalier", "", words)):
                    found.append(f"{call.lineno}: {words}")
    return found


def test_no_text_that_is_shown_is_a_bare_literal() -> None:
    assert bare_texts("label.setText('Ready' if done else '')") == ["1: Ready"]
    assert bare_texts("label.setText(tr('Ready')); label.setObjectName('Ready')") == []
    assert bare_texts("label.setText(f'{count} runs')") == ["1:  runs"]
    for file in sorted(GUI.rglob("*.py")):
        assert not (bare := bare_texts(file.read_text(encoding="utf-8"))), f"{file}: {bare}"
