"""One undo for the whole window, the clipboard of stages, and the command palette."""

from typing import Any

import pytest
from editing import parents
from PySide6.QtCore import QEvent, QItemSelectionModel, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu, QPlainTextEdit, QPushButton, QWidget
from shiboken6 import isValid

from gui.shell.main_window import MainWindow

CONTROL = Qt.KeyboardModifier.ControlModifier


def field(window: MainWindow, name: str, kind: type[QWidget] = QWidget) -> Any:
    panel = window.editor.panel
    assert panel is not None
    found = panel.findChild(kind, name)
    assert found is not None
    return found


# one undo


def test_undo_takes_back_a_number_while_its_field_has_the_focus(qtbot: Any, tree: MainWindow) -> None:
    tree.editor.select("stage", "small")
    ratio = field(tree, "field-ratio")
    ratio.setFocus()
    ratio.selectAll()
    qtbot.keyClicks(ratio, "0.55")
    assert tree.document.pipeline.stage("small").settings["ratio"] == 0.55
    qtbot.keyClick(ratio, Qt.Key.Key_Z, CONTROL)
    assert tree.document.pipeline.stage("small").settings["ratio"] == 0.3 and ratio.value() == 0.3
    qtbot.keyClick(ratio, Qt.Key.Key_Z, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    assert ratio.value() == 0.55 and ratio.hasFocus()


def test_what_was_said_of_an_edit_goes_when_the_edit_is_undone(qtbot: Any, tree: MainWindow) -> None:
    commands, phase = tree.editor.commands, tree.status.phase
    tree.editor.select("stage", "more")
    commands.remove.trigger()
    assert phase.whole == "More was removed; Undo brings it back."
    commands.add("train")
    commands.undo.trigger()
    assert phase.whole == "More was removed; Undo brings it back.", "a later edit was undone"
    commands.undo.trigger()
    assert "more" in tree.document.pipeline.stage_ids
    assert "was removed" not in phase.whole and phase.whole.startswith("Ready to run")
    commands.redo.trigger()
    assert "was removed" not in phase.whole


def test_two_visits_to_a_field_are_two_steps(qtbot: Any, tree: MainWindow) -> None:
    tree.editor.select("stage", "small")
    ratio = field(tree, "field-ratio")
    ratio.setFocus()
    for value in ("0.4", "0.5"):
        ratio.selectAll()
        qtbot.keyClicks(ratio, value)
        qtbot.keyClick(ratio, Qt.Key.Key_Return)
    qtbot.keyClick(ratio, Qt.Key.Key_Z, CONTROL)
    assert tree.document.pipeline.stage("small").settings["ratio"] == 0.4


def test_undo_in_a_name_takes_back_first_what_is_typed_and_then_the_document(
    qtbot: Any, tree: MainWindow
) -> None:
    tree.editor.select("stage", "small")
    name = field(tree, "node-name", QLineEdit)
    name.setFocus()
    name.selectAll()
    qtbot.keyClicks(name, "Lean")
    qtbot.keyClick(name, Qt.Key.Key_Return)
    assert tree.document.pipeline.stage("small").title == "Lean"
    qtbot.keyClicks(name, "er")
    qtbot.keyClick(name, Qt.Key.Key_Z, CONTROL)
    assert name.text() == "Lean" and tree.document.pipeline.stage("small").title == "Lean"
    qtbot.keyClick(name, Qt.Key.Key_Z, CONTROL)
    assert tree.document.pipeline.stage("small").title == "Small"
    assert name.text() == "Small" and name.hasFocus()


def test_undo_in_the_description_takes_back_the_document(qtbot: Any, tree: MainWindow) -> None:
    tree.editor.select("pipeline")
    about = field(tree, "pipeline-about", QPlainTextEdit)
    about.setFocus()
    qtbot.keyClicks(about, "For the fair")
    tree.editor.take_over()
    assert tree.document.pipeline.about == "For the fair"
    tree.document.undo_stack.undo()
    assert about.toPlainText() == "" and about.hasFocus()


def test_saving_takes_over_what_is_being_typed(qtbot: Any, tree: MainWindow, tmp_path: Any) -> None:
    tree.document.save(tmp_path / "a.espalier.yaml")
    tree.editor.select("stage", "small")
    name = field(tree, "node-name", QLineEdit)
    name.setFocus()
    name.selectAll()
    qtbot.keyClicks(name, "Lean")
    qtbot.keyClick(name, Qt.Key.Key_S, CONTROL)
    assert "name: Lean" in (tmp_path / "a.espalier.yaml").read_text() and name.text() == "Lean"


# the clipboard of stages


def select_two(tree: MainWindow) -> None:
    editor = tree.editor
    editor.select("stage", "small")
    more = editor.model.index(editor.model.row_of("stage", "more"))
    editor.list.selectionModel().setCurrentIndex(more, QItemSelectionModel.SelectionFlag.Select)
    editor.list.setFocus()


def test_stages_are_copied_cut_and_pasted_by_keys(qtbot: Any, tree: MainWindow) -> None:
    cards = tree.editor.list
    select_two(tree)
    qtbot.keyClick(cards, Qt.Key.Key_C, CONTROL)
    assert "kind: prune-channels" in QGuiApplication.clipboard().text()
    qtbot.keyClick(cards, Qt.Key.Key_V, CONTROL)
    assert parents(tree.document.pipeline) == {
        "base": "net", "small": "base", "more": "small", "small-2": "more", "more-2": "small-2",
    }  # fmt: skip
    select_two(tree)
    qtbot.keyClick(cards, Qt.Key.Key_X, CONTROL)
    assert tree.document.pipeline.stage_ids == ("base", "small-2", "more-2")
    for _ in range(2):
        qtbot.keyClick(cards, Qt.Key.Key_Z, CONTROL)
    assert tree.document.pipeline.stage_ids == ("base", "small", "more")


def test_what_is_no_stage_is_not_pasted(qtbot: Any, tree: MainWindow) -> None:
    QGuiApplication.clipboard().setText("good morning")
    tree.editor.select("stage", "small")
    before = tree.document.text
    tree.editor.commands.paste.trigger()
    assert tree.document.text == before and "received something else" in tree.status.phase.whole


def test_the_edit_menu_serves_the_field_or_the_list(qtbot: Any, tree: MainWindow) -> None:
    menu = tree.findChild(QMenu, "menu-edit")
    assert menu is not None
    QGuiApplication.clipboard().setText("good morning")
    tree.editor.select("stage", "small")
    name = field(tree, "node-name", QLineEdit)
    name.setFocus()
    name.selectAll()
    menu.aboutToShow.emit()
    tree.edit_menu.paste.trigger()
    assert name.text() == "good morning" and tree.edit_menu.stage.isEnabled()
    tree.editor.list.setFocus()
    menu.aboutToShow.emit()
    assert tree.edit_menu.copy.isEnabled() and not tree.edit_menu.paste.isEnabled()
    tree.edit_menu.copy.trigger()
    menu.aboutToShow.emit()
    assert tree.edit_menu.paste.isEnabled()
    tree.go("compare")
    menu.aboutToShow.emit()
    assert not tree.edit_menu.stage.isEnabled()


def test_the_edit_menu_opens_after_what_had_the_focus_is_gone(qtbot: Any, tree: MainWindow) -> None:
    gone = QPushButton("Close", tree)
    gone.show()
    gone.setFocus()
    qtbot.waitUntil(gone.hasFocus)
    bar = tree.menuBar()
    bar.setFocus()  # menus take the focus while they are open
    gone.deleteLater()
    QApplication.sendPostedEvents(gone, QEvent.Type.DeferredDelete)
    menu = tree.findChild(QMenu, "menu-edit")
    assert menu is not None and not isValid(gone)
    menu.aboutToShow.emit()
    assert tree.edit_menu.copy.isEnabled()  # the stage that is chosen


# the command palette


@pytest.mark.parametrize("typing", [False, True])
def test_the_palette_runs_what_is_found_and_gives_the_focus_back(
    qtbot: Any, tree: MainWindow, typing: bool
) -> None:
    tree.editor.select("stage", "small")
    start = field(tree, "node-name", QLineEdit) if typing else tree.editor.list
    start.setFocus()
    qtbot.keyClick(start, Qt.Key.Key_K, CONTROL)
    palette = tree.command_palette
    assert palette.isVisible() and palette.search.hasFocus()
    qtbot.keyClick(palette.search, Qt.Key.Key_Escape)
    assert QApplication.focusWidget() is start
    qtbot.keyClick(start, Qt.Key.Key_K, CONTROL)
    qtbot.keyClicks(palette.search, "insert distil")
    assert palette.model.commands[0].title == "Distil"
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "distil" in tree.document.pipeline.stage_ids)
    assert not palette.isVisible()
    tree.actions_.commands.trigger()
    qtbot.keyClicks(palette.search, "compare")
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: tree.places.current == "compare")


def test_the_palette_knows_every_menu_and_card(qtbot: Any, tree: MainWindow) -> None:
    tree.actions_.commands.trigger()
    palette = tree.command_palette
    found = {(command.where, command.title) for command in palette.model.commands}
    assert {
        ("File", "Open pipeline"),
        ("View", "Export"),
        ("View › Theme", "Dark"),
        ("Run", "Check"),
    } <= found
    assert ("Card of the pipeline", "Small") in found
    qtbot.keyClicks(palette.search, "zzz")
    assert palette.nothing.isVisible()
    qtbot.keyClick(palette.search, Qt.Key.Key_Escape)
    assert not palette.isVisible()
    tree.actions_.commands.trigger()
    qtbot.keyClicks(palette.search, "more card")
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: tree.editor.selected is not None and tree.editor.selected.id == "more")


def test_what_cannot_be_used_now_stands_last_and_does_nothing(qtbot: Any, tree: MainWindow) -> None:
    tree.actions_.run.setEnabled(False)
    tree.actions_.commands.trigger()
    palette = tree.command_palette
    assert not palette.model.commands[-1].enabled and palette.model.commands[0].enabled
    qtbot.keyClicks(palette.search, "undo")
    undo = palette.model.commands[0]
    assert undo.title == "Undo" and not undo.enabled
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    assert palette.isVisible()
