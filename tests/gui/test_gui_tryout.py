"""Try-out: images from anywhere reach both models in the child; answers, agreement and times are shown."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import made_run
from PySide6.QtCore import QMimeData, QObject, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import (
    QClipboard,
    QColor,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QImage,
    QKeySequence,
)
from PySide6.QtWidgets import QApplication, QMainWindow, QWidget
from window_fixtures import Told, show_alone

from core.document.pipeline import Pipeline
from core.runs.home import Home
from core.runs.open_document import OpenedDocument
from core.runs.run_folder import RunFolder
from core.runs.stage_files import StageFile
from gui.base.actions import make_actions
from gui.base.theme import Theme
from gui.base.worker import Worker
from gui.tryout import place as places
from gui.tryout.answers import milliseconds
from gui.tryout.place import TryoutPlace
from gui.tryout.sources import NO_MULTIMEDIA, FrameSource, paths_in
from gui.tryout.tried_table import AGREE, FIRST, SECOND, TRUE
from tests.core.small_models import write_model

TURNED = np.roll(np.eye(3), 1, axis=1)  # red is called green, green blue, blue red


@pytest.fixture
def run(tiny: Pipeline, home: Home, tmp_path: Path) -> RunFolder:
    """A finished run: the baseline names colours right, the final stage turns them round."""
    made = made_run(tiny, home, tmp_path)
    for stage, weights in (("fp32", np.eye(3)), ("pruned", np.eye(3)), ("taught", TURNED)):
        write_model(made.stage_folder(stage).path / "float32.onnx", weights)
    return made


@pytest.fixture
def empty(qtbot: Any, theme: Theme, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[TryoutPlace]:
    """The place without Qt's multimedia part, in a window of its own."""
    monkeypatch.setattr(places, "why_no_camera", lambda: NO_MULTIMEDIA)
    window = QMainWindow()
    qtbot.addWidget(window)
    window.told = Told()  # type: ignore[attr-defined]
    made = TryoutPlace(home, make_actions(window), window.told, window)  # type: ignore[attr-defined]
    show_alone(qtbot, window, made.view)
    yield made
    for worker in made.findChildren(Worker):
        assert worker.close(30), worker.title
    made.close()


@pytest.fixture
def place(empty: TryoutPlace, run: RunFolder) -> TryoutPlace:
    empty.show_run(run)
    return empty


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("blue", "green", "red"):
        filled(name).save(str(folder / f"{name}.png"))
    (folder / "torn.png").write_bytes((folder / "red.png").read_bytes()[:40])
    return folder


def filled(colour: str, side: int = 16) -> QImage:
    made = QImage(side, side, QImage.Format.Format_RGB32)
    made.fill(QColor({"green": "#00ff00"}.get(colour, colour)))
    return made


def pictured(place: TryoutPlace) -> str:
    """The colour in the middle of the picture that is shown."""
    shown = place.view.picture.picture.pixmap().toImage()
    return shown.pixelColor(shown.rect().center()).name()


def done(qtbot: Any, place: TryoutPlace) -> None:
    """Wait until every image was tried."""

    def idle() -> bool:
        busy = any(worker.running for worker in place.findChildren(Worker))
        return not busy and not place.view.table.rows.waiting

    qtbot.waitUntil(idle, timeout=60_000)


def drop(view: QWidget, *paths: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    keys, buttons, action = (
        Qt.KeyboardModifier.NoModifier,
        Qt.MouseButton.LeftButton,
        Qt.DropAction.CopyAction,
    )
    enter = QDragEnterEvent(QPoint(9, 9), action, mime, buttons, keys)
    QApplication.sendEvent(view, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(view, QDropEvent(QPointF(9, 9), action, mime, buttons, keys))


def firsts(place: TryoutPlace) -> list[str]:
    """The first answer on every card."""
    return [card.bars.shown[0][0] for card in place.view.answers if card.bars.shown]


def test_an_empty_place_says_what_to_do(empty: TryoutPlace) -> None:
    view = empty.view
    assert view.no_model.isVisible() and "Run the pipeline" in view.no_model.advice.text()
    assert not any(button.isEnabled() for button in (view.images, view.folder, view.paste, view.camera))
    assert view.camera.toolTip() == NO_MULTIMEDIA and "PySide6-Addons" in NO_MULTIMEDIA


def test_the_window_brings_its_run(make_window: Any, tiny: Pipeline, tmp_path: Path, run: RunFolder) -> None:
    window = make_window(OpenedDocument(tiny, None, tmp_path, run))
    window.go("tryout")
    assert window.tryout.view.isVisible()
    assert [model.title for model in window.tryout.chooser.models if model] == ["FP32", "Taught"]
    assert window.minimumSizeHint().width() <= 1080 and window.minimumSizeHint().height() <= 680


def test_the_baseline_stands_against_the_result(qtbot: Any, place: TryoutPlace, images: Path) -> None:
    assert [model.title for model in place.chooser.models if model] == ["FP32", "Taught"]
    assert place.view.pickers[1].files.currentText() == "Taught · ONNX float32"
    assert place.view.no_image.isVisible()
    drop(place.view, images / "red.png")
    done(qtbot, place)
    assert firsts(place) == ["red", "green"]
    shares = [share for _, share, _ in place.view.answers[0].bars.shown]
    wanted = np.exp([2.0, -2.0, -2.0])
    assert shares == pytest.approx(wanted / wanted.sum(), abs=1e-6)
    assert place.view.verdict.words.text() == "They differ: red against green"
    assert place.view.picture.caption.whole == "red.png"
    assert pictured(place) == "#ff0000"
    trial = place.view.table.rows.trials[0]
    for card, answer in zip(place.view.answers, trial.answers if trial else (), strict=True):
        assert card.figures["now"].text() == card.figures["median"].text() == milliseconds(answer.seconds)
        assert card.figures["rate"].text().replace("\u202f", "") == f"{1 / answer.seconds:.0f}"
        assert "No model" not in card.accessibleName()
    assert [milliseconds(s) for s in (0.1234, 0.01234, 0.001234, 0.0001234)] == [
        "123 ms", "12.3 ms", "1.23 ms", "0.123 ms",
    ]  # fmt: skip


def test_images_that_a_model_may_have_trained_on_are_said(
    qtbot: Any, place: TryoutPlace, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(place.view, images / "red.png")
    done(qtbot, place)
    assert "may have trained on them" not in place.view.summary.text()
    monkeypatch.setattr(StageFile, "data_folder", property(lambda self: images.parent))
    drop(place.view, images / "blue.png")
    done(qtbot, place)
    assert "may have trained on them" in place.view.summary.text()


def test_a_folder_is_summed_up_and_stepped_through(qtbot: Any, place: TryoutPlace, images: Path) -> None:
    view, table = place.view, place.view.table
    drop(view, images)
    done(qtbot, place)
    table_words = [
        [table.shown.index(row, column).data() for column in (FIRST, SECOND, AGREE)] for row in range(4)
    ]
    assert [words[2] for words in table_words] == ["≠  differ"] * 3 + ["⚠  not readable"]
    assert table_words[0][0] == "blue  96 %" and table_words[0][1] == "red  96 %"
    words = view.summary.text()
    assert words.startswith("3 images tried · 0 agree (0.0 %), 3 differ · 1 not readable · median time ")
    assert table.current() == 0 and view.picture.caption.whole == "blue.png"
    qtbot.keyClick(table, Qt.Key.Key_Down)
    assert view.picture.caption.whole == "green.png"
    table.selectRow(3)
    assert view.verdict.words.text().startswith("Cannot be read: ")
    assert not view.answers[0].bars.isVisible() and view.answers[0].first.isVisible()
    view.clear.click()
    assert table.rows.rowCount() == 0 and view.no_image.isVisible()


def test_only_what_differs_is_shown_on_demand(
    qtbot: Any, place: TryoutPlace, images: Path, tmp_path: Path
) -> None:
    half = write_model(tmp_path / "half.onnx", np.array([[1.0, 0, 0], [0, 1.0, 0], [2.0, 0, 1.0]]))
    place.chooser.choose_file(1, half)
    drop(place.view, images)
    done(qtbot, place)
    place.view.only.click()
    shown = [place.view.table.shown.index(row, 0).data() for row in range(place.view.table.shown.rowCount())]
    assert shown == ["blue.png", "torn.png"]
    assert "2 agree (66.7 %), 1 differ" in place.view.summary.text()


def test_a_clipboard_that_holds_nothing_is_said(
    qtbot: Any, place: TryoutPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QClipboard, "mimeData", lambda _self: None)
    with qtbot.waitSignal(place.view.refused) as said:
        place.view._paste()
    assert said.args[0]


def test_a_picture_is_pasted(qtbot: Any, place: TryoutPlace) -> None:
    QGuiApplication.clipboard().setImage(filled("blue", 40))
    place.view.setFocus()
    qtbot.keySequence(place.view, QKeySequence(QKeySequence.StandardKey.Paste))
    done(qtbot, place)
    assert firsts(place) == ["blue", "red"] and place.view.picture.caption.whole == "Pasted image 1"
    said: list[str] = []
    place.status_message.connect(said.append)
    QGuiApplication.clipboard().setText("no image")
    place.view.paste.click()
    assert said == ["The clipboard holds no image."]


def test_what_a_camera_gives_takes_the_same_way(qtbot: Any, place: TryoutPlace, images: Path) -> None:
    drop(place.view, images / "green.png")
    done(qtbot, place)
    source = FrameSource(QObject(place))
    place.use(source)
    assert place.view.camera.isChecked() and not place.view.table.isVisible()
    source.frame.emit(filled("red", 64))
    qtbot.waitUntil(lambda: place.tally.tried == 1, timeout=30_000)
    assert firsts(place) == ["red", "green"]
    source.frame.emit(filled("blue", 64))
    qtbot.waitUntil(lambda: place.tally.tried == 2, timeout=30_000)
    assert firsts(place) == ["blue", "red"] and "pictures a second" in place.view.summary.text()
    assert pictured(place) == "#0000ff"
    place.view.camera.setEnabled(True)
    place.view.camera.click()
    done(qtbot, place)
    assert place.source is None and place.view.table.isVisible() and firsts(place) == ["green", "blue"]
    assert place.view.picture.caption.whole == "green.png"


def test_right_answers_are_counted_by_folder_and_by_key(
    qtbot: Any, place: TryoutPlace, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sorted" / "Red"
    folder.mkdir(parents=True)
    for name in ("one", "two"):
        filled("red").save(str(folder / f"{name}.png"))
    drop(place.view, tmp_path / "sorted", images / "blue.png", images / "green.png")
    done(qtbot, place)
    view = place.view
    assert [view.table.rows.data(view.table.rows.index(row, TRUE)) for row in range(4)] == [
        "red",
        "red",
        "",
        "",
    ]
    assert (
        "right: 100.0 % (34.2 to 100.0) against 0.0 % (0.0 to 65.8) of 2 whose class is known"
        in view.summary.text()
    )
    assert view.table.rows.data(view.table.rows.index(0, FIRST)).startswith("✓ red")
    assert view.table.rows.data(view.table.rows.index(0, SECOND)).startswith("✗ green")
    assert view.truth.currentText() == "red" and view.truth.count() == 4
    view.table.select(2)
    assert view.truth.currentText() == "unknown"
    view.table.setFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_1)  # blue, as the first model says; the next image follows
    assert place.view.table.current() == 3 and place.tally.labelled == 3
    qtbot.keyClick(view.table, Qt.Key.Key_2)
    qtbot.keyClick(view.table, Qt.Key.Key_0)
    assert place.tally.labelled == 3 and place.tally.right == [3, 0]
    view.table.select(3)
    view.truth.setCurrentText("blue")
    view.truth.activated.emit(view.truth.currentIndex())
    assert place.tally.right == [3, 1]
    view.swap.click()
    done(qtbot, place)
    assert place.tally.right == [1, 3]  # what a person said stays
    sheet = tmp_path / "sheet"
    monkeypatch.setattr("PySide6.QtWidgets.QFileDialog.getSaveFileName", lambda *_: (str(sheet), ""))
    view.sheet.click()
    assert (tmp_path / "sheet.csv").read_text().count("\n") == 5


def test_models_that_agree_on_a_wrong_class_are_not_praised(
    qtbot: Any, place: TryoutPlace, images: Path
) -> None:
    drop(place.view, images / "red.png")
    done(qtbot, place)
    view, rows = place.view, place.view.table.rows
    trial = rows.trials[0]
    assert trial is not None
    rows.set_trial(0, replace(trial, answers=trial.answers[:1] * 2))

    def told(truth: str) -> tuple[str, str, str]:
        view.truth.setCurrentIndex(view.truth.findData(truth))
        view.truth.activated.emit(view.truth.currentIndex())
        agreement = rows.data(rows.index(0, AGREE))
        return view.verdict.words.text(), view.verdict.property("role"), agreement

    assert told("") == ("They agree: red", "fine", "✓  agree")
    assert told("blue") == ("Both say red; it shows blue", "problems", "✗  both wrong")
    assert told("red") == ("They agree: red", "fine", "✓  agree")


def test_a_camera_that_fails_says_why(qtbot: Any, place: TryoutPlace) -> None:
    source = FrameSource(QObject(place))
    place.use(source)
    source.failed.emit("No camera was found.")
    done(qtbot, place)
    assert place.parent().told.said == ["No camera was found."]  # type: ignore[attr-defined]
    assert place.source is None and not place.view.camera.isChecked()


def test_other_models_try_the_same_images(qtbot: Any, place: TryoutPlace, images: Path) -> None:
    drop(place.view, images / "red.png")
    done(qtbot, place)
    place.view.swap.click()
    done(qtbot, place)
    assert firsts(place) == ["green", "red"] and place.view.answers[0].title.whole == "Taught"
    second = place.view.pickers[1].files
    second.setCurrentIndex(0)
    second.activated.emit(0)
    done(qtbot, place)
    assert firsts(place) == ["green"] and not place.view.answers[1].isVisible()
    assert not place.view.verdict.isVisible() and "agree" not in place.view.summary.text()


def test_a_file_that_cannot_be_tried_is_explained(
    qtbot: Any, place: TryoutPlace, images: Path, tmp_path: Path
) -> None:
    place.chooser.choose_file(1, write_model(tmp_path / "foreign.onnx", np.eye(3), None))
    assert place.view.pickers[1].runs.currentText() == "foreign.onnx"
    drop(place.view, images / "red.png")
    done(qtbot, place)
    assert "does not say how images" in place.parent().told.said[0]  # type: ignore[attr-defined]
    assert place.view.table.rows.rowCount() == 0


def test_a_wrong_model_file_takes_nothing_away(
    qtbot: Any, place: TryoutPlace, images: Path, tmp_path: Path
) -> None:
    drop(place.view, images)
    done(qtbot, place)
    rows, words = place.view.table.rows, place.view.summary.text()
    before = list(rows.trials)
    place.view.table.select(1)
    place.chooser.choose_file(1, write_model(tmp_path / "foreign.onnx", np.eye(3), None))
    place.try_picture(filled("red"))  # while nobody knows yet that the file is wrong
    qtbot.waitUntil(lambda: bool(place.parent().told.said), timeout=60_000)  # type: ignore[attr-defined]
    done(qtbot, place)
    assert [model.title for model in place.chooser.models if model] == ["FP32", "Taught"]
    assert place.view.pickers[1].files.currentText() == "Taught · ONNX float32"
    assert place.view.answers[1].title.whole == "Taught" and firsts(place) == ["red", "green"]
    assert rows.trials[:4] == before and rows.rowCount() == 5 and rows.trials[4] is not None
    assert place.view.summary.text().startswith(words.split(" · ")[0].replace("3", "4"))


def test_a_wrong_model_file_that_is_chosen_no_longer_is_passed_over(
    qtbot: Any, place: TryoutPlace, images: Path, tmp_path: Path
) -> None:
    drop(place.view, images / "red.png")
    done(qtbot, place)
    place.chooser.choose_file(1, write_model(tmp_path / "foreign.onnx", np.eye(3), None))
    place.chooser.choose_file(1, write_model(tmp_path / "right.onnx", np.eye(3)))
    done(qtbot, place)
    assert firsts(place) == ["red", "red"] and place.view.answers[1].title.whole == "right.onnx"
    assert not place.parent().told.said  # type: ignore[attr-defined]


def test_a_wrong_model_file_ends_no_camera(qtbot: Any, place: TryoutPlace, tmp_path: Path) -> None:
    source, said = FrameSource(QObject(place)), place.parent().told.said  # type: ignore[attr-defined]
    place.use(source)

    def seen(colour: str, happened: Callable[[], bool]) -> bool:
        """A camera goes on giving pictures."""
        source.frame.emit(filled(colour, 64))
        return happened()

    qtbot.waitUntil(lambda: seen("red", lambda: firsts(place) == ["red", "green"]), timeout=30_000)
    place.chooser.choose_file(0, tmp_path / "gone.onnx")
    qtbot.waitUntil(lambda: seen("red", lambda: bool(said)), timeout=30_000)
    qtbot.waitUntil(lambda: seen("blue", lambda: firsts(place) == ["blue", "red"]), timeout=30_000)
    assert len(said) == 1 and place.source is source
    place.view.camera_wanted.emit(False)


def test_while_a_run_goes_on_nothing_is_timed(qtbot: Any, place: TryoutPlace, images: Path) -> None:
    place.set_running(True)
    assert not place.view.images.isEnabled() and "disturb" in place.view.header.about.whole
    said: list[str] = []
    place.status_message.connect(said.append)
    drop(place.view, images / "red.png")
    assert "disturb" in said[0] and place.view.table.rows.rowCount() == 0
    place.set_running(False)
    drop(place.view, images / "red.png")
    done(qtbot, place)
    assert firsts(place) == ["red", "green"]


def test_images_are_taken_and_models_are_left_to_the_window(tmp_path: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path)), QUrl.fromLocalFile("/a/b.JPG")])
    assert paths_in(mime) == [tmp_path, Path("/a/b.JPG")]
    mime.setUrls([QUrl.fromLocalFile("/a/b.JPG"), QUrl.fromLocalFile("/a/model.onnx")])
    assert paths_in(mime) == []


def test_stopping_leaves_out_what_was_not_tried(qtbot: Any, place: TryoutPlace, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(300):
        filled("red", 8).save(str(folder / f"{number:03}.png"))
    drop(place.view, folder)
    qtbot.waitUntil(lambda: place.tally.tried > 0, timeout=30_000)
    place.view.working.stop_wanted.emit()
    done(qtbot, place)
    assert 0 < place.view.table.rows.rowCount() < 300
    assert place.view.table.rows.rowCount() == place.tally.tried
