"""The menus and settings that README and guide name as *X → Y* are there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QLabel, QListWidget, QMenu, QMenuBar

from gui.settings.dialog import SettingsDialog
from gui.shell.main_window import MainWindow

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "README.md", ROOT / "docs" / "guide.md")
SETTINGS = ["Edit", "Settings"]


def named(text: str) -> list[list[str]]:
    """Every *X → Y* of a text, part by part; it may run over the end of a line."""
    found = re.findall(r"(?<!\*)\*([^*|]+?→[^*|]+?)\*(?!\*)", text)
    return [[" ".join(part.split()) for part in each.split("→")] for each in found]


def plain(text: str) -> str:
    return text.replace("&", "").rstrip("… ")


def in_menus(menu: QMenuBar | QMenu, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The way to every entry."""
    for action in menu.actions():
        way = (*before, plain(action.text()))
        yield way
        below = action.menu()
        if isinstance(below, QMenu):
            yield from in_menus(below, way)


def in_settings(dialog: SettingsDialog) -> Iterator[tuple[str, ...]]:
    """Every page, and every label on it."""
    pages = dialog.findChild(QListWidget, "settings-pages")
    assert pages is not None
    for row in range(pages.count()):
        title = pages.item(row).text()
        yield (*SETTINGS, title)
        for label in dialog.stack.widget(row).findChildren(QLabel):
            yield (*SETTINGS, title, plain(label.text()))


@pytest.fixture
def ways(window: MainWindow, qtbot: Any) -> set[tuple[str, ...]]:
    dialog = window.dialogs.show_settings()
    found = {*in_menus(window.menuBar()), *in_settings(dialog)}
    dialog.close()
    return found


def test_a_menu_that_is_not_there_would_be_found(ways: set[tuple[str, ...]]) -> None:
    assert named("in *File →\nSave as* and **bold**, a → b") == [["File", "Save as"]]
    assert ("File", "Save as") in ways and ("Edit", "Settings", "Computing", "Device") in ways
    assert ("Run", "Device") not in ways


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_the_menus_of_the_documentation_are_there(path: Path, ways: set[tuple[str, ...]]) -> None:
    missing = [way for way in named(path.read_text(encoding="utf-8")) if tuple(way) not in ways]
    assert not missing
