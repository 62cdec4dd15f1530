"""Keeps the Start place up to date with the disk: lists, annotates, deletes, puts back."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.runs import trash
from core.runs.final_figures import FinalFigures, read_figures
from core.runs.home import Home
from core.runs.library import Library, RunLine, annotate, read_library
from core.runs.trash import Deleted
from gui.base.actions import Actions
from gui.base.messages import Messages
from gui.base.translation import QT_TR_NOOP, tr
from gui.base.worker import Say, Worker
from gui.start.recent import Recent, recent_pipelines, still_there
from gui.start.view import StartView

_SAY_SECONDS = 0.4  # between two words about figures
_MANY = 500  # runs whose figures are worth a word while they are read
DELETE, KEEP = QT_TR_NOOP("Delete for good"), QT_TR_NOOP("Keep them")


@dataclass(frozen=True, slots=True)
class _Read:
    """What the place shows."""

    library: Library
    deleted: list[Deleted]
    recent: list[Recent]


class StartPlace(QObject):
    """Lists are read on a worker, each time the place comes into view.

    Signals:
        status_message: a sentence for the status bar.
        way_chosen: "tour", "images" or "model".
        path_chosen: a pipeline file or a run folder to open.
        compare_wanted: folders of runs to show side by side.
    """

    status_message = Signal(str)
    way_chosen = Signal(str)
    path_chosen = Signal(object)
    compare_wanted = Signal(list)

    def __init__(self, home: Home, actions: Actions, messages: Messages, parent: QObject):
        super().__init__(parent)
        self.home, self.messages = home, messages
        self.view = StartView(actions.open, actions.open_run, actions.run)
        self.lister, self.figurer = Worker(self), Worker(self)
        self._last: list[Deleted] = []
        self._known: set[Path] = set()  # runs whose figures were read since they were listed
        self._being_read: set[Path] = set()
        self._others_wanted = False
        self._again = False
        self._keep_days: float = trash.KEPT_DAYS
        view = self.view
        view.seen.connect(self.refresh)
        view.way_chosen.connect(self.way_chosen)
        view.path_chosen.connect(self.path_chosen)
        view.compare_wanted.connect(self.compare_wanted)
        view.reveal_wanted.connect(self._reveal)
        view.edited.connect(self._annotate)
        view.delete_wanted.connect(self._delete)
        view.undo_wanted.connect(self._undo)
        view.restore_wanted.connect(lambda deleted: self._restore([deleted]))
        view.empty_wanted.connect(self._empty)
        self.lister.completed.connect(self._show)
        self.lister.failed.connect(messages.failure)
        self.lister.ended.connect(self._ended)
        view.table.figures_wanted.connect(self._read_figures)
        self.figurer.happened.connect(self._show_figures)
        self.figurer.failed.connect(messages.failure)
        self.figurer.ended.connect(self._figures_ended)

    def refresh(self) -> None:
        """Read the runs and the trash again; what is too old in it goes for good."""
        self._list(trash.KEPT_DAYS)

    def _list(self, days: float) -> None:
        self._keep_days = min(self._keep_days, days)  # who asks while it reads is not forgotten
        if self.lister.running:
            self._again = True
            return
        self._again, days, self._keep_days = False, self._keep_days, trash.KEPT_DAYS
        home = self.home

        recent = recent_pipelines()

        def job(_control: RunControl, _say: Say) -> _Read:
            trash.empty_trash(home, days)
            library = read_library(home)
            return _Read(library, trash.trashed(home), still_there(recent))

        self.lister.start(tr("reading the runs"), job)

    def _figured(self, library: Library) -> Library:
        """Runs with the figures that they were last shown with, until those are read again."""
        known = {line.folder: line.figures for line in self.view.table.runs.all}
        lines = (replace(line, figures=known.get(line.folder, line.figures)) for line in library.runs)
        return replace(library, runs=tuple(lines))

    def _show(self, found: "_Read") -> None:
        if not self._again:  # what was read is older than the last change
            self._known.clear()
            self.view.show_library(self._figured(found.library))
            self.view.show_deleted(self._last, found.deleted)
            self.view.recent.show_entries(found.recent)

    def _ended(self) -> None:
        if self._again and not self.lister.control.stopping:
            self.refresh()

    # figures of what is in view

    def _read_figures(self, folders: Sequence[Path]) -> None:
        """Read the figures of these runs, as far as they were not read since the runs were listed."""
        missing = [folder for folder in folders if folder not in self._known]
        if not missing or (self.figurer.running and self._being_read.issuperset(missing)):
            return
        if self.figurer.running:
            self._others_wanted = True
            self.figurer.stop()
            return
        if len(missing) > _MANY:
            self.status_message.emit(tr("Reading the figures of {count} runs …", count=len(missing)))
        self._being_read = set(missing)
        self.figurer.start(tr("reading the figures of runs"), partial(_figures_job, self.home, missing))

    def _show_figures(self, batch: Sequence[dict[Path, FinalFigures]]) -> None:
        read = {folder: figures for part in batch for folder, figures in part.items()}
        if not self._again:
            self._known |= read.keys()
            self.view.table.show_figures(read)

    def _figures_ended(self) -> None:
        if self._others_wanted:
            self._others_wanted = False
            self._read_figures(self.view.table.needed())

    # what a person does

    def _reveal(self, folder: Path) -> None:
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))):
            self.messages.inform(
                tr("The folder of the run"),
                tr("No file manager answered. The run lies in {folder}.", folder=folder),
            )

    def _annotate(self, line: RunLine, name: str, tags: tuple[str, ...], notes: str) -> None:
        self._try(
            lambda: self.view.show_run(
                replace(annotate(self.home, line, name, tags, notes), figures=line.figures)
            )
        )

    def _delete(self, lines: list[RunLine]) -> None:
        def work() -> None:
            self._last = []
            for line in lines:  # one by one, so that those before a failure can be put back
                self._last += trash.delete(self.home, [line])

        self._try(work)
        self.view.show_deleted(self._last, [])
        self.refresh()

    def _undo(self) -> None:
        self._restore(self._last)

    def _restore(self, deleted: Sequence[Deleted]) -> None:
        folders: list[Path] = []

        def work() -> None:
            folders.extend(trash.restore(self.home, one) for one in deleted)
            self.status_message.emit(tr("Put back: {names}.", names=", ".join(one.name for one in deleted)))

        self._try(work)
        self._last = [one for one in self._last if one not in deleted]
        self.view.show_deleted(self._last, [])
        self.refresh()

    def _empty(self) -> None:
        answer = self.messages.question(
            tr(DELETE), tr("Delete all runs in the trash for good?"), tr("Nothing can bring them back afterwards."),
            (DELETE, KEEP),
        )  # fmt: skip
        if answer == DELETE:
            self._last = []
            self.view.show_deleted([], [])
            self._list(0)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except EspalierError as error:
            self.messages.error(error)

    def retheme(self) -> None:
        self.view.retheme()


def _figures_job(home: Home, folders: Sequence[Path], control: RunControl, say: Say) -> None:
    """Says the figures of these runs by their folders, a few times a second; also those so far where it is stopped."""
    read: dict[Path, FinalFigures] = {}
    said = time.monotonic()
    try:
        for folder, figures in zip(folders, read_figures(home, folders, control), strict=True):
            read[folder] = figures
            if time.monotonic() - said >= _SAY_SECONDS:
                say(read)
                read, said = {}, time.monotonic()
    finally:
        say(read)
