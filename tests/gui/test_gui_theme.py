"""Contrast is computed, icons are complete, the stylesheet has no name left unreplaced."""

import re
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QCheckBox, QSplitter, QSplitterHandle, QStackedWidget, QTabWidget, QWidget

import core
from core.common.files import RESOURCES
from gui.base import theme as themes
from gui.base.actions import _ICONS
from gui.base.theme import DARK, LIGHT, Colours, Theme, colours, contrast, style
from gui.shell.main_window import MainWindow
from gui.shell.places import styled_parts

BOTH = pytest.mark.parametrize("c", [LIGHT, DARK], ids=["light", "dark"])
TEXTS = ("text", "muted", "good", "bad", "warning", "info", "accent")
GROUNDS = ("window", "surface", "raised", "rail", "hover")


@BOTH
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("ground", GROUNDS)
def test_texts_reach_aa(c: Colours, text: str, ground: str) -> None:
    assert contrast(getattr(c, text), getattr(c, ground)) >= 4.5


@BOTH
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("on_accent", "accent"), ("on_accent", "accent_hover"), ("text", "selection"), ("muted", "selection"),
        ("good", "selection"), ("bad", "selection"), ("text", "warning_surface"), ("warning", "warning_surface"),
        ("bad", "bad_surface"), ("info", "bad_surface"), ("text", "good_surface"), ("good", "good_surface"),
        ("muted", "good_surface"), ("muted", "warning_surface"),
    ],
)  # fmt: skip
def test_texts_on_coloured_grounds_reach_aa(c: Colours, text: str, ground: str) -> None:
    assert contrast(getattr(c, text), getattr(c, ground)) >= 4.5


@BOTH
def test_frames_and_curves_reach_three(c: Colours) -> None:
    for ground in ("window", "surface"):
        assert contrast(c.strong_border, getattr(c, ground)) >= 3.0
    for colour in c.series:
        assert contrast(colour, c.surface) >= 3.0


def test_contrast_is_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@BOTH
def test_every_name_of_the_stylesheet_is_replaced(qapp: Any, c: Colours) -> None:
    assert not re.findall(r"@\w+", themes.stylesheet(c, "light"))


def test_every_icon_that_is_named_exists(theme: Theme) -> None:
    there = {path.stem for path in (RESOURCES / "icons").glob("*.svg")}
    named = set(_ICONS.values())
    for path in (Path(themes.__file__).parent).rglob("*.py"):
        named |= set(re.findall(r"theme\.icon\(\"(\w+)\"", path.read_text(encoding="utf-8")))
    assert named <= there
    for name in there - {"espalier"}:
        assert "currentColor" in (RESOURCES / "icons" / f"{name}.svg").read_text(encoding="utf-8"), name
        assert not themes.icon(name).pixmap(24).isNull()


def test_choosing_a_theme_restyles_and_is_remembered(qtbot: Any, theme: Theme) -> None:
    with qtbot.waitSignal(theme.changed):
        theme.choose("dark")
    assert themes.colours() is DARK
    theme.choose("light")
    assert themes.colours() is LIGHT
    assert isinstance(themes.app_icon(), QIcon) and not themes.app_icon().isNull()


def test_the_theme_changes_part_by_part_what_is_visible_first(qapp: Any, window: MainWindow) -> None:
    window.theme.finish()
    choices = ("dark", "light") if not window.theme.dark else ("light", "dark")
    before = window.places.rail.styleSheet()
    window.theme.choose(choices[0])  # type: ignore[arg-type]
    shown = styled_parts(window.places.views["pipeline"])
    assert {part.styleSheet() for part in shown} == {before}  # nothing at once
    window.go("inspect")  # one that is shown meanwhile is not shown in the old colours
    assert before not in {part.styleSheet() for part in styled_parts(window.places.views["inspect"])}
    window.theme.finish()
    parts = [part for view in window.places.views.values() for part in styled_parts(view)]
    sheets = {part.styleSheet() for part in (*parts, window.places.rail, window.menu_bar)}
    assert len(sheets) == 1 and before not in sheets
    window.theme.choose(choices[1])  # type: ignore[arg-type]
    window.theme.finish()


def test_a_place_is_styled_in_parts_that_are_small_and_cover_it(window: MainWindow) -> None:
    plain = (
        QSplitter,
        QSplitterHandle,
        QStackedWidget,
        QTabWidget,
    )  # nothing of them is drawn from the stylesheet
    for name, view in window.places.views.items():
        parts = styled_parts(view)
        assert max(len(part.findChildren(QWidget)) for part in parts) <= 200, name
        styled = {id(widget) for part in parts for widget in (part, *part.findChildren(QWidget))}
        left = [widget for widget in view.findChildren(QWidget) if id(widget) not in styled]
        assert all(type(widget) is QWidget or isinstance(widget, plain) for widget in left), name


def bring_to_front(window: MainWindow, widget: QWidget) -> None:
    """Show the place, and the page of every stack, that a widget stands in."""
    name = next(name for name, view in window.places.views.items() if view.isAncestorOf(widget))
    window.go(name)
    page = widget
    while (above := page.parentWidget()) is not window:
        if isinstance(above, QStackedWidget):
            above.setCurrentWidget(page)
        page.show()
        page = above


@pytest.mark.parametrize("choice", ["light", "dark"])
def test_the_line_along_tabs_is_the_same_everywhere(window: MainWindow, choice: str) -> None:
    """Start's and Inspect's came from Qt's own style, and could hardly be seen."""
    window.theme.choose(choice)  # type: ignore[arg-type]
    window.theme.finish()
    window.resize(1280, 800)
    every = window.findChildren(QTabWidget)
    assert {"start-tabs", "inspect-tabs", "study-tabs", "paper-tabs"} <= {each.objectName() for each in every}
    for tabs in every:
        bring_to_front(window, tabs)
        assert tabs.isVisible()
        picture, bar = tabs.grab().toImage(), tabs.tabBar().geometry()
        beyond = tabs.width() - 3  # no tab reaches there
        around = range(max(0, bar.top() - 1), min(picture.height(), bar.bottom() + 2))
        seen = [picture.pixelColor(beyond, row).name() for row in around]
        assert seen.count(themes.colours().border) == 1, (tabs.objectName(), seen)


def test_every_dialog_is_styled() -> None:
    gui = Path(core.__file__).resolve().parents[1] / "gui"
    dialogs = [path for path in gui.rglob("*.py") if "(QDialog):" in path.read_text(encoding="utf-8")]
    assert len(dialogs) > 5
    for path in dialogs:
        text = path.read_text(encoding="utf-8")
        assert text.count("style(self)") >= text.count("(QDialog):"), path


@pytest.mark.parametrize("choice", ["light", "dark"])
def test_a_disabled_box_that_is_ticked_looks_ticked(qtbot: Any, theme: Theme, choice: str) -> None:
    """In the dark theme its tick was as dark as its ground, in the light one as light."""
    theme.choose(choice)  # type: ignore[arg-type]
    grounds = []
    for ticked in (False, True):
        box = QCheckBox("box")
        qtbot.addWidget(box)
        style(box)
        box.setChecked(ticked)
        box.setEnabled(False)
        box.show()
        picture = box.grab().toImage()
        middle = box.height() // 2
        shades = [
            contrast(picture.pixelColor(x, y).name(), colours().window)
            for x in range(4, 14)
            for y in range(middle - 5, middle + 5)
        ]
        grounds.append(max(shades))
    assert grounds[0] < 1.5 and grounds[1] > 3
