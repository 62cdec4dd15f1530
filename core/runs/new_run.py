"""Making a run: a folder that nobody has yet, with the pipeline and `run.json` in it."""

import itertools
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

import core
from core.common.errors import EspalierError
from core.common.files import folder_beside, text_sha256, write_atomically
from core.common.full_disk import full_disk
from core.common.partial_files import is_part, remove_abandoned
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.records.run_info import FORMAT, changed
from core.runs.home import Home
from core.runs.info_file import InfoFile
from core.runs.run_folder import PIPELINE_FILE, RunFolder
from core.runs.run_lock import LOCK_FILE

_SKELETON = ("stages", "sources", "inputs", "scratch")
_log = logging.getLogger(__name__)


def create_run(
    pipeline: Pipeline, base: Path, home: Home, folder: Path | None = None, series: str = ""
) -> RunFolder:
    """A fresh run folder for `pipeline`.

    Args:
        base: the folder that the pipeline's relative paths start from.
        folder: where to put it; None makes a name from the date and the pipeline's name.
        series: what runs have in common that one pipeline over several data sets was started as.

    Raises:
        EspalierError: when the folder holds something already or cannot be made, or the pipeline has several data sets.
    """
    if pipeline.axes.data is not None:
        raise EspalierError(
            "Expected a pipeline on one data set for a run, received one over several.",
            "Run it on each: core.document.data_axis.per_data_set gives the pipelines.",
        )

    def fill(place: Path) -> None:
        for name in _SKELETON:
            (place / name).mkdir(exist_ok=True)
        resolved = documents.dumps(pipeline.resolved())
        write_atomically(place / PIPELINE_FILE, resolved)
        InfoFile(place).write(changed(
            {}, format=FORMAT, espalier=core.__version__, name=pipeline.name, base=str(base.resolve()),
            started=time.time(), status="new", document=documents.dumps(pipeline), pipeline_sha256=text_sha256(resolved),
            **({"series": series} if series else {}),
        ))  # fmt: skip

    slug = re.sub(r"[^a-z0-9]+", "-", pipeline.name.lower()).strip("-")[:40] or "run"
    wanted = folder or home.runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{slug}"
    try:
        made = _made_under_a_free_name(wanted, fill) if folder is None else _made_at(wanted, fill)
    except OSError as error:
        raise full_disk(error) or EspalierError(
            f"The run folder {wanted} cannot be made: {error.strerror or error}.",
            "Choose another folder.",
        ) from error
    return RunFolder(made)


def _made_under_a_free_name(wanted: Path, fill: Callable[[Path], None]) -> Path:
    """A whole new folder, of the wanted name or the next that nobody has, also when several ask at once."""
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        if os.path.lexists(folder):
            continue
        try:
            with folder_beside(folder, replace=False) as part:
                fill(part)
            return folder
        except OSError:
            if not folder.exists():
                raise
            _log.debug("Another process took the name %s.", folder.name)
    raise AssertionError("unreachable")


def _made_at(folder: Path, fill: Callable[[Path], None]) -> Path:
    """The folder that a person named, which is new, empty, or was left by a process that ended while it made it."""
    folder.mkdir(parents=True, exist_ok=True)
    with _held_while_made(folder):
        if not _is_free(folder):
            raise EspalierError(
                f"Expected an empty or new folder for the run, {folder} holds files already.",
                "Choose another folder, or go on with the run in it by --resume.",
            )
        remove_abandoned(folder, ours=True)
        fill(folder)
    return folder


@contextmanager
def _held_while_made(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise EspalierError(
            f"Another process makes a run in {folder}.", "Choose another folder for this one."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _is_free(folder: Path) -> bool:
    """Whether nothing is lost when a run is made in the folder: what a run begins with is all there is."""
    begun = all((folder / name).is_dir() for name in _SKELETON)  # else the pipeline file is a person's own
    for path in folder.iterdir():
        if path.name in _SKELETON and path.is_dir() and not any(path.iterdir()):
            continue
        if path.name != LOCK_FILE and not is_part(path.name) and not (begun and path.name == PIPELINE_FILE):
            return False
    return True
