"""Manners: sizes, focus, Enter, empty charts, what was open the last time, dragging."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from editing import TREE
from hands import place_of
from made_runs import made_run
from PySide6.QtCore import QMimeData, QPoint, QSettings, QSize, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QFont, QImage
from PySide6.QtWidgets import QApplication, QComboBox, QLineEdit, QWidget

from core.document import edits
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.runs.home import Home
from gui import app
from gui.base.screen import resize_within_screen
from gui.base.theme import Theme, style
from gui.compare.pareto_plot import ParetoPlot
from gui.editor.cards import MOVED
from gui.inspect.histogram_plot import HistogramPlot
from gui.shell import window_geometry
from gui.shell.document_files import LEAVE
from gui.shell.main_window import MainWindow
from gui.start.run_model import SIZE
from gui.widgets.combo import Combo
from gui.widgets.curve_plot import CurvePlot, CurveStyle
from gui.widgets.narrow_layout import TurningSplitter

COPY, LEFT, NONE = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier

# sizes


def test_the_first_size_leaves_a_tenth_of_the_screen(window: MainWindow) -> None:
    QSettings().remove("geometry")
    window.resize(3000, 3000)
    window_geometry.restore(window)
    room = window.screen().availableSize()
    assert window.width() <= 0.9 * room.width() + 1 and window.height() <= 0.9 * room.height() + 1
    assert window.minimumSize() == QSize(900, 600).boundedTo(room * 0.9)


@pytest.mark.parametrize(
    "size", [QSize(1024, 700), QSize(864, 486), QSize(640, 400)], ids=["1024", "1080-twice", "800-twice"]
)
def test_everything_is_reached_in_a_small_window(qtbot: Any, tree: MainWindow, size: QSize) -> None:
    """What does not fit is scrolled to, up and down alone: no place makes the window larger than it is."""
    tree.setMinimumSize(0, 0)
    tree.resize(size)
    qtbot.waitUntil(lambda: tree.size() == size)
    for name, view in tree.places.views.items():
        tree.go(name)
        QApplication.processEvents()
        frame = view.parentWidget().parentWidget()
        assert tree.size() == size, name
        bar = frame.horizontalScrollBar()  # type: ignore[attr-defined]
        qtbot.waitUntil(lambda bar=bar: not bar.maximum())
    for button in tree.places.rail.buttons.values():
        assert tree.places.rail.rect().contains(button.geometry())


def test_parts_that_turned_have_their_sizes_again(qtbot: Any) -> None:
    """Turned before it was ever shown, a splitter gave each part its least width ever after."""
    parts = [QWidget(), QWidget()]
    splitter = TurningSplitter("parts", *parts)
    qtbot.addWidget(splitter)
    for part in parts:
        part.setMinimumWidth(100)
    splitter.setSizes([300, 600])
    for narrow, shown in ((60, False), (150, True)):
        splitter.fit(narrow)
        assert splitter.stacked and splitter.minimumSizeHint().height() >= 480
        splitter.fit(912)
        splitter.resize(912, 500)
        splitter.show()
        qtbot.waitExposed(splitter)
        assert not splitter.stacked and splitter.sizes() == [300, 600], shown


def test_the_ways_in_and_their_figures_are_read_whole_in_a_small_window(
    qtbot: Any, window: MainWindow, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    """A last line of words was cut, and "0.182 …" stood for megabytes."""
    run = made_run(tiny, home, tmp_path)
    report = run.report("taught")
    assert report is not None and report.main is not None
    size = report.main.metrics["size_mb"].model_copy(update={"value": 0.1824})
    changed = report.main.model_copy(update={"metrics": {**report.main.metrics, "size_mb": size}})
    run.write_report(report.model_copy(update={"artefacts": [changed]}))
    window.setMinimumSize(0, 0)
    window.resize(921, 630)
    window.go("start")
    table = window.start.view.table
    qtbot.waitUntil(
        lambda: table.runs.rowCount() == 1 and bool(table.runs.index(0, SIZE).data()), timeout=10_000
    )
    for button in window.start.view.ways.buttons.values():
        qtbot.waitUntil(
            lambda button=button: button.about.height() >= button.about.heightForWidth(button.about.width())
        )
    words = str(table.runs.index(0, SIZE).data())
    assert words == "0.182 MB"
    assert table.fontMetrics().horizontalAdvance(words) + 2 * 8 + 6 <= table.columnWidth(SIZE)


def test_cards_and_rail_grow_with_the_font(qtbot: Any, tree: MainWindow) -> None:
    cards = tree.editor.list
    row = cards.model().index(tree.editor.model.row_of("stage", "small"), 0)
    before, rail = cards.visualRect(row).height(), tree.places.rail.width()
    large = QFont(tree.font())
    large.setPointSizeF(2 * large.pointSizeF())
    for part in (cards, tree.places.rail):
        part.setFont(large)
    cards.scheduleDelayedItemsLayout()
    qtbot.waitUntil(lambda: cards.visualRect(row).height() > 1.4 * before)
    assert tree.places.rail.width() > rail


def test_the_list_of_a_box_is_as_wide_as_its_longest_entry(qtbot: Any) -> None:
    box = Combo()
    qtbot.addWidget(box)
    words = "a very long name of a network from a run of the week before last"
    box.addItems(["short", words])
    box.setFixedWidth(90)
    box.show()
    box.showPopup()
    assert box.view().viewport().width() >= box.fontMetrics().horizontalAdvance(words)
    assert box.screen().availableGeometry().contains(box.view().window().geometry())
    box.hidePopup()


# focus and keys


@pytest.mark.parametrize("count", [2, 3, 9, 200])
def test_the_list_of_a_box_shows_every_entry(qtbot: Any, theme: Theme, count: int) -> None:
    """In the application's style the first or the last entry was hidden behind an arrow."""
    page = QWidget()
    qtbot.addWidget(page)
    style(page)
    box = Combo()
    box.setParent(page)
    box.addItems([f"entry {number}" for number in range(count)])
    page.show()
    for current in (0, count - 1):
        box.setCurrentIndex(current)
        box.showPopup()
        view = box.view()
        rows = sum(view.sizeHintForRow(row) for row in range(count))
        room = box.screen().availableGeometry()
        assert room.contains(view.window().geometry())
        if rows < room.height() - 40:
            assert view.verticalScrollBar().maximum() == 0 and rows <= view.viewport().height() <= rows + 20
            assert view.visualRect(view.model().index(0, 0)).top() == 0
        box.hidePopup()


def test_the_list_of_cards_shows_that_it_has_the_focus(qtbot: Any, tree: MainWindow) -> None:
    def picture(widget: QWidget) -> QImage:
        return widget.grab().toImage()

    cards, entries = tree.editor.list, tree.editor.palette_.list
    for part in (cards, entries):
        tree.editor.palette_.search.setFocus()
        without = picture(part)
        part.setFocus()
        assert picture(part) != without, part.objectName()


def test_the_focus_stays_where_another_kind_of_source_was_chosen(qtbot: Any, tree: MainWindow) -> None:
    tree.editor.select("source", "net")
    assert tree.editor.panel is not None
    box = tree.editor.panel.findChild(QComboBox, "source-kind")
    box.setFocus()
    box.setCurrentIndex(box.findData("onnx"))
    box.activated.emit(box.currentIndex())
    focus = QApplication.focusWidget()
    assert focus is not None and focus.objectName() == "source-kind" and focus.isVisible()


def test_enter_presses_the_button_that_has_the_focus(qtbot: Any, tree: MainWindow) -> None:
    tree.document.apply(edits.set_enabled(tree.document.pipeline, "more", False), "off")
    tree.go("pipeline")
    pressed: list[str] = []
    button = tree.editor.header.findChild(QWidget, "button-check")
    tree.actions_.check.triggered.disconnect()
    tree.actions_.check.triggered.connect(lambda: pressed.append("check"))
    button.setFocus()  # type: ignore[union-attr]
    qtbot.keyClick(button, Qt.Key.Key_Return)
    assert pressed == ["check"]


def test_enter_presses_the_primary_button_where_nothing_else_takes_it(qtbot: Any, tree: MainWindow) -> None:
    pressed: list[str] = []
    tree.actions_.run.triggered.disconnect()
    tree.actions_.run.triggered.connect(lambda: pressed.append("run"))
    tree.go("pipeline")
    name = tree.editor.panel.findChild(QLineEdit, "node-name")  # type: ignore[union-attr]
    name.setFocus()
    qtbot.keyClick(name, Qt.Key.Key_Return)
    tree.editor.list.setFocus()
    qtbot.keyClick(tree.editor.list, Qt.Key.Key_Return)
    assert not pressed  # a field and a list have Enter for themselves
    tree.places.rail.buttons["pipeline"].setFocus()
    qtbot.keyClick(tree.places.rail.buttons["pipeline"], Qt.Key.Key_Return)
    assert pressed == ["run"]


# charts


def test_an_empty_chart_has_no_axes(qtbot: Any) -> None:
    curves, histogram, pareto = CurvePlot("loss", "Loss"), HistogramPlot(), ParetoPlot()
    for plot in (curves, histogram, pareto):
        qtbot.addWidget(plot)
        assert not plot.item.getAxis("left").isVisible() and not plot.item.getAxis("bottom").isVisible()
    import numpy as np

    curves.show_curve("a", CurveStyle("a", 0), np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    assert curves.item.getAxis("left").isVisible()
    curves.keep_only([])
    assert not curves.item.getAxis("left").isVisible()


# finishing


def test_finish_this_stage_answers_at_once(
    qtbot: Any, tree: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = tree.session
    monkeypatch.setattr(type(session), "steered", property(lambda _self: "running"))
    session.state.stages.clear()
    session.state.current, session.state.training = "base", True
    session.changed.emit()
    finish = tree.actions_.finish
    assert finish.isEnabled()
    finish.trigger()
    assert not finish.isEnabled() and finish.text() == "Finishing …"
    assert "ends after the epoch" in tree.monitor.left.text()
    session.state.current = "small"
    session.changed.emit()
    assert finish.isEnabled() and finish.text() == "&Finish this stage"


# the last time


def test_what_was_open_is_open_again(
    qtbot: Any, qapp: QApplication, tree: MainWindow, tmp_path: Path, make_window: Callable[..., MainWindow]
) -> None:
    file = tmp_path / "mine.espalier.yaml"
    tree.document.save(file)
    tree.editor.select("stage", "small")
    tree.go("compare")
    tree.close()
    qtbot.waitUntil(lambda: not tree.isVisible(), timeout=30_000)
    again = app.make_window(qapp)
    qtbot.addWidget(again)
    assert again.document.path == file and again.places.current == "compare"
    assert again.editor.selected is not None and again.editor.selected.id == "small"
    again.close()
    qtbot.waitUntil(lambda: not again.isVisible(), timeout=30_000)
    file.unlink()
    third = app.make_window(qapp)
    qtbot.addWidget(third)
    assert third.document.pipeline.name == "Quick tour"
    third.close()


def test_what_was_made_and_not_saved_is_still_unsaved(
    qtbot: Any, qapp: QApplication, tree: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(tree.messages, "question", lambda *texts: asked.append(texts[2]) or LEAVE)
    tree.document_files.open_made(tree.document.pipeline, tmp_path)
    tree.close()
    assert len(asked) == 1 and "here again the next time" in asked[0]
    qtbot.waitUntil(lambda: not tree.isVisible(), timeout=30_000)
    again = app.make_window(qapp)
    qtbot.addWidget(again)
    assert again.document.made and again.document.modified and again.document.base == tmp_path
    monkeypatch.setattr(again.messages, "question", lambda *_: LEAVE)
    again.close()


def test_the_run_of_the_last_time_is_shown_again(
    qtbot: Any, qapp: QApplication, tiny_window: MainWindow, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    run = made_run(tiny, home, tmp_path)
    tiny_window.run_controller.show(run, replay=True)
    tiny_window.close()
    qtbot.waitUntil(lambda: not tiny_window.isVisible(), timeout=30_000)
    again = app.make_window(qapp)
    qtbot.addWidget(again)
    assert again.session.run is None  # read when the window is visible
    qtbot.waitUntil(lambda: again.session.run is not None, timeout=10_000)
    assert again.session.run is not None and again.session.run.folder == run.folder
    again.close()
    qtbot.waitUntil(lambda: not again.isVisible(), timeout=30_000)


def test_a_document_without_a_file_comes_back_as_text(
    qtbot: Any, qapp: QApplication, tree: MainWindow
) -> None:
    tree.close()
    qtbot.waitUntil(lambda: not tree.isVisible(), timeout=30_000)
    again = app.make_window(qapp)
    qtbot.addWidget(again)
    assert again.document.pipeline == documents.loads(TREE) and again.document.path is None
    again.close()


# dragging


def test_dragging_shows_every_place_and_copies(tree: MainWindow) -> None:
    cards = tree.editor.list
    before = cards.viewport().grab().toImage()
    carried = QMimeData()
    carried.setData(MOVED, b"small")
    both = COPY | Qt.DropAction.MoveAction
    place = place_of(cards, "stage", "more", 0.95)
    enter = QDragEnterEvent(QPoint(4, 4), both, carried, LEFT, NONE)
    QApplication.sendEvent(cards.viewport(), enter)
    assert enter.isAccepted() and cards.viewport().grab().toImage() != before
    move = QDragMoveEvent(place, both, carried, LEFT, NONE)
    move.setDropAction(Qt.DropAction.MoveAction)
    QApplication.sendEvent(cards.viewport(), move)
    assert move.isAccepted() and move.dropAction() == COPY


def test_a_file_over_the_window_is_framed_and_copied(tree: MainWindow, tmp_path: Path) -> None:
    (tmp_path / "a.espalier.yaml").write_text(TREE)
    carried = QMimeData()
    carried.setUrls([QUrl.fromLocalFile(str(tmp_path / "a.espalier.yaml"))])
    enter = QDragEnterEvent(QPoint(50, 50), COPY | Qt.DropAction.MoveAction, carried, LEFT, NONE)
    enter.setDropAction(Qt.DropAction.MoveAction)
    QApplication.sendEvent(tree, enter)
    assert enter.isAccepted() and enter.dropAction() == COPY and tree.drop_frame.isVisible()


def test_a_dialog_is_no_larger_than_the_screen_has_room_for(qtbot: Any) -> None:
    dialog = QWidget()
    qtbot.addWidget(dialog)
    resize_within_screen(dialog, 5000, 300)
    assert dialog.width() <= 0.9 * dialog.screen().availableSize().width() + 1 and dialog.height() == 300
