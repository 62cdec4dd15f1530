"""The Start place: recipes, runs, search, notes, the trash, and what is dragged into the window."""

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_runs import made_run
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QPlainTextEdit, QStyleOptionViewItem

from core.document import edits, recipes
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.document.reference import reference
from core.runs import final_figures
from core.runs.final_figures import FinalFigures
from core.runs.home import Home
from core.runs.index import Kept
from core.runs.library import list_runs
from core.runs.run_folder import RunFolder
from gui import app
from gui.shell.main_window import MainWindow
from gui.start.run_model import DATA, LATENCY, NAME, NETWORK, SIZE, STARTED, TOP1

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def runs(tiny: Pipeline, home: Home, tmp_path: Path) -> list[RunFolder]:
    """Three runs: complete, stopped, complete; started a day after each other."""
    made = [made_run(tiny, home, tmp_path, stages) for stages in (3, 1, 3)]
    for number, run in enumerate(made):
        run.update_info(started=1_790_000_000 + number * 86_400, seconds=60.0 * (number + 1))
    return made


@pytest.fixture
def start(window: MainWindow, runs: list[RunFolder], qtbot: Any) -> MainWindow:
    """The window at Start, with the runs listed."""
    qtbot.mouseClick(window.places.rail.buttons["start"], LEFT)
    qtbot.waitUntil(lambda: len(window.start.view.table.runs.lines) == len(runs), timeout=10_000)
    return window


def texts(window: MainWindow, column: int) -> list[str]:
    model = window.start.view.table.runs
    return [str(model.index(row, column).data()) for row in range(model.rowCount())]


def click_row(
    window: MainWindow, row: int, qtbot: Any, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
) -> None:
    table = window.start.view.table
    where = table.visualRect(table.runs.index(row, 0)).center()
    qtbot.mouseClick(table.viewport(), LEFT, keys, where)


def drop(window: MainWindow, path: Path) -> bool:
    """Drag a path over the window and let go; whether it was taken."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    enter = QDragEnterEvent(
        QPoint(300, 300), Qt.DropAction.CopyAction, mime, LEFT, Qt.KeyboardModifier.NoModifier
    )
    enter.ignore()
    QApplication.sendEvent(window, enter)
    if not enter.isAccepted():
        return False
    where = QPointF(300, 300)
    QApplication.sendEvent(
        window, QDropEvent(where, Qt.DropAction.CopyAction, mime, LEFT, Qt.KeyboardModifier.NoModifier)
    )
    return True


def test_runs_are_listed_newest_first(start: MainWindow) -> None:
    assert texts(start, 0) == ["Tiny", "Tiny", "Tiny"]
    assert texts(start, 2) == ["Complete", "Stopped", "Complete"]
    assert texts(start, 4) == ["3 min 00 s", "2 min 00 s", "1 min 00 s"]


def test_a_click_on_a_recipe_opens_it(start: MainWindow, qtbot: Any) -> None:
    cards = start.start.view.recipes
    start.start.view.tabs.setCurrentIndex(1)
    index = cards.recipes.index(0)
    assert index.data() == "Ablation of the FEM · Hamza et al. 2026"
    cards.scrollTo(index)
    qtbot.mouseClick(cards.viewport(), LEFT, pos=cards.visualRect(index).center())
    assert start.document.pipeline.name == "Ablation of the FEM · Hamza et al. 2026"
    assert start.places.current == "pipeline"


def test_enter_on_a_recipe_opens_it(start: MainWindow, qtbot: Any) -> None:
    start.start.view.tabs.setCurrentIndex(1)
    cards = start.start.view.recipes
    cards.setCurrentIndex(cards.recipes.index(2))
    qtbot.keyClick(cards, Qt.Key.Key_Return)
    assert start.document.pipeline.name == cards.recipes.index(2).data()


def test_a_recipe_tells_how_long_it_took_here(
    qtbot: Any, window: MainWindow, home: Home, tmp_path: Path
) -> None:
    tour = documents.load(recipes.FOLDER / "r1-mobilenetv3-small.yaml")
    made_run(tour, home, tmp_path, 1)
    for seconds, cached in ((168.0, False), (1.5, True)):
        run = made_run(tour, home, tmp_path, 3)
        run.update_info(seconds=seconds, started=1_790_000_000 + (86_400 if cached else 0))
        if cached:
            path = run.stage_folder("fp32").report_file
            path.write_text(json.dumps({**json.loads(path.read_text()), "cached": True}))
    window.go("start")
    cards = window.start.view.recipes.recipes
    qtbot.waitUntil(lambda: any(line.timed for line in cards.lines), timeout=10_000)
    said = {line.recipe.id: line.last_duration for line in cards.lines}
    assert said["r1-mobilenetv3-small"].startswith("Took 2 min 48 s on this machine, ")
    assert said["r1-mobilenetv3"] == "Not complete on this machine yet"


def test_no_text_wants_a_legend_to_be_read() -> None:
    """Studies go by their authors; letters with numbers were ours."""
    shown = [" ".join((one.name, one.about, *one.load().notes)) for one in recipes.recipes()]
    assert not [text for text in (*shown, reference()) if re.search(r"\bR[1-5]\b", text)]


def test_the_list_shows_the_figures_of_the_results(start: MainWindow, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: texts(start, TOP1)[0] != "", timeout=10_000)
    assert [texts(start, column)[0] for column in (TOP1, SIZE, LATENCY, DATA, NETWORK)] == [
        "76.00 %", "2.00 MB", "0.660 ms", "Fashion-MNIST sample", "ResNet-20 (CIFAR)",
    ]  # fmt: skip
    assert [texts(start, column)[1] for column in (TOP1, DATA)] == ["", "Fashion-MNIST sample"]


def test_columns_follow_the_window_and_keep_what_a_person_gave_them(start: MainWindow, qtbot: Any) -> None:
    """ "Fashion-MNIS…" stood beside a name with 200 pixels to spare, and a dragged name was wide again with the next size."""
    table, header = start.start.view.table, start.start.view.table.horizontalHeader()
    qtbot.waitUntil(lambda: texts(start, TOP1)[0] != "", timeout=10_000)

    def resize(width: int) -> None:
        start.resize(width, 800)
        qtbot.waitUntil(lambda: start.width() == width)

    def cut() -> list[str]:
        shown = [column for column in range(10) if not table.isColumnHidden(column)]
        option = QStyleOptionViewItem()
        table.initViewItemOption(option)
        wanted = {
            column: table.itemDelegate().sizeHint(option, table.runs.index(0, column)).width()
            for column in shown
        }
        return [texts(start, column)[0] for column in shown if wanted[column] > table.columnWidth(column)]

    for width in (1280, 1000, 1280):
        resize(width)
        qtbot.waitUntil(lambda: not cut() and header.length() == table.viewport().width(), timeout=2_000)
    for column in (NAME, DATA):
        header.resizeSection(column, 170)
    for width in (1000, 1500):
        resize(width)
        assert table.columnWidth(NAME) == table.columnWidth(DATA) == 170


def test_the_list_is_sorted_and_filtered_by_figures(start: MainWindow, qtbot: Any) -> None:
    view = start.start.view
    qtbot.waitUntil(lambda: texts(start, TOP1)[0] != "", timeout=10_000)
    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        view.table.runs.sort(TOP1, order)
        assert [text[:2] for text in texts(start, TOP1)] == ["76", "76", ""], "what is not known comes last"
    for words, count in (("top-1>70", 2), ("top1>77", 0), ("size<=2 resnet-20", 2), ("fashion", 3)):
        view.search.setText(words)
        qtbot.waitUntil(lambda count=count: len(texts(start, 0)) == count)


def test_only_the_figures_that_are_shown_are_read(
    window: MainWindow, runs: list[RunFolder], home: Home, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(97):
        shutil.copytree(runs[0].folder, home.runs / f"20260101-{number:06d}-tiny")
    read: list[Path] = []

    def counting(kept: Kept, folder: Path) -> FinalFigures:
        read.append(folder)
        return obtained(kept, folder)

    obtained = final_figures._obtained
    monkeypatch.setattr(final_figures, "_obtained", counting)
    window.go("start")
    table = window.start.view.table
    qtbot.waitUntil(lambda: table.runs.rowCount() == 100 and texts(window, TOP1)[0] != "", timeout=10_000)
    first = len(read)
    assert first < 50 and texts(window, TOP1)[99] == "", "what is not in view is not read"
    table.scrollToBottom()
    qtbot.waitUntil(lambda: texts(window, TOP1)[99] != "", timeout=10_000)
    assert len(read) < 99 and len(set(read)) == len(read)
    header = table.horizontalHeader()
    place = QPoint(header.sectionViewportPosition(SIZE) + 20, header.height() // 2)
    qtbot.mouseClick(header.viewport(), LEFT, pos=place)
    qtbot.waitUntil(lambda: texts(window, SIZE).count("2.00 MB") == 99, timeout=10_000)
    assert len(set(read)) == len(read) == 100, "sorted by a figure, all are read, each once"


def test_several_runs_are_compared_by_choosing_them(
    start: MainWindow, runs: list[RunFolder], qtbot: Any
) -> None:
    click_row(start, 0, qtbot)
    click_row(start, 2, qtbot, Qt.KeyboardModifier.ControlModifier)
    qtbot.mouseClick(start.start.view.details.compare, LEFT)
    assert start.places.current == "compare"
    assert start.compare.chosen.folders == [str(runs[2].folder), str(runs[0].folder)]
    qtbot.waitUntil(lambda: start.compare.model.rowCount() == 6, timeout=10_000)


def test_notes_can_be_written_while_figures_arrive(start: MainWindow, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not start.start.lister.running, timeout=10_000)
    click_row(start, 0, qtbot)
    notes = start.start.view.details.notes
    notes.setFocus()
    qtbot.keyClicks(notes, "half a sent")
    with qtbot.waitSignal(start.start.lister.completed, timeout=10_000):
        start.start.refresh()
    assert notes.hasFocus() and notes.toPlainText() == "half a sent"


def test_a_recent_pipeline_opens_where_it_was_left(
    start: MainWindow, tiny: Pipeline, tmp_path: Path, qtbot: Any
) -> None:
    file = tmp_path / "my own & others.espalier.yaml"
    file.write_text(documents.dumps(tiny))
    start.document_files.open_path(file)
    start.editor.select("stage", "pruned")
    start.go("data")
    start.document_files.open_path(recipes.FIRST)
    start.go("start")
    row = start.start.view.recent
    qtbot.waitUntil(row.isVisible, timeout=10_000)
    assert [button.text() for button in row.buttons] == ["my own && others"]  # a single one would underline
    qtbot.mouseClick(row.buttons[0], LEFT)
    assert start.document.path == file and start.places.current == "data"
    assert start.editor.selected is not None and start.editor.selected.id == "pruned"
    file.unlink()
    start.go("start")
    qtbot.waitUntil(lambda: not row.isVisible(), timeout=10_000)


def test_the_search_looks_everywhere(start: MainWindow, runs: list[RunFolder], qtbot: Any) -> None:
    view = start.start.view
    qtbot.keyClicks(view.search, "stopped tiny")
    qtbot.waitUntil(lambda: texts(start, 2) == ["Stopped"])
    qtbot.keyClicks(view.search, " nowhere")
    qtbot.waitUntil(lambda: view.empty.isVisible())
    assert view.empty.title.text() == "No run fits the search"
    view.search.clear()
    qtbot.waitUntil(lambda: len(texts(start, 0)) == 3)


def test_a_header_sorts(start: MainWindow, qtbot: Any) -> None:
    header = start.start.view.table.horizontalHeader()
    assert start.start.view.table.runs.headerData(STARTED, Qt.Orientation.Horizontal) == "Started ▾"
    where = QPoint(header.sectionViewportPosition(STARTED) + 20, header.height() // 2)
    qtbot.mouseClick(header.viewport(), LEFT, pos=where)
    assert texts(start, 4) == ["1 min 00 s", "2 min 00 s", "3 min 00 s"]


def test_name_tags_and_notes_are_kept_in_the_run(
    start: MainWindow, runs: list[RunFolder], qtbot: Any
) -> None:
    details = start.start.view.details
    click_row(start, 0, qtbot)
    assert details.name.text() == "Tiny" and details.open.isEnabled()
    QTest.keyClick(start.start.view.table, Qt.Key.Key_F2)
    qtbot.keyClicks(details.name, "Best so far")
    qtbot.keyClick(details.name, Qt.Key.Key_Return)
    qtbot.keyClicks(details.tags, "paper, to show")
    qtbot.keyClicks(details.notes, "Warm-up helped.")
    click_row(start, 1, qtbot)
    info = runs[2].info
    assert (info.name, info.tags, info.notes) == (
        "Best so far",
        ("paper", "to show"),
        "Warm-up helped.",
    )
    assert info.pipeline_name == "Tiny"
    assert texts(start, 0)[0] == "Best so far" and texts(start, 1)[0] == "paper, to show"
    assert details.name.text() == "Tiny" and details.notes.toPlainText() == ""


def test_notes_are_written_after_a_pause(start: MainWindow, runs: list[RunFolder], qtbot: Any) -> None:
    click_row(start, 2, qtbot)
    qtbot.keyClicks(start.start.view.details.notes, "ok")
    qtbot.waitUntil(lambda: runs[0].info.notes == "ok", timeout=3000)


def test_enter_opens_a_run(start: MainWindow, qtbot: Any) -> None:
    click_row(start, 0, qtbot)
    qtbot.keyClick(start.start.view.table, Qt.Key.Key_Return)
    assert start.document.pipeline.name == "Tiny"
    assert start.places.current == "compare"


def test_ctrl_z_puts_back_what_was_deleted_and_leaves_the_pipeline_alone(
    start: MainWindow, runs: list[RunFolder], qtbot: Any
) -> None:
    document, table = start.document, start.start.view.table
    stage = document.pipeline.stages[0].id
    document.apply(edits.rename(document.pipeline, stage, "Another name"), "Rename")
    click_row(start, 0, qtbot)
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: not runs[2].folder.exists(), timeout=10_000)
    for _ in range(2):  # the second time nothing is left to put back
        qtbot.keyClick(table, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(runs[2].folder.exists, timeout=10_000)
    assert document.pipeline.stages[0].name == "Another name"


def test_deleting_can_be_undone(start: MainWindow, runs: list[RunFolder], home: Home, qtbot: Any) -> None:
    view = start.start.view
    click_row(start, 0, qtbot)
    click_row(start, 1, qtbot, Qt.KeyboardModifier.ControlModifier)
    assert "2 runs are chosen" in view.details.place.whole and not view.details.open.isEnabled()
    qtbot.keyClick(view.table, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: len(texts(start, 0)) == 1, timeout=10_000)
    assert view.bar.isVisible() and view.bar_words.text() == "2 runs are deleted, kept for 30 days."
    assert not runs[2].folder.exists() and (home.folder / "trash" / runs[2].name / "run.json").is_file()
    qtbot.waitUntil(view.trash.isVisible, timeout=10_000)
    assert view.trash.text() == "Deleted (2)"
    qtbot.mouseClick(view.undo, LEFT)
    qtbot.waitUntil(lambda: len(texts(start, 0)) == 3, timeout=10_000)
    assert runs[2].folder.exists() and "deleted" not in (runs[2].folder / "run.json").read_text()
    assert not view.bar.isVisible()


def test_a_run_from_the_trash_is_put_back_later(start: MainWindow, runs: list[RunFolder], qtbot: Any) -> None:
    view = start.start.view
    click_row(start, 0, qtbot)
    qtbot.mouseClick(view.details.delete, LEFT)
    qtbot.waitUntil(view.trash.isVisible, timeout=10_000)
    entry = next(action for action in view.trash_menu.actions() if action.objectName() == "put-back-0")
    assert entry.text().startswith("Put back “Tiny”")
    entry.trigger()
    qtbot.waitUntil(lambda: len(texts(start, 0)) == 3, timeout=10_000)
    assert not view.trash.isVisible() and runs[2].folder.exists()


def test_deleting_for_good_asks(start: MainWindow, runs: list[RunFolder], home: Home, qtbot: Any) -> None:
    view = start.start.view
    click_row(start, 0, qtbot)
    qtbot.mouseClick(view.details.delete, LEFT)
    qtbot.waitUntil(view.trash.isVisible, timeout=10_000)
    asked: list[str] = []
    start.messages.ask_with = lambda dialog: (asked.append(dialog.message), "Delete for good")[1]  # type: ignore[func-returns-value]
    view.trash_menu.actions()[-1].trigger()
    qtbot.waitUntil(lambda: not (home.folder / "trash" / runs[2].name).exists(), timeout=10_000)
    assert asked == ["Delete all runs in the trash for good?"]
    qtbot.waitUntil(lambda: not view.trash.isVisible(), timeout=10_000)


def test_the_trash_is_emptied_also_while_the_list_is_being_read(
    start: MainWindow, home: Home, qtbot: Any
) -> None:
    lost = home.folder / "trash" / "lost"
    lost.mkdir(parents=True)
    (lost / "run.json").write_text(json.dumps({"deleted": time.time()}))
    start.messages.ask_with = lambda dialog: "Delete for good"  # type: ignore[func-returns-value]
    start.start.refresh()
    assert start.start.lister.running
    start.start._empty()
    qtbot.waitUntil(lambda: not start.start.lister.running and not lost.exists(), timeout=20_000)


def test_a_run_that_is_being_written_stays(start: MainWindow, runs: list[RunFolder], qtbot: Any) -> None:
    click_row(start, 0, qtbot)
    with runs[2].locked():
        qtbot.keyClick(start.start.view.table, Qt.Key.Key_Delete)
    assert runs[2].folder.exists()
    dialog = start.findChild(type(start.messages.inform("", "")), "message")
    assert dialog is not None
    for box in start.findChildren(type(dialog)):
        box.close()


def test_the_folder_is_shown(start: MainWindow, runs: list[RunFolder], qtbot: Any, monkeypatch: Any) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: not opened.append(url.toLocalFile()))
    click_row(start, 0, qtbot)
    qtbot.mouseClick(start.start.view.details.reveal, LEFT)
    assert opened == [str(runs[2].folder)]


def test_a_run_from_elsewhere_is_listed_and_only_read(
    start: MainWindow, runs: list[RunFolder], home: Home, tmp_path: Path, qtbot: Any
) -> None:
    away = tmp_path / "stick" / "their-run"
    shutil.copytree(runs[0].folder, away)
    before = sorted((path.name, path.read_bytes()) for path in away.rglob("*") if path.is_file())
    assert drop(start, away)
    qtbot.waitUntil(lambda: start.places.current == "compare")
    start.go("start")
    view = start.start.view
    qtbot.waitUntil(lambda: len(texts(start, 0)) == 4, timeout=10_000)
    view.table.choose(away)
    assert view.details.delete.text() == "Take off the list"
    view.details.notes.setPlainText("From the other lab")
    view.details.flush()
    assert [line.notes for line in list_runs(home) if line.elsewhere] == ["From the other lab"]
    qtbot.mouseClick(view.details.delete, LEFT)
    qtbot.waitUntil(lambda: len(texts(start, 0)) == 3, timeout=10_000)
    assert view.bar_words.text() == "“Tiny” is off the list; the folder stays where it is."
    qtbot.mouseClick(view.undo, LEFT)
    qtbot.waitUntil(lambda: len(texts(start, 0)) == 4, timeout=10_000)
    assert sorted((path.name, path.read_bytes()) for path in away.rglob("*") if path.is_file()) == before


def test_a_run_from_elsewhere_that_was_opened_can_be_compared(
    start: MainWindow, runs: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    away = tmp_path / "stick" / "their-run"
    shutil.copytree(runs[0].folder, away)
    choose = lambda *_words: str(away)  # noqa: E731
    monkeypatch.setattr("gui.shell.run_controller.QFileDialog.getExistingDirectory", choose)
    start.actions_.open_run.trigger()
    assert start.status.phase.whole.endswith("it stays where it lies, and is listed under Start.")
    start.go("compare")
    picker = start.compare.runs.list
    qtbot.waitUntil(lambda: picker._model.rowCount() == 4, timeout=10_000)
    assert picker.count.text() == "1 of 4 compared"
    start.run_controller.choose(runs[0].folder)
    place = next(n for n in range(4) if picker._model.item(n).toolTip() == str(away))
    picker._toggle(picker._proxy.index(place, 0))
    qtbot.waitUntil(lambda: start.compare.runs.text() == "Runs: 2")
    qtbot.waitUntil(lambda: start.compare.model.rowCount() == 6, timeout=10_000)


def test_text_fields_do_not_swallow_what_is_dropped(start: MainWindow, tmp_path: Path) -> None:
    start.editor.select("stage", "fp32")
    assert drop(start, recipes.FIRST)
    fields = [*start.findChildren(QLineEdit), *start.findChildren(QPlainTextEdit)]
    assert fields and not any(field.acceptDrops() for field in fields)


def test_a_picture_is_not_taken(window: MainWindow, tmp_path: Path) -> None:
    (tmp_path / "picture.png").touch()
    assert not drop(window, tmp_path / "picture.png")


def test_the_window_opens_at_start_with_the_quick_tour_open(
    qtbot: Any, tiny: Pipeline, home: Home, tmp_path: Path, qapp: QApplication
) -> None:
    def opened() -> MainWindow:
        window = app.make_window(qapp)
        qtbot.addWidget(window)
        return window

    first = opened()
    assert first.document.pipeline.name == "Quick tour" and first.places.current == "start"
    made_run(tiny, home, tmp_path)
    later = opened()
    assert later.places.current == "start"
    assert later.document.pipeline.name == "Quick tour" and later.actions_.run.isEnabled()
    assert later.start.view.header.about.whole.startswith("“Quick tour” is open.")


def test_an_empty_list_says_what_to_do(
    window: MainWindow, qtbot: Any, make_window: Callable[..., MainWindow]
) -> None:
    window.go("start")
    qtbot.waitUntil(lambda: window.start.view.empty.title.text() == "No runs yet", timeout=10_000)
    assert not window.start.view.details.isVisible()
    assert "press Run" in window.start.view.empty.advice.text()
