"""Beginning with one's own images or model: what was found, what is proposed, and the pipeline that is made of it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import Hands
from model_files import onnx_file
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QLineEdit

from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.runs.open_document import OpenedDocument
from gui.shell.main_window import MainWindow


@pytest.fixture
def hands(qtbot: Any, window: MainWindow) -> Hands:
    window.go("start")
    return Hands(qtbot)


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """Two classes of small pictures, in a folder with a space in its name."""
    draw = np.random.default_rng(0)
    for name in ("round", "square"):
        (tmp_path / "my shapes" / name).mkdir(parents=True)
        for number in range(24):
            picture = draw.integers(0, 255, (36, 36, 3), np.uint8)
            Image.fromarray(picture).save(tmp_path / "my shapes" / name / f"{number}.png")
    return tmp_path / "my shapes"


def begin(hands: Hands, way: str) -> None:
    """Choose a way in; its dialog opens with the first field to be typed in."""
    hands.click(f"way-{way}")
    first = "own-images" if way == "images" else "own-model"
    hands.wait(lambda: hands.shown(first) and QApplication.focusWidget() is hands.find(first))


def test_images_become_a_pipeline_by_keys_alone(hands: Hands, window: MainWindow, shapes: Path) -> None:
    hands.find("way-images").setFocus()
    hands.key(Qt.Key.Key_Space)
    hands.wait(lambda: QApplication.focusWidget() is hands.find("own-images"))
    assert not hands.find("own-make").isEnabled()
    QTest.keyClicks(hands.find("own-images"), str(shapes))
    hands.key(Qt.Key.Key_Return)
    hands.wait(lambda: hands.find("own-make").isEnabled())
    assert hands.find("own-found", QLabel).text().startswith("48 images of 2 classes: round 24, square 24.")
    assert hands.find("own-size", QComboBox).currentText() == "36 px (as they are)"
    assert QApplication.focusWidget() is hands.find("own-make")
    hands.key(Qt.Key.Key_Return)
    made = window.document.pipeline
    assert made.name == "my shapes" and made.stage_ids == ("trained", "pruned", "int8")
    assert made.data.path == str(shapes) and not window.document.problems
    assert window.places.current == "pipeline" and window.isWindowModified()
    assert window.status.phase.whole == "Made “my shapes”. It is not saved yet."


def test_every_kind_of_file_that_is_read_can_be_picked(
    hands: Hands, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    chosen = lambda *words: (asked.append(words[-1]), ("", ""))[1]  # type: ignore[func-returns-value]  # noqa: E731
    monkeypatch.setattr("PySide6.QtWidgets.QFileDialog.getOpenFileName", chosen)
    begin(hands, "images")
    hands.click("own-file")
    window.data.view._pick_file()
    assert len(asked) == 2
    for kinds in asked:
        assert {"*.zip", "*.csv", "*.tar", "*.tar.gz", "*.parquet"} <= set(re.findall(r"\*\.[a-z.]+", kinds))


def test_other_choices_are_kept(hands: Hands, window: MainWindow, shapes: Path) -> None:
    begin(hands, "images")
    window.own_start.dialog.images.look(shapes)  # type: ignore[union-attr]
    hands.wait(lambda: hands.find("own-make").isEnabled())
    hands.choose("own-size", "32")
    hands.find("own-size", QComboBox).activated.emit(0)
    hands.choose("own-template", "Train only")
    assert "exports and measures" in hands.find("own-template-help", QLabel).text()
    hands.click("own-make")
    assert (
        window.document.pipeline.stage_ids == ("trained",) and window.document.pipeline.data.image_size == 32
    )


def test_a_typed_place_is_looked_at_after_a_pause(hands: Hands, shapes: Path) -> None:
    """Nothing happened before Enter or Tab; whoever types goes on in the line."""
    begin(hands, "images")
    line, found = hands.find("own-images", QLineEdit), hands.find("own-found", QLabel)
    line.setFocus()
    QTest.keyClicks(line, f"{shapes}x")
    hands.wait(lambda: "There is nothing at" in found.text())
    assert line.hasFocus() and not hands.find("own-make").isEnabled()
    QTest.keyClick(line, Qt.Key.Key_Backspace)
    hands.wait(lambda: "48 images" in found.text() and hands.find("own-make").isEnabled())
    assert line.hasFocus() and line.text() == str(shapes)
    hands.click("own-cancel")


def test_a_typed_model_is_looked_into_after_a_pause(hands: Hands, window: MainWindow, tmp_path: Path) -> None:
    """Nothing happened before Enter; whoever types goes on in the line."""
    file, other = onnx_file(tmp_path / "net.onnx"), onnx_file(tmp_path / "net.onnx2")
    begin(hands, "model")
    line, found = hands.find("own-model", QLineEdit), hands.find("own-model-found", QLabel)
    QTest.keyClicks(line, f"{tmp_path / 'no'}")
    hands.wait(lambda: str(tmp_path / "no") in found.text())
    assert line.hasFocus() and not hands.find("own-make").isEnabled()
    line.selectAll()
    QApplication.clipboard().setText(str(file))
    hands.key(Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    hands.wait(lambda: hands.find("own-make").isEnabled())
    assert line.hasFocus() and "Images of 24 px." in found.text()
    QTest.keyClicks(line, "2")
    assert not hands.find("own-make").isEnabled(), "another file stands there now"
    hands.wait(lambda: hands.find("own-make").isEnabled())
    hands.click("own-make")
    assert window.document.pipeline.source("network").settings["path"] == str(other)


def test_a_model_of_nobody_is_said_in_the_dialog(hands: Hands) -> None:
    begin(hands, "model")
    hands.enter("own-model", "~nobody-here/x.onnx")
    hands.wait(lambda: "nobody-here" in hands.find("own-model-found", QLabel).text())
    hands.click("own-cancel")


def test_what_is_no_data_set_is_said_in_the_dialog(hands: Hands, tmp_path: Path) -> None:
    begin(hands, "images")
    for words, said in (
        (str(tmp_path), "Expected images in"),
        ("~nobody-here/x", "There is nothing at"),
        ("/no/such", "There is nothing at /no/such. Look at how"),
    ):
        hands.enter("own-images", words)
        hands.wait(lambda said=said: said in hands.find("own-found", QLabel).text())
        assert not hands.find("own-make").isEnabled()
    hands.click("own-cancel")


def test_a_model_is_measured_on_the_open_images_or_on_others(
    hands: Hands, window: MainWindow, shapes: Path, tmp_path: Path
) -> None:
    file = onnx_file(tmp_path / "my net.onnx")
    begin(hands, "model")
    hands.enter("own-model", str(file))
    hands.wait(lambda: hands.find("own-make").isEnabled())
    assert "Images of 24 px." in hands.find("own-model-found", QLabel).text()
    hands.enter("own-images", str(shapes))
    hands.wait(lambda: "48 images" in hands.find("own-found", QLabel).text())
    hands.wait(lambda: hands.find("own-make").isEnabled())
    hands.choose("own-template", "Measure, half")
    hands.click("own-make")
    made = window.document.pipeline
    assert [node.kind for node in made.stages] == ["as-given", "half-precision"]
    assert made.source("network").settings["path"] == str(file) and made.data.path == str(shapes)
    window.document.undo_stack.setClean()
    window.go("start")
    begin(hands, "model")
    assert "(my shapes)" in hands.find("own-found", QLabel).text()
    hands.enter("own-model", str(tmp_path / "none.onnx"))
    hands.wait(lambda: "none.onnx" in hands.find("own-model-found", QLabel).text())
    assert not hands.find("own-make").isEnabled()
    hands.click("own-cancel")


PAPER = """
about: What was published.
notes: [A remark on the paper.]
paper:
  - source: "A paper"
    rows: [{name: Pruned, stage: pruned, values: {top1: 79}}]
    claims: [{says: Half the size, stage: pruned, metric: size_mb, paper: -50, at_most: -45}]
"""


@pytest.fixture
def described(tiny: Pipeline) -> Pipeline:
    return documents.loads(documents.dumps(tiny) + PAPER)


@pytest.fixture
def published(window: MainWindow, described: Pipeline, tmp_path: Path) -> MainWindow:
    """The window on a pipeline that describes a study."""
    window.document.open(OpenedDocument(described, None, tmp_path))
    window.show_opened(OpenedDocument(described, None, tmp_path))
    return window


def bare(pipeline: Pipeline) -> bool:
    return not (pipeline.about or pipeline.notes or pipeline.paper)


def test_a_copy_says_nothing_of_what_it_was_made_from(published: MainWindow, described: Pipeline) -> None:
    published.actions_.duplicate.trigger()
    made = published.document
    assert bare(made.pipeline) and made.pipeline.name == "Tiny copy" and made.path is None and made.modified
    assert made.pipeline.stages == described.stages


def test_save_as_leaves_the_description_behind_and_can_be_undone(
    published: MainWindow, tmp_path: Path, qtbot: Any
) -> None:
    Hands(qtbot).name_file(str(tmp_path / "my rice"))
    published.actions_.save_as.trigger()
    saved = documents.load(tmp_path / "my rice.espalier.yaml")
    assert bare(saved) and saved.name == "my rice"
    assert published.status.phase.whole.endswith("without the description and notes of “Tiny”.")
    published.document.undo_stack.undo()
    assert published.document.pipeline.about == "What was published."


def test_what_was_made_here_keeps_its_texts_when_it_is_saved_first(
    window: MainWindow, described: Pipeline, tmp_path: Path, qtbot: Any
) -> None:
    assert window.document_files.open_made(described, tmp_path)
    Hands(qtbot).name_file(str(tmp_path / "first"))
    window.actions_.save.trigger()
    saved = documents.load(tmp_path / "first.espalier.yaml")
    assert saved.about and saved.paper and saved.name == "Tiny"


def test_a_new_pipeline_is_of_one_stage_on_the_open_images(published: MainWindow) -> None:
    published.actions_.new.trigger()
    made = published.document.pipeline
    assert bare(made) and made.name == "New pipeline" and len(made.stages) == 1
    assert made.data.train_images == 256 and not published.document.problems


def test_what_is_not_saved_is_asked_about(published: MainWindow) -> None:
    published.actions_.new.trigger()
    asked: list[str] = []
    published.messages.ask_with = lambda dialog: (asked.append(dialog.message), "Cancel")[1]  # type: ignore[func-returns-value]
    published.actions_.duplicate.trigger()
    assert asked == ["“New pipeline” has changes that are not saved."]
    assert published.document.pipeline.name == "New pipeline"
