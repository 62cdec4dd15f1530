"""Tar files of samples as WebDataset writes them, read where they lie.

A sample is the files of one name up to the first dot, in one tar file: an image, and its class as `.cls` (a number or a name)
or as `label` in `.json`. Training, validation and test are told by the tar files' names ("train-000012.tar"); without
such names all are training images. Source: https://github.com/webdataset/webdataset, "The WebDataset Format".
Departures: other files of a sample are ignored, images under longer names ("17.mask.png") too; compressed tar files are
refused, for nothing in them can be found without unpacking all before it.
"""

import io
import json
import posixpath
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from core.common.regular_files import Bounded, in_words, open_regular
from core.data.decode import Undecodable
from core.data.layout import IMAGE_ENDINGS, NamedImage, arrange, is_litter
from core.data.reader import LARGEST_FILE, FilePictures
from core.data.record_files import RecordFiles, class_name, name_in, splits_by_name
from core.data.source import Contents, Located, Problem, Watch

FILES = RecordFiles(
    ".tar", "tar files", "Choose a tar file, or the folder that holds them (compressed ones have to be unpacked to .tar).",
    "Each image needs a file of the same name with its class: 000017.jpg and 000017.cls, or 000017.json with a label. "
    "A tar file with a folder for each class has to be unpacked first.",
)  # fmt: skip
_LARGEST_LABEL = 1_000_000


@dataclass(slots=True)
class _Sample:
    """The files of one name: where its image lies in the tar file, and its class.

    Attributes:
        plain: the image is called like the sample alone ("17.jpg"; "17.mask.png" is not).
        others: further images, none of which is the sample's.
    """

    image: str = ""
    place: int = 0
    size: int = 0
    label: str = ""
    reason: str = ""
    plain: bool = False
    others: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Found:
    """What the tar files hold."""

    images: list[NamedImage] = field(default_factory=list)
    places: dict[str, tuple[Path, int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def locate(path: Path, watch: Watch) -> Located:
    """List the tar files of a folder, or take one.

    Raises:
        EspalierError: there are none, or they cannot be read.
        Stopped: a person asked to stop.
    """
    return FILES.locate(path, lambda place, shards: _contents(place, shards, watch), watch)


def holds_samples(path: Path) -> bool:
    """Whether a tar file begins with a sample: an image, or a class beside one."""
    try:
        with open_regular(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for _, info in zip(range(8), archive, strict=False):
                if info.isreg() and _ending(info.name)[1] in IMAGE_ENDINGS:
                    return True
    except (OSError, tarfile.TarError, ValueError):
        return False
    return False


def _contents(place: Path, shards: list[Path], watch: Watch) -> Contents:
    splits, notes = splits_by_name(place, shards)
    found = _Found()
    for shard in shards:
        _read_shard(shard, name_in(place, shard), splits[shard], found, watch)
    if not found.images:
        raise FILES.nothing_usable(place, found.problems)
    layout = arrange(found.images, str(place), FILES.advice, notes)

    def opener(name: str) -> BinaryIO:
        shard, offset, size = found.places[name]
        with open_regular(shard) as file:
            file.seek(offset)
            content = file.read(size)
        if len(content) != size:
            raise Undecodable("the tar file ends within it")
        return io.BytesIO(content)

    return Contents(layout.classes, FilePictures(layout.images, opener), tuple(found.problems), layout.notes)


def _read_shard(shard: Path, name: str, membership: int, found: _Found, watch: Watch) -> None:
    """Add a tar file's samples; one that breaks off keeps those before."""
    samples: dict[str, _Sample] = {}
    try:
        with open_regular(shard) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for info in archive:
                watch.at(len(found.images) + len(samples), "Listing the tar files")
                if info.isreg() and not info.issparse() and not is_litter(info.name):
                    _add(samples, archive, info)
    except (OSError, tarfile.TarError, ValueError) as error:
        found.problems.append((name, f"cannot be read to its end: {in_words(error)}"))
    for key, sample in samples.items():
        image = f"{name}/{sample.image or key}"
        found.problems += [
            (f"{name}/{other}", "a second image of its sample; the first counts") for other in sample.others
        ]
        if not sample.image:
            continue  # a text without an image is none of ours
        if sample.reason or not sample.label:
            found.problems.append((image, sample.reason or "has no class: a .cls, or a label in .json"))
        elif image in found.places:
            found.problems.append((image, "is there twice; the first counts"))
        else:
            found.images.append(NamedImage(image, sample.label, membership))
            found.places[image] = (shard, sample.place, sample.size)


def _add(samples: dict[str, _Sample], archive: tarfile.TarFile, info: tarfile.TarInfo) -> None:
    key, ending = _ending(info.name)
    if ending in IMAGE_ENDINGS:
        _add_image(
            samples.setdefault(key, _Sample()), info, plain=info.name == key + info.name[-len(ending) :]
        )
    elif ending in (".cls", ".json"):
        sample = samples.setdefault(key, _Sample())
        content = archive.extractfile(info)
        if content is not None and (ending == ".cls" or not sample.label):
            try:
                sample.label = _label(Bounded(content, _LARGEST_LABEL).read(), ending) or sample.label  # type: ignore[arg-type]
            except (OSError, ValueError, RecursionError) as error:
                sample.reason = f"its class cannot be read: {in_words(error)}"


def _add_image(sample: _Sample, info: tarfile.TarInfo, plain: bool) -> None:
    """Make it the sample's image, unless that has one: masks and the like lie beside images under longer names."""
    if sample.image and plain <= sample.plain:
        sample.others += [info.name] if plain == sample.plain else []
        return
    if info.size > LARGEST_FILE:
        sample.reason = f"has {info.size / 1e6:.0f} MB, more than the limit of {LARGEST_FILE / 1e6:.0f} MB"
    sample.image, sample.place, sample.size, sample.plain = info.name, info.offset_data, info.size, plain


def _label(content: bytes, ending: str) -> str:
    if ending == ".cls":
        text = content.decode("utf-8")
        if not (label := class_name(text)) and text.strip():
            raise ValueError("it is no text")
        return label
    parsed = json.loads(content)
    return class_name(parsed.get("label")) if isinstance(parsed, dict) else ""


def _ending(name: str) -> tuple[str, str]:
    """What a sample's files have in common, and the ending of this one, in small letters."""
    folder, file = posixpath.split(name)
    stem, dot, rest = file.partition(".")
    return posixpath.join(folder, stem), f".{rest.rpartition('.')[2].casefold()}" if dot else ""
