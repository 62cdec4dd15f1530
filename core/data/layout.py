"""Classes and splits of an image data set, read from the files' names alone.

Two layouts are known: a folder per class, and folders train, validation (val, valid) and test
that each hold a folder per class. Folders and zip files are read alike.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from core.common.errors import EspalierError
from core.data.splits import SPLITS, TEST, TRAIN, VALIDATION

IMAGE_ENDINGS: frozenset[str] = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
        ".gif",
        ".webp",
        ".avif",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
    ]
)
SPLIT_FOLDERS: dict[str, int] = {
    "train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION,
    "test": TEST, "testing": TEST,
}  # fmt: skip
_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}
_ADVICE = (
    "Put the images into a folder per class, named like the class, and choose the folder that holds these."
)


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """An image file: its name below the data set's place, its class and membership."""

    name: str
    label: int
    membership: int


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image file as its data set names it: the class still as text."""

    name: str
    class_name: str
    membership: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Classes in alphabetical order (as torchvision's `ImageFolder`), and the images that count."""

    classes: tuple[str, ...]
    images: tuple[PlacedImage, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _File:
    """A name and its folders and file name, without wrapping folders."""

    name: str
    parts: tuple[str, ...]


def is_litter(name: str) -> bool:
    """Whether an operating system, not a person, put the file there; hidden files as well."""
    return any(part.startswith(".") or part.casefold() in _LITTER for part in name.split("/"))


def lay_out(names: Iterable[str], place: str) -> Layout:
    """Find classes, splits and images.

    Args:
        names: files below `place`, with "/" between folders; litter may be among them.

    Raises:
        EspalierError: no images, no class folders, or fewer than two classes.
    """
    data_files = [name for name in names if not is_litter(name)]
    images = [name for name in data_files if PurePosixPath(name).suffix.casefold() in IMAGE_ENDINGS]
    if not images:
        received = f"{len(data_files)} files of other kinds" if data_files else "no files"
        raise EspalierError(f"Expected images in {place}, received {received}.", _ADVICE)
    files = _unwrap([_File(name, tuple(name.split("/"))) for name in sorted(images)])
    notes = _other_files_notes(data_files)
    if _has_splits(files):
        return _split_layout(files, place, notes)
    return _class_layout(files, place, notes)


def arrange(images: Sequence[NamedImage], place: str, advice: str, notes: Sequence[str] = ()) -> Layout:
    """Classes are those of the training images; others' images are left out, and a note says so.

    Raises:
        EspalierError: no training images, or fewer than two classes; `advice` says what to do.
    """
    trained = {image.class_name for image in images if image.membership == TRAIN}
    classes = _check_classes(trained, place, advice)
    index = {name: label for label, name in enumerate(classes)}
    placed = [
        PlacedImage(image.name, index[image.class_name], image.membership)
        for image in images
        if image.class_name in index
    ]
    all_notes = [*notes, *_unknown_class_notes(images, trained), *_absent_class_notes(placed, classes)]
    placed.sort(key=lambda image: (image.membership, image.label))
    return Layout(classes, tuple(placed), tuple(all_notes))


def _unwrap(files: list[_File]) -> list[_File]:
    """Without the one folder that holds everything, as zip files often have it."""
    while True:
        tops = {file.parts[0] for file in files if len(file.parts) > 1}
        only = next(iter(tops)) if len(tops) == 1 else ""
        deeper = any(len(file.parts) > 2 for file in files)
        if not only or only.casefold() in SPLIT_FOLDERS or not deeper:
            return files
        files = [_File(file.name, file.parts[1:]) for file in files if len(file.parts) > 1]


def _has_splits(files: Sequence[_File]) -> bool:
    """Whether the top folders are splits, and not classes of which one is called "train"."""
    depths = [len(file.parts) for file in files if _split_of(file) == TRAIN]
    in_class_folders = sum(depth > 2 for depth in depths)
    return 2 * in_class_folders > len(depths)


def _split_of(file: _File) -> int | None:
    return SPLIT_FOLDERS.get(file.parts[0].casefold()) if len(file.parts) > 1 else None


def _class_layout(files: Sequence[_File], place: str, notes: list[str]) -> Layout:
    inside = [NamedImage(file.name, file.parts[0], TRAIN) for file in files if len(file.parts) > 1]
    if not inside:
        raise EspalierError(
            f"Expected a folder per class in {place}, received {len(files)} images outside any folder.",
            _ADVICE,
        )
    notes += _left_out(len(files) - len(inside), "outside any class folder")
    return arrange(inside, place, _ADVICE, notes)


def _split_layout(files: Sequence[_File], place: str, notes: list[str]) -> Layout:
    inside = [
        NamedImage(file.name, file.parts[1], code)
        for file in files
        if (code := _split_of(file)) is not None and len(file.parts) > 2
    ]
    notes += _left_out(len(files) - len(inside), "outside the class folders of train, validation and test")
    return arrange(inside, f"the training folder of {place}", _ADVICE, notes)


def _check_classes(names: set[str], place: str, advice: str) -> tuple[str, ...]:
    if not names:
        raise EspalierError(f"Expected training images in {place}, received none.", advice)
    if len(names) == 1:
        raise EspalierError(
            f"Expected at least two classes in {place}, received only one: '{next(iter(names))}'.", advice
        )
    return tuple(sorted(names))


def _other_files_notes(files: Sequence[str]) -> list[str]:
    endings = Counter(PurePosixPath(name).suffix.casefold() or "no ending" for name in files)
    others = sorted((ending, count) for ending, count in endings.items() if ending not in IMAGE_ENDINGS)
    if not others:
        return []
    count = sum(number for _, number in others)
    kinds = ", ".join(f"{ending}: {number}" for ending, number in others[:8])
    return [f"{_files(count)} not an image by name and left out ({kinds})."]


def _left_out(count: int, where: str) -> list[str]:
    return [f"{_images(count)} {where} and left out."] if count else []


def _unknown_class_notes(images: Sequence[NamedImage], trained: set[str]) -> list[str]:
    unknown = Counter(image.class_name for image in images if image.class_name not in trained)
    if not unknown:
        return []
    names = ", ".join(f"'{name}'" for name in sorted(unknown)[:8])
    return [f"{_images(sum(unknown.values()))} of a class without training images ({names}) and left out."]


def _absent_class_notes(placed: Sequence[PlacedImage], classes: Sequence[str]) -> list[str]:
    notes = []
    for code in (VALIDATION, TEST):
        present = {image.label for image in placed if image.membership == code}
        absent = [f"'{name}'" for label, name in enumerate(classes) if label not in present]
        if present and absent:
            notes.append(f"The {SPLITS[code]} split has no images of {', '.join(absent[:8])}.")
    return notes


def _files(count: int) -> str:
    return "1 file is" if count == 1 else f"{count} files are"


def _images(count: int) -> str:
    return "1 image is" if count == 1 else f"{count} images are"
