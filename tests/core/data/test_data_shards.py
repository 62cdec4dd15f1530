"""Tar shards as WebDataset writes them: classes, splits, and what is left out."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.common.errors import EspalierError
from core.data.guess_source import guess_source
from core.data.settings import DataSettings
from core.data.store import open_data


def picture(value: int, form: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(content, form)
    return content.getvalue()


def shard(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def samples(start: int, count: int, classes: int = 3) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for number in range(start, start + count):
        files[f"{number:05d}.png"] = picture(number)
        files[f"{number:05d}.cls"] = str(number % classes).encode()
    return files


def opened(path: Path, tmp_path: Path, **settings: object):
    return open_data(DataSettings(source="shards", path=str(path), **settings), tmp_path / "cache")


def test_shards_of_named_splits(tmp_path):
    for name, start in (
        ("set-train-000000.tar", 0),
        ("set-train-000001.tar", 12),
        ("set-val-000000.tar", 24),
        ("set-test-000000.tar", 36),
    ):
        shard(tmp_path / "set" / name, samples(start, 12))
    data = opened(tmp_path / "set", tmp_path)
    assert data.classes == ("0", "1", "2")
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [24, 12, 12]
    assert sorted(int(data.images[row][0, 0, 0]) for row in data.split("validation")) == list(range(24, 36))
    for row in data.split("test"):
        assert int(data.images[row][0, 0, 0]) % 3 == data.labels[row]


def test_one_tar_file_with_labels_in_json_and_dots_in_endings(tmp_path):
    files: dict[str, bytes] = {}
    for number in range(30):
        key = f"part/{number:03d}"
        files[f"{key}.image.jpg"] = picture(number * 8, "JPEG")
        files[f"{key}.json"] = json.dumps({"label": ["cat", "dog"][number % 2], "width": 8}).encode()
        files[f"{key}.txt"] = b"a caption"
    shard(tmp_path / "pets.tar", files)
    data = opened(tmp_path / "pets.tar", tmp_path)
    assert data.classes == ("cat", "dog") and data.title == "pets" and len(data.labels) == 30


def test_folders_say_the_splits_and_numbers_are_in_their_order(tmp_path):
    shard(tmp_path / "set" / "train" / "0000.tar", samples(0, 24, classes=12))
    shard(tmp_path / "set" / "val" / "0000.tar", samples(24, 12, classes=12))
    data = opened(tmp_path / "set", tmp_path)
    assert data.classes == tuple(str(number) for number in range(12))
    assert len(data.split("validation")) == 12


def test_names_say_the_splits_in_folders_that_say_none(tmp_path):
    shard(tmp_path / "set" / "shards" / "train-0.tar", samples(0, 24))
    shard(tmp_path / "set" / "shards" / "test-0.tar", samples(24, 12))
    shard(tmp_path / "set" / "shards" / "more-0.tar", samples(36, 6))
    data = opened(tmp_path / "set", tmp_path)
    assert [len(data.split(name)) for name in ("train", "test")] == [27, 12]
    assert "The names of shards/more-0.tar say no split: what is in them is training images." in data.notes


def test_masks_beside_images_are_not_the_images(tmp_path):
    files: dict[str, bytes] = {}
    for number in range(30):
        files[f"{number}.jpg"] = picture(10, "JPEG")
        files[f"{number}.mask.png"] = picture(250)  # behind it, as names are sorted
        files[f"{number}.cls"] = str(number % 2).encode()
    files["7.png"] = picture(200)
    shard(tmp_path / "s.tar", files)
    data = opened(tmp_path / "s.tar", tmp_path)
    assert int(np.asarray(data.images[:]).max()) < 20
    assert data.problems == (("s.tar/7.png", "a second image of its sample; the first counts"),)


def test_classes_are_names_whole_numbers_or_yes_and_no(tmp_path):
    labels = [2.0, True, "a b", 2.5, None, ["x"], "\x01"]
    files: dict[str, bytes] = {}
    for number in range(35):
        files[f"{number:02d}.png"] = picture(number)
        files[f"{number:02d}.json"] = json.dumps({"label": labels[number % 7]}).encode()
    files["90.png"], files["90.cls"] = picture(90), b"\0\0\0\1"
    shard(tmp_path / "s.tar", files)
    data = opened(tmp_path / "s.tar", tmp_path)
    assert data.classes == ("2", "a b", "true") and len(data.problems) == 21
    assert dict(data.problems)["s.tar/90.png"] == "its class cannot be read: it is no text"


def test_what_cannot_be_used_is_named_and_left_out(tmp_path):
    files = samples(0, 30)
    del files["00003.cls"]
    files["00004.cls"] = b"\xff\xfe"
    files["00005.png"] = b"no picture"
    shard(tmp_path / "set" / "a.tar", files)
    broken = (tmp_path / "set" / "a.tar").read_bytes()
    (tmp_path / "set" / "b.tar").write_bytes(b"no tar file" * 100)
    data = opened(tmp_path / "set", tmp_path)
    problems = dict(data.problems)
    assert "has no class" in problems["a.tar/00003.png"] and "class" in problems["a.tar/00004.png"]
    assert "a.tar/00005.png" in problems and "cannot be read to its end" in problems["b.tar"]
    assert len(data.labels) == 27
    (tmp_path / "cut.tar").write_bytes(broken[: len(broken) // 2])
    assert 5 < len(opened(tmp_path / "cut.tar", tmp_path).labels) < 20


def test_a_changed_shard_is_read_again(tmp_path):
    shard(tmp_path / "s.tar", samples(0, 30))
    assert len(opened(tmp_path / "s.tar", tmp_path).labels) == 30
    shard(tmp_path / "s.tar", samples(0, 33))
    assert len(opened(tmp_path / "s.tar", tmp_path).labels) == 33


def test_places_that_hold_none(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(EspalierError, match="Expected tar files of images"):
        opened(tmp_path / "empty", tmp_path)
    shard(tmp_path / "texts.tar", {"a.txt": b"a"})
    with pytest.raises(EspalierError, match="received none that can be used"):
        opened(tmp_path / "texts.tar", tmp_path)


def test_shards_are_recognised(tmp_path):
    shard(tmp_path / "set" / "train-0.tar", samples(0, 6))
    assert guess_source(tmp_path / "set") == ("shards", tmp_path / "set")
    assert guess_source(tmp_path / "set" / "train-0.tar")[0] == "shards"
    shard(tmp_path / "cifar-10-python.tar", {"cifar-10-batches-py/data_batch_1": b"x"})
    assert guess_source(tmp_path / "cifar-10-python.tar")[0] == "cifar"
