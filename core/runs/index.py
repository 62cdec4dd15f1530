"""The index: figures of all runs in one SQLite file, made from the run folders, and what lists and comparisons read of them.

It may be deleted at any time. No WAL: home folders may be on NFS.
"""

import hashlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeVar

from core.common.content_hashes import read_sealed, set_aside
from core.common.errors import EspalierError
from core.common.logs import in_a_line, passed_over
from core.runs.finding import find_runs
from core.runs.home import Home
from core.runs.run_folder import RunFolder

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

_NOT_DAMAGE = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR,
}  # fmt: skip
_TABLES = (
    "CREATE TABLE runs (folder TEXT PRIMARY KEY, name TEXT, started REAL, status TEXT, seconds REAL)",
    "CREATE TABLE metrics (folder TEXT, stage TEXT, seed INTEGER, artefact TEXT, metric TEXT, value REAL, unit TEXT)",
)
_BY_FOLDER = "CREATE INDEX IF NOT EXISTS metrics_of_a_run ON metrics (folder)"  # without it every change reads the whole table
_UNREADABLE = (
    EspalierError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OSError,
)  # files that hold something else
_PATIENCE = 5.0  # seconds that a list waits for another process
_AT_ONCE = 500  # entries that are written together
_DIGITS = 64


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
    """Bring the index up to date with one run; one that was deleted or damaged takes in all runs of the home again."""
    try:
        _index_run(home, run)
    except sqlite3.Error as error:  # its tables are not what they were
        _set_aside(home, error)
        _index_run(home, run)


Table = Literal["compared", "figures", "listed"]


class Kept:
    """Texts that were made from run folders, each kept with a stamp of the files that it was made from.

    Without a usable index nothing is kept, and nobody is told: everything can be read from the folders again.
    """

    def __init__(self, database: sqlite3.Connection | None, table: Table):
        self._database, self._table = database, table
        self._new: list[tuple[str, str, str]] = []
        create = f"CREATE TABLE IF NOT EXISTS {table} (folder TEXT PRIMARY KEY, stamp TEXT, content TEXT)"
        self._try(lambda database: database.execute(create))

    @classmethod
    @contextmanager
    def opened(cls, home: Home, table: Table) -> Iterator["Kept"]:
        """A table of the index, written at the end."""
        try:
            database: sqlite3.Connection | None = open_index(home, _PATIENCE)
        except (sqlite3.Error, OSError) as error:
            _log.warning("Runs are read without the index: %s", in_a_line(error))
            database = None
        kept = cls(database, table)
        try:
            yield kept
        finally:
            kept._write()
            if database is not None:
                with suppress(sqlite3.Error):
                    database.close()

    def get(self, key: str, stamp: str) -> str | None:
        """The text, where it was made from these very files and is whole."""
        query = f"SELECT content FROM {self._table} WHERE folder = ? AND stamp = ?"
        row = self._try(lambda database: database.execute(query, (key, stamp)).fetchone())
        if not row or not isinstance(row[0], str):
            return None
        digest, text = row[0][:_DIGITS], row[0][_DIGITS:]
        return text if digest == _digest(text) else None

    def put(self, key: str, stamp: str, text: str) -> None:
        """Keep a text from now on, in the place of the one before."""
        self._new.append((key, stamp, _digest(text) + text))
        if len(self._new) >= _AT_ONCE:
            self._write()

    def forget_others(self, keys: Iterable[str]) -> None:
        """Forget what is not among the keys."""
        known = self._try(lambda database: database.execute(f"SELECT folder FROM {self._table}").fetchall())
        gone = {key for (key,) in known or ()}.difference(keys)
        if gone:
            delete = f"DELETE FROM {self._table} WHERE folder = ?"
            self._try(lambda database: database.executemany(delete, [(key,) for key in gone]))
            self._try(lambda database: database.commit())

    def _write(self) -> None:
        new, self._new = self._new, []
        insert = f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?, ?)"
        if new:
            self._try(lambda database: database.executemany(insert, new))
        self._try(lambda database: database.commit())

    def _try(self, action: Callable[[sqlite3.Connection], _Answer]) -> _Answer | None:
        """A read-only or busy index is no reason not to show runs."""
        try:
            return None if self._database is None else action(self._database)
        except sqlite3.Error as error:
            _log.debug("The index takes no part: %s", in_a_line(error))
            return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


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
                with passed_over(_log, omission, *_UNREADABLE):
                    _index(database, indexed)
        database.execute(_BY_FOLDER)
        folder = str(run.folder.resolve())
        database.execute("DELETE FROM metrics WHERE folder = ?", (folder,))
        _index(database, run)


def _index(database: sqlite3.Connection, run: RunFolder) -> None:
    """Write a run's figures."""
    info, folder, figures = run.info, str(run.folder.resolve()), list(_figures(run))
    database.execute(
        "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)",
        (folder, info.name, info.started, info.status, info.seconds),
    )
    database.executemany(
        "INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?)", [(folder, *figure) for figure in figures]
    )


def _figures(run: RunFolder) -> Iterator[tuple[str, int, str, str, float | None, str]]:
    """Every figure of the finished stages, as plain data: neither the pipeline is read, nor the reports' models made."""
    for stage in run.stage_folders():
        if not stage.report_file.is_file():
            continue
        report = read_sealed(stage.report_file)
        for artefact in report["artefacts"]:
            for name, metric in artefact["metrics"].items():
                value = metric["value"]
                known = None if value is None else float(value)
                yield (
                    str(report["id"]),
                    int(report["seed"]),
                    str(artefact["id"]),
                    name,
                    known,
                    str(metric.get("unit", "")),
                )
