"""Tiny ImageNet in its original layout, as a folder or as the zip file that is published.

Source: Stanford's CS231n, http://cs231n.stanford.edu/tiny-imagenet-200.zip: 200 classes of 500
training and 50 validation images, 64 × 64 pixels. `wnids.txt` names the classes by WordNet id,
`words.txt` says what the ids mean, `train/<id>/images/` holds the training images, `val/images/`
and `val/val_annotations.txt` (file, id and a box, with tabs between) the validation images.

The images in `test/` have no published labels. Reported accuracy needs labels that took no part in
any choice, so `val/` is the test split here, and validation is held out of the training images.
Papers usually report `val/` as well, but have often chosen their best epoch on it.
"""

import posixpath
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from core.common.errors import EspalierError
from core.data.layout import IMAGE_ENDINGS, Layout, NamedImage, arrange
from core.data.reader import FilePictures
from core.data.source import Contents, Located, Problem, Watch
from core.data.splits import TEST, TRAIN
from core.data.tree import Tree, locate_tree, read_text

WNIDS, WORDS, ANNOTATIONS = "wnids.txt", "words.txt", "val/val_annotations.txt"
NOTE = (
    "The images in Tiny ImageNet's test folder have no labels and are left out. Its validation images (val/) "
    "are the test split here, and validation is held out of the training images."
)
_ADVICE = (
    "Choose the folder tiny-imagenet-200 or its zip file as published. Where images were sorted into a folder "
    "per class, choose the data set 'Image folder or zip'."
)


def locate(path: Path, watch: Watch) -> Located:
    """List a folder, or look at a zip file.

    Raises:
        EspalierError: neither a folder nor a file, or it cannot be read.
        Stopped: a person asked to stop.
    """
    return locate_tree(path, _contents, watch)


def _contents(tree: Tree) -> Contents:
    """The contents of the folder that holds wnids.txt, which may be inside one outer folder."""
    top = _top(tree)
    names = set(tree.names)
    for name in (WNIDS, ANNOTATIONS):
        if top + name not in names:
            raise EspalierError(f"Expected the file {name} in {tree.place}, received none.", _ADVICE)
    wnids = frozenset(read_text(tree, top + WNIDS).split())
    validation = dict(_annotated(read_text(tree, top + ANNOTATIONS)))
    images = [*_training(tree, top), *_validation(tree, top, validation)]
    trained = [image for image in images if image.class_name in wnids]
    layout = arrange(trained, tree.place, _ADVICE, [NOTE])
    problems = (*tree.problems, *_problems(images, wnids, top, validation))
    notes = [*layout.notes, *_empty_classes(layout, wnids)]
    if top + WORDS in names:
        classes = _class_names(layout.classes, read_text(tree, top + WORDS))
    else:
        classes = layout.classes
        notes.append(f"There is no {WORDS}: classes are called by their WordNet ids.")
    return Contents(classes, FilePictures(layout.images, tree.open), problems, tuple(notes))


def _top(tree: Tree) -> str:
    """The folder that holds wnids.txt: "" or a name with "/" behind it."""
    for name in sorted(tree.names, key=lambda name: name.count("/")):
        if posixpath.basename(name) == WNIDS and name.count("/") <= 1:
            return name.removesuffix(WNIDS)
    return ""


def _annotated(text: str) -> Iterator[tuple[str, str]]:
    """File and WordNet id of every line."""
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) >= 2:
            yield fields[0].strip(), fields[1].strip()


def _training(tree: Tree, top: str) -> Iterator[NamedImage]:
    for name in _images(tree, f"{top}train/"):
        parts = name.removeprefix(f"{top}train/").split("/")
        if len(parts) == 3 and parts[1] == "images":
            yield NamedImage(name, parts[0], TRAIN)


def _validation(tree: Tree, top: str, labels: dict[str, str]) -> Iterator[NamedImage]:
    """The images in val/images; "" is the class of those that are not listed."""
    for name in _images(tree, f"{top}val/images/"):
        yield NamedImage(name, labels.get(posixpath.basename(name), ""), TEST)


def _images(tree: Tree, folder: str) -> Iterator[str]:
    for name in tree.names:
        if name.startswith(folder) and posixpath.splitext(name)[1].casefold() in IMAGE_ENDINGS:
            yield name


def _problems(
    images: list[NamedImage], wnids: frozenset[str], top: str, validation: dict[str, str]
) -> Iterator[Problem]:
    """Images without a class, and listed ones that are not there."""
    for image in images:
        if image.class_name == "":
            yield image.name, f"not listed in {ANNOTATIONS}"
        elif image.class_name not in wnids:
            yield image.name, f"its class {image.class_name} is not in {WNIDS}"
    there = {posixpath.basename(image.name) for image in images if image.membership == TEST}
    for name in validation:
        if name not in there:
            yield f"{top}val/images/{name}", f"missing; listed in {ANNOTATIONS}"


def _empty_classes(layout: Layout, wnids: frozenset[str]) -> list[str]:
    empty = sorted(wnids - set(layout.classes))
    if not empty:
        return []
    have = "has" if len(empty) == 1 else "have"
    return [f"{len(empty)} of the classes in {WNIDS} {have} no training images: {', '.join(empty[:8])}."]


def _class_names(wnids: tuple[str, ...], words: str) -> tuple[str, ...]:
    """The first word for every id, as "goldfish"; with the id behind it where two ids share it."""
    meanings = {}
    for line in words.splitlines():
        wnid, _, meaning = line.partition("\t")
        meanings[wnid] = meaning.split(",")[0].strip()
    names = [meanings.get(wnid) or wnid for wnid in wnids]
    shared = Counter(names)
    return tuple(
        name if shared[name] == 1 else f"{name} ({wnid})" for name, wnid in zip(names, wnids, strict=True)
    )
