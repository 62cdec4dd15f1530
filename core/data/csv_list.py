"""A CSV file that lists images: columns path, label and, where splits are given, split.

The header is required. Where no column is called split, one whose values all say splits is taken ("subset",
"partition", "is_test", …) and a note says so; further columns are ignored. The delimiter is a comma, a semicolon or a
tab, whichever makes the header's columns. Paths start at the CSV file's folder and may lead out of
it (images often lie beside the lists). A zip file may hold the CSV file and its images; there no
path leads out. Quoting as in RFC 4180, by Python's csv module. A label is a class in every split: such a list is
written on purpose, and networks with published weights are tried on classes that no training image is of.
"""

import csv
import io
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.common.errors import EspalierError
from core.common.regular_files import in_words, open_regular
from core.data.layout import NamedImage, arrange, is_litter
from core.data.reader import FilePictures, Opener
from core.data.source import Contents, Located, Problem, Stamp, Watch, stamp
from core.data.split_columns import SplitColumn, find_split_column
from core.data.splits import TRAIN
from core.data.tree import Tree, locate_tree, read_text

_ADVICE = "Give the file a header such as path,label or path,label,split, and a row for each image."
_ENDINGS = (".csv", ".tsv")


@dataclass(frozen=True, slots=True)
class _Rows:
    """The images that a CSV file lists, with the rows that are none."""

    images: tuple[NamedImage, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()


def locate(path: Path, watch: Watch) -> Located:
    """List the files that the CSV file names, or look at a zip file.

    Raises:
        EspalierError: a folder, or a file that cannot be read or is not such a list.
        Stopped: a person asked to stop.
    """
    if path.is_dir():
        raise EspalierError(f"Expected a CSV file, received the folder {path}.", "Choose the file in it.")
    if path.suffix.casefold() == ".zip":
        return locate_tree(path, _zip_contents, watch)
    return _locate_file(path, watch)


def _locate_file(path: Path, watch: Watch) -> Located:
    folder = path.parent

    def opener(name: str) -> BinaryIO:
        return open_regular(folder / name)

    text = read_text(Tree(str(folder), (), opener, ()), path.name)
    rows = _read_rows(text, path.name, posixpath.normpath)
    stamps: list[Stamp] = [stamp(path)]
    images: list[NamedImage] = []
    problems = list(rows.problems)
    for image in watch.each(rows.images, "Looking for the listed files"):
        try:
            stamps.append(stamp(folder / image.name, image.name))
            images.append(image)
        except FileNotFoundError:
            problems.append((image.name, "missing"))
        except (OSError, ValueError) as error:  # a ValueError where the path holds a zero byte
            problems.append((image.name, f"cannot be read: {in_words(error)}"))
    readable = _Rows(tuple(images), tuple(problems), rows.notes)
    return Located(
        path.stem, str(path), tuple(stamps), lambda: _contents(readable, str(path), opener), resizes=True
    )


def _zip_contents(tree: Tree) -> Contents:
    lists = [name for name in tree.names if name.casefold().endswith(_ENDINGS) and not is_litter(name)]
    if len(lists) != 1:
        received = f"{len(lists)} ({', '.join(lists[:4])})" if lists else "none"
        raise EspalierError(
            f"Expected one CSV file in {tree.place}, received {received}.",
            "Put one CSV file into the zip file.",
        )
    names = set(tree.names)
    folder = posixpath.dirname(lists[0])

    def inside(name: str) -> str:
        place = posixpath.normpath(posixpath.join(folder, name))
        if name.startswith("/") or re.match(r"[A-Za-z]:", name) or place.split("/")[0] == "..":
            raise _Unusable("ignored: its path leads out of the zip file")
        if place not in names:
            raise _Unusable("missing")
        return place

    rows = _read_rows(read_text(tree, lists[0]), lists[0], inside)
    all_rows = _Rows(rows.images, (*tree.problems, *rows.problems), rows.notes)
    return _contents(all_rows, tree.place, tree.open)


def _contents(rows: _Rows, place: str, opener: Opener) -> Contents:
    if not rows.images:
        first = ": ".join(rows.problems[0]) if rows.problems else ""
        raise EspalierError(
            f"Expected images listed in {place}, received none that can be used.",
            _ADVICE,
            f"The first row that cannot be used: {first}." if first else "",
        )
    layout = arrange(rows.images, place, _ADVICE, rows.notes, untrained=True)
    pictures = FilePictures(layout.images, opener)
    return Contents(layout.classes, pictures, rows.problems, layout.notes, layout.untrained)


class _Unusable(Exception):
    """A row cannot be used; the text is the reason, for a person."""


def _read_rows(text: str, file: str, resolve: Callable[[str], str]) -> _Rows:
    """The rows as images; `resolve` turns a path into a name, or raises `_Unusable`."""
    columns, rows = _table(text, file)
    split, notes = find_split_column(columns, [cells for _, cells in rows], ("path", "label"))
    images: dict[str, NamedImage] = {}
    problems: list[Problem] = []
    for line, cells in rows:
        row = dict(zip(columns, cells, strict=False))
        path = row.get("path", "").replace("\\", "/")
        try:
            if len(cells) > len(columns):
                raise _Unusable(
                    f"{len(cells)} cells, more than the header's {len(columns)}; does the path or the label "
                    "need quotes?"
                )
            name = resolve(path) if path else ""
            image = NamedImage(name, row.get("label", ""), _membership(row, split))
            if not image.name or not image.class_name:
                raise _Unusable("expected a path and a label, received none")
            if image.name in images:
                raise _Unusable("listed twice; the first row counts")
            images[image.name] = image
        except _Unusable as reason:
            problems.append((f"line {line}, {path or 'no path'}", str(reason)))
    return _Rows(tuple(images.values()), tuple(problems), notes)


def _membership(row: dict[str, str], split: SplitColumn | None) -> int:
    if split is None:
        return TRAIN
    text = row.get(split.name, "")
    membership = split.membership(text)
    if membership is None:
        raise _Unusable(f"expected the split train, validation or test, received '{text}'")
    return membership


def _table(text: str, file: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The columns, and every row with its line; cells without the blanks around them.

    Raises:
        EspalierError: there is no such header, or quotes that do not close.
    """
    header = next((line for line in text.splitlines() if line.strip()), "")
    for delimiter in ",;\t":
        columns = [cell.casefold() for _, cells in _parse(header, delimiter, file) for cell in cells]
        if {"path", "label"} <= set(columns):
            _check_once(columns, file)
            return columns, list(_parse(text, delimiter, file))[1:]
    raise EspalierError(
        f"Expected a header with the columns path and label in {file}, received '{header.strip()[:80]}'.",
        _ADVICE,
    )


def _check_once(columns: list[str], file: str) -> None:
    """Refuse a header in which one of the columns that count is there twice.

    Raises:
        EspalierError: one is.
    """
    twice = [name for name in ("path", "label", "split") if columns.count(name) > 1]
    if twice:
        raise EspalierError(
            f"Expected one column {twice[0]} in the header of {file}, received {columns.count(twice[0])}.",
            "Rename the others: which of them counts is not clear.",
        )


def _parse(text: str, delimiter: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise EspalierError(
            f"Expected a CSV file, but line {reader.line_num} of {file} cannot be read: {error}.",
            "Check the quotes in that line.",
        ) from error
