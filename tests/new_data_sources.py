"""A data source that tests add: what one file of `core/data` holds."""

from pathlib import Path

import numpy as np

from core.data.source import ArrayPictures, Contents, DataSource, Located, Watch, stamp

CLASSES = ("bright", "dark", "grey")


def locate(path: Path, _: Watch) -> Located:
    """A .npy file of images, uint8 [n, h, w, 1]; their classes follow each other."""

    def load() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        images = np.load(path)
        labels = np.arange(len(images)) % len(CLASSES)
        membership = np.repeat(np.array([0, 1, 2], np.int8), -(-len(images) // 3))[: len(images)]
        return images, labels.astype(np.int64), membership

    return Located("Stack", str(path), (stamp(path),), lambda: Contents(CLASSES, ArrayPictures(load)))


STACK = DataSource(
    id="stack",
    title="Stack of images",
    help="A NumPy file with all images behind each other.",
    path_kind="file",
    locate=locate,
    file_filter="NumPy files (*.npy)",
)
