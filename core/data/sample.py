"""The bundled data set: a part of Fashion-MNIST, so that Espalier can be tried without a download.

Made by `packaging/make_sample.py`; licence and description lie beside the file.
"""

import zipfile
from pathlib import Path

import numpy as np

from core.common.errors import EspalierError
from core.common.files import RESOURCES
from core.data.idx import FASHION_CLASSES
from core.data.source import ArrayPictures, Contents, Located, Watch, stamp
from core.data.splits import SPLITS

FILE = "fashion-mnist-sample.npz"


def sample_folder() -> Path:
    """Path of the bundled sample, in a checkout as in an installed program."""
    return RESOURCES / "data" / "fashion-mnist-sample"


def locate(_: Path, __: Watch) -> Located:
    """List the bundled sample.

    Raises:
        EspalierError: it is not there.
    """
    file = sample_folder() / FILE
    if not file.is_file():
        raise EspalierError(
            f"Expected the bundled data set at {file}, received nothing.", "Install Espalier again."
        )
    name, size = stamp(file)[:2]
    return Located(
        title="Fashion-MNIST sample",
        place="bundled",
        stamps=((name, size, 0, 0, 0),),
        open=lambda: Contents(FASHION_CLASSES, ArrayPictures(lambda: _load(file))),
    )


def _load(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            images = [arrays[f"{split}_images"] for split in SPLITS]
            labels = [arrays[f"{split}_labels"] for split in SPLITS]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise EspalierError(
            f"Expected the bundled data set in {file.name}, but it is damaged: {error}.",
            "Install Espalier again.",
        ) from error
    codes = [np.full(len(part), code, np.int8) for code, part in enumerate(labels)]
    return np.concatenate(images)[..., None], np.concatenate(labels).astype(np.int64), np.concatenate(codes)
