"""The index: figures of all runs in one SQLite file, made from the run folders.

It may be deleted at any time.
"""

import logging
import sqlite3
from contextlib import closing

from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.runs.home import Home
from core.runs.run_folder import RunFolder, find_runs

_log = logging.getLogger(__name__)


def index_run(home: Home, run: RunFolder) -> None:
    """Bring the index up to date with one run; one that was deleted takes in all runs of the home again.

    No WAL: home folders may be on NFS.
    """
    home.folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(home.index, timeout=10)) as database, database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone():
            database.execute(
                "CREATE TABLE runs (folder TEXT PRIMARY KEY, name TEXT, started REAL, status TEXT, seconds REAL)"
            )
            database.execute(
                "CREATE TABLE metrics (folder TEXT, stage TEXT, seed INTEGER, artefact TEXT, metric TEXT, value REAL, unit TEXT)"
            )
            for indexed in find_runs(home):
                omission = f"The index leaves {indexed.folder} out"  # Compare reports the fault
                with passed_over(_log, omission, EspalierError, ValueError, KeyError, OSError):
                    _index(database, indexed)
        _index(database, run)


def _index(database: sqlite3.Connection, run: RunFolder) -> None:
    """Write a run's figures in the place of those that the index has of it."""
    info, folder = run.info, str(run.folder.resolve())
    database.execute("DELETE FROM metrics WHERE folder = ?", (folder,))
    database.execute(
        "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)",
        (folder, info.name, info.started, info.status, info.seconds),
    )
    database.executemany(
        "INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (folder, report.id, report.seed, artefact.id, name, metric.value, metric.unit)
            for report in run.reports()
            for artefact in report.artefacts
            for name, metric in artefact.metrics.items()
        ],
    )
