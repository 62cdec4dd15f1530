"""Images of a file that is too large to be checked as a whole at every opening: each block is, when an image of it is first read.

`n` images of `h` × `w` pixels with `c` channels; a block is a fixed number of images.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from core.common.content_hashes import DAMAGED, DamagedError, set_aside
from core.common.errors import EspalierError
from core.common.logs import in_a_line

_BLOCK_BYTES = 4_000_000
_DIGITS = 16


def block_hashes(images: np.ndarray) -> dict[str, Any]:
    """The hashes of all blocks of uint8 [n, h, w, c], as plain data."""
    rows = max(1, _BLOCK_BYTES // max(1, int(np.prod(images.shape[1:]))))
    hashes = [_hash(images[start : start + rows]) for start in range(0, len(images), rows)]
    return {"shape": list(images.shape), "rows": rows, "sha256": hashes}


class CheckedImages(np.ndarray):
    """A memory map of images that checks what is read by an index; what comes out is plain.

    A damaged block sets the whole entry aside, so that the images are decoded again the next time, and raises `DamagedError`.
    """

    _file: Path
    _rows: int
    _hashes: list[str]
    _good: np.ndarray

    @classmethod
    def of(cls, images: np.ndarray, blocks: dict[str, Any], file: Path) -> "CheckedImages":
        """Raises ValueError where the file does not hold images of the shape that was written."""
        if list(images.shape) != blocks["shape"] or images.dtype != np.uint8:
            raise ValueError(f"images of the shape {images.shape}")
        checked = images.view(cls)
        checked._file, checked._rows, checked._hashes = file, int(blocks["rows"]), list(blocks["sha256"])
        checked._good = np.zeros(len(checked._hashes), bool)
        return checked

    def __getitem__(self, key: Any) -> Any:
        if hasattr(self, "_good"):
            self._check(_blocks_of(key, len(self), self._rows))
        return np.asarray(super().__getitem__(key))

    def _check(self, blocks: np.ndarray) -> None:
        plain = self.view(np.ndarray)
        for block in blocks[~self._good[blocks]]:
            start = int(block) * self._rows
            if _hash(plain[start : start + self._rows]) != self._hashes[block]:
                raise damaged(self._file)
            self._good[block] = True


def damaged(file: Path) -> EspalierError:
    """The message for a damaged file of an entry, which is set aside so that it is made again."""
    error = DamagedError(file)
    error.advice = "Go on with the run, or start it again: the images are read again."
    try:
        set_aside(file.parent)
    except OSError as refused:
        error.advice = f"Delete {file.parent}{DAMAGED} and {file.parent}, and start again."
        error.details = in_a_line(refused)
    return error


def _blocks_of(key: Any, count: int, rows: int) -> np.ndarray:
    """The blocks that an index reads from, each once."""
    first = key[0] if isinstance(key, tuple) else key
    if isinstance(first, (int, np.integer)):
        return np.array([int(first) % count // rows])
    if isinstance(first, slice):
        start, stop, step = first.indices(count)
        return np.unique(np.arange(start, stop, step) // rows)
    chosen = np.asarray(first)
    if chosen.dtype == bool:
        chosen = np.flatnonzero(chosen)
    return np.unique(chosen.astype(np.int64) % count // rows)


def _hash(images: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()[:_DIGITS]
