"""CSV files that list images: delimiters, quoting, splits, and rows that cannot be used."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.common.errors import EspalierError
from core.data.image_data import ImageData
from core.data.settings import DataSettings
from core.data.store import open_data

SIX = [
    ("a/0.png", "cat"), ("a/1.png", "cat"), ("a/2.png", "cat"),
    ("b/0.png", "dog"), ("b/1.png", "dog"), ("b/2.png", "dog"),
]  # fmt: skip


@pytest.fixture
def images(make_folder: Callable[..., Path]) -> Path:
    """A folder with a/0 … a/2 and b/0 … b/2; image n is the sample's n-th."""
    root = make_folder({"a": 3, "b": 3})
    for path in root.rglob("*.png"):
        path.rename(path.with_name(f"{int(path.stem)}.png"))
    return root


def written(folder: Path, text: str, name: str = "list.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def rows(pairs: list[tuple[str, str]] = SIX) -> str:
    return "path,label\n" + "".join(f"{path},{label}\n" for path, label in pairs)


def opened(path: Path, cache: Path, **settings: Any) -> ImageData:
    return open_data(DataSettings(source="csv", path=str(path), **settings), cache)


def refusal(path: Path, cache: Path) -> EspalierError:
    with pytest.raises(EspalierError) as caught:
        opened(path, cache)
    return caught.value


def test_paths_and_labels(images, cache, pictures):
    data = opened(written(images, rows()), cache)
    assert (data.title, data.classes, data.problems) == ("list", ("cat", "dog"), ())
    assert np.array_equal(data.images[..., 0], pictures[:6])
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert [data.class_counts(split)["dog"] for split in data.splits] == [1, 1, 1]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_delimiters_encodings_and_line_ends(delimiter, encoding, newline, images, cache):
    table = [["Label", " comment", "PATH ", "Split"]]
    table += [
        [label, "", path, split]
        for (path, label), split in zip(SIX, ["train", "val", "test"] * 2, strict=True)
    ]
    text = newline.join(delimiter.join(row) for row in table) + newline * 3
    data = opened(written(images, text, encoding=encoding), cache)
    assert data.class_counts("train") == data.class_counts("validation") == {"cat": 1, "dog": 1}
    assert data.class_counts("test") == {"cat": 1, "dog": 1}
    assert data.labels[data.split("test")].tolist() == [0, 1] and data.notes == ()


def test_quoted_cells_may_hold_delimiters_quotes_and_lines(images, cache):
    (images / "a" / "0.png").rename(images / "a" / "one, two.png")
    text = """path,label
"a/one, two.png","a ""big"" cat;
really"
a/1.png,"a ""big"" cat;
really"
"""
    data = opened(written(images, text + rows(SIX[2:])[11:]), cache)
    assert data.classes == ('a "big" cat;\nreally', "cat", "dog") and not data.problems
    assert data.class_counts("train") == {'a "big" cat;\nreally': 1, "cat": 1, "dog": 1}


def test_a_single_column_file_is_told_what_is_missing(images, cache):
    for text, header in (
        ("file,class\na/0.png,cat\n", "file,class"),
        ("", ""),
        ("path|label\nx|y", "path|label"),
    ):
        error = refusal(written(images, text), cache)
        assert (
            error.message
            == f"Expected a header with the columns path and label in list.csv, received '{header}'."
        )
        assert error.advice.startswith("Give the file a header such as path,label")


def test_rows_that_cannot_be_used_are_named(images, cache):
    text = "path,label,split\n" + "".join(f"{path},{label},train\n" for path, label in SIX)
    text += ",cat,train\na/9.png,cat,train\na/1.png,dog,test\n\nb/0.png\n./b/2.png,dog,train\na/8.png,cat,extra\na,8.png,cat,train\n"
    data = opened(written(images, text), cache)
    assert dict(data.problems) == {
        "line 8, no path": "expected a path and a label, received none",
        "a/9.png": "missing",
        "line 10, a/1.png": "listed twice; the first row counts",
        "line 12, b/0.png": "expected the split train, validation or test, received ''",
        "line 13, ./b/2.png": "listed twice; the first row counts",
        "line 14, a/8.png": "expected the split train, validation or test, received 'extra'",
        "line 15, a": "4 cells, more than the header's 3; does the path or the label need quotes?",
    }
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_files_that_are_no_images_are_named(images, cache):
    (images / "note.txt").write_text("hello")
    data = opened(
        written(images, rows([*SIX, ("note.txt", "cat"), ("a", "dog"), ("x\0y.png", "dog")])), cache
    )
    assert len(data.images) == 6
    reasons = dict(data.problems)
    assert reasons["note.txt"] == "not a known image format, or damaged at its beginning"
    assert reasons["a"].startswith("cannot be read: ")
    assert reasons["x\0y.png"].startswith("cannot be read: ")


def test_paths_start_at_the_lists_folder(images, cache, tmp_path):
    (tmp_path / "lists").mkdir()
    absolute = [(str(images / path), label) for path, label in SIX[:3]]
    beside = [(f"..\\images\\{path}".replace("/", "\\"), label) for path, label in SIX[3:]]
    data = opened(written(tmp_path / "lists", rows(absolute + beside)), cache)
    assert len(data.images) == 6 and data.problems == ()
    assert data.fingerprint == opened(written(images, rows()), cache).fingerprint


def test_a_changed_list_or_image_is_read_again(images, cache):
    path = written(images, rows())
    first = opened(path, cache)
    assert opened(path, cache).fingerprint == first.fingerprint
    Image.new("L", (28, 28), 7).save(images / "a" / "0.png")
    second = opened(path, cache)
    assert second.images[0].max() == 7 and second.fingerprint != first.fingerprint
    third = opened(written(images, rows([("a/0.png", "dog"), *SIX[1:], ("b/4.png", "dog")])), cache)
    assert third.labels.tolist() == [0, 0, 1, 1, 1, 1] and third.problems == (("b/4.png", "missing"),)
    Image.new("L", (28, 28), 9).save(images / "b" / "4.png")
    assert opened(path, cache).problems == ()


def test_a_label_of_another_split_is_a_class_too(images, cache):
    """Published weights are tried on classes that no training image is of; spellings of a known class stay with it."""
    text = rows().replace("\n", ",train\n").replace("label,train", "label,split")
    text += "a/8.png,Dog,test\na/9.png,bird,test\n"
    for name in ("8", "9"):
        Image.new("L", (28, 28), int(name)).save(images / "a" / f"{name}.png")
    data = opened(written(images, text), cache)
    assert data.classes == ("bird", "cat", "dog")
    assert data.notes[0].startswith("1 class has no training images ('bird'): nothing can be trained on them")
    assert [data.labels[row] for row in data.splits["test"]] == [0, 2]


@pytest.mark.parametrize(("text", "message"), [
    ("path,label\na/0.png,cat\na/1.png,cat\n", "Expected at least two classes in {place}, received only one: 'cat'."),
    ("path,label,split\na/0.png,cat,test\n", "Expected training images in {place}, received none."),
    ("path,label\nz.png,cat\n", "Expected images listed in {place}, received none that can be used."),
    ('path,label\na/0.png,"cat\n', "Expected a CSV file, but line 2 of list.csv cannot be read: unexpected end of data."),
])  # fmt: skip
def test_lists_that_are_no_data_set_are_refused(text, message, images, cache):
    path = written(images, text)
    assert refusal(path, cache).message == message.format(place=path)


def test_another_encoding_is_refused(images, cache):
    error = refusal(written(images, rows().replace("cat", "Kätzchen"), encoding="latin1"), cache)
    assert error.message.startswith("Expected text in UTF-8 in list.csv, received byte 0xe4")
    assert "'CSV UTF-8'" in error.advice


def test_a_folder_is_refused(images, cache):
    assert refusal(images, cache).message == f"Expected a CSV file, received the folder {images}."


def zipped(images: Path, target: Path, text: str, name: str = "set/list.csv") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, text)
        for file in sorted(images.rglob("*.png")):
            archive.write(file, "set/" + file.relative_to(images).as_posix())
        archive.writestr("__MACOSX/._list.csv", "litter")
    return target


def test_a_zip_file_with_a_list(images, cache, tmp_path):
    data = opened(zipped(images, tmp_path / "set.zip", rows()), cache)
    assert data.title == "set" and data.problems == ()
    assert data.fingerprint == opened(written(images, rows()), cache).fingerprint
    above = rows([(f"../set/./{path}", label) for path, label in SIX])
    data = opened(zipped(images, tmp_path / "lists.zip", above, "lists/all.csv"), cache)
    assert len(data.images) == 6 and data.problems == ()


def test_no_path_leads_out_of_the_zip_file(images, cache, tmp_path):
    outside = tmp_path / "secret.png"
    Image.new("L", (28, 28), 7).save(outside)
    leading = [
        str(outside),
        "../../secret.png",
        "../../../../../../etc/passwd",
        "C:\\secret.png",
        "..\\..\\secret.png",
    ]
    archive = zipped(
        images, tmp_path / "set.zip", rows([*SIX, *((path, "cat") for path in leading), ("no.png", "cat")])
    )
    data = opened(archive, cache)
    assert len(data.images) == 6
    assert [reason for _, reason in data.problems] == ["ignored: its path leads out of the zip file"] * 5 + [
        "missing"
    ]


def test_a_zip_file_needs_exactly_one_list(images, cache, tmp_path):
    none = zipped(images, tmp_path / "none.zip", "", "set/readme.md")
    assert refusal(none, cache).message == f"Expected one CSV file in {none}, received none."
    two = zipped(images, tmp_path / "two.zip", rows())
    with zipfile.ZipFile(two, "a") as archive:
        archive.writestr("b.csv", rows())
    assert refusal(two, cache).message == f"Expected one CSV file in {two}, received 2 (b.csv, set/list.csv)."


def columned(name: str, values: list[str]) -> str:
    lines = [f"{path},{label},{value}" for (path, label), value in zip(SIX, values, strict=True)]
    return "\n".join([f"path,label,{name}", *lines])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("subset", "train val test train val test"),
        ("Partition", "0 1 2 0 1 2"),
        ("fold", "Training valid TEST training dev testing"),
        ("anything", "train_set val_set test_set train_set val_set test_set"),
    ],
)
def test_a_split_column_may_be_called_otherwise(name, values, images, cache):
    data = opened(written(images, columned(name, values.split())), cache)
    assert [data.labels[rows].tolist() for rows in data.splits.values()] == [[0, 1]] * 3
    assert data.notes[0].startswith(f"The splits are those of the column '{name.casefold()}'")


def test_a_column_may_only_say_whether(images, cache):
    for name, value in (("is_test", "True"), ("is_train", "0")):
        other = {"True": "False", "0": "1"}[value]
        cells = [other, other, value, other, other, value]
        data = opened(written(images, columned(name, cells)), cache)
        assert data.labels[data.split("test")].tolist() == [0, 1] and len(data.split("train")) == 2


def test_a_column_that_seems_to_say_splits_is_mentioned(images, cache):
    data = opened(written(images, columned("fold", ["1", "2", "3", "4", "5", "1"])), cache)
    assert data.notes[0] == (
        "The column 'fold' is not read: its values (1, 2, 3, 4) are not train, validation and test. "
        "Splits are taken from a column 'split' with these."
    )


def test_numbers_as_classes_stand_in_the_order_of_their_values(images, cache):
    pairs = [(path, str(number)) for (path, _), number in zip(SIX, (10, 10, 10, 9, 9, 9), strict=True)]
    path = written(images, rows(pairs))
    assert opened(path, cache).classes == ("9", "10")
    assert opened(path, cache, class_order="text").classes == ("10", "9")
    assert opened(written(images, rows()), cache).classes == ("cat", "dog")
    halves = written(images, rows([(path, label.replace("10", "10.5")) for path, label in pairs]))
    assert opened(halves, cache).classes == ("9", "10.5")


@pytest.mark.parametrize("column", ["path", "label", "split"])
def test_a_column_that_counts_and_is_there_twice_is_refused(column, images, cache):
    text = f"path,label,{column},split\n" + "".join(f"{path},{label},x,train\n" for path, label in SIX)
    expected = f"Expected one column {column} in the header of list.csv, received 2."
    assert refusal(written(images, text), cache).message == expected


def test_values_of_a_split_column_are_read_together(images, cache):
    splits = ["train", "validation", "evaluation"] * 2
    table = zip(SIX, splits, strict=True)
    text = "path,label,split\n" + "".join(f"{path},{label},{split}\n" for (path, label), split in table)
    data = opened(written(images, text), cache)
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [2, 2, 2]
