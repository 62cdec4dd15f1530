"""IDX files, the format of MNIST and Fashion-MNIST: big-endian header, then bytes; gzip or not.

Source: http://yann.lecun.com/exdb/mnist. Only unsigned bytes are read: magic number 2051
(images, [n, h, w]) and 2049 (labels, [n]).
"""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core.common.errors import EspalierError
from core.common.regular_files import in_words, open_regular
from core.data.source import ArrayPictures, Contents, Located, Watch, stamp
from core.data.splits import TEST, TRAIN

FASHION_CLASSES: tuple[str, ...] = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
LARGEST = 1_000_000_000
"""Bytes that the images of one file may take; the largest published file has 547 million."""
_GZIP = b"\x1f\x8b"
_ADVICE = "Copy the file again from where it came."
_NAMES = {
    "images": ("{part}-images-idx3-ubyte", "{part}-images.idx3-ubyte"),
    "labels": ("{part}-labels-idx1-ubyte", "{part}-labels.idx1-ubyte"),
}


def read_idx(path: Path, magic: int) -> np.ndarray:
    """The array in an IDX file.

    Args:
        magic: 2051 for images, 2049 for labels; its last byte is the number of dimensions.

    Returns: uint8 [n, h, w] or [n].

    Raises:
        EspalierError: the file cannot be read, is of another kind, or ends too early or too late.
    """
    try:
        with _opened(path) as file:
            return _read(file, path.name, magic)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise EspalierError(
            f"Expected a complete gzip file, but {path.name} is damaged or cut off.", _ADVICE, str(error)
        ) from error
    except OSError as error:
        raise EspalierError(
            f"Expected a readable file, but {path} cannot be read: {in_words(error)}.",
            "Check its permissions.",
        ) from error


def _opened(path: Path) -> BinaryIO:
    """The file's content, unpacked while it is read."""
    file = open_regular(path)
    packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    return gzip.open(file) if packed else file  # type: ignore[return-value]


def _read(file: BinaryIO, name: str, magic: int) -> np.ndarray:
    """No more than the header announces is read: what a gzip file unpacks to may be without end."""
    size = 4 + 4 * (magic & 0xFF)
    head = file.read(size)
    if len(head) < size:
        raise EspalierError(
            f"Expected an IDX header of {size} bytes in {name}, received {len(head)} bytes.", _ADVICE
        )
    received_magic, *shape = struct.unpack(f">{size // 4}I", head)
    if received_magic != magic:
        raise EspalierError(
            f"Expected magic number {magic} ({'images' if magic == IMAGES_MAGIC else 'labels'}) in "
            f"{name}, received {received_magic}.",
            "Check that image and label files are not swapped or renamed.",
        )
    expected = math.prod(shape)
    if expected > LARGEST:
        raise EspalierError(
            f"Expected at most {LARGEST / 1e6:g} million bytes of images in {name}, its header announces "
            f"{' × '.join(map(str, shape))}.",
            _ADVICE,
        )
    data = file.read(expected + 1)
    if len(data) != expected:
        received = f"{len(data)}" if len(data) < expected else "more"
        raise EspalierError(
            f"Expected {expected} bytes after the header of {name} ({' × '.join(map(str, shape))}), "
            f"received {received}.",
            _ADVICE,
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def read_pair(images_path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, h, w] and their labels uint8 [n].

    Raises:
        EspalierError: as `read_idx`; or the counts differ, or there is no image.
    """
    images, labels = read_idx(images_path, IMAGES_MAGIC), read_idx(labels_path, LABELS_MAGIC)
    if len(images) != len(labels):
        raise EspalierError(
            f"Expected as many labels as images, received {len(labels)} labels in {labels_path.name} "
            f"and {len(images)} images in {images_path.name}.",
            "Check that both files belong to the same data set.",
        )
    if images.size == 0:
        raise EspalierError(f"Expected images in {images_path.name}, received none.", _ADVICE)
    return images, labels


def locate(folder: Path, _: Watch) -> Located:
    """List a folder of IDX files.

    Raises:
        EspalierError: the training files are missing, or one file of a pair is.
    """
    if not folder.is_dir():
        raise EspalierError(
            f"Expected a folder with IDX files, received the file {folder}.", "Choose the folder it lies in."
        )
    train, test = _pair(folder, "train"), _pair(folder, "t10k")
    if train is None:
        raise EspalierError(
            f"Expected train-images-idx3-ubyte and train-labels-idx1-ubyte (or both with .gz) in {folder}, "
            "received a folder without them.",
            "Choose the folder that the MNIST or Fashion-MNIST files were saved to.",
        )
    parts = [(train, TRAIN)] + ([(test, TEST)] if test else [])
    files = [file for pair, _ in parts for file in pair]
    return Located(
        title=folder.name,
        place=str(folder),
        stamps=tuple(stamp(file) for file in files),
        open=lambda: _open(folder, parts),
    )


def _open(folder: Path, parts: Sequence[tuple[tuple[Path, Path], int]]) -> Contents:
    loaded = [(*read_pair(*pair), code) for pair, code in parts]
    shapes = {images.shape[1:] for images, _, _ in loaded}
    if len(shapes) > 1:
        sizes = " and ".join(f"{w} × {h}" for h, w in sorted(shapes))
        raise EspalierError(
            f"Expected training and test images of one size, received {sizes}.",
            "Check that the files belong to the same data set.",
        )
    values = np.unique(loaded[0][1])
    if len(values) < 2:
        raise EspalierError(
            f"Expected at least two classes in {folder}, received only the label {values[0]}.",
            "Choose a data set with several classes.",
        )
    _check_known(loaded, values)

    def load() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        images = np.concatenate([images for images, _, _ in loaded])[..., None]
        labels = np.searchsorted(values, np.concatenate([labels for _, labels, _ in loaded]))
        codes = np.concatenate([np.full(len(labels), code, np.int8) for _, labels, code in loaded])
        return images, labels.astype(np.int64), codes

    classes, notes = _class_names(folder, values)
    return Contents(classes, ArrayPictures(load), notes=notes)


def _check_known(loaded: Sequence[tuple[np.ndarray, np.ndarray, int]], values: np.ndarray) -> None:
    unknown = sorted(
        {int(value) for _, labels, _ in loaded for value in np.unique(labels)} - set(values.tolist())
    )
    if unknown:
        raise EspalierError(
            f"Expected only labels that the training images have, received {unknown[0]} in the test labels.",
            "Check that the files belong to the same data set.",
        )


def _class_names(folder: Path, values: np.ndarray) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels as text; Fashion-MNIST's names where the folder's name says that it is that."""
    if "fashion" in folder.name.casefold() and values.tolist() == list(range(10)):
        return FASHION_CLASSES, ("The class names are Fashion-MNIST's, because the folder's name says so.",)
    return tuple(str(value) for value in values), ()


def _pair(folder: Path, part: str) -> tuple[Path, Path] | None:
    images, labels = (_file(folder, part, kind) for kind in ("images", "labels"))
    if images is not None and labels is not None:
        return images, labels
    present = images or labels
    if present is None:
        return None
    missing = _NAMES["labels" if images else "images"][0].format(part=part)
    raise EspalierError(
        f"Expected {missing} (or with .gz) beside {present.name}, received only the latter.",
        f"Put the missing file into {folder}.",
    )


def _file(folder: Path, part: str, kind: str) -> Path | None:
    for pattern in _NAMES[kind]:
        for ending in ("", ".gz"):
            path = folder / (pattern.format(part=part) + ending)
            if path.is_file():
                return path
    return None
