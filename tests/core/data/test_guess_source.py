"""The kind of a data set is told from what lies at its place."""

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from core.common.errors import EspalierError
from core.data.guess_source import guess_source


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 12)).save(path)


def test_kinds_of_data_are_guessed(tmp_path: Path) -> None:
    folder = tmp_path / "animals"
    picture(folder / "cat" / "1.png")
    picture(folder / "dog" / "1.png")
    assert guess_source(folder) == ("folder", folder)
    for name in ("cifar-10-python.tar.gz", "list.csv"):
        (tmp_path / name).touch()
    assert guess_source(tmp_path / "cifar-10-python.tar.gz")[0] == "cifar"
    assert guess_source(tmp_path / "list.csv")[0] == "csv"
    listed = tmp_path / "listed"
    picture(listed / "images" / "1.png")
    (listed / "labels.csv").write_text("path,label\nimages/1.png,a\n")
    assert guess_source(listed) == ("csv", listed / "labels.csv")
    idx = tmp_path / "mnist"
    idx.mkdir()
    for part, kind in (
        ("train", "images-idx3"),
        ("train", "labels-idx1"),
        ("t10k", "images-idx3"),
        ("t10k", "labels-idx1"),
    ):
        (idx / f"{part}-{kind}-ubyte").touch()
    assert guess_source(idx)[0] == "idx"
    tiny = tmp_path / "tiny-imagenet-200"
    tiny.mkdir()
    (tiny / "wnids.txt").touch()
    assert (
        guess_source(tiny)[0] == "tiny-imagenet"
        and guess_source(tmp_path / "tiny-imagenet-200")[0] == "tiny-imagenet"
    )
    with pytest.raises(EspalierError, match="Expected a folder, a zip file"):
        guess_source(tmp_path / "picture.png")


def test_zip_files_are_looked_into(tmp_path: Path) -> None:
    contents = {
        "folder": ["a/1.png", "b/1.png"],
        "tiny-imagenet": ["tiny-imagenet-200/wnids.txt", "tiny-imagenet-200/train/n1/images/1.JPEG"],
        "csv": ["images/1.png", "labels.csv"],
    }
    for kind, names in contents.items():
        path = tmp_path / f"{kind}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"")
        assert guess_source(path) == (kind, path)
    (tmp_path / "broken.zip").write_bytes(b"PK")
    with pytest.raises(EspalierError, match="cannot be read"):
        guess_source(tmp_path / "broken.zip")
