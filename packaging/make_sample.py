"""Make the bundled sample data set from the full Fashion-MNIST IDX files.

    python packaging/make_sample.py IDX_FOLDER resources/data/fashion-mnist-sample

Takes all test images, and per class 1 200 training and 200 validation images out of the training
file, drawn with a fixed seed. The images are stored as they are, compressed without loss.
"""

import argparse
from pathlib import Path

import numpy as np

from core.common.errors import EspalierError
from core.data.idx import read_pair
from core.data.randomness import ranks_within
from core.data.sample import FILE

TRAIN_PER_CLASS, VALIDATION_PER_CLASS, SEED = 1200, 200, 0


def find_pair(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, 28, 28] and labels uint8 [n] of "train" or "t10k"."""
    return read_pair(folder / f"{part}-images-idx3-ubyte.gz", folder / f"{part}-labels-idx1-ubyte.gz")


def make_sample(source: Path, target: Path) -> Path:
    """Write the sample into `target`; returns the file.

    Raises:
        EspalierError: the IDX files are missing or damaged.
    """
    images, labels = find_pair(source, "train")
    test_images, test_labels = find_pair(source, "t10k")
    ranks = ranks_within(labels, SEED)
    train = np.flatnonzero(ranks < TRAIN_PER_CLASS)
    validation = np.flatnonzero((ranks >= TRAIN_PER_CLASS) & (ranks < TRAIN_PER_CLASS + VALIDATION_PER_CLASS))
    target.mkdir(parents=True, exist_ok=True)
    file = target / FILE
    np.savez_compressed(
        file,
        train_images=images[train],
        train_labels=labels[train],
        validation_images=images[validation],
        validation_labels=labels[validation],
        test_images=test_images,
        test_labels=test_labels,
    )
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the bundled Fashion-MNIST sample.")
    parser.add_argument("source", type=Path, help="folder with the four IDX files (.gz)")
    parser.add_argument("target", type=Path, help="folder that the sample is written to")
    arguments = parser.parse_args()
    try:
        make_sample(arguments.source, arguments.target)
    except EspalierError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
