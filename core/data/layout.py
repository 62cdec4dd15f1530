"""Classes and splits of an image data set, read from the files' names alone.

Three layouts are known: a folder per class; folders for training, validation and test that each hold a folder
per class; and a folder per class that holds such folders (`core.data.split_folders`). Folders and zip files
are read alike.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from core.common.errors import EspalierError
from core.common.paths import printable
from core.data.class_names import Spellings
from core.data.source import Link, Watch
from core.data.split_folders import File, find_splits, only_splits, unwrap
from core.data.split_names import split_of
from core.data.splits import TRAIN

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
        ".jp2",
        ".j2k",
        ".tga",
        ".dib",
        ".apng",
    ]
)
_ARCHIVES = frozenset([".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz"])
_UNREAD = frozenset([".heic", ".heif", ".jxl", ".svg", ".raw", ".dng", ".cr2", ".nef", ".psd", ".dcm", ".npy"])  # fmt: skip
"""Endings of images, and of what holds images, that are not read."""
_SORTING = "Sorting the files into classes"
_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}
_PROGRAMS = {
    ".git",
    ".svn",
    ".hg",
    ".ipynb_checkpoints",
    ".thumbnails",
    ".trash",
    ".trashes",
    ".cache",
    ".dvc",
}
"""Hidden folders of programs, whose images are copies of others or none of a person's."""
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
    """Classes in the order of their code points (as torchvision's `ImageFolder`), and the images that count.

    Attributes:
        untrained: the classes without training images.
    """

    classes: tuple[str, ...]
    images: tuple[PlacedImage, ...]
    notes: tuple[str, ...]
    untrained: frozenset[str] = frozenset()


def is_litter(name: str) -> bool:
    """Whether an operating system, not a person, put the file there; hidden files as well."""
    return any(part.startswith(".") or part.casefold() in _LITTER for part in name.split("/"))


def is_image_name(name: str) -> bool:
    """Whether a file is an image by the ending of its name."""
    return PurePosixPath(name).suffix.casefold() in IMAGE_ENDINGS


def is_hidden_image(name: str) -> bool:
    """Whether an image is left out as hidden that a person may have meant: a class may be called ".net"."""
    parts = [part.casefold() for part in name.split("/")]
    left_out = is_litter(name) and is_image_name(name) and not parts[-1].startswith("._")
    return left_out and not _PROGRAMS & set(parts) and not _LITTER & set(parts)


def lay_out(
    names: Iterable[str],
    place: str,
    links: Sequence[Link] = (),
    empty: Iterable[str] = (),
    watch: Watch | None = None,
    hidden: Sequence[str] = (),
) -> Layout:
    """Find classes, splits and images.

    Args:
        names: files below `place`, with "/" between folders; litter may be among them.
        links: folders that are links to others of these, whose files are not listed twice.
        empty: folders without a file.
        hidden: hidden images (`is_hidden_image`), which are left out.

    Raises:
        EspalierError: no images, no class folders, or fewer than two classes.
        Stopped: a person asked to stop.
    """
    every = (watch or Watch()).each
    data_files = [name for name in every(names, _SORTING) if not is_litter(name)]
    images = [name for name in every(data_files, _SORTING) if is_image_name(name)]
    if not images:
        raise _no_images(place, data_files, hidden)
    files = unwrap([File(name, tuple(name.split("/"))) for name in every(sorted(images), _SORTING)])
    notes = [
        *_other_files_notes(data_files),
        *_hidden_notes(hidden),
        *_folders_without_images(data_files, images, empty),
    ]
    splits = find_splits(files, links)
    if splits is not None:
        inside = [NamedImage(image.name, image.folder, image.membership) for image in splits.images]
        notes += _left_out(
            len(images) - len(inside), "outside the class folders of train, validation and test"
        )
        return arrange(inside, f"the training folder of {place}", _ADVICE, [*notes, *splits.notes])
    notes += [f"The folder {link} is a link to {target}: its images count once." for link, target in links]
    return _class_layout(files, len(images), place, notes)


def _no_images(place: str, files: Sequence[str], hidden: Sequence[str]) -> EspalierError:
    """The message for a place without images; what is there instead often says what to do."""
    if hidden:
        return EspalierError(
            f"Expected images in {place}, received hidden ones only: {_hidden_places(hidden)}.",
            "Give their folders names that do not begin with a dot.",
        )
    received = f"{len(files)} files of other kinds ({_kinds(files)})" if files else "no files"
    endings = {PurePosixPath(name).suffix.casefold() for name in files}
    advice = _ADVICE
    if endings & _ARCHIVES:
        advice = "Unpack the archive, and choose the folder that it gives."
    elif endings & _UNREAD:
        advice = f"Save them as JPEG or PNG; read are {', '.join(sorted(IMAGE_ENDINGS))}."
    return EspalierError(f"Expected images in {place}, received {received}.", advice)


def _class_layout(files: Sequence[File], total: int, place: str, notes: list[str]) -> Layout:
    inside = [NamedImage(file.name, file.parts[0], TRAIN) for file in files if len(file.parts) > 1]
    if not inside:
        raise EspalierError(
            f"Expected a folder per class in {place}, received {len(files)} images outside any folder.",
            _ADVICE,
        )
    tops = sorted({image.class_name for image in inside})
    if only_splits(tops):
        if all(split_of(name) != TRAIN for name in tops):
            raise EspalierError(
                f"Expected training images in {place}, received only the folders {' and '.join(tops)}.",
                _ADVICE,
            )
        raise EspalierError(
            f"Expected a folder per class inside the folders {' and '.join(tops)} of {place}, received images "
            "without class folders.",
            "Sort them into a folder per class in each, or list them in a CSV file with the columns path, label "
            "and split.",
        )
    notes += [*_left_out(total - len(inside), "outside any class folder"), *_same_folders_note(files)]
    return arrange(inside, place, _ADVICE, notes)


def arrange(
    images: Sequence[NamedImage],
    place: str,
    advice: str,
    notes: Sequence[str] = (),
    *,
    untrained: bool = False,
) -> Layout:
    """Classes are those of the training images; others' images are left out, and a note says so.

    Names that differ only in how accents are composed are one class; a split other than training may also
    differ in capitals.

    Args:
        untrained: the names of other images are classes too, where training images have none like them.

    Raises:
        EspalierError: no training images, fewer than two classes, or a name that is no text; `advice` says what to do.
    """
    trained = {image.class_name for image in images if image.membership == TRAIN}
    spellings = Spellings(trained)
    without = frozenset[str]()
    if untrained and trained:
        others = {image.class_name for image in images if spellings.class_of(image.class_name) is None}
        without = frozenset(Spellings(others).classes)
        notes = [*notes, *_untrained_notes(without)]
        spellings = Spellings(trained | without)
    classes = _check_classes(spellings.classes, place, advice)
    index = {name: label for label, name in enumerate(classes)}
    placed, unknown = [], []
    for image in images:
        name = spellings.class_of(image.class_name)
        if name is None:
            unknown.append(image.class_name)
        else:
            placed.append(PlacedImage(image.name, index[name], image.membership))
    all_notes = [*notes, *spellings.notes(), *_unknown_class_notes(unknown)]
    placed.sort(key=lambda image: (image.membership, image.label))
    return Layout(classes, tuple(placed), tuple(all_notes), without)


def _check_classes(classes: tuple[str, ...], place: str, advice: str) -> tuple[str, ...]:
    if not classes:
        raise EspalierError(f"Expected training images in {place}, received none.", advice)
    unreadable = [printable(name) for name in classes if printable(name) != name]
    if unreadable:
        raise EspalierError(
            f"Expected names of classes in UTF-8 in {place}, received '{unreadable[0]}', which is in another encoding.",
            "Rename the folder: exported files carry the names of the classes.",
        )
    if len(classes) == 1:
        raise EspalierError(
            f"Expected at least two classes in {place}, received only one: '{classes[0]}'.", advice
        )
    return classes


def _other_files_notes(files: Sequence[str]) -> list[str]:
    others = [name for name in files if not is_image_name(name)]
    return [f"{_files(len(others))} not an image by name and left out ({_kinds(others)})."] if others else []


def _kinds(files: Sequence[str]) -> str:
    """The endings of files, with how many have each."""
    endings = Counter(PurePosixPath(name).suffix.casefold() or "no ending" for name in files)
    return ", ".join(f"{ending}: {number}" for ending, number in sorted(endings.items())[:8])


def _hidden_notes(hidden: Sequence[str]) -> list[str]:
    return [f"{_images(len(hidden))} hidden and left out: {_hidden_places(hidden)}."] if hidden else []


def _hidden_places(hidden: Sequence[str]) -> str:
    """The hidden folders or files that images are in."""
    places = dict.fromkeys(_hidden_place(name) for name in hidden)
    return ", ".join(list(places)[:8]) + (", …" if len(places) > 8 else "")


def _hidden_place(name: str) -> str:
    parts = name.split("/")
    first = next(depth for depth, part in enumerate(parts) if part.startswith("."))
    return "/".join(parts[: first + 1])


def _folders_without_images(files: Sequence[str], images: Sequence[str], empty: Iterable[str]) -> list[str]:
    """A class that nobody put images into would otherwise be missing without a word."""
    holding = {"", *(str(folder) for name in images for folder in PurePosixPath(name).parents)} - {"."}
    others = {str(folder) for name in files for folder in PurePosixPath(name).parents} - {"."}
    others |= {
        str(folder) for name in empty for folder in (PurePosixPath(name), *PurePosixPath(name).parents)
    } - {"."}
    found = [name for name in sorted(others - holding) if name.rpartition("/")[0] in holding]
    if not found:
        return []
    which = ", ".join(found[:8]) + (", …" if len(found) > 8 else "")
    what = (
        "1 folder holds no images and is"
        if len(found) == 1
        else f"{len(found)} folders hold no images and are"
    )
    return [f"{what} no class: {which}."]


def _same_folders_note(files: Sequence[File]) -> list[str]:
    """Folders of the same names in every class are often the classes: the class folders are then parts of the set."""
    inside: dict[str, set[str]] = {}
    for file in files:
        if len(file.parts) > 1:
            inside.setdefault(file.parts[0], set()).update(file.parts[1:-1][:1])
    first = next(iter(inside.values()), set())
    if len(inside) < 2 or len(first) < 2 or any(folders != first for folders in inside.values()):
        return []
    return [
        f"The classes are the folders {', '.join(sorted(inside)[:4])}, and each holds the folders "
        f"{', '.join(sorted(first)[:4])}: if those are the classes, choose one of the folders, or call them train and test."
    ]


def _left_out(count: int, where: str) -> list[str]:
    return [f"{_images(count)} {where} and left out."] if count else []


def _unknown_class_notes(unknown: Sequence[str]) -> list[str]:
    if not unknown:
        return []
    names = ", ".join(f"'{name}'" for name in sorted(set(unknown))[:8])
    return [f"{_images(len(unknown))} of a class without training images ({names}) and left out."]


def _untrained_notes(names: Collection[str]) -> list[str]:
    """What a class without training images means: only weights that know it already can find it."""
    if not names:
        return []
    shown = ", ".join(f"'{name}'" for name in sorted(names)[:8]) + (", …" if len(names) > 8 else "")
    have = "1 class has" if len(names) == 1 else f"{len(names)} classes have"
    return [
        f"{have} no training images ({shown}): nothing can be trained on them, published weights may know them."
    ]


def _files(count: int) -> str:
    return "1 file is" if count == 1 else f"{count} files are"


def _images(count: int) -> str:
    return "1 image is" if count == 1 else f"{count} images are"
