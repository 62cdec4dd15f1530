"""Labels that a person has corrected: a list beside the data set, which counts wherever it is opened."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.common.errors import EspalierError
from core.data.access import DataAccess
from core.data.image_data import ImageData, Opened
from core.data.image_names import image_names
from core.data.label_corrections import correct, corrections_file, read_corrections
from core.data.settings import DataSettings
from core.data.store import changed_since, open_data


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two classes of twelve grey pictures; each is as bright as its number says."""
    for label, name in enumerate(("cats", "dogs")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(12):
            pixels = np.full((8, 8), 100 * label + number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{number:02}.png")
    return tmp_path / "pets"


def opened(place: Path) -> ImageData:
    return open_data(DataSettings(source="folder", path=str(place)), place.parent / "cache")


def label_of(data: ImageData, place: Path, name: str) -> str:
    row = image_names(data, DataSettings(source="folder", path=str(place)), place.parent).index(name)
    return data.classes[int(data.labels[row])]


def used(data: ImageData) -> set[int]:
    return {int(row) for rows in data.splits.values() for row in rows}


def test_a_corrected_label_counts_and_is_said(place: Path) -> None:
    before = opened(place)
    file = correct(place, "cats/03.png", "dogs")
    assert file == place.with_name("pets.corrections.csv")
    after = opened(place)
    assert (
        label_of(before, place, "cats/03.png") == "cats" and label_of(after, place, "cats/03.png") == "dogs"
    )
    assert after.fingerprint != before.fingerprint
    assert "By the list of corrections beside the data set, 1 label is corrected." in after.notes
    assert used(after) == used(before)


def test_the_list_goes_with_its_last_note(place: Path) -> None:
    file = correct(place, "cats/03.png", "dogs")
    correct(place, "cats/04.png", "")
    correct(place, "cats/03.png", None)
    assert file.is_file()
    assert correct(place, "cats/04.png", None) == file and not file.exists()
    assert not correct(place, "cats/04.png", None).exists()


def test_an_image_that_is_left_out_moves_no_other(place: Path) -> None:
    before = opened(place)
    correct(place, "dogs/11.png", "")
    after = opened(place)
    gone = used(before) - used(after)
    assert [int(before.images[row].max()) for row in gone] == [111]
    for split, rows in before.splits.items():
        assert set(after.splits[split]) == set(rows) - gone
    assert "1 image is left out" in after.notes[0]


def test_a_correction_is_taken_back(place: Path) -> None:
    before = opened(place)
    correct(place, "cats/03.png", "dogs")
    correct(place, "cats/03.png", None)
    assert read_corrections(place) == {} and opened(place).fingerprint == before.fingerprint


def test_a_run_goes_on_with_the_labels_that_it_began_with(place: Path) -> None:
    correct(place, "cats/03.png", "dogs")
    settings = DataSettings(source="folder", path=str(place))
    began = opened(place)
    record = Opened.from_plain(began.opened.as_plain())
    correct(place, "cats/04.png", "")
    assert changed_since(settings, place.parent, record)
    again = DataAccess(settings, place.parent / "cache", place.parent, opened=record).open()
    assert again.fingerprint == began.fingerprint and again.notes == began.notes


def test_what_is_not_there_is_said(place: Path) -> None:
    correct(place, "cats/99.png", "dogs")
    correct(place, "cats/01.png", "birds")
    notes = " ".join(opened(place).notes)
    assert "images that are not there: cats/99.png." in notes
    assert "classes that are not there: cats/01.png (birds)." in notes


def test_names_with_commas_and_formulas_are_kept(place: Path) -> None:
    correct(place, "=cats, and more.png", "dogs")
    with corrections_file(place).open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["image", "label"], ["=cats, and more.png", "dogs"]]


@pytest.mark.parametrize("content", [b"image;label\n", b"image,label\na,b,c\n", b"\xff\xfe\x00", b""])
def test_a_damaged_list_is_refused(place: Path, content: bytes) -> None:
    corrections_file(place).write_bytes(content)
    with pytest.raises(EspalierError, match=r"pets\.corrections\.csv"):
        opened(place)
