"""Images kept in the cache as their files hold them: for data sets whose decoded images would fill disks, and for
random-resized crop, which needs whole images.

An entry holds `images.bin` (the bytes of all files, one after the other), `rows.npz` (label, membership, place, hash and
shape of every image) and `entry.json`. It serves every image size. The hash of an image is looked at when it is read;
so are the pixel sums of some images, which are added beside when first wanted.
"""

import hashlib
import json
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.common.files import write_atomically
from core.common.logs import in_a_line, passed_over
from core.data.decode import Shape
from core.data.encoded_images import EncodedFile, EncodedImages
from core.data.entry import ROWS, FolderWriter, amount, cache_error, checksum, pixel_sums, read_about
from core.data.reader import make_plan
from core.data.source import Contents, EncodedBlock, Images, Plan, Problem

_log = logging.getLogger(__name__)

BYTES = "images.bin"
LARGEST_DECODED = 16_000_000_000
"""Bytes of decoded images from which on a data set is kept encoded: 100 000 colour images of 224 pixels."""
_SAMPLE = 1000  # images that tell mean and deviation: within 0.3 % of all of ImageNet's
_READING = 2
"""Raised when the same bytes give other pixels."""


def keeps_encoded(plan: Plan, count: int, random_crop: bool) -> bool:
    """Whether images are kept as their files hold them, by a first guess of how they would be decoded."""
    large = count * plan.height * plan.width * plan.channels > LARGEST_DECODED
    return large or (random_crop and not plan.keep_size)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedEntry:
    """Images as their files hold them; attributes as of `core.data.entry.Kept`.

    Attributes:
        folder: the entry. file: the bytes.
        guess: shapes of the images that were looked at first, and how many images there were: what `keeps_encoded` was
            asked with.
        content: SHA-256 over the images' hashes.
    """

    folder: Path
    classes: tuple[str, ...]
    labels: np.ndarray
    membership: np.ndarray
    file: EncodedFile
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    content: str
    guess: tuple[frozenset[Shape], int]

    @property
    def summary(self) -> str:
        """See `Kept`."""
        return (
            f"The images are kept as their files hold them ({amount(int(self.file.starts[-1]))}) and decoded each time "
            "that they are used; mean and deviation are those of a sample of them."
        )

    def is_for(self, image_size: int | None, resize: str, random_crop: bool) -> bool:
        """Whether these settings would keep the images like this; does not depend on what else is in the cache."""
        shapes, count = self.guess
        return keeps_encoded(make_plan(set(shapes), image_size, resize), count, random_crop)

    def shown(self, image_size: int | None, resize: str) -> tuple[Images, str]:
        """See `Kept`."""
        images = EncodedImages(self.file, image_size, resize)
        parts = json.dumps([_READING, self.content, images.plan.resize])
        return images, hashlib.sha256(parts.encode("ascii")).hexdigest()

    def sums_of(self, images: Images, rows: np.ndarray) -> np.ndarray:
        """See `Kept`: of a thousand images spread over the rows; kept beside the entry for the next time."""
        some = rows[np.unique(np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(int))]
        assert isinstance(images, EncodedImages)  # what `shown` gives
        parts = [_READING, self.content, list(images.shape), images.plan.resize]
        digest = hashlib.sha256(json.dumps(parts).encode("ascii") + some.tobytes()).hexdigest()[:32]
        place = self.folder / f"sums-{digest}.json"
        try:
            sums = np.array(json.loads(place.read_text("ascii")), np.int64)
            if sums.shape == (len(some), 2, images.shape[3]):
                return sums
        except (OSError, ValueError) as error:
            _log.debug("No sums of these images: %s", in_a_line(error))
        sums = np.concatenate(
            [pixel_sums(images[part]) for part in np.array_split(some, max(1, len(some) // 64))]
        )
        with passed_over(_log, "The sums of some images were not kept", OSError):
            write_atomically(place, json.dumps(sums.tolist()))
        return sums


def read_encoded(folder: Path) -> EncodedEntry | None:
    """The entry in `folder`; None where there is none, or where it is damaged."""
    try:
        about = read_about(folder)
        if about.get("reading") != _READING or checksum(folder / ROWS) != about[ROWS]:
            return None
        with (folder / ROWS).open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            rows = {name: arrays[name] for name in ("labels", "membership", "starts", "digests", "shapes")}
        if (folder / BYTES).stat().st_size != rows["starts"][-1]:
            _log.warning("The images in %s are damaged and are read again.", folder)
            return None
        shapes = frozenset(Shape(height, width, grey) for height, width, grey in about["guess"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        _log.debug("No images in %s: %s", folder, in_a_line(error))
        return None
    return EncodedEntry(
        folder=folder,
        classes=tuple(about["classes"]),
        labels=rows["labels"],
        membership=rows["membership"],
        file=EncodedFile(folder / BYTES, rows["starts"], rows["digests"], rows["shapes"]),
        problems=tuple((path, reason) for path, reason in about["problems"]),
        notes=tuple(about["notes"]),
        content=about["content"],
        guess=(shapes, int(about["count"])),
    )


class EncodedWriter(FolderWriter):
    """Collects blocks of encoded images; `publish` gives the entry its name."""

    def __init__(self, cache: Path, expected: int):
        """Args:
            expected: bytes that there will be at most.

        Raises:
            EspalierError: the cache folder cannot be written, or there is no room.
        """
        super().__init__(cache, BYTES)
        self._digests: list[bytes] = []
        self._lengths: list[int] = []
        self._shapes: list[np.ndarray] = []
        try:
            self._check_space(expected, "encoded", "Free some space, or set the home to another disk.")
        except BaseException:
            self.__exit__()
            raise

    def append(self, block: EncodedBlock) -> None:
        """Add the block's images behind the ones before.

        Raises:
            EspalierError: the disk does not take them.
        """
        try:
            self._file.write(b"".join(block.contents))
        except OSError as error:
            raise cache_error(self._cache, error) from error
        self._lengths += [len(content) for content in block.contents]
        self._digests += block.digests
        self._shapes.append(block.shapes)
        self._labels.append(block.labels)
        self._membership.append(block.membership)
        self._problems += block.problems
        self._animated += block.animated

    def publish(self, name: str, contents: Contents, guess: tuple[set[Shape], int]) -> EncodedEntry:
        """Complete the entry and give it its name, at once; arguments as of `EncodedEntry` and `EntryWriter.publish`.

        Raises:
            EspalierError: a class has no training image, and should have; or the disk does not take the entry.
        """
        labels, membership = np.concatenate(self._labels), np.concatenate(self._membership)
        self._check_classes(labels[membership == 0], contents)
        digests = b"".join(self._digests)
        rows: dict[str, Any] = {
            "labels": labels, "membership": membership, "shapes": np.concatenate(self._shapes),
            "starts": np.concatenate([[0], np.cumsum(self._lengths, dtype=np.int64)]).astype(np.int64),
            "digests": np.frombuffer(digests, np.uint8).reshape(-1, hashlib.sha256().digest_size),
        }  # fmt: skip
        try:
            self._file.close()
            np.savez(self._folder / ROWS, **rows)
            shapes = sorted((shape.height, shape.width, shape.grey) for shape in guess[0])
            about = {
                **self._about(contents),
                "reading": _READING,
                "content": hashlib.sha256(digests).hexdigest(),
                "guess": shapes,
                "count": guess[1],
                ROWS: checksum(self._folder / ROWS),
            }
            self._write_about(about)
            return self._rename(self._cache / name, read_encoded)
        except OSError as error:
            raise cache_error(self._cache, error) from error
