"""Lists and reads runs for the comparison desk on workers, and writes its reports."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.comparison.compared_runs import ComparedRun, read_all
from core.runs.home import Home
from core.runs.library import list_runs
from gui.base.translation import tr
from gui.base.worker import Say, Worker
from gui.runs.status_words import status_word

_PATIENCE = 0.4  # seconds without anything to see


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One run to choose; `words` is what a search looks through."""

    folder: str
    title: str
    about: str
    words: str


def entries(home: Home) -> list[RunEntry]:
    """The runs of this home and those from elsewhere, newest first; read from their `run.json` alone."""
    listed = []
    for line in list_runs(home):
        parts = [
            line.when,
            status_word(line.status),
            *line.tags,
            "" if line.this_machine else tr("another machine"),
        ]
        about = " · ".join(part for part in parts if part)
        words = " ".join([line.folder.name, line.name, line.pipeline, about, line.notes])
        listed.append(RunEntry(str(line.folder), line.name, about, words.casefold()))
    return listed


class RunReader(QObject):
    """Lists runs, and reads those that are compared; a newer request replaces the one under way.

    The list is read anew each time that it is opened and when a run has ended: a status is of now.

    Signals:
        listed: every `RunEntry`.
        read: the `ComparedRun`s that were asked for, in their order, as far as they are read.
        status_message: a sentence for the status bar.
        failed: a `Failure`.
    """

    listed = Signal(list)
    read = Signal(list)
    status_message = Signal(str)
    written = Signal(object)
    failed = Signal(object)

    def __init__(self, home: Home, parent: QObject | None = None):
        super().__init__(parent)
        self._home = home
        self.worker, self.lister, self.writer = Worker(self), Worker(self), Worker(self)
        self._requested: list[str] = []
        self._again = self._list_again = self._shown = False
        self._started = 0.0
        self._runs: list[ComparedRun] = []
        self.worker.happened.connect(self._take)
        self.worker.ended.connect(self._ended)
        self.worker.failed.connect(self.failed.emit)
        self.lister.completed.connect(self.listed.emit)
        self.lister.ended.connect(self._lister_ended)
        self.lister.failed.connect(self.failed.emit)
        self.writer.completed.connect(self.written.emit)
        self.writer.failed.connect(self.failed.emit)

    def attach(self, view: Any) -> None:
        """Connect to a `CompareView`."""
        view.wanted.connect(self.refresh)
        view.list_wanted.connect(self.list_runs)
        view.write_wanted.connect(self.write)
        self.listed.connect(view.show_entries)
        self.read.connect(view.show_read)
        self.written.connect(view.show_written)

    def list_runs(self) -> None:
        """List all runs, as they are now."""
        if self.lister.running:  # the list under way may be out of date
            self._list_again = True
            return
        home, self._list_again = self._home, False
        self.lister.start(tr("reading the list of runs"), lambda _control, _say: entries(home))

    def _lister_ended(self) -> None:
        if self._list_again:
            self.list_runs()

    def refresh(self, folders: Sequence[str]) -> None:
        """Read these runs."""
        self._requested = list(folders)
        if self.worker.running:
            self._again = True
            self.worker.stop()
        else:
            self._start()

    def write(self, path: Path, into: Callable[[Path, Home, RunControl], None]) -> None:
        """Have a file written by a function that takes its path, the home, and what stops it."""
        home = self._home

        def job(control: RunControl, _say: Say) -> Path:
            into(path, home, control)
            return path

        if self.writer.running:
            self.status_message.emit(tr("A report is being written already."))
        else:
            self.status_message.emit(tr("Writing {name} …", name=path.name))
            self.writer.start(tr("the report"), job)

    def _start(self) -> None:
        home, folders = self._home, [Path(folder) for folder in self._requested]
        self._again, self._runs = False, []
        self._shown, self._started = False, time.monotonic()

        def job(control: RunControl, say: Say) -> None:
            for run in read_all(home, folders):
                control.checkpoint()
                say(run)

        self.worker.start(tr("reading runs"), job)

    def _take(self, batch: list[Any]) -> None:
        """Where reading takes its time, the first runs are shown at once; the rest comes together."""
        early = not self._shown and time.monotonic() - self._started > _PATIENCE
        for item in batch:
            if isinstance(item, ComparedRun):
                self._runs.append(item)
            elif isinstance(item, EspalierError):
                self.status_message.emit(str(item))
        if early and self._runs and not self._again:
            self._shown = True
            self.read.emit(list(self._runs))

    def _ended(self) -> None:
        if self._again:
            self._start()
        elif self._runs or not self._requested:
            self.read.emit(list(self._runs))
