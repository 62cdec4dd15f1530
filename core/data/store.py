"""Opening a data set: bring its images into the cache once, then draw splits and apply limits.

Small sets are kept decoded (`core.data.entry`), others as their files hold them (`core.data.encoded_entry`).
The cache key is the source, the place, every file's stamp, and how images are stored. Splits, limits, the order
of classes and statistics follow from the entry and the settings, without decoding. Who needs the images of an
opened data set again, as the children of a run do, opens its entry (`open_again`): what lies at the place may
have changed meanwhile.
"""

import hashlib
import json
import logging
import math
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from core.common.command_lines import command_line
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.logs import in_a_line
from core.common.paths import STARTS, printable
from core.common.regular_files import in_words, refuse_others
from core.common.shown_text import shortened
from core.common.single_flight import alone
from core.data.catalogue import find_source
from core.data.class_names import order_notes, ordered
from core.data.encoded_entry import EncodedEntry, EncodedWriter, keeps_encoded, read_encoded
from core.data.entry import VERSION, CacheClearedError, EntryWriter, Kept, read_entry
from core.data.image_data import ImageData, Opened, summary
from core.data.label_corrections import LEFT_OUT, Resolved, corrections_stamp, read_corrections, resolve
from core.data.public_sets import PUBLIC_SETS
from core.data.reader import FilePictures, keeps_own_size
from core.data.settings import DataSettings, settings_path
from core.data.source import PICTURE_SIDE, Contents, DataSource, Images, Located, Plan, PlanBroken, Watch
from core.data.splits import SPLITS, TRAIN, absent_classes, draw_splits, limit
from core.data.subset import chosen_classes, long_tailed, relabelled

__all__ = ["ImageData", "open_data", "summary"]

Progress = Callable[[float, str], None]

_log = logging.getLogger(__name__)

_READING = 4
"""Raised when the same files give other classes, splits or notes."""
_ATTEMPTS = 3
_ENCODED = "encoded"
_SAID = ("By the list of corrections", "The list of corrections")  # beginnings of sentences about it
_WAITING = "Another process decodes these images; waiting for it"


def open_data(
    settings: DataSettings,
    cache: Path,
    base: Path | None = None,
    control: RunControl | None = None,
    progress: Progress | None = None,
    on_listing: Progress | None = None,
) -> ImageData:
    """Open the data set that the settings name.

    Args:
        cache: folder for decoded images; made where it is missing. Several processes may use it.
        base: folder that a relative path starts from; the current one where it is None.
        control: stops or pauses the listing and the decoding.
        progress: called with the decoded share (0…1) and a sentence.
        on_listing: hears of the listing of the files; `progress` unless given.

    Raises:
        EspalierError: the place, its files or the cache are not as they have to be.
        Stopped: a person asked to stop; nothing half-done is left in the cache.
    """
    source = find_source(settings.source)
    place = _place(source, settings.path, base)
    watch = Watch(control, on_listing or progress or _silent)
    for left in reversed(range(_ATTEMPTS)):
        located = source.locate(place, watch)
        found = _find(source, located, settings, cache)
        if found is None:
            lock = cache / f".{_key(source, located, 'decoding')}.lock"
            with alone(lock, control, partial(progress or _silent, 0.0, _WAITING)):
                unchanged = partial(_unchanged, source, place, located, watch)
                try:
                    found = _find(source, located, settings, cache) or _decode(
                        source,
                        located,
                        settings,
                        cache,
                        control or RunControl(),
                        progress or _silent,
                        unchanged,
                    )
                except CacheClearedError as error:
                    if not left:
                        raise
                    _log.info("The images are decoded once more: %s", in_a_line(error))
        if found is not None:
            corrections, said = _corrections(source, place, located, found[1])
            listing = _listing(located, corrections_stamp(place))
            return _assemble(
                source, located.title, settings, _Decoded(*found, listing, corrections, tuple(said))
            )
    raise EspalierError(
        f"The images in {place} changed each time while they were read.",
        "Wait until they are copied or written, and open them again.",
    )


def open_again(settings: DataSettings, cache: Path, opened: Opened, base: Path | None = None) -> ImageData:
    """The images of a data set that was opened before, whatever lies at its place now.

    Args:
        base: as of `open_data`, for where the decoded images are gone from the cache.

    Raises:
        EspalierError: they are gone, and other images lie at their place.
    """
    place = cache / opened.entry
    entry: Kept | None = (read_entry(place) or read_encoded(place)) if opened.entry else None
    if entry is not None:
        said = tuple(note for note in opened.notes if note.startswith(_SAID))
        decoded = _Decoded(opened.entry, entry, opened.listing, opened.corrections, said)
        data = _assemble(find_source(settings.source), opened.title, settings, decoded)
    else:
        data = open_data(settings, cache, base)
    if data.fingerprint != opened.fingerprint:
        raise EspalierError(
            f"The images of the data set {opened.title} are no longer those that were opened: "
            f"{'; '.join(opened.differences(data))}.",
            "Put the images back as they were.",
        )
    return data


def changed_since(
    settings: DataSettings, base: Path | None, opened: Opened, control: RunControl | None = None
) -> bool:
    """Whether the files of an opened data set have changed, or cannot be listed any more.

    Raises:
        Stopped: a person asked to stop.
    """
    source = find_source(settings.source)
    try:
        place = _place(source, settings.path, base)
        return _listing(source.locate(place, Watch(control)), corrections_stamp(place)) != opened.listing
    except EspalierError:
        return True


def _unchanged(source: DataSource, place: Path, located: Located, watch: Watch) -> bool:
    return source.locate(place, watch).stamps == located.stamps


def _silent(fraction: float, text: str) -> None:
    """Progress that nobody wants to hear of."""


def _place(source: DataSource, path: str, base: Path | None) -> Path:
    if source.path_kind == "none":
        return Path.cwd()
    kind = "folder or a file" if source.path_kind == "file or folder" else source.path_kind
    if not path.strip():
        raise EspalierError(
            f"Expected the path of a {kind} for the data set '{source.title}', received none.",
            "Choose where the images are.",
        )
    place = settings_path(path, base or Path.cwd())
    try:
        about = place.stat()
        if not stat.S_ISDIR(about.st_mode):
            refuse_others(about.st_mode, place)
    except FileNotFoundError as error:
        raise EspalierError(
            f"Expected a {kind} at {place} for the data set '{source.title}', received a path that does not exist.",
            f"Set the data's path to where it is, or connect the drive that it is on; {STARTS}. "
            f"Wanted: {source.help[:1].lower()}{source.help[1:]}",
            command=_download(source, path),
        ) from error
    except (OSError, ValueError) as error:
        raise EspalierError(
            f"Expected a {kind} at {shortened(str(place))}, but it cannot be read: {in_words(error)}.",
            "Choose where the images are.",
        ) from error
    return place


def _download(source: DataSource, path: str) -> str:
    """The command that fetches a public data set of this source whose name stands in the path; "" where there is none."""
    named = [one for one in PUBLIC_SETS.values() if one.source == source.id and one.id in path]
    return command_line("data", max(named, key=lambda one: len(one.id)).id) if named else ""


def _find(
    source: DataSource, located: Located, settings: DataSettings, cache: Path
) -> tuple[str, Kept] | None:
    """Name and content of the entry that reading the images would make. Which one that is never depends on what is cached,
    but for decoded images of before, when there was nothing else."""
    name = _key(source, located, "own")
    entry = read_entry(cache / name)
    if entry is not None:
        height, width = entry.images.shape[1:3]
        if not located.resizes or keeps_own_size(height, width, settings.image_size):
            return name, entry
    if not located.resizes:
        return None
    random_crop = settings.augmentation.random_crop
    name = _key(source, located, _square(settings.image_size, settings.resize))
    square = None if random_crop else read_entry(cache / name)
    if square is not None:
        return name, square
    name = _key(source, located, _ENCODED)
    encoded = read_encoded(cache / name)
    if encoded is not None and encoded.is_for(settings.image_size, settings.resize, random_crop):
        return name, encoded
    return None


def _decode(
    source: DataSource,
    located: Located,
    settings: DataSettings,
    cache: Path,
    control: RunControl,
    progress: Progress,
    unchanged: Callable[[], bool],
) -> tuple[str, Kept] | None:
    """Name and content of the new entry; None where the files changed while they were read."""
    progress(0.0, "Listing the images")
    contents = located.open()
    plan = contents.pictures.plan(settings.image_size, settings.resize, control)
    while True:
        if _is_encoded(contents, located, plan, settings):
            return _encode(source, located, contents, cache, control, progress, unchanged)
        with EntryWriter(cache, plan) as writer:
            try:
                for block in contents.pictures.read(plan, control):
                    writer.append(block)
                    progress(block.done / block.total, f"Decoding images: {block.done} of {block.total}")
            except PlanBroken as broken:
                plan = broken.plan
                continue
            if not unchanged():
                return None
            name = _key(source, located, "own" if plan.keep_size else _square(plan.height, plan.resize))
            return name, writer.publish(name, contents)


def _is_encoded(contents: Contents, located: Located, plan: Plan, settings: DataSettings) -> bool:
    count = len(contents.pictures.names)
    return located.resizes and keeps_encoded(plan, count, settings.augmentation.random_crop)


def _encode(
    source: DataSource,
    located: Located,
    contents: Contents,
    cache: Path,
    control: RunControl,
    progress: Progress,
    unchanged: Callable[[], bool],
) -> tuple[str, EncodedEntry] | None:
    """As `_decode`, with the images as their files hold them."""
    pictures = contents.pictures
    assert isinstance(pictures, FilePictures)
    guess = pictures.shapes, len(pictures.names)
    with EncodedWriter(cache, sum(stamp[1] for stamp in located.stamps)) as writer:
        for block in pictures.encoded(control):
            writer.append(block)
            progress(block.done / block.total, f"Reading images: {block.done} of {block.total}")
        if not unchanged():
            return None
        name = _key(source, located, _ENCODED)
        return name, writer.publish(name, contents, guess)


def _square(side: int | None, resize: str) -> str:
    return f"{side or PICTURE_SIDE}-{resize}"


def _key(source: DataSource, located: Located, stored: str) -> str:
    parts = [VERSION, _READING, source.id, located.place, located.stamps, stored]
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()[:32]


def _listing(located: Located, corrected: str) -> str:
    """A hash of every file's stamp, and of the list of corrections where there is one."""
    parts = [located.place, located.stamps, *([corrected] if corrected else [])]
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()


def _corrections(
    source: DataSource, place: Path, located: Located, entry: Kept
) -> tuple[Resolved, list[str]]:
    """What a person has corrected in the data set at `place`, and what is said of it."""
    corrections = read_corrections(place) if source.path_kind != "none" else {}
    if not corrections:
        return (), []
    unreadable = {path for path, _ in entry.problems}
    readable = (printable(name) for name in located.open().pictures.names)
    names = [name for name in readable if name not in unreadable]
    known = names if len(names) == len(entry.labels) else []
    return resolve(corrections, known, entry.labels.tolist(), entry.classes)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """Decoded images: the entry and its name, and what is known of the files; `said`: sentences on the corrections."""

    name: str
    entry: Kept
    listing: str
    corrections: Resolved = ()
    said: tuple[str, ...] = ()


def _assemble(source: DataSource, title: str, settings: DataSettings, decoded: _Decoded) -> ImageData:
    """The data set as the settings want it; corrections move no image to another split."""
    entry, corrections = decoded.entry, decoded.corrections
    splits, drawn = draw_splits(
        entry.labels,
        entry.membership,
        settings.validation_fraction,
        settings.test_fraction,
        settings.split_seed,
    )
    classes = ordered(entry.classes, settings.class_order, source.numbers_by_value)
    classes = chosen_classes(settings.classes, classes)
    labels = relabelled(_corrected(entry.labels, corrections), entry.classes, classes)
    left_out = [row for row, label in corrections if label == LEFT_OUT]
    splits = {name: rows[(labels[rows] >= 0) & ~np.isin(rows, left_out)] for name, rows in splits.items()}
    images, content = entry.shown(settings.image_size, settings.resize)
    sums = entry.sums_of(images, splits[SPLITS[TRAIN]])
    mean, std = _statistics(sums, images.shape[1] * images.shape[2])
    counts = (settings.train_images, settings.validation_images, settings.test_images)
    splits = {
        name: limit(splits[name], labels, count, settings.split_seed)
        for name, count in zip(SPLITS, counts, strict=True)
    }
    train = splits[SPLITS[TRAIN]]
    splits[SPLITS[TRAIN]] = long_tailed(train, labels, settings.imbalance, settings.split_seed)
    return ImageData(
        title=title,
        source=source.id,
        classes=classes,
        images=images,
        labels=labels,
        splits=splits,
        mean=mean,
        std=std,
        channels=images.shape[3],
        size=(images.shape[1], images.shape[2]),
        problems=entry.problems,
        notes=(
            *entry.notes,
            *([entry.summary] if entry.summary else []),
            *decoded.said,
            *drawn,
            *absent_classes(splits, labels, classes),
            *order_notes(classes),
        ),
        fingerprint=_fingerprint(content, images, classes, labels, splits),
        entry=decoded.name,
        listing=decoded.listing,
        corrections=corrections,
        kept=entry.summary,
    )


def _corrected(labels: np.ndarray, corrections: Resolved) -> np.ndarray:
    """The labels with those that a person has corrected."""
    right = [(row, label) for row, label in corrections if label != LEFT_OUT]
    if not right:
        return labels
    changed = np.array(labels)
    changed[[row for row, _ in right]] = [label for _, label in right]
    return changed


def _statistics(sums: np.ndarray, pixels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel in 0…1, from the sums of images of so many pixels."""
    count = len(sums) * pixels
    totals = sums.sum(axis=0).tolist()
    mean = tuple(total / count / 255 for total in totals[0])
    # Integers of any length: the difference of two large numbers loses nothing.
    variances = [
        (count * square - total * total) / (count * count) for total, square in zip(*totals, strict=True)
    ]
    return mean, tuple(math.sqrt(variance) / 255 for variance in variances)


def _fingerprint(
    content: str, images: Images, classes: tuple[str, ...], labels: np.ndarray, splits: dict[str, np.ndarray]
) -> str:
    head = [content, list(images.shape), list(classes)]
    digest = hashlib.sha256(json.dumps(head).encode("ascii"))
    for array in (labels, *(splits[name] for name in SPLITS)):
        digest.update(len(array).to_bytes(8, "little"))
        digest.update(array.astype("<i8").tobytes())
    return digest.hexdigest()
