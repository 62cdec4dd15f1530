"""F1, the reference, search, back and forward, the check of the installation, versions."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QGuiApplication

from core.doctor.checks import Check, Examination
from gui.base import theme
from gui.help import guide
from gui.help.doctor import DoctorDialog
from gui.help.window import HelpWindow
from gui.shell.main_window import MainWindow


def test_anchors_as_code_hosts_make_them() -> None:
    assert guide.anchors(["How every number is measured", "`train`", "Data", "Data"]) == [
        "how-every-number-is-measured", "train", "data", "data-1",
    ]  # fmt: skip
    assert guide.section_for("pipeline", ["the-window", "pipeline"]) == "pipeline"
    assert guide.section_for("nowhere", ["data"]) == ""


def test_every_link_inside_the_guide_leads_somewhere(window: MainWindow) -> None:
    help = window.dialogs.show_guide()
    known = {one.anchor for one in help.page.headings}
    wanted = set(re.findall(r"\]\(#([\w-]+)\)", guide.read(guide.GUIDE)))
    assert wanted and wanted <= known
    help.close()


def test_a_cell_of_the_reference_begins_new_lines(window: MainWindow) -> None:
    """`<br>` stood there as it is written."""
    help = window.dialogs.show_reference()
    assert "<br>" in guide.read(guide.REFERENCE)
    words = help.page.toPlainText()
    assert "<br" not in words and "weights stay float32.\nauto: " in words
    assert "<br" not in help._text_of(guide.REFERENCE)
    help.close()


def test_code_takes_the_ground_of_the_theme(qtbot: Any, window: MainWindow) -> None:
    card = window.export.view.model_card
    card.show_text("Written as `distilled.onnx`.")
    window.go("export")

    def ground() -> str:
        return str(card.document().find("distilled").charFormat().background().color().name())

    for choice in ("dark", "light"):
        window.theme.choose(choice)  # type: ignore[arg-type]
        window.theme.finish()
        qtbot.waitUntil(
            lambda: ground() == theme.colours().hover.lower()
        )  # places follow one after the other


@pytest.mark.parametrize("place", ["pipeline", "monitor", "compare", "export", "data"])
def test_f1_opens_the_part_about_this_place(qtbot: Any, window: MainWindow, place: str) -> None:
    window.go(place)
    window.actions_.guide.trigger()
    help = window.dialogs._help
    assert help is not None and help.isVisible() and help.page.section() == place
    assert help.contents.currentItem().text(0).lower().startswith(place)
    help.close()


def test_f1_is_the_key(window: MainWindow) -> None:
    assert window.actions_.guide.shortcut().toString() == "F1"


def test_back_and_forward(qtbot: Any, window: MainWindow) -> None:
    window.go("monitor")
    help = window.dialogs.show_guide()
    help.page.anchorClicked.emit(QUrl("#stopping-and-resuming"))
    assert help.page.section() == "stopping-and-resuming"
    qtbot.mouseClick(help.buttons["back"], Qt.MouseButton.LeftButton)
    assert help.page.section() == "monitor" and not help.buttons["back"].isEnabled()
    qtbot.mouseClick(help.buttons["forward"], Qt.MouseButton.LeftButton)
    assert help.page.section() == "stopping-and-resuming"
    help.close()


@pytest.fixture
def help(qtbot: Any, window: MainWindow) -> Iterator[HelpWindow]:
    """The help window on the guide, with the keyboard."""
    shown = window.dialogs.show_guide()
    qtbot.waitExposed(shown)
    shown.open(guide.GUIDE)
    yield shown
    shown.close()


def selected(help: HelpWindow) -> str:
    return str(help.page.textCursor().selectedText().lower())


def count_of(help: HelpWindow, words: str) -> int:
    return len(re.findall(words, help.page.toPlainText(), re.IGNORECASE))


def test_find_goes_to_what_is_typed_letter_by_letter(qtbot: Any, help: HelpWindow) -> None:
    qtbot.keyClick(help.page, "f", Qt.KeyboardModifier.ControlModifier)
    assert help.search.box.hasFocus()
    for letter in "latency":
        qtbot.keyClicks(help.search.box, letter)
        assert selected(help) == help.search.words
    shown = help.page.cursorRect()
    assert help.page.viewport().rect().contains(shown)
    assert help.search.count.text().startswith(f"1 of {count_of(help, 'latency')}")
    help.search.box.setText("no such word anywhere")
    assert help.search.count.text() == "Not found" and not help.search.buttons["next"].isEnabled()
    help.search.box.clear()
    assert help.search.count.text() == "" and not help.page.hits


def test_keys_and_buttons_lead_from_hit_to_hit_and_the_contents_follow(qtbot: Any, help: HelpWindow) -> None:
    help.search.start()
    qtbot.keyClicks(help.search.box, "latency")
    box, count = help.search.box, count_of(help, "latency")
    for key, modifier, number in (
        (Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier, 2),
        (Qt.Key.Key_F3, Qt.KeyboardModifier.NoModifier, 3),
        (Qt.Key.Key_F3, Qt.KeyboardModifier.ShiftModifier, 2),
        (Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier, 1),
    ):
        qtbot.keyClick(box, key, modifier)
        assert help.search.count.text().startswith(f"{number} of {count}"), (key, modifier)
        assert selected(help) == "latency" and box.hasFocus()
    qtbot.mouseClick(help.search.buttons["next"], Qt.MouseButton.LeftButton)
    assert help.search.count.text().startswith(f"2 of {count}")
    under = [one.title for one in help.page.headings if one.position <= help.page.textCursor().position()]
    assert help.contents.currentItem().text(0) == under[-1]


def test_after_the_last_hit_of_the_guide_comes_the_first_of_the_reference(
    qtbot: Any, help: HelpWindow
) -> None:
    help.search.start()
    qtbot.keyClicks(help.search.box, "glossary")
    first = count_of(help, "glossary")
    assert help.search.count.text() == f"1 of {first}", "the reference has none"
    help.search.box.setText("batch_size")
    in_guide, words = count_of(help, "batch_size"), help.search.count.text()
    assert words.endswith("in Reference")
    for _ in range(in_guide + 1):
        qtbot.keyClick(help.search.box, Qt.Key.Key_Return)
    assert help.page.name == guide.REFERENCE and selected(help) == "batch_size"
    assert help.search.box.hasFocus(), "Enter leads on"
    assert help.search.count.text().startswith(f"{help.page.hit + 1} of {count_of(help, 'batch_size')}")
    qtbot.mouseClick(help.buttons["back"], Qt.MouseButton.LeftButton)
    assert help.page.name == guide.GUIDE


def test_another_theme_leaves_the_hit_where_it_is(qtbot: Any, help: HelpWindow) -> None:
    qtbot.keyClicks(help.search.box, "latency")
    qtbot.keyClick(help.search.box, Qt.Key.Key_F3)
    before = help.page.verticalScrollBar().value()
    help.retheme()
    assert help.page.hit == 1 and help.page.verticalScrollBar().value() == before


def test_the_reference_is_the_running_programs(window: MainWindow) -> None:
    help = window.dialogs.show_reference()
    titles = [one.title for one in help.page.headings]
    assert "Training" in titles and any(title.startswith("distil") for title in titles)
    assert "batch_size" in help.page.toPlainText() and "<part>" not in titles
    help.close()


def test_the_check_says_what_is_wrong_first(
    qtbot: Any, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Examination((
        Check("Memory", "good", "16 GB"), Check("Display", "warning", "none", "Get one."), Check("torch", "bad", "broken", "Install it."),
    ))  # fmt: skip
    monkeypatch.setattr("gui.help.doctor.examine", lambda say: say("Memory") or found)
    dialog = window.dialogs.check_installation()
    assert isinstance(dialog, DoctorDialog)
    qtbot.waitUntil(lambda: dialog.table.rowCount() == 3, timeout=5000)
    assert dialog.heading.text() == "1 of 3 checks found something that will not work."
    assert [dialog.table.item(0, column).text() for column in range(3)] == [
        "Bad",
        "torch",
        "broken\n→ Install it.",
    ]
    qtbot.mouseClick(dialog.copy, Qt.MouseButton.LeftButton)
    assert "3 checks, 1 bad, 1 with a warning." in QGuiApplication.clipboard().text()
    dialog.close()


def test_versions_can_be_copied(qtbot: Any, window: MainWindow) -> None:
    about = window.dialogs.show_about()
    qtbot.mouseClick(about.findChild(object, "copy-versions"), Qt.MouseButton.LeftButton)
    text = QGuiApplication.clipboard().text()
    assert text.startswith("Espalier ") and "torch " in text and "Qt " in text
    about.close()
