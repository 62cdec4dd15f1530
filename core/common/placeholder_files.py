"""Files that only stand in for others: what a clone without its large files, or a failed download, leaves behind."""

import os
from pathlib import Path

from core.common.errors import EspalierError
from core.common.regular_files import in_words, open_regular

_LOOKED_AT = 256  # bytes
_DOWNLOAD = (
    "Download the file itself: the address gave a page, such as one to log in or to confirm the download."
)
_KINDS: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    (
        (b"version https://git-lfs", b"version http://git-media.io"),
        "a Git LFS pointer, a text that stands for the file",
        "Run 'git lfs pull' in its folder, or download the file itself.",
    ),
    (
        (b"/annex/objects/", b"../.git/annex", b".git/annex"),
        "a git-annex pointer, a text that stands for the file",
        "Run 'git annex get' in its folder, or download the file itself.",
    ),
    ((b"<!doctype html", b"<html", b"<head", b"<!--"), "a web page", _DOWNLOAD),
    ((b"<?xml",), "an XML document", _DOWNLOAD),
)


def stand_in(start: bytes) -> tuple[str, str]:
    """What a file is that begins so, and what to do about it; both empty where it stands in for nothing."""
    text = start[:_LOOKED_AT].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for beginnings, words, advice in _KINDS:
        if text.startswith(beginnings):
            return words, advice
    return "", ""


def refuse_stand_in(path: str | os.PathLike[str], wanted: str) -> None:
    """Nothing for a file that may be what is wanted.

    Args:
        wanted: what was expected, as "a weights file".

    Raises:
        EspalierError: it is empty, a pointer or a web page; or no regular file, or cannot be read.
    """
    name = Path(path).name
    try:
        with open_regular(path) as file:
            start = file.read(_LOOKED_AT)
    except OSError as error:
        raise EspalierError(
            f"Expected {wanted}, but {path} cannot be read: {in_words(error)}.", "Pick another file."
        ) from error
    if not start:
        raise EspalierError(
            f"Expected {wanted}, but {name} is empty: it has 0 bytes.", "Copy or download it again."
        )
    words, advice = stand_in(start)
    if words:
        raise EspalierError(f"Expected {wanted}, but {name} is {words}.", advice)
