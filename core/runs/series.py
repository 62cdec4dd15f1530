"""The runs that one pipeline over several data sets is: one for each, started together, found again by what they share."""

import logging
import re
import time
from pathlib import Path

from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.document import pipeline as documents
from core.document.data_axis import data_sets
from core.document.pipeline import Pipeline
from core.runs.finding import find_runs
from core.runs.home import Home
from core.runs.run_folder import RunFolder

_log = logging.getLogger(__name__)


def new_series(pipeline: Pipeline) -> str:
    """What its runs have in common, when they are started now; "" where it has no axis over data sets."""
    return f"{pipeline.name}, {time.strftime('%Y%m%d-%H%M%S')}" if data_sets(pipeline) else ""


def folders(pipeline: Pipeline, parent: Path) -> list[Path]:
    """A folder in `parent` for the run on each data set, called as it is."""
    names: list[str] = []
    for name in data_sets(pipeline):
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "data"
        names.append(slug if slug not in names else f"{slug}-{len(names) + 1}")
    return [parent / name for name in names]


def series_of(home: Home, run: RunFolder) -> list[RunFolder]:
    """The runs that were started together with this one, itself included, oldest first."""
    series, found = run.info.series, {run.folder.resolve(): run}
    for other in find_runs(home) if series else []:
        with passed_over(_log, f"{other.folder} is not looked at", EspalierError):
            if other.info.series == series:
                found.setdefault(other.folder.resolve(), other)
    return sorted(found.values(), key=lambda each: each.info.started)


def newest_run(home: Home, pipeline: Pipeline) -> RunFolder | None:
    """The newest run of exactly this document, on one data set, however it ended."""
    document = documents.dumps(pipeline)
    for run in find_runs(home):
        with passed_over(_log, f"{run.folder} is not looked at", EspalierError):
            if run.info.document == document:
                return run
    return None
