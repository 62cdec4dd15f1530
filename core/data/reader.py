"""Decoding many image files in order with a few threads; Pillow works outside Python's lock."""

import hashlib
import io
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, BinaryIO, TypeVar

import numpy as np

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.regular_files import Bounded
from core.data.decode import Misfit, Shape, Undecodable, decode, examine, read_shape
from core.data.layout import PlacedImage
from core.data.source import PICTURE_SIDE, Block, EncodedBlock, Overview, Plan, PlanBroken, Problem

Opener = Callable[[str], BinaryIO]

PROBES = 24
BLOCK_BYTES = 4_000_000
LARGEST_BLOCK = 64
LARGEST_FILE = 512_000_000
"""Bytes that one image may have or unpack to."""
_MOST_THREADS = 16
_Block = TypeVar("_Block")
_Made = TypeVar("_Made")


def make_plan(shapes: set[Shape], image_size: int | None, resize: str) -> Plan:
    """How to store images of these shapes.

    Their own size is kept if it is one and not larger than the requested one; otherwise they are
    made square: `image_size`, or 224 where it is None. One channel only if all are grey.
    """
    channels = 1 if all(shape.grey for shape in shapes) else 3
    sizes = {(shape.height, shape.width) for shape in shapes}
    if len(sizes) == 1:
        height, width = next(iter(sizes))
        if keeps_own_size(height, width, image_size):
            return Plan(height, width, channels)
    side = image_size or PICTURE_SIDE
    return Plan(side, side, channels, keep_size=False, resize=resize)


def keeps_own_size(height: int, width: int, image_size: int | None) -> bool:
    """Whether images that all have this size are stored as they are."""
    return image_size is None or min(height, width) <= image_size


class FilePictures:
    """Image files that are decoded while they are read."""

    def __init__(self, images: Sequence[PlacedImage], opener: Opener):
        self._images = images
        self._opener = opener
        self._shapes: set[Shape] = set()
        self._image_size: int | None = None
        self._resize = "crop"

    @property
    def names(self) -> tuple[str, ...]:
        """See `core.data.source.Pictures`."""
        return tuple(image.name for image in self._images)

    def overview(self, control: RunControl) -> Overview:
        """See `core.data.source.Pictures`."""
        self.plan(None, "crop", control)
        labels = np.array([image.label for image in self._images], np.int64)
        membership = np.array([image.membership for image in self._images], np.int8)
        shapes = tuple((shape.height, shape.width, 1 if shape.grey else 3) for shape in self._shapes)
        return Overview(labels, membership, shapes)

    def plan(self, image_size: int | None, resize: str, control: RunControl) -> Plan:
        """A guess from a few images, spread over all; `read` checks it on all.

        Raises:
            EspalierError: not one of all images can be decoded.
            Stopped: a person asked to stop.
        """
        self._image_size, self._resize = image_size, resize
        spread = np.unique(np.linspace(0, len(self._images) - 1, PROBES).astype(int)).tolist()
        probed = set(spread)
        rest = (index for index in range(len(self._images)) if index not in probed)
        for index in spread:
            self._probe(index, control)
        while not self._shapes:
            index = next(rest, None)
            if index is None:
                raise self._nothing_readable()
            self._probe(index, control)
        return make_plan(self._shapes, image_size, resize)

    def read(self, plan: Plan, control: RunControl) -> Iterator[Block]:
        """See `core.data.source.Pictures`."""
        per_image = plan.height * plan.width * plan.channels
        step = max(1, min(LARGEST_BLOCK, BLOCK_BYTES // per_image))
        try:
            yield from self._blocks(partial(self._decode_block, plan, control), step, control)
        except Misfit as misfit:
            self._shapes.add(misfit.shape)
            raise PlanBroken(make_plan(self._shapes, self._image_size, self._resize)) from None

    @property
    def shapes(self) -> set[Shape]:
        """What is known of the images' shapes: what `plan` and `read` have seen."""
        return set(self._shapes)

    def encoded(self, control: RunControl) -> Iterator[EncodedBlock]:
        """All images as their files hold them; each is looked at as a whole.

        Raises:
            Stopped: a person asked to stop.
        """
        return self._blocks(partial(self._encoded_block, control), LARGEST_BLOCK, control)

    def _blocks(self, work: Callable[[int, int], _Block], step: int, control: RunControl) -> Iterator[_Block]:
        """What `work` makes of each part of the images, in order; a few threads work ahead."""
        workers = min(_MOST_THREADS, os.cpu_count() or 1)
        starts = iter(range(0, len(self._images), step))
        waiting: deque[Future[_Block]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
            try:
                while True:
                    for start in starts:
                        waiting.append(pool.submit(work, start, start + step))
                        if len(waiting) > 2 * workers:
                            break
                    if not waiting:
                        return
                    control.checkpoint()
                    block = waiting.popleft().result()
                    control.checkpoint()
                    yield block
            finally:
                for future in waiting:
                    future.cancel()

    def _encoded_block(self, control: RunControl, first: int, last: int) -> EncodedBlock:
        """Runs on a thread of the pool."""

        def read(file: BinaryIO) -> tuple[tuple[bytes, Shape], bool]:
            content = Bounded(file, LARGEST_FILE).read()
            shape, several = examine(io.BytesIO(content))
            return (content, shape), several

        made, about = self._each(read, control, first, last)
        shapes = [(shape.height, shape.width, 1 if shape.grey else 3) for _, shape in made]
        return EncodedBlock(
            contents=[content for content, _ in made],
            digests=[hashlib.sha256(content).digest() for content, _ in made],
            shapes=np.array(shapes, np.int64).reshape(-1, 3),
            **about,
        )

    def _decode_block(self, plan: Plan, control: RunControl, first: int, last: int) -> Block:
        """Runs on a thread of the pool."""

        def read(file: BinaryIO) -> tuple[np.ndarray, bool]:
            decoded = decode(file, plan)
            return decoded.pixels, decoded.animated

        arrays, about = self._each(read, control, first, last)
        empty = np.zeros((0, plan.height, plan.width, plan.channels), np.uint8)
        return Block(images=np.stack(arrays) if arrays else empty, **about)

    def _each(
        self, read: Callable[[BinaryIO], tuple[_Made, bool]], control: RunControl, first: int, last: int
    ) -> tuple[list[_Made], dict[str, Any]]:
        """What `read` makes of each image that it can read, and the attributes of `Rows`; gives up early where a person asked to stop.

        Args:
            read: also says whether the image is the first of several.
        """
        made: list[_Made] = []
        readable: list[PlacedImage] = []
        problems: list[Problem] = []
        animated: list[str] = []
        for image in self._images[first:last]:
            if control.stopping:
                break
            try:
                with self._opener(image.name) as file:
                    one, several = read(file)
            except (Misfit, MemoryError):
                raise
            except Exception as error:  # Zip files raise as many kinds of errors as Pillow.
                problems.append((image.name, _reason(error)))
                continue
            made.append(one)
            readable.append(image)
            animated += [image.name] if several else []
        return made, {
            "labels": np.array([image.label for image in readable], np.int64),
            "membership": np.array([image.membership for image in readable], np.int8),
            "problems": tuple(problems), "animated": tuple(animated),
            "done": min(last, len(self._images)), "total": len(self._images),
        }  # fmt: skip

    def _probe(self, index: int, control: RunControl) -> None:
        control.checkpoint()
        try:
            with self._opener(self._images[index].name) as file:
                self._shapes.add(read_shape(file))
        except Exception:
            return  # `read` names it, with the reason.

    def _nothing_readable(self) -> EspalierError:
        first = self._images[0].name
        return EspalierError(
            f"Expected images, but none of the {len(self._images)} image files can be decoded; the first is {first}.",
            "Check that the files are whole, and that they are images.",
        )


def _reason(error: Exception) -> str:
    if isinstance(error, Undecodable):
        return str(error)
    text = error.strerror if isinstance(error, OSError) else str(error)
    return f"cannot be read: {text or type(error).__name__}"
