"""Folders for scratch in the system's temporary folder, which a kill does not leave there for ever.

They are named as parts of what is being written (`core.common.partial_files`): the next program of ours that wants such a
folder removes those whose processes have ended.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.common.partial_files import part_beside, remove_abandoned

_LOOK_SECONDS = 60.0  # between two looks for abandoned folders: the temporary folder may be large
_looked: dict[Path, float] = {}


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone at the end."""
    folder = make_temporary_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Stand in a folder meanwhile: for a library that writes files where the process stands."""
    try:
        before = Path.cwd()
    except OSError:  # somebody removed it
        before = Path(tempfile.gettempdir())
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def make_temporary_folder() -> Path:
    """A folder of this process, which removes it; nobody else may read it."""
    parent = Path(tempfile.gettempdir())
    if time.monotonic() - _looked.get(parent, -_LOOK_SECONDS) >= _LOOK_SECONDS:
        _looked[parent] = time.monotonic()
        remove_abandoned(parent)
    while True:
        folder = part_beside(parent / "espalier")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:  # somebody else's: names can be guessed
            continue
        return folder
