"""Labels that a person has corrected, and images that they have left out: a list beside the data set.

The files stay as they are. The list is a CSV file with the columns image (the file's name below the data set's
place) and label (the right class; empty leaves the image out). Splits are drawn as if there were no list, so that a
correction moves no other image; it counts wherever the data set is opened afterwards, and is said there.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.common.errors import EspalierError
from core.common.files import changed_by_one, write_atomically
from core.common.regular_files import in_words, read_bounded, read_text
from core.common.shown_text import some_of

ENDING = ".corrections.csv"
_COLUMNS = ["image", "label"]
_LARGEST = 50_000_000  # bytes of a list
LEFT_OUT = -1

Resolved = tuple[tuple[int, int], ...]
"""Places in the data set, each with its right label, or `LEFT_OUT`."""


def corrections_file(place: Path) -> Path:
    """Where the list of the data set at `place` lies."""
    return place.with_name(place.name + ENDING)


def read_corrections(place: Path) -> dict[str, str]:
    """By image its right class, "" for images that are left out; empty where there is no list.

    Raises:
        EspalierError: when the list cannot be read.
    """
    file = corrections_file(place)
    if not place.name or not file.is_file():
        return {}
    try:
        rows = list(csv.reader(io.StringIO(read_text(file, _LARGEST))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = in_words(error) if isinstance(error, OSError) else str(error)
        raise EspalierError(
            f"The list of corrected labels, {file}, cannot be read: {reason}.", "Mend it, or delete it."
        ) from error
    if not rows or rows[0] != _COLUMNS or any(len(row) != len(_COLUMNS) for row in rows):
        raise EspalierError(
            f"Expected the columns image and label in {file}, received something else.",
            "Mend it, or delete it.",
        )
    return dict(rows[1:])


def corrections_stamp(place: Path) -> str:
    """What changes with the list; empty where there is none."""
    file = corrections_file(place) if place.name else place
    try:
        return (
            hashlib.sha256(read_bounded(file, _LARGEST)).hexdigest() if place.name and file.is_file() else ""
        )
    except OSError:
        return "unreadable"


def correct(place: Path, image: str, label: str | None) -> Path:
    """Note the right class of an image, "" to leave it out, None to take it as the files say; gives the list's file.

    A list of nothing is removed.

    Raises:
        EspalierError: when the list cannot be read or written.
    """
    file = corrections_file(place)
    with changed_by_one(file):
        known = read_corrections(place)
        if label is None:
            known.pop(image, None)
        else:
            known[image] = label
        if not known:
            file.unlink(missing_ok=True)
            return file
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(sorted(known.items()))
        write_atomically(file, text.getvalue())
    return file


def resolve(
    corrections: Mapping[str, str], names: Sequence[str], labels: Sequence[int], classes: Sequence[str]
) -> tuple[Resolved, list[str]]:
    """Where the corrected images stand, and sentences about the list.

    Args:
        names: the file of every image; empty where they are not known. labels: as the files say.
    """
    if not corrections:
        return (), []
    places = {name: row for row, name in enumerate(names)}
    index = {name: label for label, name in enumerate(classes)}
    found: list[tuple[int, int]] = []
    missing, unknown = [], []
    for image, label in corrections.items():
        if image not in places:
            missing.append(image)
        elif label and label not in index:
            unknown.append(f"{image} ({label})")
        else:
            row = places[image]
            right = index[label] if label else LEFT_OUT
            if right != labels[row]:
                found.append((row, right))
    return tuple(sorted(found)), _sentences(found, missing, unknown)


def counted(found: Sequence[tuple[int, int]]) -> str:
    """How many labels are corrected and how many images left out, a part of a sentence; empty where there are none."""
    left_out = sum(label == LEFT_OUT for _, label in found)
    parts = [
        f"{count} {one if count == 1 else many}"
        for count, one, many in (
            (len(found) - left_out, "label is corrected", "labels are corrected"),
            (left_out, "image is left out", "images are left out"),
        )
        if count
    ]
    return " and ".join(parts)


def _sentences(found: Sequence[tuple[int, int]], missing: list[str], unknown: list[str]) -> list[str]:
    words = counted(found)
    said = [f"By the list of corrections beside the data set, {words}."] if words else []
    if missing:
        said.append(f"The list of corrections names images that are not there: {some_of(missing)}.")
    if unknown:
        said.append(f"The list of corrections names classes that are not there: {some_of(unknown)}.")
    return said
