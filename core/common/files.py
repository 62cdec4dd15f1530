"""Files: the program's own resources, writing whole or not at all, hashes, compressed size."""

import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import core
from core.common.errors import EspalierError

if TYPE_CHECKING:
    import numpy as np

RESOURCES = Path(core.__file__).resolve().parents[1] / "resources"
_BLOCK = 1 << 20


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """A name beside `target` to write to; renamed to `target` at the end, removed on an error.

    The temporary name ends like the target, for libraries that look at the suffix.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        EspalierError: when the disk does not take it.
    """
    try:
        with written_beside(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EspalierError(
            f"{path} could not be written: {error.strerror or error}.",
            "Free some space, or choose another folder.",
        ) from error


def save_array(target: Path, array: "np.ndarray") -> None:
    """Write a NumPy array as .npy, whole or not at all."""
    import numpy as np

    with written_beside(target) as part:
        np.save(part, array, allow_pickle=False)


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def deflated_bytes(path: Path) -> int:
    """The file's size in bytes once deflated, as in a zip or an installer (zlib, level 6).

    Here sparse weights pay: runs of zeros take almost no room.
    """
    deflate = zlib.compressobj(6)
    size = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            size += len(deflate.compress(block))
    return size + len(deflate.flush())
