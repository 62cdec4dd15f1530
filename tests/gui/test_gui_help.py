"""F1, the reference, search, back and forward, the check of the installation, versions."""

import re
from typing import Any

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QGuiApplication

from core.doctor.checks import Check, Examination
from gui.base import theme
from gui.help import guide
from gui.help.doctor import DoctorDialog
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


def test_search_back_and_forward(qtbot: Any, window: MainWindow) -> None:
    window.go("monitor")
    help = window.dialogs.show_guide()
    help.page.anchorClicked.emit(QUrl("#stopping-and-resuming"))
    assert help.page.section() == "stopping-and-resuming"
    qtbot.mouseClick(help.buttons["back"], Qt.MouseButton.LeftButton)
    assert help.page.section() == "monitor" and not help.buttons["back"].isEnabled()
    qtbot.mouseClick(help.buttons["forward"], Qt.MouseButton.LeftButton)
    assert help.page.section() == "stopping-and-resuming"
    qtbot.keyClicks(help.search, "latency")
    count = len(re.findall("latency", help.page.toPlainText(), re.IGNORECASE))
    assert help.match_count.text() == f"Found: {count}"
    qtbot.keyClick(help.search, Qt.Key.Key_Return)
    assert help.page.textCursor().selectedText().lower() == "latency"
    help.search.setText("no such word anywhere")
    assert help.match_count.text() == "Found: 0"
    help.close()


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
