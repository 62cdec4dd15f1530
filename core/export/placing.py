"""Where exported files are written and how they get to their place."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.common.errors import EspalierError
from core.common.files import put_in_place
from core.common.partial_files import part_beside, remove_abandoned
from core.deploy.formats.base import Format
from core.models.checkpoint_files import is_checkpoint


@contextmanager
def folder_beside(target: Path, kind: Format) -> Iterator[Path]:
    """An empty folder beside `target` to write in; gone at the end.

    Raises:
        EspalierError: when `target` is a folder that must not be replaced.
    """
    replaced = not kind.suffix and (is_checkpoint(target) or not any(target.glob("*")))
    if target.is_dir() and not replaced:
        raise EspalierError(f"{target} is a folder that holds other things.", "Choose another name.")
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target.parent)
    folder = part_beside(target)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def placed(part: Path, folder: Path) -> Path:
    """Move a finished file or folder to where it stays, over an older one."""
    place = folder / part.name
    put_in_place(part, place)
    return place


def size_in_bytes(path: Path) -> int:
    """Of a file, or of everything in a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
