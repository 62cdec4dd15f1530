"""The Data place: choosing, opening, classes, images, augmentation, check, files left out."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import Hands
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QLabel, QPushButton

from core.common.control import RunControl
from core.common.errors import Stopped
from core.data.access import DataAccess
from core.data.inspection import Finding
from core.data.preview import SHOWN
from core.data.settings import Augmentation, DataSettings
from core.data.source import Stamp, stamp_of
from core.data.splits import SPLITS
from core.document import edits
from core.machine.child import Child
from gui.base.worker import Worker
from gui.data import jobs
from gui.data.augmentation import in_words
from gui.data.classes import ALL, ClassModel
from gui.data.enlarged import EnlargedImage
from gui.data.findings import verdict
from gui.data.thumbnails import images_of
from gui.data.view import AUGMENTATION, CHECK, FILES, IMAGES
from gui.shell.main_window import MainWindow

LEFT = Qt.MouseButton.LeftButton


def picture(path: Path, colour: int, side: int = 12) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(colour).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """30 cats and 12 dogs, and one file that is no picture."""
    root = tmp_path / "animals"
    for number in range(30):
        picture(root / "cat" / f"{number:02}.png", number)
    for number in range(12):
        picture(root / "dog" / f"{number:02}.png", 100 + number)
    (root / "dog" / "broken.png").write_bytes(b"not a picture")
    return root


def ready(window: MainWindow, qtbot: Any) -> None:
    """Wait until the data set is open and checked."""
    data = window.data
    qtbot.waitUntil(lambda: data.view.showing and bool(data.view.check.findings), timeout=30_000)
    qtbot.waitUntil(lambda: not any(worker.running for worker in data.findChildren(Worker)), timeout=30_000)


@pytest.fixture
def shown(window: MainWindow, qtbot: Any) -> MainWindow:
    """The window at Data, on the bundled sample."""
    qtbot.mouseClick(window.places.rail.buttons["data"], LEFT)
    ready(window, qtbot)
    return window


@pytest.fixture
def animals(window: MainWindow, folder: Path, qtbot: Any) -> MainWindow:
    """The window at Data, on the folder, as dropped into the window."""
    window.dropped_files.take(folder)
    qtbot.waitUntil(lambda: window.data.view.header.title.whole == "animals", timeout=30_000)
    ready(window, qtbot)
    return window


def test_the_documents_data_is_opened(shown: MainWindow) -> None:
    view = shown.data.view
    assert view.header.title.whole == "Fashion-MNIST sample"
    assert view.header.about.whole.startswith(
        "10 classes · 28 × 28 px, grey · 12 000 train · 2 000 validation"
    )
    model = view.classes.classes
    assert [model.index(0, column).data() for column in range(4)] == [
        "All classes", "12\u202f000", "2\u202f000", "10\u202f000",
    ]  # fmt: skip
    assert model.rowCount() == 11 and model.index(3, 0).data() == "Pullover"


def test_a_class_shows_its_images(shown: MainWindow, qtbot: Any) -> None:
    view = shown.data.view
    table, grid = view.classes, view.gallery.grid.pictures
    where = table.visualRect(table.classes.index(8, 0)).center()
    qtbot.mouseClick(table.viewport(), LEFT, pos=where)
    assert view.gallery.words.whole.startswith("1 200 of Sneaker")
    assert "Sneaker · training · image" in grid.index(0, 0).data(Qt.ItemDataRole.ToolTipRole)
    view.gallery.split.setCurrentIndex(2)
    assert view.gallery.words.whole.startswith("1 000 of Sneaker") and len(grid.rows) == 1000
    assert set(shown.data.data.labels[grid.rows].tolist()) == {7}  # type: ignore[union-attr]


def test_images_come_as_one_scrolls(shown: MainWindow) -> None:
    grid = shown.data.view.gallery.grid
    first = grid.pictures.rowCount()
    assert first < len(grid.pictures.rows) == 12_000
    grid.verticalScrollBar().setValue(grid.verticalScrollBar().maximum())
    grid.pictures.fetchMore(grid.rootIndex())
    assert grid.pictures.rowCount() > first


def test_all_classes_come_in_turns(shown: MainWindow) -> None:
    data = shown.data.data
    assert data is not None
    rows = images_of(data, "train", ALL)
    assert data.labels[rows[:20]].tolist() == [*range(10), *range(10)]
    assert sorted(rows.tolist()) == data.splits["train"].tolist()


def test_an_image_is_enlarged_and_the_arrows_lead_on(shown: MainWindow, qtbot: Any) -> None:
    grid = shown.data.view.gallery.grid
    qtbot.mouseClick(grid.viewport(), LEFT, pos=grid.visualRect(grid.pictures.index(1, 0)).center())
    dialog = shown.findChild(EnlargedImage)
    assert dialog is not None and dialog.caption.whole.startswith("Trouser · training · image")
    assert dialog.caption.whole.endswith("28 × 28 px")
    qtbot.mouseClick(dialog.after, LEFT)
    assert dialog.row == 2 and dialog.caption.whole.startswith("Pullover")
    dialog.move_by(-5)
    assert dialog.row == 0 and not dialog.before.isEnabled()
    dialog.close()


def test_the_check_is_shown_with_its_numbers(shown: MainWindow, qtbot: Any) -> None:
    view = shown.data.view
    view.tabs.setCurrentIndex(CHECK)
    assert view.check.words.text() == "8 checks: 2 things to know."
    texts = [label.text() for label in view.check.findChildren(QLabel)]
    assert "2 images of validation or test are in training, too." in texts
    assert "After it, the training images have mean 0.00 and deviation 1.00." in texts
    button = next(b for b in view.check.findChildren(QPushButton) if b.objectName() == "finding-images-0")
    qtbot.mouseClick(button, LEFT)
    assert view.tabs.currentIndex() == IMAGES and len(view.gallery.grid.pictures.rows) == 4
    assert not view.gallery.split.isVisible()
    qtbot.mouseClick(view.gallery.back, LEFT)
    assert view.gallery.split.isVisible() and len(view.gallery.grid.pictures.rows) == 12_000


def test_the_check_follows_the_document(shown: MainWindow, qtbot: Any) -> None:
    before = shown.document.pipeline
    shown.document.apply(edits.set_data(before, ("normalisation",), "imagenet"), "Normalise")
    titles = lambda: [finding.title for finding in shown.data.view.check.findings]  # noqa: E731
    qtbot.waitUntil(lambda: any("lie somewhat from mean 0" in title for title in titles()), timeout=30_000)
    shown.document.undo_stack.undo()  # the first answer is kept
    assert any("the normalisation fits" in title for title in titles())


def test_a_dropped_folder_becomes_the_documents_data(animals: MainWindow, folder: Path) -> None:
    data = animals.document.pipeline.data
    assert (data.source, data.path) == ("folder", str(folder))
    assert animals.places.current == "data"
    assert animals.document.undo_stack.count() == 1 and not animals.document.problems
    animals.document.undo_stack.undo()
    assert animals.document.pipeline.data.source == "fashion-mnist-sample"


def test_files_that_cannot_be_read_are_named(animals: MainWindow) -> None:
    view = animals.data.view
    assert view.tabs.tabText(FILES) == "Files (1)"
    view.tabs.setCurrentIndex(FILES)
    assert view.files.heading.text() == "1 file could not be read and is left out"
    assert view.files.files.item(0, 0).text() == "dog/broken.png" and view.files.files.item(0, 1).text()
    assert "brings no test split" in view.files.notes.text()
    assert view.tabs.tabText(CHECK).startswith("Check (")


def test_files_are_called_by_their_names(animals: MainWindow) -> None:
    grid = animals.data.view.gallery.grid.pictures
    words = [grid.index(row, 0).data(Qt.ItemDataRole.ToolTipRole) for row in range(2)]
    assert words[0].startswith("cat · training · cat/") and words[1].startswith("dog · training · dog/")


def test_classes_sort_by_their_size(animals: MainWindow, qtbot: Any) -> None:
    table = animals.data.view.classes
    header = table.horizontalHeader()
    names = lambda: [table.classes.index(row, 0).data() for row in range(3)]  # noqa: E731
    assert names() == ["All classes", "cat", "dog"]
    for wanted in (["All classes", "cat", "dog"], ["All classes", "dog", "cat"]):
        qtbot.mouseClick(
            header.viewport(), LEFT, pos=header.rect().topLeft() + _in(header.sectionViewportPosition(1))
        )
        assert names() == wanted
    assert table.classes.headerData(1, Qt.Orientation.Horizontal) == "Training ▴"


def _in(left: int) -> Any:
    from PySide6.QtCore import QPoint

    return QPoint(left + 20, 12)


def test_augmented_images_stand_below_the_originals(animals: MainWindow, qtbot: Any) -> None:
    view = animals.data.view
    view.tabs.setCurrentIndex(AUGMENTATION)
    grid = view.augmentation.grid
    qtbot.waitUntil(lambda: grid.isVisible() and grid.samples is not None, timeout=60_000)
    assert view.augmentation.words.text().startswith("Horizontal flip · Rotation ±15° · Brightness ±0.2")

    def grab(line: int) -> bytes:
        assert grid.samples is not None
        return (grid.samples.variants[0][line - 1] if line else grid.samples.originals[0]).tobytes()

    original, changed = grab(0), grab(1)
    assert original != changed
    qtbot.waitUntil(lambda: not animals.data.augmenter.running)
    qtbot.mouseClick(view.augmentation.roll, LEFT)
    qtbot.waitUntil(lambda: grab(1) != changed, timeout=30_000)
    assert grab(0) == original
    qtbot.waitUntil(lambda: not animals.data.augmenter.running)
    qtbot.mouseClick(view.augmentation.others, LEFT)
    qtbot.waitUntil(lambda: grab(0) != original, timeout=30_000)


def test_augmentation_is_said_in_words() -> None:
    off = Augmentation(flip=False, rotation=0, brightness=0, contrast=0, saturation=0)
    assert in_words(off) == ""
    assert in_words(off.model_copy(update={"shift": 4})) == "Random shift ±4\u00a0px"
    cropped = in_words(off.model_copy(update={"random_crop": True}))
    assert cropped == "Random-resized crop · Smallest part 0.08 · Shape of the part 1.33"


def test_augment_job_is_repeatable(folder: Path, tmp_path: Path, tool: Child) -> None:
    access = DataAccess(DataSettings(source="folder", path=str(folder)), tmp_path / "cache")
    data = access.open()
    first, again, other = (jobs.augment_job(access, tool, 0, roll, RunControl()) for roll in (0, 0, 1))
    assert first.rows == again.rows == other.rows and len(first.rows) == SHOWN
    assert all(np.array_equal(a, b) for a, b in zip(first.variants[0], again.variants[0], strict=True))
    assert not np.array_equal(first.variants[0][0], other.variants[0][0])
    assert np.array_equal(first.originals[0], np.asarray(data.images[first.rows[0]]))


def test_a_missing_path_says_what_to_do(window: MainWindow, qtbot: Any) -> None:
    window.document.apply(edits.set_data(window.document.pipeline, ("source",), "folder"), "Folder")
    window.go("data")
    assert window.data.view.empty.title.text() == "No images yet"
    assert "Drop a folder" in window.data.view.empty.advice.text()
    window.data.view.sample_wanted.emit()
    ready(window, qtbot)
    assert window.data.view.header.title.whole == "Fashion-MNIST sample"


def test_what_cannot_be_opened_is_explained_and_tried_again(
    window: MainWindow, tmp_path: Path, qtbot: Any
) -> None:
    place = tmp_path / "later"
    place.mkdir()
    window.dropped_files.take(place)
    view = window.data.view
    qtbot.waitUntil(lambda: view.empty.title.text().startswith("Expected images in"), timeout=30_000)
    for number in range(12):
        picture(place / "ab"[number % 2] / f"{number}.png", number)
    window.go("pipeline")
    window.go("data")
    ready(window, qtbot)
    assert view.header.title.whole == "later"


def test_opening_can_be_cancelled(window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(_settings: Any, _cache: Any, _base: Any, control: RunControl, say: Any) -> Any:
        say((0.4, "Decoding images: 4 of 10"))
        while True:
            control.checkpoint()

    monkeypatch.setattr(jobs, "open_job", slow)
    view = window.data.view
    window.go("data")
    qtbot.waitUntil(lambda: view.bar.value() == 400)
    assert view.opening.advice.text() == "Decoding images: 4 of 10"
    cancel = view.findChild(QPushButton, "data-cancel")
    qtbot.mouseClick(cancel, LEFT)
    qtbot.waitUntil(lambda: view.empty.title.text() == "Not opened", timeout=10_000)


def test_listing_is_cancelled_at_once(
    window: MainWindow, folder: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder whose files are told one by one, slowly, as those of a share."""
    looked: list[str] = []

    def slowly(about: os.stat_result, name: str) -> Stamp:
        time.sleep(0.2)
        looked.append(name)
        return stamp_of(about, name)

    monkeypatch.setattr("core.data.tree.stamp_of", slowly)
    window.dropped_files.take(folder)
    view = window.data.view
    qtbot.waitUntil(lambda: "so far" in view.opening.advice.text(), timeout=10_000)
    qtbot.mouseClick(view.findChild(QPushButton, "data-cancel"), LEFT)
    qtbot.waitUntil(lambda: not window.data.opener.running, timeout=1_000)
    assert view.empty.title.text() == "Not opened" and len(looked) < 20


def test_the_check_stops_while_it_lists(
    animals: MainWindow, tool: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, pipeline, control = animals.data.data, animals.document.pipeline, RunControl()
    assert data is not None and pipeline.data.path
    listed: list[str] = []

    def stopping(about: os.stat_result, name: str) -> Stamp:
        listed.append(name)
        control.stop()
        return stamp_of(about, name)

    monkeypatch.setattr("core.data.tree.stamp_of", stopping)
    access = DataAccess(pipeline.data, animals.home.data, animals.document.base)
    with pytest.raises(Stopped):
        jobs.check_job(pipeline, data, access, tool, control, lambda _said: None)
    assert len(listed) == 1


def test_data_settings_lead_to_the_editor(shown: MainWindow, qtbot: Any) -> None:
    qtbot.mouseClick(shown.data.view.settings, LEFT)
    assert shown.places.current == "pipeline"
    assert shown.editor.selected is not None and shown.editor.selected.kind == "data"


def test_the_verdict_counts() -> None:
    warning, note, fine = (Finding("x", level, "t") for level in ("warning", "note", "fine"))  # type: ignore[arg-type]
    assert verdict([fine, fine]) == "2 checks, nothing suspicious."
    assert verdict([warning, note, note]) == "3 checks: 1 warning and 2 things to know."


def test_an_empty_model_has_no_rows() -> None:
    model = ClassModel()
    assert model.rowCount() == 0 and model.columnCount() == 1 + len(SPLITS)


@pytest.fixture
def shapes(window: MainWindow, tmp_path: Path, qtbot: Any) -> Path:
    """Two classes of twelve pictures, shown at Data with the names of their files."""
    for label, name in enumerate(("round", "square")):
        (tmp_path / "my shapes" / name).mkdir(parents=True)
        for number in range(12):
            picture = np.full((12, 12, 3), 100 * label + number, np.uint8)
            Image.fromarray(picture).save(tmp_path / "my shapes" / name / f"{number:02}.png")
    window.go("data")
    window.data.take(tmp_path / "my shapes")
    pictures = window.data.view.gallery.grid.pictures
    qtbot.waitUntil(
        lambda: pictures.rowCount() > 0 and bool(pictures.named(int(pictures.rows[0]))[0]), timeout=60_000
    )
    return tmp_path / "my shapes"


def test_a_wrong_label_is_noted_where_it_is_seen(window: MainWindow, shapes: Path, qtbot: Any) -> None:
    """From the enlarged picture; the data set is opened again with the list, and says so."""
    hands = Hands(qtbot)
    pictures = window.data.view.gallery.grid.pictures
    first = int(pictures.rows[0])
    image, present = pictures.named(first)
    assert image in pictures.about(first)
    window.data.view.gallery._enlarge(0)
    hands.click("enlarged-wrong")
    other = "square" if present == "round" else "round"
    box, save = hands.find("correction-choice", QComboBox), hands.find("correction-save")
    assert [box.itemText(row) for row in range(box.count())] == ["Leave it out", other]
    assert box.currentIndex() == -1 and box._shown() == "Choose what it shows"  # type: ignore[attr-defined]
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert not save.isEnabled() and box.isVisible()
    shown = hands.find("correction-picture", QLabel).pixmap().toImage().pixelColor(5, 5).red()
    assert shown == int(pictures.pixels(first)[0, 0, 0])
    hands.choose("correction-choice", other)
    assert save.isEnabled()
    hands.click("correction-save")
    hands.click("enlarged-close")
    file = shapes.with_name("my shapes.corrections.csv")
    assert file.read_text() == f"image,label\n{image},{other}\n"
    hands.wait(lambda: window.data.data is not None and window.data.data.corrections != ())
    assert "1 label is corrected" in window.data.data.notes[0]  # type: ignore[union-attr]
    window.go("inspect")  # where a wrong label is noted, too
    window.inspect.correcting._write(shapes, image, None)
    window.go("data")
    hands.wait(lambda: window.data.data is not None and window.data.data.corrections == ())
    assert not file.exists()


def test_what_is_noted_is_counted_marked_and_taken_back(window: MainWindow, shapes: Path, qtbot: Any) -> None:
    hands, view = Hands(qtbot), window.data.view
    pictures = view.gallery.grid.pictures
    plain = pictures.index(0, 0).data(Qt.ItemDataRole.DecorationRole).toImage()
    assert not hands.shown("data-noted")
    for image, label in (("round/03.png", "square"), ("square/04.png", "")):
        window.data.correcting._write(shapes, image, label)
    hands.wait(lambda: view.noted.isVisible())
    assert view.noted.words.whole == (
        "By your list my shapes.corrections.csv, 1 label is corrected and 1 image is left out."
    )
    hands.click("data-noted-show")
    tips = [pictures.index(row, 0).data(Qt.ItemDataRole.ToolTipRole).splitlines() for row in range(2)]
    assert tips[0][1] == "Noted: it shows “square”." and tips[1][1] == "Noted: it is left out."
    assert "not used" in tips[1][0] and "square/04.png" in tips[1][0]
    for row in range(2):
        index = pictures.index(row, 0)
        assert index.data(Qt.ItemDataRole.AccessibleTextRole).splitlines() == tips[row]
        assert index.data(Qt.ItemDataRole.DecorationRole).toImage() != plain
    view.gallery._enlarge(1)
    assert hands.find("enlarged-noted").text() == "Noted: it is left out."  # type: ignore[attr-defined]
    hands.click("enlarged-wrong")
    assert hands.find("correction-choice").currentText() == "Leave it out"  # type: ignore[attr-defined]
    hands.click("correction-take-back")
    hands.wait(lambda: not hands.shown("enlarged-noted"))
    assert "square/04.png" in hands.find("enlarged").caption.whole  # type: ignore[attr-defined]
    hands.click("enlarged-close")
    assert view.noted.words.whole.endswith(", 1 label is corrected.")
    window.data._correct("round/03.png", "round")
    assert hands.find("correction-choice").currentText() == "square"  # type: ignore[attr-defined]
    hands.click("correction-cancel")
