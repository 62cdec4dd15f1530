"""Tensors of a graph on calibration images, for layer after layer, without computing the graph from its start each time.

The last cut before what is asked for (`core.deploy.quantization.cuts`) is kept for all images: the input of a residual block, say, or of a layer in a
plain chain. Later questions are computed from it, as long as what it was computed from is the same to the last bit: weights that
change behind the cut leave it alone, and with one that changed before it, it is computed anew.

Bound: one cut of a graph is kept, and a second one while the first gives way to it. Up to `IN_MEMORY` bytes a cut lies in memory, so that learned rounding, which
looks at two graphs, holds 1 GB at most; up to `ON_DISK` bytes it lies in a temporary file, which is read a block of images at a time, where twice as
much is free there. What is larger is not kept: questions are then computed from the cut before it, or from the images. EfficientNet-Lite0's largest
cut takes 617 MB for 128 images of 224 px in float, and a quarter of that in 8 bits.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.common.temporary import temporary_folder
from core.deploy.quantization.cuts import Cuts
from core.deploy.quantization.sessions import open_model, probed

if TYPE_CHECKING:
    import onnx

IN_MEMORY = 256e6
ON_DISK = 4e9
Asked = Iterator[tuple[int, list[np.ndarray]]]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A tensor's values on all images.

    Attributes:
        fingerprint: of what it was computed from. counts: how many images each block has. blocks: their values, or None
            where they lie in a file. file: that file. kind, shapes: of its blocks.
    """

    name: str
    fingerprint: bytes
    counts: list[int]
    blocks: list[np.ndarray] | None
    file: Path | None
    kind: np.dtype
    shapes: list[tuple[int, ...]]

    def __iter__(self) -> Iterator[np.ndarray]:
        if self.blocks is not None:
            yield from self.blocks
            return
        assert self.file is not None
        with self.file.open("rb") as file:
            for shape in self.shapes:
                yield np.fromfile(file, self.kind, int(np.prod(shape))).reshape(shape)


@dataclass(slots=True)
class KeptTensors:
    """The tensors of one graph, or of one whose weights change from layer to layer.

    Attributes:
        blocks: the images that it sees, made anew at each call. images: how many they are.
        fixed: whether the graph takes one number of images only.
    """

    blocks: Callable[[], Iterable[np.ndarray]]
    images: int
    fixed: bool = False
    _stack: ExitStack = field(default_factory=ExitStack)
    _kept: _Kept | None = None
    _folder: Path | None = None
    _files: int = 0

    def __enter__(self) -> "KeptTensors":
        return self

    def __exit__(self, *error: object) -> None:
        self._kept = None
        self._stack.close()

    def ask(self, model: "onnx.ModelProto", names: list[str]) -> Asked:
        """Tensors of a graph for a block of images after the other, with the number of images in each."""
        cuts = Cuts(model)
        before = cuts.before(names)
        kept = self._kept
        if kept is not None and (kept.name not in before or cuts.fingerprint(kept.name) != kept.fingerprint):
            self._put(None)
            kept = None
        if before and (kept is None or kept.name != before[0]):
            self._keep(cuts, before[0])
        return self._computed(cuts, names)

    def _computed(self, cuts: Cuts, names: list[str]) -> Asked:
        """As `ask`, from what is kept now."""
        kept = self._kept
        if kept is None:
            give = probed(cuts.model, names)
            for block in self.blocks():
                yield len(block), give(block)
            return
        session, missing = None, [name for name in names if name != kept.name]
        for count, block in zip(kept.counts, kept, strict=True):
            if session is None and missing:
                session = open_model(cuts.part(kept.name, block, self.fixed, missing))
            found = (
                dict(zip(missing, session.run(missing, {kept.name: block}), strict=True)) if session else {}
            )
            yield count, [found.get(name, block) for name in names]

    def _keep(self, cuts: Cuts, name: str) -> None:
        """Keep a cut instead of the one before; that one stays where this one is too large."""
        counts, blocks, shapes = list[int](), list[np.ndarray](), list[tuple[int, ...]]()
        file: Path | None = None
        kind = np.dtype(np.float32)
        for count, [values] in self._computed(cuts, [name]):
            if not counts:
                size = values.nbytes / count * self.images
                file, kind = self._room(size), values.dtype
                if size > IN_MEMORY and file is None:
                    return
            counts.append(count)
            shapes.append(values.shape)
            if file is None:
                blocks.append(values)
                continue
            try:
                write_values(file, values)
            except OSError:  # the disk is full all the same
                file.unlink(missing_ok=True)
                return
        held = blocks if file is None else None
        self._put(_Kept(name, cuts.fingerprint(name), counts, held, file, kind, shapes))

    def _put(self, kept: _Kept | None) -> None:
        if self._kept is not None and self._kept.file is not None:
            self._kept.file.unlink(missing_ok=True)
        self._kept = kept

    def _room(self, size: float) -> Path | None:
        """A file for so many bytes; None where they go into memory, or where no place is for them."""
        if not IN_MEMORY < size <= ON_DISK:
            return None
        if self._folder is None:
            self._folder = self._stack.enter_context(temporary_folder())
        if shutil.disk_usage(self._folder).free < 2 * size:
            return None
        self._files += 1
        return self._folder / f"{self._files}"


def write_values(file: Path, values: np.ndarray) -> None:
    """Put values behind those that the file has."""
    with file.open("ab") as opened:
        values.tofile(opened)
