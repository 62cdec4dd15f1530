"""Tiny ImageNet's original layout with five images a class, as folder and zip."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.common.errors import EspalierError
from core.data.image_data import ImageData
from core.data.settings import DataSettings
from core.data.store import open_data
from core.data.tiny_imagenet import NOTE

WNIDS = ("n02124075", "n01443537", "n03126707")  # not sorted, as published
WORDS = {
    "n01443537": "goldfish, Carassius auratus",
    "n02124075": "Egyptian cat",
    "n03126707": "crane",
    "n02012849": "crane",
    "n00000001": "not in this set",
}
LEVELS = {"n01443537": 10, "n02124075": 90, "n03126707": 170}
"""Each class has its brightness; an image adds its number."""


def save(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((64, 64), level, np.uint8)).convert("RGB").save(path, "JPEG", quality=100)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    top = tmp_path / "tiny-imagenet-200"
    for wnid, level in LEVELS.items():
        for number in range(5):
            save(top / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", level + number)
        (top / "train" / wnid / f"{wnid}_boxes.txt").write_text("boxes")
    lines = []
    for number in range(6):
        wnid = sorted(LEVELS)[(number * 2) % 3]
        save(top / "val" / "images" / f"val_{number}.JPEG", LEVELS[wnid] + 20 + number)
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    (top / "val" / "val_annotations.txt").write_text("".join(lines))
    save(top / "test" / "images" / "test_0.JPEG", 3)
    (top / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    (top / "words.txt").write_text("".join(f"{wnid}\t{words}\n" for wnid, words in WORDS.items()))
    return top


def opened(path: Path, cache: Path, **settings: Any) -> ImageData:
    return open_data(DataSettings(source="tiny-imagenet", path=str(path), **settings), cache)


def zipped(root: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(root.parent.rglob("tiny-imagenet-200/**/*")):
            archive.write(file, file.relative_to(root.parent).as_posix())
    return target


def test_classes_labels_and_splits(root, cache):
    data = opened(root, cache)
    assert data.classes == (
        "goldfish",
        "Egyptian cat",
        "crane",
    )  # by WordNet id, as torchvision sorts folders
    assert data.images.shape == (21, 64, 64, 3) and data.problems == ()
    levels = data.images[:, 32, 32, 0].astype(int)
    base = np.array([10, 90, 170])[data.labels]
    test = data.split("test")
    assert (levels - base)[test].tolist() == [20, 23, 22, 25, 21, 24]
    rest = np.setdiff1d(np.arange(21), test)
    assert (levels - base)[rest].tolist() == [0, 1, 2, 3, 4] * 3
    assert [data.class_counts(split) for split in data.splits] == [
        dict.fromkeys(data.classes, count) for count in (4, 1, 2)
    ]


def test_the_notes_say_where_the_splits_come_from(root, cache):
    first, second = opened(root, cache).notes
    assert first == NOTE
    assert second.startswith("The data set brings no validation split: 3 of its training images")


def test_the_zip_file_and_the_folder_above_give_the_same(root, cache, tmp_path):
    data = opened(root, cache)
    for path in (zipped(root, tmp_path / "tiny-imagenet-200.zip"), root.parent):
        assert opened(path, cache).fingerprint == data.fingerprint


def test_without_words_classes_have_their_ids(root, cache):
    (root / "words.txt").unlink()
    data = opened(root, cache)
    assert data.classes == tuple(sorted(WNIDS))
    assert "There is no words.txt: classes are called by their WordNet ids." in data.notes


def test_two_classes_of_one_name_are_told_apart(root, cache):
    (root / "words.txt").write_text("n03126707\tcrane\nn02124075\tcrane, bird\n")
    assert opened(root, cache).classes == ("n01443537", "crane (n02124075)", "crane (n03126707)")


def test_what_does_not_fit_is_named_and_left_out(root, cache):
    save(root / "val" / "images" / "val_7.JPEG", 5)
    (root / "val" / "images" / "val_1.JPEG").unlink()
    save(root / "train" / "n09999999" / "images" / "n09999999_0.JPEG", 5)
    (root / "train" / "n01443537" / "images" / "n01443537_2.JPEG").write_bytes(b"")
    with (root / "wnids.txt").open("a") as file:
        file.write("n05555555\n")
    data = opened(root, cache)
    assert len(data.images) == 21 - 2
    assert dict(data.problems) == {
        "val/images/val_7.JPEG": "not listed in val/val_annotations.txt",
        "val/images/val_1.JPEG": "missing; listed in val/val_annotations.txt",
        "train/n09999999/images/n09999999_0.JPEG": "its class n09999999 is not in wnids.txt",
        "train/n01443537/images/n01443537_2.JPEG": "empty: the file has 0 bytes",
    }
    assert "1 of the classes in wnids.txt has no training images: n05555555." in data.notes


@pytest.mark.parametrize("name", ["wnids.txt", "val/val_annotations.txt"])
def test_other_layouts_are_refused(name, root, cache):
    (root / name).unlink()
    with pytest.raises(EspalierError) as caught:
        opened(root, cache)
    assert str(caught.value) == (
        f"Expected the file {name} in {root}, received none. Choose the folder tiny-imagenet-200 or its zip file "
        "as published. Where images were sorted into a folder per class, choose the data set 'Image folder or zip'."
    )


def test_a_list_that_is_no_text_is_refused(root, cache):
    (root / "wnids.txt").write_bytes(b"n01443537\xff")
    with pytest.raises(
        EspalierError, match=r"Expected text in UTF-8 in wnids\.txt, received byte 0xff at place 9\."
    ):
        opened(root, cache)
