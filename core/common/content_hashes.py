"""What is stored carries the SHA-256 of its content, and is believed only while that fits.

A JSON document is sealed by an entry `sha256` over all its others; a folder by a `manifest.json`, which is sealed
itself and names every file below with its size and SHA-256. What has no seal was written by a version before.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from core.common.errors import EspalierError
from core.common.files import discard, sha256_of, write_atomically
from core.common.partial_files import is_part
from core.common.paths import is_inner
from core.common.regular_files import in_words, read_bounded

_log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
DAMAGED = ".damaged"  # what the name of something set aside ends with
_SEAL, _FILES = "sha256", "files"
_SHORTEST = 16  # hexadecimal digits of a shortened seal
_SETTLED_NS = 2_000_000_000  # a file that changed later may change again within one tick of its clock
_MOST_KNOWN = 10_000
_LARGEST_DOCUMENT = 1_000_000_000  # bytes
_known: dict[tuple[int, ...], str] = {}


class DamagedError(EspalierError):
    """Something stored does not hold what was written into it.

    Args:
        path: the file. reason: what is wrong with it, in a few words.
    """

    def __init__(self, path: Path, reason: str = "it does not hold what was written into it"):
        super().__init__(
            f"{path} is damaged: {reason}.",
            "Go on with its run or run its pipeline again: what is damaged is made again.",
            command="espalier run RUN --resume",
        )
        self.path = path


def sealed(content: Mapping[str, Any], digits: int = 64) -> dict[str, Any]:
    """The same with its seal as the last entry, of so many hexadecimal digits."""
    plain = json.loads(json.dumps({name: value for name, value in content.items() if name != _SEAL}))
    return {**plain, _SEAL: _digest(plain)[:digits]}


def unsealed(content: Any, path: Path) -> dict[str, Any]:
    """The content of a document without its seal; what never had one is returned as it is.

    Raises:
        DamagedError: when the seal does not fit, or it is no mapping.
    """
    if not isinstance(content, dict):
        raise DamagedError(path)
    if _SEAL not in content:
        return content
    plain = {name: value for name, value in content.items() if name != _SEAL}
    seal = content[_SEAL]
    if not isinstance(seal, str) or len(seal) < _SHORTEST or not _digest(plain).startswith(seal):
        raise DamagedError(path)
    return plain


def read_sealed(path: Path) -> dict[str, Any]:
    """The content of a JSON document, without its seal.

    Raises:
        DamagedError: when it does not hold what was written.
        EspalierError: when it cannot be read.
    """
    try:
        return unsealed(json.loads(read_bounded(path, _LARGEST_DOCUMENT)), path)
    except OSError as error:
        raise EspalierError(
            f"{path} cannot be read: {in_words(error)}.", "Check that it is there, and your rights."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(path, "it is no whole JSON document") from error


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON document with its seal, whole or not at all."""
    write_atomically(path, json.dumps(sealed(content), indent=1))


def seal_folder(folder: Path, without: Collection[str] = (), **about: Any) -> None:
    """Write the manifest of a folder: every file below it, and what else is to be known of it.

    Args:
        without: names of files and folders at the top that are left out.
    """
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, _SEAL: digest_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and _belongs(path.relative_to(folder).parts, without)
    }
    write_sealed(folder / MANIFEST, {_FILES: files, **about})


def _belongs(parts: tuple[str, ...], without: Collection[str]) -> bool:
    """Whether a file, by its path in the folder, is part of what is sealed."""
    left_out = parts[0] in (MANIFEST, *without)
    return not left_out and not any(is_part(name) or name.endswith(DAMAGED) for name in parts)


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """What the folder's manifest says; None where it has none.

    Raises:
        DamagedError: when the manifest is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    manifest = read_sealed(path)
    files = manifest.get(_FILES)
    if not isinstance(files, dict) or not all(_well_formed(*entry) for entry in files.items()):
        raise DamagedError(path)
    return manifest


def check_folder(folder: Path, elsewhere: Callable[[str], Path] | None = None) -> bool:
    """Hold every file of a folder against its manifest; False where it has none.

    Args:
        elsewhere: where the file of a hash lies that is not in the folder.

    Raises:
        DamagedError: of the first file that is missing or does not fit.
    """
    manifest = manifest_of(folder)
    if manifest is None:
        return False
    for name, expected in manifest[_FILES].items():
        if not is_inner(name):
            raise DamagedError(folder / MANIFEST, "it names files outside its folder")
        file = folder / name
        if elsewhere is not None and not file.exists():
            file = elsewhere(expected[_SEAL])
        _check(file, expected)
    return True


def files_of(folder: Path) -> dict[str, Any]:
    """The files that a folder's manifest names, each with `bytes` and `sha256`; empty where it has none.

    Raises:
        DamagedError: when the manifest is damaged.
    """
    return dict((manifest_of(folder) or {}).get(_FILES, {}))


def intact(file: Path) -> Path:
    """The file, held against the manifest of its folder, or of the folder above, where one names it.

    Raises:
        DamagedError: when it does not fit, or the manifest is damaged.
    """
    for folder in (file.parent, file.parent.parent):
        manifest = manifest_of(folder)
        expected = manifest and manifest[_FILES].get(file.relative_to(folder).as_posix())
        if expected:
            _check(file, expected)
            break
    return file


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder, so that it is not taken for whole any more; one set aside before is removed.

    Raises:
        OSError: when it cannot be renamed.
    """
    aside = path.with_name(path.name + DAMAGED)
    if os.path.lexists(aside):
        discard(aside)
    path.rename(aside)
    _log.warning("%s is damaged and set aside as %s.", path, aside.name)
    return aside


def digest_of(path: Path) -> str:
    """The file's SHA-256; computed once in a process while the file stays as it is."""
    stat = path.stat()
    identity = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    known = _known.get(identity)
    if known is not None:
        return known
    digest = sha256_of(path)
    if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > _SETTLED_NS:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[identity] = digest
    return digest


def _well_formed(name: str, expected: Any) -> bool:
    """Whether an entry names a file inside the folder, with size and hash."""
    inside = not Path(name).is_absolute() and ".." not in Path(name).parts
    return inside and isinstance(expected, dict) and expected.keys() >= {"bytes", _SEAL}


def _check(file: Path, expected: Mapping[str, Any]) -> None:
    try:
        fits = file.stat().st_size == expected["bytes"] and digest_of(file) == expected[_SEAL]
    except FileNotFoundError as error:
        raise DamagedError(file, "it is missing") from error
    except OSError as error:
        raise DamagedError(file, f"it cannot be read ({error.strerror or error})") from error
    if not fits:
        raise DamagedError(file)


def _digest(plain: Mapping[str, Any]) -> str:
    """SHA-256 over the content, whatever its order and layout in the file."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
