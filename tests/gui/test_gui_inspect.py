"""The Inspector on a small finished run: every tab shows what its files say."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inspecting import PIPELINE, done, save_answers
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from core.data.label_corrections import read_corrections
from core.document import pipeline as documents
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from core.runs.stage_files import counterpart, find, subjects_of
from gui.inspect.place import InspectPlace
from gui.inspect.sensitivity import Sensitivity
from gui.inspect.top_five import EnlargedFlip
from gui.inspect.work import OpenedImages

# choosing


def test_the_result_is_looked_at_first_against_the_stage_before_it(
    qtbot: Any, place: InspectPlace, opened: Path
) -> None:
    assert place.view.empty.isVisible() and "Run the pipeline" in place.view.empty.advice.text()
    place.view.go("architecture")
    assert place.open(opened)
    done(qtbot, place)
    assert place.view.header.title.whole == "Inspect · Quantized against Pruned"
    assert [place.view.model.files.itemText(n) for n in range(3)] == [
        "FP32 · ONNX float32", "Pruned · ONNX float32", "Quantized · ONNX float32",
    ]  # fmt: skip
    assert place.view.reference.files.currentText() == "Pruned · ONNX float32"
    assert place.view.model.runs.currentText().endswith(" · Small")


def test_what_is_looked_at_stays_when_another_run_has_results(
    qtbot: Any, place: InspectPlace, opened: Path, finished: Home
) -> None:
    place.open(opened, "pruned")
    looked_at = place.model
    other = shutil.copytree(opened, finished.runs / "20260102-000000-small")
    try:
        place.show_run(RunFolder(other))
        assert place.model == looked_at
        place.view.hide()
        place.show_run(RunFolder(other))
        place.view.show()
        place.refresh()
        assert place.model is not None and place.model.folder == other
    finally:
        shutil.rmtree(other)


def test_models_can_be_chosen_and_swapped(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("architecture")
    place.open(opened, "pruned")
    done(qtbot, place)
    qtbot.mouseClick(place.view.swap, Qt.MouseButton.LeftButton)
    done(qtbot, place)
    assert place.view.header.title.whole == "Inspect · FP32 against Pruned"
    files = place.view.reference.files
    files.setCurrentIndex(0)
    files.activated.emit(0)
    assert place.reference is None and not place.view.swap.isEnabled()
    done(qtbot, place)
    assert place.view.architecture.empty.title.text() == "Nothing to compare with"


def test_subjects_know_their_network_and_their_counterpart(opened: Path) -> None:
    subjects = subjects_of(RunFolder(opened))
    fp32, pruned, int8 = subjects
    assert counterpart(int8, subjects) == pruned and counterpart(pruned, subjects) == fp32
    assert counterpart(fp32, subjects) is None
    assert int8.checkpoint is None and int8.network == pruned.checkpoint
    assert int8.float_file == pruned.file and int8.input_size == 16
    assert find(subjects, "pruned", "float16") is None
    assert fp32.images == int8.images and len(fp32.images) == 64


# tabs


def test_layers_are_measured_searched_and_sorted(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.layers
    assert "ms in all" in page.words.whole and "20 layers with weights" in page.words.whole
    names = page.table.texts(0)
    assert names[:2] == ["body.conv1", "body.layer1.0.conv1"]
    row = names.index("body.layer1.0.conv1")
    assert page.table.texts(2)[row] == "16 → 8" and page.table.texts(7)[row] == "float32"
    assert float(page.table.texts(6)[row]) > 0
    qtbot.keyClicks(page.search, "layer3.2")
    assert page.table.texts(0) == ["body.layer3.2.conv1", "body.layer3.2.conv2"]
    page.search.clear()
    page.table.sortByColumn(4, Qt.SortOrder.DescendingOrder)
    figures = [int(text.replace("\u202f", "")) for text in page.table.texts(4) if text != "—"]
    assert figures == sorted(figures, reverse=True)


def test_while_a_run_goes_on_layers_are_counted_only(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.set_running(True)
    place.open(opened, "fp32")
    done(qtbot, place)
    page = place.view.layers
    assert not page.measure.isEnabled() and "A run is going on" in page.measure.toolTip()
    assert set(page.table.texts(6)) == {"—"} and "ms in all" not in page.words.whole
    assert not place.view.sensitivity.start.isEnabled()
    place.set_running(False)
    done(qtbot, place)
    assert "ms in all" in page.words.whole and page.measure.isEnabled()


def test_the_ranking_of_a_mixed_stage_stands_in_the_layer_table(place: InspectPlace, opened: Path) -> None:
    place.view.go("sensitivity")
    place.open(opened, "int8")
    assert place.model is not None
    known = place.scanning.sensitivity(place.model)
    assert known is not None and known.unit == "dB" and known.values["head"] == 40.0
    assert known.share(12.5) == 1.0 and known.share(40.0) == 0.0


@pytest.mark.parametrize(
    ("lost", "shares"), [([8.0, 2.0, -1.0], [1.0, 0.25, 0.0]), ([0.0, -1.0], [0.0, 0.0])]
)
def test_a_bar_of_points_begins_at_nothing_lost(lost: list[float], shares: list[float]) -> None:
    known = Sensitivity(dict(zip("abc", lost, strict=False)), "points", False, "")
    assert [known.share(value) for value in lost] == shares


def test_the_architecture_shows_what_was_pruned(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("architecture")
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.architecture
    assert page.table.texts(0) == ["body.layer1.0.conv1", "body.layer1.0.conv2"]
    assert page.table.texts(2) == ["Narrower", "Narrower"]
    assert page.table.texts(3) == ["16 → 16", "16 → 16"] and page.table.texts(4) == ["16 → 8", "8 → 16"]
    page.only.setChecked(False)
    assert len(page.table.texts(0)) == 20 and page.table.texts(2).count("As it was") == 18


@pytest.mark.slow
def test_distributions_of_weights_and_activations(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("distributions")
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.distributions
    assert page.layers.count() == 20 and page.layer == "body.conv1"
    page.choose("body.layer1.0.conv1")
    done(qtbot, place)
    legend = page.plot.legend.text()
    assert "Pruned" in legend and "1\u202f152 values" in legend and "2\u202f304 values" in legend
    assert page.source.whole.startswith("Weights of the network")
    page.what.setCurrentIndex(1)
    page.ask()
    done(qtbot, place)
    assert page.source.whole.startswith("What the layer gives on 32 validation images")
    assert not page.working.isVisible()


def test_similarity_of_the_features_layer_by_layer(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("similarity")
    place.open(opened, "fp32")
    done(qtbot, place)
    page = place.view.similarity
    assert page.empty.isVisible() and page.empty.title.text() == "Nothing to compare with"
    place.open(opened, "pruned")
    done(qtbot, place)
    assert page.table.isVisible() and not page.working.isVisible()
    assert page.table.texts(0)[:2] == ["Pooled features, before the classifier", "body.conv1"]
    assert page.table.texts(1)[:3] == ["64", "16", "16 → 8"]
    assert page.table.texts(2)[1] == "1.000" and page.table.texts(3)[2] == "—"
    assert page.words.whole.startswith("Pruned against FP32, ") and "validation images" in page.words.whole


def test_classes_and_their_difference(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("classes")
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.classes
    assert [page.which.itemText(n) for n in range(3)] == ["Pruned", "FP32", "Difference: Pruned − FP32"]
    values = page.matrix.matrix.values
    assert values.sum() == 40 and values.trace() == 37
    page.which.setCurrentIndex(2)
    page.which.activated.emit(2)
    assert page.matrix.matrix.values.trace() == -2  # three lost, one won
    page.unit.setCurrentIndex(1)
    page.unit.activated.emit(1)
    assert page.matrix.matrix.percent and abs(page.matrix.matrix.values.sum()) < 1e-9
    assert any(text.startswith("▼ −") for text in page.table.texts(3))


def test_a_click_on_a_cell_shows_its_images(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("classes")
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.classes
    wrong = [(r, c) for r, c in np.argwhere(page.matrix.matrix.values > 0).tolist() if r != c]
    true, guess = wrong[0]
    index = page.matrix.matrix.index(true, guess)
    page.matrix.scrollTo(index)
    qtbot.mouseClick(
        page.matrix.viewport(), Qt.MouseButton.LeftButton, pos=page.matrix.visualRect(index).center()
    )
    done(qtbot, place)
    flips = place.view.flips
    assert place.view.tab == "flips"
    count = int(page.matrix.matrix.values[true, guess])
    assert len(flips.gallery.cards.images) == count
    assert flips.kind.currentData() == "all" and flips.true.currentData() == true


def test_flips_are_the_very_images(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("flips")
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.flips
    cards = page.gallery.cards
    assert page.kind.currentText() == "Right before, wrong now (3)"
    assert cards.images.tolist() == [2, 1, 0]  # the surest wrong answers first
    assert cards.data_ is not None and cards.index(0).data(Qt.ItemDataRole.DecorationRole) is not None
    lines = [words for words, _ in cards.lines(2)]
    assert lines[0].startswith("is ") and lines[1].startswith("✓ was ") and lines[2].startswith("✖ now ")
    assert len(page.details.after.shown) == 5 and len(page.details.before.shown) == 5
    assert page.details.caption.whole.endswith("test image 2")
    assert page.details.before.shown[0][2] and not page.details.after.shown[0][2]  # true then, not now
    page.kind.setCurrentIndex(1)
    page.kind.activated.emit(1)
    assert cards.images.tolist() == [30]
    label = int(cards.pair.after.labels[30]) if cards.pair is not None else 0
    page.true.setCurrentIndex((label + 1) % 10 + 1)
    page.true.activated.emit(page.true.currentIndex())
    assert page.empty.isVisible() and not page.gallery.isVisible()


def test_an_image_of_which_something_is_noted_is_marked(
    qtbot: Any, place: InspectPlace, opened: Path, tmp_path: Path
) -> None:
    place.view.go("flips")
    place.open(opened, "pruned")
    done(qtbot, place)
    page, images = place.view.flips, place._images
    assert images is not None
    names = tuple(f"{number}.png" for number in range(len(images.data.images)))
    place._show_images(OpenedImages(images.data, names, tmp_path / "clothes"))
    cards = page.gallery.cards
    plain = cards.index(0).data(Qt.ItemDataRole.DecorationRole).toImage()
    name = cards.name(2)
    assert not page.details.noted.isVisible()
    for label, words in (("", "Noted: it is left out."), ("Bag", "Noted: it shows “Bag”.")):
        place.correcting._write(tmp_path / "clothes", name, label)
        assert page.details.noted.isVisible() and page.details.noted.text() == words
        assert cards.index(0).data(Qt.ItemDataRole.DecorationRole).toImage() != plain
        assert cards.index(0).data(Qt.ItemDataRole.ToolTipRole).splitlines()[:2] == [name, words]
        assert words in cards.index(0).data(Qt.ItemDataRole.AccessibleTextRole)
        assert "Noted" not in cards.index(1).data(Qt.ItemDataRole.ToolTipRole)
    page._enlarge(0)
    dialog = page.findChild(EnlargedFlip)
    assert dialog is not None and dialog.details.noted.isVisible()
    page.details.wrong.click()
    asked = place.correcting.dialog
    assert asked is not None and asked.box.currentText() == "Bag"
    asked.findChild(QPushButton, "correction-take-back").click()
    assert not page.details.noted.isVisible() and not dialog.details.noted.isVisible()
    assert read_corrections(tmp_path / "clothes") == {}
    dialog.close()


def test_an_image_can_be_enlarged_and_arrows_lead_on(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("flips")
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.flips
    page.gallery.setFocus()
    qtbot.keyClick(page.gallery, Qt.Key.Key_Return)
    dialog = page.findChild(EnlargedFlip)
    assert dialog is not None and dialog.place.text() == "1 of 3" and not dialog.before.isEnabled()
    qtbot.mouseClick(dialog.after, Qt.MouseButton.LeftButton)
    assert dialog.place.text() == "2 of 3" and dialog.details.caption.whole.endswith("test image 1")
    assert dialog.details.before_name.whole == "Before: FP32"
    dialog.close()


def test_models_of_other_images_are_not_compared(
    qtbot: Any, place: InspectPlace, opened: Path, finished: Home
) -> None:
    pipeline = documents.loads(PIPELINE.replace("test_images: 40", "test_images: 20"))
    other = create_run(pipeline, finished.folder, finished, finished.runs / "20260102-000000-other")
    try:
        source = subjects_of(RunFolder(opened))[0]
        folder = other.stage_folder("fp32").artefacts.path
        save_answers(folder, "float32", np.arange(20) % 10, ())
        (folder / "float32.onnx").write_bytes(b"")
        shutil.copytree(source.run.stage_folder("fp32").checkpoint, other.stage_folder("fp32").checkpoint)
        other.write_report(source.report)
        place.view.go("classes")
        place.open(opened, "pruned")
        done(qtbot, place)
        place._choose_run(place.view.reference, other.folder)
        done(qtbot, place)
        assert "tested on different images (20 and 40)" in place._messages.said[0]  # type: ignore[attr-defined]
        assert place.reference is None and place.view.classes.which.count() == 1
    finally:
        shutil.rmtree(other.folder)
