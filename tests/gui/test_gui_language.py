"""The window speaks another language where there is a translation."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QLocale, QTranslator
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QPushButton

from gui.desk import CANCEL, LEAVE, SAVE
from gui.language import speak, tr
from gui.messages import MessageDialog

TS = """<?xml version="1.0" encoding="utf-8"?><!DOCTYPE TS>
<TS version="2.1" language="de"><context><name></name><message><source>Saved {name}.</source>
<translation>{name} ist gesichert.</translation></message></context></TS>"""


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
    assert not speak(qapp, QLocale("fr"), tmp_path)
    assert speak(qapp, QLocale("de"), tmp_path)
    try:
        assert tr("Saved {name}.", name="x") == "x ist gesichert."
    finally:
        for language in qapp.findChildren(QTranslator):
            qapp.removeTranslator(language)
            language.deleteLater()
