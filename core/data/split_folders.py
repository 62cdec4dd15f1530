"""Folders that are splits: where they lie, and which folders in them are classes.

Splits may lie at any depth, in folders of their own name ("train/train"), each in another wrapping, or inside
the folders of the classes.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from core.common.errors import EspalierError
from core.data.source import Link
from core.data.split_names import split_folders, split_of
from core.data.splits import SPLITS, TEST, TRAIN


@dataclass(frozen=True, slots=True)
class File:
    """A name, and its folders and file name without wrapping folders."""

    name: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SplitImage:
    """An image of a split: its file, the folder that is its class, its membership."""

    name: str
    folder: str
    membership: int


@dataclass(frozen=True, slots=True)
class SplitImages:
    """The images that lie in class folders of splits, and how the splits were read."""

    images: tuple[SplitImage, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """A file in a split: the split's folder, how many folders are above it, and what is below it."""

    name: str
    membership: int
    depth: int
    folder: tuple[str, ...]
    below: tuple[str, ...]


def unwrap(files: list[File]) -> list[File]:
    """Without the one folder that holds everything, as zip files often have it."""
    while True:
        tops = {file.parts[0] for file in files if len(file.parts) > 1}
        only = next(iter(tops)) if len(tops) == 1 else ""
        deeper = any(len(file.parts) > 2 for file in files)
        if not only or split_of(only) == TRAIN or not deeper:
            return files
        files = [File(file.name, file.parts[1:]) for file in files if len(file.parts) > 1]


def only_splits(tops: Sequence[str]) -> bool:
    """Whether these folders can only be splits, of which there are several."""
    roles = {split_of(name) for name in tops}
    return None not in roles and len(roles) > 1


def find_splits(files: Sequence[File], links: Sequence[Link] = ()) -> SplitImages | None:
    """The splits that the folders are; None where they are classes.

    Args:
        files: without wrapping folders (`unwrap`).
        links: folders that are links to others of these.

    Raises:
        EspalierError: there are several sets of splits.
    """
    roles, notes = _linked(files, split_folders(_siblings(files)), links)
    inside = [file for file in files if len(file.parts) > 1]
    in_classes = _splits_in_classes(inside, roles)
    if in_classes is not None:
        return replace(in_classes, notes=(*in_classes.notes, *notes))
    found = [split for file in inside if (split := _split_of_file(file, roles)) is not None]
    classed = _unwrapped(_topmost([split for split in found if len(split.below) > 1]))
    members = {split.membership for split in classed}
    depths = {split.depth for split in classed if split.membership == TRAIN}
    training = [split for split in found if split.membership == TRAIN and split.depth in depths]
    in_class_folders = sum(split.membership == TRAIN for split in classed)
    # A class may be called "train"; then few of the images are below a folder of that name, and no other split is.
    if 2 * in_class_folders <= len(training) or not (len(members) > 1 or 2 * len(classed) > len(inside)):
        return None
    _check_one_set(classed)
    images = tuple(SplitImage(split.name, split.below[0], split.membership) for split in classed)
    return SplitImages(images, (*_places(classed), *notes))


def _siblings(files: Iterable[File]) -> Iterable[set[str]]:
    beside: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for file in files:
        for depth in range(len(file.parts) - 1):
            beside[file.parts[:depth]].add(file.parts[depth])
    return beside.values()


def _split_of_file(file: File, roles: dict[str, int]) -> _Found | None:
    folders = file.parts[:-1]
    depth = next((depth for depth, name in enumerate(folders) if name in roles), None)
    if depth is None:
        return None
    membership, end = roles[folders[depth]], depth + 1
    while end < len(folders) and roles.get(folders[end]) == membership:  # "train/train"
        end += 1
    return _Found(file.name, membership, depth, folders[:end], file.parts[end:])


def _topmost(found: Sequence[_Found]) -> list[_Found]:
    """Only the splits that lie highest: archives often hold a second copy of everything, further down."""
    highest: dict[int, int] = {}
    for split in found:
        highest[split.membership] = min(split.depth, highest.get(split.membership, split.depth))
    return [split for split in found if split.depth == highest[split.membership]]


def _unwrapped(found: list[_Found]) -> list[_Found]:
    """Without a folder between a split and its classes that holds all of these."""
    result: list[_Found] = []
    classes: set[str] = set()
    for membership in range(len(SPLITS)):
        part = [split for split in found if split.membership == membership]
        while part:
            tops = {split.below[0] for split in part}
            deeper = [split for split in part if len(split.below) > 2]
            if len(tops) > 1 or not deeper or tops <= classes:
                break
            part = [
                replace(split, folder=(*split.folder, split.below[0]), below=split.below[1:])
                for split in deeper
            ]
        classes |= {split.below[0] for split in part} if membership == TRAIN else set()
        result += part
    return result


def _check_one_set(classed: Sequence[_Found]) -> None:
    """Refuse several sets of splits, such as those of a cross-validation: one's test images are another's training.

    Raises:
        EspalierError: there are several.
    """
    members: defaultdict[str, set[int]] = defaultdict(set)
    for split in classed:
        members["/".join(split.folder[: split.depth])].add(split.membership)
    sets = sorted(place for place, roles in members.items() if TRAIN in roles and len(roles) > 1)
    if len(sets) > 1:
        raise EspalierError(
            f"Expected one set of train, validation and test folders, received {len(sets)}: in {', '.join(sets[:4])}.",
            "Choose the folder of one of them.",
        )


def _splits_in_classes(inside: Sequence[File], roles: dict[str, int]) -> SplitImages | None:
    """Splits inside each class's folder: cats/train, cats/test, dogs/train, …"""
    tops = {file.parts[0] for file in inside}
    second = [file for file in inside if len(file.parts) > 2 and file.parts[1] in roles]
    flat = sum(len(file.parts) == 3 for file in second)
    if len(tops - roles.keys()) < 2 or 10 * len(second) < 9 * len(inside) or 2 * flat <= len(second):
        return None
    if TRAIN not in {roles[file.parts[1]] for file in second}:
        return None
    images = tuple(SplitImage(file.name, file.parts[0], roles[file.parts[1]]) for file in second)
    names = " and ".join(sorted({file.parts[1] for file in second}))
    return SplitImages(images, (f"The splits are the folders {names} inside each class's folder.",))


def _linked(
    files: Sequence[File], roles: dict[str, int], links: Sequence[Link]
) -> tuple[dict[str, int], list[str]]:
    """The splits where one is there under two names, and a sentence about each link.

    Validation and test that are one folder are the test split: figures are then of images that decided nothing.
    """
    roles = dict(roles)
    notes = []
    for link, target in links:
        first, second = (split_of(name.rpartition("/")[2]) for name in (link, target))
        there = any(file.name.startswith(f"{target}/") for file in files)
        if first is None or second is None or first == second or not there:
            notes.append(f"The folder {link} is a link to {target}: its images count once.")
            continue
        kept = TRAIN if TRAIN in (first, second) else TEST
        lost = first if kept == second else second
        roles[target.rpartition("/")[2]] = kept
        notes.append(
            f"The folder {link} is a link to {target}, the same folder: its images count once, as the "
            f"{SPLITS[kept]} split, and there is no {SPLITS[lost]} split of its own."
        )
    return roles, notes


def _places(classed: Sequence[_Found]) -> list[str]:
    """Where the splits were found, unless they are plain folders at the top."""
    folders: defaultdict[int, set[str]] = defaultdict(set)
    for split in classed:
        folders[split.membership].add("/".join(split.folder))
    plain = all(
        "/" not in name
        and name.casefold() in ("train", "training", "val", "valid", "validation", "test", "testing")
        for names in folders.values()
        for name in names
    )
    if plain:
        return []
    parts = [
        f"{SPLITS[membership]} from {' and '.join(sorted(names)[:4])}"
        for membership, names in sorted(folders.items())
    ]
    return [f"The splits are read from folders: {', '.join(parts)}."]
