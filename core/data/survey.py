"""One pass over the images and the files of a data set: hashes, extremes, colours, shapes.

`k` used images of `h` × `w` pixels with `c` channels; `core.data.inspection` draws the conclusions.
"""

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.logs import in_a_line
from core.data.catalogue import find_source
from core.data.decode import Shape, read_shape
from core.data.image_data import ImageData
from core.data.layout import Layout, lay_out
from core.data.reader import FilePictures
from core.data.settings import DataSettings, settings_path
from core.data.source import Contents, Watch
from core.data.splits import SPLITS
from core.data.tree import Tree, locate_tree

_log = logging.getLogger(__name__)

Progress = Callable[[float, str], None]

SAMPLE = 2000
"""Training images that pixel values and colours are judged on, evenly spread."""

_BLOCK_BYTES = 16_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """What one pass over the used images found.

    Attributes:
        rows: int64 [k], the images of all splits.
        digests: a hash of every image's pixels.
        lowest, highest: uint8 [k], the darkest and the brightest value of every image.
        counts: int64 [256], how often each value occurs in the sample.
        colours: float64 [s, 2, 3], mean colour of the upper and the lower third of the sampled images.
        grey: bool [s], the sampled images whose three channels are the same.
    """

    rows: np.ndarray
    digests: list[bytes]
    lowest: np.ndarray
    highest: np.ndarray
    counts: np.ndarray
    colours: np.ndarray
    grey: np.ndarray


def read_pixels(data: ImageData, control: RunControl, progress: Progress) -> Pixels:
    """Look at every used image once; sampled ones more closely."""
    rows = np.sort(np.concatenate([data.splits[name] for name in SPLITS]))
    step = max(1, _BLOCK_BYTES // max(1, int(np.prod(data.images.shape[1:]))))
    digests: list[bytes] = []
    lowest, highest = [np.zeros(0, np.uint8)], [np.zeros(0, np.uint8)]
    for first in range(0, len(rows), step):
        control.checkpoint()
        block = np.ascontiguousarray(data.images[rows[first : first + step]])
        flat = block.reshape(len(block), -1)
        digests += [hashlib.blake2b(image.data, digest_size=16).digest() for image in flat]
        lowest.append(flat.min(1))
        highest.append(flat.max(1))
        done = first + len(block)
        progress(done / len(rows), f"Looking at every image: {done} of {len(rows)}")
    counts, colours, grey = _sampled(data, control)
    return Pixels(rows, digests, np.concatenate(lowest), np.concatenate(highest), counts, colours, grey)


def _sampled(data: ImageData, control: RunControl) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    train = data.split("train")
    chosen = train[np.unique(np.linspace(0, len(train) - 1, min(SAMPLE, len(train))).astype(int))]
    counts = np.zeros(256, np.int64)
    colours: list[np.ndarray] = []
    grey: list[bool] = []
    third = max(1, data.size[0] // 3)
    for row in chosen:
        control.checkpoint()
        image = np.asarray(data.images[row])
        counts += np.bincount(image.reshape(-1), minlength=256)
        if image.shape[2] == 3:
            colours.append(np.stack([image[:third].mean((0, 1)), image[-third:].mean((0, 1))]))
            grey.append(bool((image == image[..., :1]).all()))
    shaped = np.stack(colours) if colours else np.zeros((0, 2, 3))
    return counts, shaped, np.array(grey, bool)


def colour_cues(colours: np.ndarray) -> tuple[float, float, float]:
    """Share of images with more red than blue; how much bluer the upper third is on average; its standard error.

    Args:
        colours: float [s, 2, 3], mean colour of the upper and the lower third.
    """
    if not len(colours):
        return 0.5, 0.0, 0.0
    whole = colours.mean(1)
    blueness = colours[:, :, 2] - colours[:, :, 0]
    above = blueness[:, 0] - blueness[:, 1]
    redder = float((whole[:, 0] > whole[:, 2]).mean())
    return redder, float(above.mean()), float(above.std() / len(above) ** 0.5)


def file_listing(
    settings: DataSettings, base: Path, watch: Watch | None = None
) -> tuple[Tree, Layout] | None:
    """The image files of a folder or zip; None for other sources, or where they cannot be listed.

    Raises:
        Stopped: a person asked to stop.
    """
    watch = watch or Watch()
    if not find_source(settings.source).image_files:
        return None
    listings: list[tuple[Tree, Layout]] = []

    def contents(tree: Tree) -> Contents:
        layout = lay_out(tree.names, tree.place, tree.links, tree.empty, watch, tree.hidden)
        listings.append((tree, layout))
        return Contents(layout.classes, FilePictures(layout.images, tree.open))

    try:
        locate_tree(settings_path(settings.path, base), contents, watch).open()
    except EspalierError as error:
        _log.debug("The image files are not surveyed: %s", error.message)
        return None
    return listings[0]


def file_shapes(tree: Tree, layout: Layout, control: RunControl, most: int = 2000) -> list[tuple[int, Shape]]:
    """Label and shape of at most `most` image files, as many of each class; only headers are read."""
    per_class = max(4, most // len(layout.classes))
    by_class: defaultdict[int, list[str]] = defaultdict(list)
    for placed in layout.images:
        by_class[placed.label].append(placed.name)
    shapes = []
    for label, names in by_class.items():
        for name in names[:: max(1, len(names) // per_class)][:per_class]:
            control.checkpoint()
            try:
                with tree.open(name) as file:
                    shapes.append((label, read_shape(file)))
            except Exception as error:  # named among the files that cannot be read
                _log.debug("The header of %s cannot be read: %s", name, in_a_line(error))
    return shapes


def size_tells_class(shapes: Sequence[tuple[int, Shape]]) -> tuple[float, float]:
    """How well size and colour mode alone tell the class: learnt from every other file, judged on the rest.

    Args:
        shapes: label and shape of every file; the files of a class stand together.

    Returns: the share of the judged files that are right when each takes the commonest class of its
        shape (ties count in part; a shape never seen counts as a guess), and the share of the
        largest class among them.
    """
    counts: defaultdict[Shape, Counter[int]] = defaultdict(Counter)
    for label, shape in shapes[::2]:
        counts[shape][label] += 1
    judged = shapes[1::2]
    if not judged:
        return 0.0, 0.0
    guess = max(Counter(label for label, _ in judged).values()) / len(judged)
    right = 0.0
    for label, shape in judged:
        most = max(counts[shape].values(), default=0)
        best = [one for one, count in counts[shape].items() if count == most]
        right += (label in best) / len(best) if best else guess
    return right / len(judged), guess
