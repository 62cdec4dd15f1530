"""The window: places, documents, problems, undo, menus, names, leaving."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from made_runs import made_run
from PySide6.QtCore import QEvent, QMimeData, QObject, QPoint, QPointF, QSettings, Qt, QUrl
from PySide6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (  # fmt: skip
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QHeaderView,
    QLineEdit,
    QMainWindow,
    QMenuBar,
    QPlainTextEdit,
    QTableView,
    QTextEdit,
    QWidget,
)
from shiboken6 import delete

from core.document import edits, recipes
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.runs.home import Home
from core.runs.open_document import OpenedDocument
from gui.base.actions import PLACES
from gui.base.document import Document
from gui.shell.main_window import MainWindow

INTERACTIVE = (
    QAbstractButton,
    QComboBox,
    QAbstractSpinBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QAbstractItemView,
)


def test_the_window_opens_on_the_quick_tour(window: MainWindow) -> None:
    assert window.windowTitle() == "Quick tour[*] — Espalier"
    assert window.editor.header.title.whole == "Quick tour"
    assert window.actions_.run.isEnabled() and not window.document.modified
    assert not window.actions_.stop.isVisible() and not window.actions_.resume_run.isVisible()


class _Strays(QObject):
    """Keeps the widgets that come up as windows of their own without being made for it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[QWidget] = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
            plain = watched.windowType() == Qt.WindowType.Window
            if plain and not isinstance(watched, QMainWindow | QDialog):
                self.found.append(watched)
        return False


def test_no_part_of_the_window_flashes_up_as_a_window_of_its_own(
    qapp: QApplication, make_window: Any, tiny: Pipeline, tmp_path: Path
) -> None:
    strays = _Strays()
    qapp.installEventFilter(strays)
    window = make_window(OpenedDocument(tiny, None, tmp_path))
    for place in window.places.views:
        window.go(place)
    window.go("pipeline")
    for card in window.editor.model.cards:
        window.editor.select(card.kind, card.id)
    window.document.apply(edits.set_setting(tiny, "fp32", ("training", "epochs"), 2), "More epochs")
    dialog = window.messages.inform("A title", "A sentence.", "Some advice.", "Details")
    dialog.close()
    qapp.removeEventFilter(strays)
    assert not strays.found, strays.found


def test_nothing_imports_torch_before_the_window_is_visible() -> None:
    code = (
        "import os, sys; from gui.app import make_application, make_window\n"
        "w = make_window(make_application()); w.show(); print('torch' in sys.modules or 'optuna' in sys.modules, flush=True)\n"
        "os._exit(0)"  # the list of runs may still be read on its thread
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip().endswith("False")


def test_every_place_can_be_reached(window: MainWindow) -> None:
    for place, title in PLACES:
        window.places.rail.buttons[place].click()
        assert window.places.current == place
        assert window.places.rail.buttons[place].isChecked()
        action = window.findChild(QAction, f"view-{place}")
        assert action is not None and action.shortcut().toString() and action.text() == title


def test_a_changed_document_goes_without_a_word(qtbot: Any, tiny: Pipeline, tmp_path: Path) -> None:
    """Its history says that it is clean while it goes; nobody can be told any more."""
    document = Document(OpenedDocument(tiny, None, tmp_path))
    document.apply(edits.set_key(tiny, "about", "Changed"), "Describe")
    with qtbot.captureExceptions() as raised:
        delete(document)
    assert not raised


def test_only_the_current_place_looks_chosen(window: MainWindow) -> None:
    rail = window.places.rail
    assert rail.buttons[window.places.current].hasFocus()
    for place in ("compare", "start"):
        window.go(place)
        assert rail.buttons[place].hasFocus()
    window.go("pipeline")
    window.editor.list.setFocus()
    window.go("compare")
    assert not any(button.hasFocus() for button in rail.buttons.values())


@pytest.mark.slow
@pytest.mark.parametrize("recipe", recipes.recipes(), ids=lambda recipe: recipe.path.stem)
def test_every_recipe_opens_without_a_problem(window: MainWindow, recipe: recipes.Recipe) -> None:
    window.document_files.open_path(recipe.path)
    assert window.document.pipeline.name == recipe.name and not window.document.problems
    assert window.document.path is None
    for row in range(window.editor.model.rowCount()):
        window.editor._select_row(row)
        assert window.editor.panel is not None


def test_every_interactive_widget_has_a_name(qtbot: Any, window: MainWindow) -> None:
    for kind, id in (
        ("pipeline", ""),
        ("data", ""),
        ("source", "network"),
        ("stage", "pruned"),
        ("stage", "distilled"),
    ):
        window.editor.select(kind, id)
    nameless, speechless = [], []
    for widget in window.findChildren(QWidget):
        if not isinstance(widget, INTERACTIVE) or _part_of_another(widget):
            continue
        if not widget.objectName():
            nameless.append((type(widget), type(widget.parent())))
        text = widget.text() if isinstance(widget, QAbstractButton) else ""
        if not (widget.accessibleName() or text):
            speechless.append(widget.objectName())
    assert not nameless
    assert not speechless


def _part_of_another(widget: QWidget) -> bool:
    """Parts that Qt makes itself: headers, the lists of combo boxes, the lines of spin boxes."""
    above, chain = widget.parentWidget(), []
    while above is not None:
        chain.append(above)
        above = above.parentWidget()
    own = (QComboBox, QAbstractSpinBox, QTableView, QMenuBar)
    return isinstance(widget, QHeaderView) or any(isinstance(each, own) for each in chain)


def test_edits_can_be_undone_and_redone(qtbot: Any, window: MainWindow) -> None:
    editor, before = window.editor, window.document.text
    editor.select("stage", "pruned")
    box = editor.panel.findChild(QAbstractSpinBox, "field-ratio")
    ratio = box.value()
    box.setValue(0.25)
    box.setValue(0.3)
    assert window.document.pipeline.stage("pruned").settings["ratio"] == 0.3
    assert window.isWindowModified() and "ratio 0.3" in editor.selected.summary
    editor.commands.undo.trigger()
    assert window.document.text == before and box.value() == ratio
    assert not window.isWindowModified()
    editor.commands.redo.trigger()
    assert box.value() == 0.3


def test_stages_can_be_added_moved_duplicated_switched_and_removed(window: MainWindow) -> None:
    editor, commands = window.editor, window.editor.commands
    editor.select("stage", "mixed")
    commands.add("prune-channels")
    assert window.document.pipeline.stage_ids == ("fp32", "mixed", "prune-channels", "pruned", "distilled")
    assert editor.selected.id == "prune-channels"
    commands.up.trigger()
    assert window.document.pipeline.stage_ids[1] == "prune-channels"
    commands.duplicate.trigger()
    assert editor.selected.id == "prune-channels-2"
    index = editor.model.index(editor.list.currentIndex().row())
    assert editor.model.setData(index, Qt.CheckState.Unchecked, Qt.ItemDataRole.CheckStateRole)
    assert not window.document.pipeline.stage("prune-channels-2").enabled
    commands.remove.trigger()
    assert "prune-channels-2" not in window.document.pipeline.stage_ids
    while commands.undo.isEnabled():
        commands.undo.trigger()
    assert window.document.pipeline.stage_ids == ("fp32", "mixed", "pruned", "distilled")


def test_problems_are_shown_where_they_are_and_keep_run_disabled(window: MainWindow) -> None:
    broken = edits.set_setting(window.document.pipeline, "distilled", ("teacher",), "nobody")
    window.document.apply(broken, "break")
    assert not window.actions_.run.isEnabled() and "nobody" in window.actions_.run.toolTip()
    strip = window.editor.strip
    assert strip.isVisible() and "Distilled › Teacher" in strip._lines[0].text()
    window.editor.select("data")
    strip._lines[0].click()
    assert window.editor.selected.id == "distilled"
    panel = window.editor.panel
    assert "nobody" in panel.form.rows["teacher"].problem.text()
    assert "problem" in window.editor.selected.spoken
    window.document.undo_stack.undo()
    assert window.actions_.run.isEnabled() and not strip.isVisible()


def test_a_file_name_is_proposed_and_completed(
    window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed: list[str] = []

    def choose(_parent: Any, _title: str, start: str, _filter: str) -> tuple[str, str]:
        proposed.append(Path(start).name)
        return str(tmp_path / "mine"), ""

    monkeypatch.setattr("gui.shell.document_files.QFileDialog.getSaveFileName", choose)
    window.document.apply(edits.set_key(window.document.pipeline, "name", "Half / INT8: v2"), "rename")
    assert window.document_files.save_as() and proposed == ["half-int8-v2.espalier.yaml"]
    assert documents.load(tmp_path / "mine.espalier.yaml").name == "Half / INT8: v2"
    assert window.document_files.save_as() and proposed[1] == "mine.espalier.yaml"


def test_a_pipeline_is_saved_and_opened_again(
    window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "mine.yaml"
    monkeypatch.setattr(
        "gui.shell.document_files.QFileDialog.getSaveFileName", lambda *_args: (str(target), "")
    )
    window.document.apply(edits.set_key(window.document.pipeline, "name", "Mine"), "rename")
    assert window.document_files.save()
    assert documents.load(target).name == "Mine"
    assert window.windowTitle() == "mine.yaml[*] — Espalier" and not window.document.modified


@pytest.mark.parametrize(
    ("answer", "opened"), [("Save", False), ("Don't save", True), ("Cancel", False), ("", False)]
)
def test_unsaved_changes_are_asked_about(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch, answer: str, opened: bool
) -> None:
    asked: list[str] = []

    def reply(dialog: Any) -> str:
        asked.append(dialog.message)
        dialog.deleteLater()
        return answer

    monkeypatch.setattr("gui.shell.document_files.QFileDialog.getSaveFileName", lambda *_args: ("", ""))
    window.messages.ask_with = reply
    window.document.apply(edits.set_key(window.document.pipeline, "name", "Changed"), "rename")
    window.document_files.open_path(recipes.FOLDER / "r1-resnet50.yaml")
    assert len(asked) == 1 and "not saved" in asked[0]
    assert (window.document.pipeline.name != "Changed") == opened


def test_what_cannot_be_opened_is_said(
    window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []
    monkeypatch.setattr(window.messages, "_open", lambda *words: said.append(words))
    broken = tmp_path / "broken.yaml"
    broken.write_text("espalier: 1\nname: x\nstages: 3\n", encoding="utf-8")
    for path in (broken, tmp_path / "nothing.yaml", tmp_path):
        window.document_files.open_path(path)
    assert len(said) == 3 and "line" in said[0][2] and window.document.pipeline.name == "Quick tour"
    (tmp_path / "notes.txt").write_text("Buy milk.\n", encoding="utf-8")
    window.document_files.open_path(tmp_path / "notes.txt")
    assert said[3][2].startswith("notes.txt is not a pipeline file of Espalier.")
    assert "a file that Espalier has saved" in said[3][3] and "under Start" in said[3][3]


def test_a_dragged_run_folder_is_opened(
    qtbot: Any, window: MainWindow, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    run = made_run(tiny, home, tmp_path)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(run.folder))])
    enter = QDragEnterEvent(
        QPoint(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    window.dragEnterEvent(enter)
    assert enter.isAccepted()
    window.dropEvent(
        QDropEvent(
            QPointF(5, 5),
            Qt.DropAction.CopyAction,
            data,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
    )
    qtbot.waitUntil(lambda: window.document.pipeline.name == "Tiny")
    assert window.places.current == "compare"
    assert window.compare.model.rowCount() == 3
    assert [stage.status for stage in window.session.state.stages.values()] == []


def test_check_leads_to_the_first_problem(window: MainWindow) -> None:
    broken = edits.set_setting(window.document.pipeline, "pruned", ("ratio",), 3.0)
    window.document.apply(broken, "break")
    window.go("export")
    window.actions_.check.trigger()
    assert window.places.current == "pipeline" and window.editor.selected.id == "pruned"


def test_geometry_is_remembered(window: MainWindow, make_window: Any) -> None:
    window.closeEvent(QCloseEvent())
    settings = QSettings()
    assert settings.value("geometry") == window.saveGeometry()
    assert {"editor-splitter", "monitor-splitter", "compare-splitter"} <= {
        key.removeprefix("splitter/") for key in settings.allKeys()
    }
    assert make_window().isVisible()


def test_both_themes_can_be_chosen_in_the_menu(window: MainWindow) -> None:
    for choice in ("dark", "light"):
        action = window.findChild(QAction, f"menu-theme-{choice}")
        assert action is not None
        action.trigger()
        assert window.theme.choice == choice
        assert window.editor.panel is not None


def test_nothing_is_cut_off_at_the_smallest_supported_size(qtbot: Any, window: MainWindow) -> None:
    window.resize(1280, 800)
    for place, view in window.places.views.items():
        window.go(place)
        qtbot.wait(10)
        assert view.minimumSizeHint().width() <= 1280 - window.places.rail.width(), place
        assert view.minimumSizeHint().height() <= 740, place
