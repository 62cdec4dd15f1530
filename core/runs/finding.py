"""Finding runs: whether a folder is one, all runs of a home, runs to go on with."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from core.common.errors import EspalierError
from core.common.logs import in_a_line, passed_over
from core.common.partial_files import is_part
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.runs.home import Home
from core.runs.info_file import COPY_FILE, INFO_FILE
from core.runs.run_folder import RunFolder

_log = logging.getLogger(__name__)


def is_run(folder: Path) -> bool:
    """Whether a run was made in the folder."""
    try:
        known = any((folder / name).is_file() for name in (INFO_FILE, COPY_FILE))
        return known and not is_part(folder.name)
    except OSError as error:
        _log.debug("%s cannot be looked at: %s", folder, in_a_line(error))
        return False


def find_runs(home: Home) -> list[RunFolder]:
    """All runs in the person's folder, newest first; folders that are none are passed over."""
    if not home.runs.is_dir():
        return []
    with os.scandir(home.runs) as entries:
        names = sorted((entry.name for entry in entries), reverse=True)
    return [RunFolder(path) for name in names if is_run(path := home.runs / name)]


def called(run: RunFolder, home: Home) -> str:
    """What a command line names the run by: its name among the person's runs, its folder anywhere else."""
    return run.name if run.folder.resolve().parent == home.runs.resolve() else str(run.folder)


def running_runs(home: Home) -> list[RunFolder]:
    """The runs of the home that a process works at now, newest first; looks at every run."""
    return [run for run in find_runs(home) if run.active]


def unfinished_run(home: Home, pipeline: Pipeline) -> RunFolder | None:
    """The newest run of exactly this document that is not completed."""
    document = documents.dumps(pipeline)
    runs = unfinished_runs(home, pipeline.name)
    return next((run for run in runs if run.info.document == document), None)


def unfinished_runs(home: Home, pipeline_name: str) -> Iterator[RunFolder]:
    """The runs of pipelines of this name that are not completed, newest first."""
    for run in find_runs(home):
        with passed_over(_log, f"{run.folder} is not looked at", EspalierError):
            info = run.info
            if info.pipeline_title == pipeline_name and info.status != "completed":
                yield run
