"""The editor: palette, dragging, branches, keyboard, sources, and settings that matter."""

from typing import Any

import pytest
from editing import TREE, drop, parents
from hands import place_of
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QFont, QFontMetrics, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QLineEdit,
    QPushButton,
    QSlider,
    QToolButton,
    QWidget,
)

from core.document import edits, stage_tree
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.whatif import Forecast
from gui.editor import card_delegate
from gui.editor.cards import MOVED
from gui.editor.palette import NEW
from gui.editor.panels import NodePanel
from gui.editor.summary import stage_summary
from gui.editor.view import EditorView
from gui.shell.main_window import MainWindow
from gui.widgets.value_boxes import SpinBox

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
    assert cards.drop is not None and (cards.drop.after, cards.drop.branch) == ("small", True)
    assert cards.viewport().grab().toImage() != before
    QApplication.sendEvent(cards.viewport(), QDragLeaveEvent())
    assert cards.drop is None and cards.viewport().grab().toImage() == before


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
    assert editor.minimumSizeHint().width() <= 1080 - tree.places.rail.width()


@pytest.mark.parametrize("size", [(1152, 800), (1024, 800)])
def test_no_figure_of_a_forecast_pushes_the_settings_out_of_view(
    qtbot: Any, tree: MainWindow, size: tuple[int, int]
) -> None:
    """On a screen of 1280 × 800 the panel was cut off on its right while the machine was being measured."""
    tree.resize(*size)
    tree.go("pipeline")
    tree.editor.select("stage", "small")
    panel, scroll = tree.editor.panel, tree.editor._scroll
    assert isinstance(panel, NodePanel)
    before = Forecast("base", "network", 269_722, 40_813_184, 1_096_000, "exact")
    now = Forecast("small", "base", 135_178, 20_520_064, 563_000, "about", measuring=True)
    for seconds in (None, 5_400.0):
        panel.strip.show_forecast(now, before, seconds, "")
        qtbot.waitUntil(lambda: panel.width() <= scroll.viewport().width())
        for label in (*panel.strip.values.values(), *panel.strip.changes.values()):
            right = label.mapTo(scroll.viewport(), QPoint(label.sizeHint().width(), 0)).x()
            assert right <= scroll.viewport().width(), label.text()
            qtbot.waitUntil(lambda label=label: label.width() >= label.sizeHint().width())


def test_a_name_keeps_its_room_before_what_stands_beside_it(
    tree: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "From scratch" was cut to "From sc…" while "baseline · from Network …" beside it kept its room."""
    written: dict[str, tuple[int, int]] = {}

    def write(_painter: Any, where: Any, font: QFont, _colour: str, words: str, right: bool = False) -> None:
        written[words] = where.width(), QFontMetrics(font).horizontalAdvance(words)

    monkeypatch.setattr(card_delegate, "_write", write)
    tree.editor.list.grab()
    assert written["final"][0] >= written["final"][1], "a short word is shown whole"
    named = edits.rename(tree.document.pipeline, "base", "Trained for a very long time from scratch")
    named = edits.rename(stage_tree.set_parent(named, "more", "base"), "more", "Pruned by half, then tuned")
    tree.document.apply(named, "Rename")
    tree.editor.list.grab()
    room, wanted = written["Pruned by half, then tuned"]
    assert room >= wanted
    badge = "final · from Trained for a very long time from scratch"
    assert 0 < written[badge][0] < written[badge][1], "what stands beside it is cut"
    index = tree.editor.model.index(tree.editor.model.row_of("stage", "more"))
    assert badge in index.data(Qt.ItemDataRole.ToolTipRole)


def test_axes_and_search_fit_a_small_window_with_long_names(tree: MainWindow) -> None:
    """The longest name of a stage pushed the grid of R2, and three objectives beside each other the search, out of view."""
    pipeline = edits.rename(tree.document.pipeline, "base", "Trained from scratch · timm's ConvNeXt, again")
    grid = {"stage": "base", "settings": {"batch_size": [16, 32]}, "images": 32}
    pipeline = edits.set_grid(edits.set_baselines(pipeline, ["base", "more"]), 0, grid)
    search = {"objectives": ["top1", "latency_ms", "size_mb"], "limits": {"latency_ms": 1.0}, "trials": 4}
    free = {"stages.small.ratio": {"low": 0.2, "high": 0.8}}
    tree.document.apply(edits.set_search(pipeline, {"free": free, **search}), "Axes and a search")
    tree.resize(1024, 700)
    editor = tree.editor
    for kind, id in (("pipeline", ""), ("stage", "small")):
        editor.select(kind, id)
        QApplication.processEvents()
        assert editor.panel is not None
        assert editor.panel.minimumSizeHint().width() <= editor._scroll.viewport().width(), kind


def test_a_grid_says_that_there_are_fewer_images_than_it_asks_for(qtbot: Any, tree: MainWindow) -> None:
    """ "Judged on 2000 validation images" stood where there are 32."""
    grid = {"stage": "small", "settings": {"ratio": [0.2, 0.4]}, "images": 2000}
    tree.document.apply(edits.set_grid(tree.document.pipeline, 0, grid), "A grid")
    tree.editor.select("pipeline")
    box = tree.editor.findChild(SpinBox, "grid-images")
    assert box.text() == "2000 validation images", "not known yet"
    tree.forecasts.start()
    qtbot.waitUntil(lambda: box.text() == "2000 (all 32 images)", timeout=60_000)
    box.setFocus()
    box.selectAll()
    qtbot.keyClicks(box, "20")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert box.text() == "20 validation images" and tree.document.pipeline.axes.grids[0].images == 20


def test_forms_of_stages_that_are_gone_do_not_pile_up(tree: MainWindow) -> None:
    """Every stage that is added and removed would otherwise leave hundreds of hidden widgets."""
    pipeline, counts = tree.document.pipeline, []
    for number in range(24):
        stage = {"id": f"stage-{number}", "kind": "quantize-dynamic"}
        stages = [*pipeline.as_dict()["stages"], stage]
        tree.document.apply(edits.set_key(pipeline, "stages", stages), "Add")
        tree.editor.select("stage", f"stage-{number}")
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        counts.append(len(tree.editor.findChildren(NodePanel)))
    assert max(counts) == counts[-1] == 16 and tree.editor.panel.isVisible()


def test_a_card_says_of_a_number_what_it_is(tiny: Pipeline) -> None:
    pipeline, bits = stage_tree.add_stage(tiny, "quantize-4-bits", "pruned")
    assert stage_summary(pipeline, pipeline.stage(bits)) == "block 32 · compensated"
    pipeline, int8 = stage_tree.add_stage(tiny, "quantize-static", "pruned")
    assert stage_summary(pipeline, pipeline.stage(int8)).startswith("calibration images 256 · ")
    few = Forecast(int8, "pruned", train_images=172)  # where the run took 172
    words = stage_summary(pipeline, pipeline.stage(int8), few)
    assert words.startswith("calibration images 172 of 172: all · ")


def test_a_setting_that_came_later_is_on_the_card_only_where_it_was_set(tiny: Pipeline) -> None:
    node = tiny.stage("pruned")
    assert "espalier" not in stage_summary(tiny, node)
    changed = edits.set_setting(tiny, "pruned", ("pruner",), "torch-pruning")
    assert stage_summary(changed, changed.stage("pruned")).startswith("torch-pruning · ratio")


def test_a_preset_fills_the_training_in_as_one_step(tree: MainWindow) -> None:
    tree.editor.select("stage", "base")
    button = tree.editor.panel.findChild(QPushButton, "preset-training")
    assert button is not None and button.text() == "Fill in…"
    entries = button.menu().actions()
    assert [entry.text() for entry in entries] == ["Fine-tune", "From scratch, strong"]
    before = tree.document.pipeline
    entries[1].trigger()
    training = tree.document.pipeline.stage("base").settings["training"]
    assert training["epochs"] == 300 and training["cutmix"] == 1.0
    form = tree.editor.panel.form  # type: ignore[union-attr]
    assert form is not None and form.field(("training", "epochs")).value() == 300
    tree.document.undo_stack.undo()
    assert tree.document.pipeline == before
