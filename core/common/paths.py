"""What a path in a document means: the one place that knows of `~` and of the folder that paths start from."""

import re
from pathlib import Path

from core.common.errors import EspalierError

STARTS = "a relative path starts at the pipeline's file, that of a recipe in the folder that Espalier was started in"
"""For the advice where something is not found."""


def resolved(path: str | Path, base: Path) -> Path:
    """Where a path leads: `~` is the person's folder, and a relative path starts at `base`.

    Links and `..` stay as they are: the text of the result names copies in run folders. A `~` of nobody is a name.
    """
    try:
        return base / Path(path).expanduser()
    except RuntimeError:  # no person of that name
        return base / path


def shown_name(path: Path) -> str:
    """What a person called a file: copies in run folders have twelve digits of a hash in front."""
    return re.sub(r"^[0-9a-f]{12}-(?=.)", "", path.name)


def printable(name: str) -> str:
    """A file's name as text that can be written down; bytes that are no UTF-8 as \\xe9."""
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character, as Windows allows
        return name.encode("utf-8", "backslashreplace").decode("utf-8")


def is_file(path: Path) -> bool:
    """Whether a regular file is there; also False for what no file can be called, such as a name that is too long."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there; likewise."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def existing(path: str | Path, base: Path) -> Path:
    """The same, of something that is there.

    Raises:
        EspalierError: when there is nothing, or neither a file nor a folder.
    """
    target = resolved(path, base)
    if not is_file(target) and not is_folder(target):
        raise EspalierError(
            f"Expected a file or folder at {target}, found none.", "Correct the path in the pipeline."
        )
    return target


def inner_path(text: str) -> str:
    """The same path, which stands in a file of a folder and stays within that folder.

    Raises:
        ValueError: when it would lead out of it.
    """
    parts = text.replace("\\", "/").split("/")
    if text.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in text:
        raise ValueError(f"expected a path within the folder, received {text[:100]!r}")
    return text


def inner_name(text: str) -> str:
    """The same text, which a file or folder is called by: it names no other folder. May be empty.

    Raises:
        ValueError: when it would.
    """
    if "/" in text or "\\" in text or text in (".", ".."):
        raise ValueError(f"expected a name without folders, received {text[:100]!r}")
    return inner_path(text)


def is_inner(text: str) -> bool:
    """Whether a path that stands in a file of a folder stays within that folder."""
    try:
        return bool(inner_path(text))
    except ValueError:
        return False


def inside(folder: Path, name: object) -> Path:
    """The file of that name in `folder`.

    Raises:
        ValueError: when the name, which stands in a file, is none or would lead elsewhere.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"expected a file's name, received {name!r}")
    return folder / inner_name(name)
