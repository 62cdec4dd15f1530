"""CIFAR's original files, made small; as folder and archive."""

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pickles import python2

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.common.full_disk import full_disk
from core.data import cifar as cifar_module
from core.data.image_data import ImageData
from core.data.settings import DataSettings
from core.data.source import Watch
from core.data.store import open_data

PER_FILE = 20
NAMES = ["airplane", "automobile", "bird", "cat"]


def images(number: int) -> np.ndarray:
    """uint8 [20, 3072], others for every file."""
    return np.random.default_rng(number).integers(0, 256, (PER_FILE, 3072), np.uint8)


def labels(number: int) -> list[int]:
    return [(number + index) % 4 for index in range(PER_FILE)]


def cifar10() -> dict[str, Any]:
    batches = {f"data_batch_{number}": number for number in range(1, 6)} | {"test_batch": 6}
    files: dict[str, Any] = {
        name: {"batch_label": name, "labels": labels(number), "data": images(number), "filenames": ["x.png"]}
        for name, number in batches.items()
    }
    return files | {"batches.meta": {"num_cases_per_batch": PER_FILE, "label_names": NAMES, "num_vis": 3072}}


def cifar100() -> dict[str, Any]:
    files: dict[str, Any] = {
        name: {"fine_labels": labels(number), "coarse_labels": [0] * PER_FILE, "data": images(number)}
        for name, number in (("train", 1), ("test", 2))
    }
    return files | {"meta": {"fine_label_names": NAMES, "coarse_label_names": ["things"]}}


def folder(files: dict[str, Any], place: Path) -> Path:
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / name).write_bytes(content if isinstance(content, bytes) else python2(content))
    return place


def archive(files: dict[str, Any], path: Path, top: str = "cifar-10-batches-py") -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in {**files, "readme.html": b"<html>"}.items():
            data = content if isinstance(content, bytes) else python2(content)
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def opened(path: Path, cache: Path, **settings: Any) -> ImageData:
    return open_data(DataSettings(source="cifar", path=str(path), **settings), cache)


def longhand(row: np.ndarray) -> np.ndarray:
    """One image of 3072 bytes, pixel by pixel: red, green and blue planes, each row by row."""
    picture = np.zeros((32, 32, 3), np.uint8)
    for down in range(32):
        for right in range(32):
            for channel in range(3):
                picture[down, right, channel] = row[1024 * channel + 32 * down + right]
    return picture


def test_cifar_10_as_a_folder(tmp_path, cache):
    data = opened(folder(cifar10(), tmp_path / "cifar-10-batches-py"), cache)
    assert (data.title, data.classes, data.images.shape) == ("CIFAR-10", tuple(NAMES), (120, 32, 32, 3))
    assert data.labels.tolist() == [label for number in range(1, 7) for label in labels(number)]
    assert np.array_equal(data.images[0], longhand(images(1)[0]))
    assert np.array_equal(data.images[67], longhand(images(4)[7]))
    assert data.split("test").tolist() == list(range(100, 120))
    assert np.array_equal(data.images[119], longhand(images(6)[19]))
    # 10 % of 25 images of each class, rounded half up.
    assert len(data.split("validation")) == 12 and len(data.split("train")) == 88
    assert len(data.notes) == 1 and "brings no validation split" in data.notes[0]


def test_cifar_100_takes_the_fine_labels(tmp_path, cache):
    data = opened(folder(cifar100(), tmp_path / "cifar-100-python"), cache)
    assert (data.title, data.classes, len(data.images)) == ("CIFAR-100", tuple(NAMES), 40)
    assert data.labels.tolist() == labels(1) + labels(2)
    assert data.split("test").tolist() == list(range(20, 40))
    assert data.notes[0] == "The classes are the 100 fine labels; the 20 coarse ones are not used."


def test_the_archive_is_read_as_the_folder_is(tmp_path, cache):
    from_folder = opened(folder(cifar10(), tmp_path / "files"), cache)
    from_archive = opened(archive(cifar10(), tmp_path / "cifar-10-python.tar.gz"), cache)
    assert from_archive.title == "cifar-10-python"
    assert from_archive.fingerprint == from_folder.fingerprint
    hundred = opened(archive(cifar100(), tmp_path / "cifar-100-python.tar.gz", "cifar-100-python"), cache)
    assert hundred.fingerprint == opened(folder(cifar100(), tmp_path / "hundred"), cache).fingerprint
    assert not list(tmp_path.rglob("readme.html"))  # nothing was unpacked


def test_files_saved_again_by_python_3_are_read_too(tmp_path, cache):
    """As people save them after `pickle.load(…, encoding="bytes")`."""
    again = {
        name: pickle.dumps({key.encode(): value for key, value in content.items()}, 4)
        for name, content in cifar10().items()
    }
    one = opened(folder(again, tmp_path / "again"), cache)
    assert one.fingerprint == opened(folder(cifar10(), tmp_path / "first"), cache).fingerprint


def test_the_folder_above_is_found(tmp_path, cache):
    folder(cifar100(), tmp_path / "downloads" / "cifar-100-python")
    assert opened(tmp_path / "downloads", cache).title == "CIFAR-100"


def test_no_file_is_run(tmp_path, cache):
    marker = tmp_path / "ran"
    planted = f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode()
    for name in ("data_batch_3", "batches.meta"):
        place = folder(cifar10() | {name: planted}, tmp_path / name)
        for path in (place, archive(cifar10() | {name: planted}, tmp_path / f"{name}.tar.gz")):
            with pytest.raises(
                EspalierError, match=rf"in {name}, received a reference to posix\.system\. The file was"
            ):
                opened(path, cache)
    assert not marker.exists()


BROKEN = {
    "data_batch_2": (
        {"data": images(1)[:, :3000], "labels": labels(1)},
        "Expected 3072 bytes for each image in data_batch_2, received something else.",
    ),
    "data_batch_3": (
        {"data": images(1), "labels": labels(1)[:-1]},
        "Expected the list labels with 20 labels in data_batch_3, received 19.",
    ),
    "data_batch_4": (
        {"data": images(1), "fine_labels": labels(1)},
        "Expected the list labels with 20 labels in data_batch_4, received none.",
    ),
    "data_batch_5": (
        {"data": images(1), "labels": [4] * PER_FILE},
        "Expected labels from 0 to 3 in data_batch_5, received others.",
    ),
    "test_batch": ([1, 2], "Expected a pickled dict in test_batch, received list."),
    "batches.meta": ({"names": NAMES}, "Expected the list label_names in batches.meta, received none."),
}


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_hold_something_else_are_refused(name, tmp_path, cache):
    content, message = BROKEN[name]
    with pytest.raises(EspalierError) as caught:
        opened(folder(cifar10() | {name: content}, tmp_path / "files"), cache)
    assert caught.value.message == message


def test_missing_files_are_named(tmp_path, cache):
    files = cifar10()
    del files["data_batch_2"], files["test_batch"]
    for path in (folder(files, tmp_path / "files"), archive(files, tmp_path / "files.tar.gz")):
        with pytest.raises(EspalierError) as caught:
            opened(path, cache)
        assert caught.value.message == (
            f"Expected all files of CIFAR-10 in {path}, but data_batch_2, test_batch are missing."
        )


def test_what_is_no_cifar_is_refused(tmp_path, cache):
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.tar.gz").write_bytes(b"no archive")
    cut = archive(cifar10(), tmp_path / "cut.tar.gz")
    cut.write_bytes(cut.read_bytes()[:30_000])
    archive({"else.txt": b"else"}, tmp_path / "other.tar.gz")
    for name, message in {
        "empty": r"Expected the file batches\.meta \(CIFAR-10\) or meta \(CIFAR-100\) in .*empty, received a folder",
        "no.tar.gz": r"Expected CIFAR's \.tar\.gz archive, but no\.tar\.gz cannot be read as one: ",
        "cut.tar.gz": r"Expected CIFAR's \.tar\.gz archive, but cut\.tar\.gz cannot be read as one: ",
        "other.tar.gz": r"Expected the file batches\.meta .* in other\.tar\.gz, received an archive without them",
    }.items():
        with pytest.raises(EspalierError, match=message):
            opened(tmp_path / name, cache)


def test_a_member_that_is_far_too_large_is_not_read(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(cifar_module, "LARGEST_MEMBER", 50_000)
    with pytest.raises(EspalierError, match=r"but data_batch_1, .*, test_batch are missing"):
        opened(archive(cifar10(), tmp_path / "cifar-10-python.tar.gz"), cache)


def test_reading_can_be_stopped(tmp_path):
    pictures = cifar_module.locate(folder(cifar10(), tmp_path / "files"), Watch()).open().pictures
    control = RunControl()
    control.stop()
    with pytest.raises(Stopped):
        next(iter(pictures.read(pictures.plan(None, "crop", control), control)))


def test_an_archive_that_unpacks_without_end_is_given_up(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(cifar_module, "LARGEST_ARCHIVE", 2_000_000)
    path = archive({"padding": bytes(5_000_000), **cifar10()}, tmp_path / "bomb.tar.gz")
    with pytest.raises(
        EspalierError, match=r"cannot be read as one: it holds more than 2 MB, which is the limit"
    ) as caught:
        opened(path, cache)
    assert full_disk(caught.value) is None  # the archive is at fault, not the disk
