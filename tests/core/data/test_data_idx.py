"""IDX files: what is read, and what is said about broken ones."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from core.common.errors import EspalierError
from core.data.idx import FASHION_CLASSES, IMAGES_MAGIC, LABELS_MAGIC, read_idx
from core.data.settings import DataSettings
from core.data.store import ImageData, open_data


def idx_bytes(array: np.ndarray, magic: int) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.astype(np.uint8).tobytes()


def write_pair(folder: Path, part: str, images: np.ndarray, labels: np.ndarray, ending: str = "") -> None:
    folder.mkdir(exist_ok=True)
    pack = gzip.compress if ending else bytes
    (folder / f"{part}-images-idx3-ubyte{ending}").write_bytes(pack(idx_bytes(images, IMAGES_MAGIC)))
    (folder / f"{part}-labels-idx1-ubyte{ending}").write_bytes(pack(idx_bytes(labels, LABELS_MAGIC)))


@pytest.fixture
def folder(tmp_path: Path, pictures: np.ndarray) -> Path:
    write_pair(tmp_path / "digits", "train", pictures[:40], np.arange(40) % 4)
    write_pair(tmp_path / "digits", "t10k", pictures[40:], np.arange(20) % 4, ".gz")
    return tmp_path / "digits"


def open_idx(path: Path, cache: Path, **settings: object) -> ImageData:
    return open_data(DataSettings(source="idx", path=str(path), **settings), cache)


def message(path: Path, cache: Path) -> str:
    with pytest.raises(EspalierError) as caught:
        open_idx(path, cache)
    return str(caught.value)


def test_plain_and_gzipped_files_give_own_test_split_and_drawn_validation(folder, cache, pictures):
    data = open_idx(folder, cache)
    assert (data.title, data.source, data.classes) == ("digits", "idx", ("0", "1", "2", "3"))
    assert np.array_equal(data.images[..., 0], pictures)
    assert data.labels.tolist() == [*(np.arange(40) % 4), *(np.arange(20) % 4)]
    assert data.splits["test"].tolist() == list(range(40, 60))
    assert (len(data.splits["train"]), len(data.splits["validation"])) == (36, 4)
    assert (data.channels, data.size) == (1, (28, 28))


def test_without_test_files_the_test_split_is_drawn(tmp_path, cache, pictures):
    write_pair(tmp_path / "only", "train", pictures[:40], np.arange(40) % 4)
    assert open_idx(tmp_path / "only", cache).class_counts("test") == {"0": 2, "1": 2, "2": 2, "3": 2}


def test_labels_that_do_not_start_at_0_are_classes_all_the_same(tmp_path, cache, pictures):
    write_pair(tmp_path / "letters", "train", pictures[:40], np.arange(40) % 2 * 3 + 1)
    data = open_idx(tmp_path / "letters", cache)
    assert data.classes == ("1", "4")
    assert set(data.labels) == {0, 1}


def test_fashion_mnist_gets_its_class_names(tmp_path, cache, pictures):
    write_pair(tmp_path / "Fashion-MNIST", "train", pictures, np.arange(60) % 10)
    data = open_idx(tmp_path / "Fashion-MNIST", cache)
    assert data.classes == FASHION_CLASSES
    assert data.notes[0] == "The class names are Fashion-MNIST's, because the folder's name says so."


def test_the_common_renaming_with_a_dot_is_found(folder, cache):
    for file in list(folder.iterdir()):
        file.rename(folder / file.name.replace("-idx", ".idx"))
    assert len(open_idx(folder, cache).images) == 60


def test_a_folder_without_the_files_is_refused(tmp_path, cache):
    (tmp_path / "empty").mkdir()
    assert message(tmp_path / "empty", cache) == (
        "Expected train-images-idx3-ubyte and train-labels-idx1-ubyte (or both with .gz) in "
        f"{tmp_path / 'empty'}, received a folder without them. "
        "Choose the folder that the MNIST or Fashion-MNIST files were saved to."
    )


def test_a_file_instead_of_the_folder_is_refused(folder, cache):
    file = folder / "train-images-idx3-ubyte"
    assert message(file, cache) == (
        f"Expected a folder with IDX files, received the file {file}. Choose the folder it lies in."
    )


def test_half_a_pair_is_refused(folder, cache):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    assert message(folder, cache) == (
        "Expected t10k-labels-idx1-ubyte (or with .gz) beside t10k-images-idx3-ubyte.gz, received only the "
        f"latter. Put the missing file into {folder}."
    )


def test_swapped_files_are_told_by_the_magic_number(folder, cache):
    labels = folder / "train-labels-idx1-ubyte"
    (folder / "train-images-idx3-ubyte").write_bytes(labels.read_bytes())
    assert message(folder, cache) == (
        "Expected magic number 2051 (images) in train-images-idx3-ubyte, received 2049. "
        "Check that image and label files are not swapped or renamed."
    )


def test_a_file_that_ends_early_is_refused(folder, cache):
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])
    assert message(folder, cache) == (
        "Expected 31360 bytes after the header of train-images-idx3-ubyte (40 × 28 × 28), received 31260. "
        "Copy the file again from where it came."
    )


def test_a_file_without_a_header_is_refused(folder, cache):
    (folder / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08")
    assert message(folder, cache).startswith(
        "Expected an IDX header of 8 bytes in train-labels-idx1-ubyte, received 3 bytes."
    )


def test_a_cut_gzip_file_is_refused(folder, cache):
    file = folder / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:500])
    text = message(folder, cache)
    assert text.startswith(
        "Expected a complete gzip file, but t10k-images-idx3-ubyte.gz is damaged or cut off."
    )


def test_counts_that_differ_are_refused(folder, cache, pictures):
    (folder / "train-images-idx3-ubyte").write_bytes(idx_bytes(pictures[:39], IMAGES_MAGIC))
    assert message(folder, cache) == (
        "Expected as many labels as images, received 40 labels in train-labels-idx1-ubyte and 39 images in "
        "train-images-idx3-ubyte. Check that both files belong to the same data set."
    )


def test_no_images_one_class_unknown_labels_and_other_sizes_are_refused(tmp_path, cache, pictures):
    write_pair(tmp_path / "none", "train", pictures[:0], np.zeros(0))
    assert "Expected images in train-images-idx3-ubyte, received none." in message(tmp_path / "none", cache)
    write_pair(tmp_path / "one", "train", pictures[:4], np.full(4, 7))
    assert "Expected at least two classes" in message(tmp_path / "one", cache)
    assert "received only the label 7." in message(tmp_path / "one", cache)
    write_pair(tmp_path / "new", "train", pictures[:4], np.arange(4) % 2)
    write_pair(tmp_path / "new", "t10k", pictures[:4], np.arange(4))
    assert "Expected only labels that the training images have, received 2 in the test labels." in message(
        tmp_path / "new", cache
    )
    write_pair(tmp_path / "sizes", "train", pictures[:4], np.arange(4) % 2)
    write_pair(tmp_path / "sizes", "t10k", pictures[:4, :20], np.arange(4) % 2)
    assert "Expected training and test images of one size, received 28 × 20 and 28 × 28." in message(
        tmp_path / "sizes", cache
    )


def test_a_file_that_cannot_be_read_is_named(folder):
    with pytest.raises(
        EspalierError, match=r"Expected a readable file, but .*missing cannot be read: No such file"
    ):
        read_idx(folder / "missing", IMAGES_MAGIC)


def test_a_gzip_file_that_unpacks_without_end_is_read_as_far_as_its_header_says(folder, cache):
    file = folder / "t10k-images-idx3-ubyte.gz"
    head = struct.pack(">IIII", IMAGES_MAGIC, 20, 28, 28)
    file.write_bytes(gzip.compress(head + bytes(200_000_000), 1))
    assert message(folder, cache).startswith(
        "Expected 15680 bytes after the header of t10k-images-idx3-ubyte.gz (20 × 28 × 28), received more."
    )


def test_a_header_of_more_images_than_memory_holds_is_refused(folder, cache):
    (folder / "train-images-idx3-ubyte").write_bytes(
        struct.pack(">IIII", IMAGES_MAGIC, 2**32 - 1, 9999, 9999)
    )
    assert message(folder, cache).startswith(
        "Expected at most 1000 million bytes of images in train-images-idx3-ubyte"
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_no_idx_file(folder, cache):
    (folder / "train-images-idx3-ubyte").unlink()
    os.mkfifo(folder / "train-images-idx3-ubyte")
    assert message(folder, cache).startswith("Expected train-images-idx3-ubyte (or with .gz)")
