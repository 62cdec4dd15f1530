"""The editor: palette, dragging, branches, keyboard, sources, fixes, the grid, counts and the check."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, QSettings, Qt
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QSlider,
    QToolButton,
    QWidget,
)

from core import pipeline as documents
from core.pipeline import Pipeline
from core.whatif import WhatIf
from gui.editor import edits
from gui.editor.card_list import CardList
from gui.editor.cards import MOVED
from gui.editor.palette import NEW
from gui.editor.view import EditorView
from gui.files import Opened
from gui.main_window import MainWindow

TREE = """
espalier: 1
name: Tree
data: {source: fashion-mnist-sample, image_size: 16, train_images: 128, validation_images: 32, test_images: 32}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: base, kind: train, name: Base, settings: {training: {epochs: 1}}}
  - {id: small, kind: prune-channels, name: Small, settings: {ratio: 0.3, training: {epochs: 1}}}
  - {id: more, kind: train, name: More, settings: {training: {epochs: 1}}}
"""


@pytest.fixture
def tree(make_window: Callable[..., MainWindow], tmp_path: Path) -> MainWindow:
    """The window on a chain of three stages, in the editor."""
    window = make_window(Opened(documents.loads(TREE), None, tmp_path))
    window.resize(1280, 800)
    window.go("pipeline")
    window.session.options = lambda: {"device": "cpu", "threads": 1}
    return window


def parents(pipeline: Pipeline) -> dict[str, str]:
    return {node.id: edits.parent_of(pipeline, index) for index, node in enumerate(pipeline.stages)}


def place_of(cards: CardList, kind: str, id: str, part: float) -> QPoint:
    """A point at `part` of a card's height, in the list's viewport."""
    index = cards._cards.index(cards._cards.row_of(kind, id))
    box = cards._painter.box_of(cards.visualRect(index), index)
    return QPoint(box.center().x(), box.top() + round(part * box.height()))


def drop(cards: CardList, what: str, mime: str, place: QPoint) -> bool:
    """Drag something in from outside and drop it; whether it was taken."""
    carried = QMimeData()
    carried.setData(mime, what.encode())
    action, buttons, none = (
        Qt.DropAction.CopyAction,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    enter = QDragEnterEvent(place, action, carried, buttons, none)
    QApplication.sendEvent(cards.viewport(), enter)
    move = QDragMoveEvent(place, action, carried, buttons, none)
    QApplication.sendEvent(cards.viewport(), move)
    if not move.isAccepted():
        return False
    assert cards.landing is not None
    dropped = QDropEvent(QPointF(place), action, carried, buttons, none)
    QApplication.sendEvent(cards.viewport(), dropped)
    assert cards.landing is None
    return dropped.isAccepted()


# the palette


def test_the_palette_groups_searches_and_adds_with_enter(qtbot: Any, tree: MainWindow) -> None:
    editor = tree.editor
    titles = [entry.title for entry in editor.palette_.model.entries]
    assert titles[:3] == ["Training", "Train", "Train in mixed precision"] and "Start from" in titles
    assert all(entry.help and entry.icon for entry in editor.palette_.model.entries if entry.key)
    editor.select("stage", "base")
    editor.list.setFocus()
    qtbot.keyClick(editor.list, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(editor.palette_.search.hasFocus)
    qtbot.keyClicks(editor.palette_.search, "teacher soft")
    assert [e.title for e in editor.palette_.model.entries] == ["Distillation", "Distil"]
    qtbot.keyClick(editor.palette_.search, Qt.Key.Key_Return)
    pipeline = tree.document.pipeline
    assert parents(pipeline) == {"base": "net", "distil": "base", "small": "distil", "more": "small"}
    assert editor.selected is not None and editor.selected.id == "distil"
    qtbot.keyClicks(editor.palette_.search, "zzz")
    assert editor.palette_.nothing.isVisible() and "zzz" in editor.palette_.nothing.text()
    qtbot.keyClick(editor.palette_.search, Qt.Key.Key_Escape)
    assert editor.palette_.search.text() == "" and not editor.palette_.nothing.isVisible()


def test_an_entry_is_reached_by_keys_alone(qtbot: Any, tree: MainWindow) -> None:
    palette = tree.editor.palette_
    tree.editor.select("stage", "more")
    palette.search.setFocus()
    qtbot.keyClick(palette.search, Qt.Key.Key_Down)
    qtbot.keyClick(palette.list, Qt.Key.Key_Down)
    qtbot.keyClick(palette.list, Qt.Key.Key_Return)
    assert tree.document.pipeline.stage_ids[-1] == "train-mixed"


# dragging


def test_an_entry_dropped_between_cards_continues_the_upper_one(tree: MainWindow) -> None:
    cards = tree.editor.list
    assert drop(cards, "stage:distil", NEW, place_of(cards, "stage", "base", 0.95))
    assert parents(tree.document.pipeline) == {
        "base": "net",
        "distil": "base",
        "small": "distil",
        "more": "small",
    }
    assert drop(cards, "stage:train", NEW, place_of(cards, "stage", "base", 0.05))
    assert parents(tree.document.pipeline)["base"] == "train"
    assert tree.document.undo_stack.count() == 2


def test_an_entry_dropped_on_a_card_starts_a_branch(tree: MainWindow) -> None:
    cards = tree.editor.list
    for _ in range(2):
        assert drop(cards, "stage:prune-channels", NEW, place_of(cards, "stage", "base", 0.5))
    pipeline = tree.document.pipeline
    assert [child for child, parent in parents(pipeline).items() if parent == "base"] == [
        "small", "prune-channels", "prune-channels-2",
    ]  # fmt: skip
    assert documents.check(pipeline) == []


def test_nothing_can_be_dropped_on_the_document(tree: MainWindow) -> None:
    cards = tree.editor.list
    assert not drop(cards, "stage:train", NEW, place_of(cards, "pipeline", "", 0.5))
    assert not drop(cards, "text", "text/plain", place_of(cards, "stage", "base", 0.5))


def test_a_card_is_dragged_to_another_place(tree: MainWindow) -> None:
    cards = tree.editor.list
    assert drop(cards, "small", MOVED, place_of(cards, "stage", "more", 0.95))
    assert parents(tree.document.pipeline) == {"base": "net", "more": "base", "small": "more"}
    assert drop(cards, "small", MOVED, place_of(cards, "stage", "base", 0.5))
    assert parents(tree.document.pipeline) == {"base": "net", "more": "base", "small": "base"}
    assert not drop(cards, "base", MOVED, place_of(cards, "stage", "small", 0.5))  # its own branch
    assert not drop(cards, "base", MOVED, place_of(cards, "source", "net", 0.95))  # where it is


def test_a_source_is_dropped_in(tree: MainWindow) -> None:
    cards = tree.editor.list
    assert drop(cards, "source:onnx", NEW, place_of(cards, "stage", "base", 0.5))
    assert [source.kind for source in tree.document.pipeline.sources] == ["backbone", "onnx"]
    assert tree.editor.selected is not None and tree.editor.selected.kind == "source"


def test_the_mouse_begins_a_drag_and_shows_where_it_would_land(qtbot: Any, tree: MainWindow) -> None:
    """The offscreen platform has no drags of its own: what a hand starts is dropped as an event."""
    editor, entries = tree.editor, tree.editor.palette_.list
    row = next(n for n, e in enumerate(editor.palette_.model.entries) if e.key == "stage:distil")
    index = editor.palette_.model.index(row)
    entries.scrollTo(index)
    start = entries.visualRect(index).center()
    QTest.mousePress(entries.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, start)
    moved = start + QPoint(4, 1)
    QApplication.sendEvent(entries.viewport(), QMouseEvent(
        QEvent.Type.MouseMove, QPointF(moved), QPointF(entries.viewport().mapToGlobal(moved)),
        Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
    ))  # fmt: skip
    assert entries.state() == QAbstractItemView.State.DraggingState
    QTest.mouseRelease(entries.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, moved)
    carried = editor.palette_.model.mimeData([index])
    cards = editor.list
    place = place_of(cards, "stage", "small", 0.5)
    action, button = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    before = cards.viewport().grab().toImage()
    for kind in (QDragEnterEvent, QDragMoveEvent):
        QApplication.sendEvent(
            cards.viewport(), kind(place, action, carried, button, Qt.KeyboardModifier.NoModifier)
        )
    assert cards.landing is not None and (cards.landing.after, cards.landing.branch) == ("small", True)
    assert cards.viewport().grab().toImage() != before
    QApplication.sendEvent(cards.viewport(), QDragLeaveEvent())
    assert cards.landing is None and cards.viewport().grab().toImage() == before


# the keyboard and the menus


def test_the_keyboard_moves_duplicates_renames_and_removes(qtbot: Any, tree: MainWindow) -> None:
    editor = tree.editor
    control = Qt.KeyboardModifier.ControlModifier
    editor.select("stage", "more")
    editor.list.setFocus()
    qtbot.keyClick(editor.list, Qt.Key.Key_Up, control)
    assert tree.document.pipeline.stage_ids == ("base", "more", "small")
    qtbot.keyClick(editor.list, Qt.Key.Key_Down, control)
    assert tree.document.pipeline.stage_ids == ("base", "small", "more")
    qtbot.keyClick(editor.list, Qt.Key.Key_D, control)
    assert parents(tree.document.pipeline)["more-2"] == "small"
    qtbot.keyClick(editor.list, Qt.Key.Key_F2)
    name = editor.findChild(QLineEdit, "node-name")
    panel = editor.panel
    assert panel is not None and panel.findChild(QLineEdit, "node-name").hasFocus() and name is not None
    qtbot.keyClicks(panel.findChild(QLineEdit, "node-name"), "Longer")
    qtbot.keyClick(panel.findChild(QLineEdit, "node-name"), Qt.Key.Key_Return)
    assert tree.document.pipeline.stage("more-2").title == "Longer"
    editor.list.setFocus()
    qtbot.keyClick(editor.list, Qt.Key.Key_Space)
    assert not tree.document.pipeline.stage("more-2").enabled
    qtbot.keyClick(editor.list, Qt.Key.Key_Delete)
    assert "more-2" not in tree.document.pipeline.stage_ids
    for _ in range(tree.document.undo_stack.count()):
        qtbot.keyClick(editor.list, Qt.Key.Key_Z, control)
    assert tree.document.pipeline == documents.loads(TREE)


def test_branch_here_offers_every_stage(qtbot: Any, tree: MainWindow) -> None:
    editor = tree.editor
    editor.select("stage", "base")
    button = editor.findChild(QToolButton, "tool-branch-here")
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(editor.commands.branch_menu.isVisible)
    next(
        a for a in editor.commands.branch_menu.actions() if a.objectName() == "branch-prune-layers"
    ).trigger()
    editor.commands.branch_menu.close()
    assert parents(tree.document.pipeline) == {
        "base": "net", "small": "base", "more": "small", "prune-layers": "base",
    }  # fmt: skip


def test_a_stage_on_the_file_becomes_a_branch_where_the_network_goes_on(tree: MainWindow) -> None:
    tree.editor.select("stage", "base")
    tree.editor.commands.add("quantize-static")
    assert documents.check(tree.document.pipeline) == []
    assert parents(tree.document.pipeline)["small"] == "base"
    tree.editor.commands.add("train")  # behind the quantized file: on the network before it
    assert documents.check(tree.document.pipeline) == []


def test_the_context_menu_fits_the_card(tree: MainWindow) -> None:
    def names(kind: str, id: str) -> set[str]:
        tree.editor.select(kind, id)
        menu = tree.editor.commands.context_menu()
        found = {a.objectName() or (a.menu().objectName() if a.menu() else "") for a in menu.actions()}
        menu.deleteLater()
        return found

    assert {"add-menu", "branch-menu", "rename", "duplicate", "switch", "move-up", "remove"} <= names(
        "stage", "small"
    )
    assert "switch" not in names("source", "net") and "branch-menu" in names("source", "net")
    assert names("data", "") == {"add-menu"}


# sources


def test_a_source_changes_its_kind_and_is_removed(qtbot: Any, tree: MainWindow) -> None:
    editor = tree.editor
    editor.select("source", "net")
    box = editor.panel.findChild(QComboBox, "source-kind")  # type: ignore[union-attr]
    box.setCurrentIndex(box.findData("checkpoint"))
    box.activated.emit(box.currentIndex())
    assert tree.document.pipeline.source("net").kind == "checkpoint"
    assert not tree.actions_.run.isEnabled() and "Nothing is given here yet" in editor.strip._lines[0].text()
    tree.document.undo_stack.undo()
    editor.commands.add_entry("source:backbone")
    assert [s.id for s in tree.document.pipeline.sources] == ["net", "backbone"]
    editor.select("stage", "small")
    parent = editor.panel.findChild(QComboBox, "node-parent")  # type: ignore[union-attr]
    parent.setCurrentIndex(parent.findData("backbone"))
    parent.activated.emit(parent.currentIndex())
    assert parents(tree.document.pipeline)["small"] == "backbone"
    editor.select("source", "backbone")
    editor.commands.remove.trigger()
    assert [s.id for s in tree.document.pipeline.sources] == ["net"]
    assert parents(tree.document.pipeline)["small"] == "net"
    editor.select("source", "net")
    assert not editor.commands.remove.isEnabled()


def test_any_timm_name_can_be_typed(qtbot: Any, tree: MainWindow) -> None:
    tree.editor.select("source", "net")
    box = tree.editor.panel.findChild(QComboBox, "field-backbone")  # type: ignore[union-attr]
    line = box.lineEdit()
    line.setFocus()
    line.selectAll()
    qtbot.keyClicks(line, "timm:resnet10t")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert tree.document.pipeline.source("net").settings["backbone"] == "timm:resnet10t"


# what does not matter is hidden


def test_only_settings_that_matter_are_shown(qtbot: Any, tree: MainWindow) -> None:
    tree.editor.select("stage", "small")
    form = tree.editor.panel.form  # type: ignore[union-attr]
    assert form is not None

    def shown() -> set[str]:
        return {name for name in ("ratio", "budget", "size_mb") if form.rows[name].cell.isVisible()}

    assert shown() == {"ratio"}
    form.rows["target"].field.changed.emit("macs")
    assert shown() == {"budget"}
    form.rows["target"].field.changed.emit("size")
    assert shown() == {"size_mb"}
    broken = edits.set_setting(tree.document.pipeline, "small", ("ratio",), 3.0)
    tree.document.apply(broken, "break")
    assert shown() == {"ratio", "size_mb"}  # what is wrong is never hidden
    assert "seldom changed" in form._folds["own_ratios"].note.text()


def test_a_slider_moves_a_share(qtbot: Any, tree: MainWindow) -> None:
    tree.editor.select("stage", "small")
    slider = tree.editor.panel.findChild(QWidget, "row-ratio").findChild(QSlider)  # type: ignore[union-attr]
    slider.setValue(50)
    assert tree.document.pipeline.stage("small").settings["ratio"] == 0.5
    slider.setValue(61)
    assert tree.document.pipeline.stage("small").settings["ratio"] == 0.61
    tree.document.undo_stack.undo()  # one drag is one step
    assert tree.document.pipeline.stage("small").settings["ratio"] == 0.3


# fixes


def test_a_stage_in_the_wrong_place_is_mended_with_one_click(qtbot: Any, tree: MainWindow) -> None:
    pipeline, id = edits.add_stage(tree.document.pipeline, "quantize-static", "base", branch=True)
    tree.document.apply(edits.branch_from(pipeline, "small", id), "break")
    assert len(tree.document.problems) == 2
    tree.editor.select("stage", "small")
    panel = tree.editor.panel
    notice = panel.findChild(QLabel, "node-problem")  # type: ignore[union-attr]
    assert "has gone on to the exported file" in notice.text() and notice.isVisible()
    assert tree.editor.selected is not None and tree.editor.selected.facts.startswith("⚠ 'Small' changes")
    mend = panel.findChild(QPushButton, "node-mend")  # type: ignore[union-attr]
    assert mend.text() == "Continue 'Base' instead"  # what follows goes with it
    qtbot.mouseClick(mend, Qt.MouseButton.LeftButton)
    assert tree.document.problems == [] and tree.actions_.run.isEnabled()
    tree.document.undo_stack.undo()
    assert tree.document.problems


def test_a_missing_teacher_is_chosen_from_the_strip_and_from_the_field(qtbot: Any, tree: MainWindow) -> None:
    pipeline, id = edits.add_stage(tree.document.pipeline, "distil", "more")
    broken = edits.set_setting(pipeline, id, ("teacher",), "nobody")
    tree.document.apply(broken, "break")
    button = tree.editor.strip.fix_buttons[0]
    assert button.text() == "Choose 'Base'"
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert tree.document.pipeline.stage(id).settings["teacher"] == "base"
    tree.document.undo_stack.undo()
    tree.editor.select("stage", id)
    mend = tree.editor.panel.findChild(QPushButton, "mend-teacher")  # type: ignore[union-attr]
    assert mend.isVisible()
    qtbot.mouseClick(mend, Qt.MouseButton.LeftButton)
    assert tree.document.problems == []


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ("[{id: q, kind: quantize-static, name: Q}]", "Put a 'Train' stage with 0 epochs before it"),
        ("[{id: t, kind: train, enabled: false, name: T}]", "Switch 'T' on"),
        ("[{id: p, kind: prune-channels, settings: {ratio: 2.0}}]", "Reset Ratio"),
        (
            "[{id: t, kind: train}, {id: q, kind: quantize-static, name: Q}, {id: r, kind: half-precision, name: R}]",
            "Continue 't' instead",
        ),
    ],
)
def test_fixes_are_found_for_every_kind_of_rule(stages: str, words: str) -> None:
    from core import yaml
    from gui.editor.fixes import fix_for

    text = f"espalier: 1\nname: X\nsources: [{{id: net}}]\nstages: {stages}"
    pipeline = Pipeline.parse(yaml.parse(text).content)
    problems = documents.check(pipeline)
    assert problems
    fix = fix_for(pipeline, problems[0])
    assert fix is not None and fix.words == words
    assert documents.check(fix.pipeline) == []


# the document's axes


def test_a_grid_is_made_and_changed_in_the_form(qtbot: Any, tree: MainWindow) -> None:
    tree.editor.select("pipeline")
    panel = tree.editor.panel
    assert panel is not None
    box = panel.findChild(QComboBox, "grid-stage")
    values = panel.findChild(QLineEdit, "grid-values-1")
    assert not values.isVisible()
    box.setCurrentIndex(box.findData("small"))
    box.activated.emit(box.currentIndex())
    grid = tree.document.pipeline.axes.grid
    assert grid is not None and (grid.stage, grid.settings) == ("small", {"ratio": (0.2, 0.3, 0.4)})
    values.setFocus()
    values.selectAll()
    qtbot.keyClicks(values, "0.3, x")
    qtbot.keyClick(values, Qt.Key.Key_Return)
    assert "Expected values of Ratio, such as 0.2, 0.3, 0.4." in panel.grid.problem.text()  # type: ignore[attr-defined]
    values.selectAll()
    qtbot.keyClicks(values, "0.3, 0.6")
    qtbot.keyClick(values, Qt.Key.Key_Return)
    second = panel.findChild(QComboBox, "grid-setting-2")
    second.setCurrentIndex(second.findData("importance"))
    second.activated.emit(second.currentIndex())
    grid = tree.document.pipeline.axes.grid
    assert (
        grid is not None and grid.settings["ratio"] == (0.3, 0.6) and "taylor" in grid.settings["importance"]
    )
    assert documents.check(tree.document.pipeline) == []
    seeds = panel.findChild(QLineEdit, "pipeline-seeds")
    seeds.setFocus()
    seeds.selectAll()
    qtbot.keyClicks(seeds, "1, 2")
    qtbot.keyClick(seeds, Qt.Key.Key_Return)
    assert tree.document.pipeline.axes.seed == (1, 2) and tree.document.pipeline.axes.grid == grid
    box.setCurrentIndex(0)
    box.activated.emit(0)
    assert tree.document.pipeline.axes.grid is None and tree.document.pipeline.axes.seed == (1, 2)


# what is known before a run


def test_counts_follow_a_ratio(qtbot: Any, tree: MainWindow) -> None:
    outlook, editor = tree.outlook, tree.editor
    outlook.start()
    editor.select("stage", "small")
    qtbot.waitUntil(lambda: "more" in outlook.forecasts and not outlook.waiting, timeout=30_000)
    panel = editor.panel
    figure = panel.findChild(QLabel, "forecast-params")  # type: ignore[union-attr]
    assert figure.text() == "199 k" and figure.toolTip() == "199,258"
    assert "199 k params · 6.75 M MACs" in editor.selected.facts  # type: ignore[union-attr]
    form = panel.form  # type: ignore[union-attr]
    form.field(("ratio",)).main.setValue(0.5)  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: figure.text() == "136 k", timeout=5000)
    assert panel.strip.changes["params"].text() == "−50 %"  # type: ignore[union-attr]
    rows = {card.id: card for card in editor.model.cards}
    assert rows["more"].facts == rows["small"].facts
    form.field(("target",)).changed.emit("macs")  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: figure.text().startswith("≈ "), timeout=5000)
    tree.document.apply(edits.set_setting(tree.document.pipeline, "small", ("budget",), 5.0), "break")
    assert figure.text() == "–" and "when the problems are solved" in panel.strip.remark.text()  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: not outlook.waiting, timeout=5000)


def test_only_the_last_question_is_answered(qtbot: Any, tree: MainWindow) -> None:
    tree.outlook.start()
    for ratio in (0.2, 0.35, 0.45, 0.7):
        tree.document.apply(
            edits.set_setting(tree.document.pipeline, "small", ("ratio",), ratio), "Change", "m"
        )
        qtbot.wait(15)
    qtbot.waitUntil(lambda: "more" in tree.outlook.forecasts and not tree.outlook.waiting, timeout=30_000)
    alone = {f.id: f for f in WhatIf(tree.home).forecasts(tree.document.pipeline, Path())}
    assert tree.outlook.forecasts == alone and alone["small"].params == 72250


@pytest.mark.slow
def test_run_is_checked_first_and_leads_to_the_setting(qtbot: Any, tree: MainWindow) -> None:
    QSettings().setValue("check-before-run", "true")
    impossible = {"target": "size", "size_mb": 0.01, "training": {"epochs": 1}}
    tree.document.apply(tree.document.pipeline.with_settings("small", impossible), "too small")
    tree.go("compare")
    tree.actions_.run.trigger()
    dialog = tree.before.dialog
    assert dialog is not None and dialog.isVisible() and tree.session.steered == "idle"
    assert dialog.run_button.text() == "Skip and run"
    qtbot.waitUntil(lambda: not tree.before.checking.worker.running, timeout=60_000)
    assert dialog.heading.text() == "1 problem found" and dialog.run_button.text() == "Run all the same"
    link = dialog.findChild(QPushButton, "check-problem-0")
    assert link.text() == "Go to Small › Size"
    qtbot.mouseClick(link, Qt.MouseButton.LeftButton)
    assert tree.stack.currentWidget() is tree.editor and tree.editor.selected.id == "small"  # type: ignore[union-attr]
    assert tree.before.dialog is None and tree.session.steered == "idle"


@pytest.mark.slow
def test_a_check_that_passes_shows_times_and_starts_the_run(
    qtbot: Any, tree: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    QSettings().setValue("check-before-run", "true")
    started: list[bool] = []
    tree.before.ready.disconnect()
    tree.before.ready.connect(lambda: started.append(True))
    tree.actions_.run.trigger()
    qtbot.waitUntil(lambda: bool(started), timeout=90_000)
    assert set(tree.outlook.times) == {"base", "small", "more"}
    assert all(card.time for card in tree.editor.model.cards if card.kind == "stage")
    assert "on cpu" in tree.status.phase.whole
    tree.actions_.run.trigger()  # this document has passed: no second check
    assert started == [True, True] and tree.before.dialog is None
    tree.document.apply(edits.set_setting(tree.document.pipeline, "small", ("ratio",), 0.5), "Change")
    assert tree.outlook.times == {}


def test_the_check_can_be_skipped_for_good(qtbot: Any, tree: MainWindow) -> None:
    QSettings().setValue("check-before-run", "true")
    started: list[bool] = []
    tree.before.ready.disconnect()
    tree.before.ready.connect(lambda: started.append(True))
    tree.actions_.run.trigger()
    dialog = tree.before.dialog
    assert dialog is not None
    dialog.every_time.setChecked(False)
    qtbot.mouseClick(dialog.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(started), timeout=60_000)
    tree.actions_.run.trigger()
    assert started == [True, True] and tree.before.dialog is None


@pytest.mark.parametrize("choice", ["light", "dark"])
def test_the_editor_fits_the_smallest_window(tree: MainWindow, choice: str) -> None:
    tree.theme.choose(choice)  # type: ignore[arg-type]
    tree.resize(1080, 680)
    editor: EditorView = tree.editor
    for card in list(editor.model.cards):
        editor.select(card.kind, card.id)
        QApplication.processEvents()
        assert editor.panel is not None
        scroll = editor._scroll
        assert editor.panel.minimumSizeHint().width() <= scroll.viewport().width()
    assert editor.minimumSizeHint().width() <= 1080 - tree.rail.width()
