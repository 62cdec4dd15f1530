"""Images in one file as their own files held them, decoded when they are asked for.

`n` images that are shown with `h` × `w` pixels and `c` channels.
"""

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.data.decode import Misfit, Shape, Undecodable, cut_out, decode
from core.data.hashed_images import damaged
from core.data.reader import make_plan
from core.data.source import Plan

_FEW = 4  # images for which threads are not worth starting
_MOST_THREADS = 16


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFile:
    """The bytes of all images, one after the other.

    Attributes:
        starts: int64 [n + 1], where each begins in the file, and the file's length.
        digests: uint8 [n, 32], SHA-256 of each. shapes: int64 [n, 3], height, width and channels of each, upright.
    """

    path: Path
    starts: np.ndarray
    digests: np.ndarray
    shapes: np.ndarray
    _mapped: list[np.ndarray] = field(default_factory=list)

    def content(self, row: int) -> bytes:
        """The bytes of an image as its file held them.

        Raises:
            DamagedError: they are not those that were written; the entry is set aside.
        """
        if not self._mapped:
            try:
                self._mapped.append(np.memmap(self.path, np.uint8, "r"))
            except (OSError, ValueError) as error:
                raise damaged(self.path) from error
        content = self._mapped[0][self.starts[row] : self.starts[row + 1]].tobytes()
        if hashlib.sha256(content).digest() != self.digests[row].tobytes():
            raise damaged(self.path)
        return content


class EncodedImages:
    """The images of an `EncodedFile` as an array uint8 [n, h, w, c] that is decoded where an index reaches.

    The pixels are those that decoding at once would have kept for the same settings.

    Attributes:
        sizes: int64 [n, 2], height and width of each image before it is made to fit.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, file: EncodedFile, image_size: int | None, resize: str):
        shapes = {Shape(int(h), int(w), c == 1) for h, w, c in np.unique(file.shapes, axis=0)}
        self._file = file
        self.plan: Plan = make_plan(shapes, image_size, resize)
        self.sizes = file.shapes[:, :2]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """n, h, w and c."""
        return len(self._file.shapes), self.plan.height, self.plan.width, self.plan.channels

    @property
    def nbytes(self) -> int:
        """Bytes of the file."""
        return int(self._file.starts[-1])

    def __len__(self) -> int:
        return len(self._file.shapes)

    def __getitem__(self, key: Any) -> Any:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        rows = np.arange(len(self))[first]
        if np.ndim(rows) == 0:
            return self._decoded(int(rows))[rest]
        return self.decoded(rows, _threads(len(rows)))[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def decoded(self, rows: np.ndarray, threads: int = 1) -> np.ndarray:
        """uint8 [k, h, w, c]."""
        return self._stacked(self._decoded, rows.tolist(), self.shape[1:], threads)

    def cropped(self, rows: np.ndarray, boxes: np.ndarray, side: int) -> np.ndarray:
        """A part of each image as a square: uint8 [k, side, side, c].

        Args:
            boxes: int64 [k, 4]: top, left, height and width in pixels of the image before it is made to fit.
        """

        def one(place: int) -> np.ndarray:
            row = int(rows[place])
            top, left, height, width = boxes[place].tolist()
            file = io.BytesIO(self._file.content(row))
            return self._whole(lambda: cut_out(file, (top, left, height, width), side, self.plan.channels))

        return self._stacked(one, range(len(rows)), (side, side, self.plan.channels), 1)

    def _decoded(self, row: int) -> np.ndarray:
        file = io.BytesIO(self._file.content(row))
        return self._whole(lambda: decode(file, self.plan).pixels)

    def _whole(self, decoding: Callable[[], np.ndarray]) -> np.ndarray:
        """The pixels; every image was looked at when its bytes were kept, so that one that fails now is damage."""
        try:
            return decoding()
        except (Undecodable, Misfit) as error:
            raise damaged(self._file.path) from error

    @staticmethod
    def _stacked(
        make: Callable[[int], np.ndarray], items: Sequence[int], shape: tuple[int, ...], threads: int
    ) -> np.ndarray:
        images = np.empty((len(items), *shape), np.uint8)

        def put(place: int) -> None:
            images[place] = make(items[place])

        if threads < 2:
            for place in range(len(items)):
                put(place)
        else:
            with ThreadPoolExecutor(threads, "decode") as pool:
                list(pool.map(put, range(len(items))))
        return images


def _threads(count: int) -> int:
    return 1 if count <= _FEW else min(_MOST_THREADS, os.cpu_count() or 1)
