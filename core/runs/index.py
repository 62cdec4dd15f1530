"""The index: figures of all runs in one SQLite file, made from the run folders.

It may be deleted at any time.
"""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.common.seals import set_aside
from core.runs.home import Home
from core.runs.run_folder import RunFolder, find_runs

_log = logging.getLogger(__name__)


_NOT_DAMAGE = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR,
}  # fmt: skip
_TABLES = (
    "CREATE TABLE runs (folder TEXT PRIMARY KEY, name TEXT, started REAL, status TEXT, seconds REAL)",
    "CREATE TABLE metrics (folder TEXT, stage TEXT, seed INTEGER, artefact TEXT, metric TEXT, value REAL, unit TEXT)",
)


def open_index(home: Home, timeout: float) -> sqlite3.Connection:
    """The index; a damaged one is set aside and begun anew.

    Raises:
        sqlite3.Error: when it cannot be opened, or is busy for longer than `timeout` seconds.
        OSError: when there can be none.
    """
    home.folder.mkdir(parents=True, exist_ok=True)
    try:
        return _sound(home.index, timeout)
    except sqlite3.Error as error:
        _set_aside(home, error)
        return _sound(home.index, timeout)


def index_run(home: Home, run: RunFolder) -> None:
    """Bring the index up to date with one run; one that was deleted or damaged takes in all runs of the home again.

    No WAL: home folders may be on NFS.
    """
    try:
        _index_run(home, run)
    except sqlite3.Error as error:  # its tables are not what they were
        _set_aside(home, error)
        _index_run(home, run)


def _sound(path: Path, timeout: float) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=timeout)
    try:
        if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("it is damaged")
        return database
    except BaseException:
        database.close()
        raise


def _set_aside(home: Home, error: sqlite3.Error) -> None:
    """Set a damaged index aside; any other error is raised."""
    if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _NOT_DAMAGE:
        raise error
    set_aside(home.index)


def _index_run(home: Home, run: RunFolder) -> None:
    with closing(open_index(home, timeout=10)) as database, database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone():
            for table in _TABLES:
                database.execute(table)
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
