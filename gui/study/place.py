"""Which search is shown, read on a worker whenever a trial has ended; and what a person asks of it."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QInputDialog

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.runs.run_folder import RunFolder
from core.search.records import is_study, wish
from core.search.trial_document import trial_document
from gui.base.actions import Actions
from gui.base.latest_job import LatestJob
from gui.base.messages import Messages
from gui.base.translation import tr
from gui.base.worker import Failure, Say
from gui.runs.run_session import Session
from gui.study.reading import ShownStudy, read
from gui.study.view import StudyView

_MORE, _MOST = 10, 10_000


class StudyPlace(QObject):
    """Owns the view and the worker behind it.

    Signals:
        status_message: a sentence for the status bar.
        opened: an `OpenedDocument` that the editor is to show.
        resume_wanted: a run to go on with.
    """

    status_message = Signal(str)
    opened = Signal(object)
    resume_wanted = Signal(object)

    def __init__(self, actions: Actions, session: Session, messages: Messages, parent: QObject):
        super().__init__(parent)
        self.view = StudyView(actions)
        self._session, self._messages = session, messages
        self.run: RunFolder | None = None
        self._trials = 0
        self._asked_how_many: Callable[[], int | None] = self._ask_how_many
        self.reader = LatestJob(self)
        self.reader.done.connect(self._read)
        self.reader.failed.connect(self._not_read)
        session.changed.connect(self._follow)
        session.running_changed.connect(lambda _running: self.refresh())
        self.view.confirm_wanted.connect(self._confirm)
        self.view.open_wanted.connect(self._open)
        self.view.more_wanted.connect(self._more)
        self.view.resume_wanted.connect(self._resume)

    def retheme(self) -> None:
        self.view.retheme()

    def show_run(self, run: RunFolder) -> None:
        """Show the search of a run; nothing where it has none."""
        try:
            self.run = run if is_study(run) else None
        except EspalierError:  # the other places say what is wrong with it
            self.run = None
        if self.run is None:
            self.reader.stop()
            self.view.show_study(None, self._busy)
        self.refresh()

    def refresh(self) -> None:
        """Read the search again."""
        run = self.run
        if run is None:
            return
        self._trials = self._session.state.trials

        def job(control: RunControl, say: Say) -> ShownStudy | None:
            return read(run)

        self.reader.ask((run.folder, self._trials, self._session.steered), tr("reading the search"), job)

    @property
    def _busy(self) -> bool:
        return self._session.steered != "idle"

    def _follow(self) -> None:
        """The run that is under way has told something: a trial more is read."""
        run = self._session.run
        if self.run is None or run is None or run.folder != self.run.folder:
            return
        if self._session.state.trials != self._trials:
            self.refresh()
        else:
            self.view.update_enabled()

    def _read(self, _request: object, shown: ShownStudy | None) -> None:
        if shown is None or (self.run is not None and shown.run.folder == self.run.folder):
            self.view.show_study(shown, self._busy)

    def _not_read(self, _request: object, failure: Failure) -> None:
        self.status_message.emit(failure.message)

    def _confirm(self, number: int) -> None:
        """Have a trial made at full length and measured on the test images."""
        if self._wished(confirm=number):
            self.status_message.emit(tr("Trial {number} is confirmed at full length.", number=number))

    def _more(self) -> None:
        count = self._asked_how_many()
        if count and self._wished(more=count):
            self.status_message.emit(tr("{count} trials more.", count=count))

    def _wished(self, more: int = 0, confirm: int = 0) -> bool:
        """Write a wish down; a run that is at rest goes on with it."""
        if self.run is None:
            return False
        try:
            wish(self.run, more, [confirm] if confirm else [])
        except EspalierError as error:
            self._messages.error(error)
            return False
        if self.run.active:
            return True
        if self._busy:
            self.status_message.emit(tr("It is taken up when this run is resumed; another one is under way."))
            return False
        self.resume_wanted.emit(self.run)
        return True

    def _resume(self) -> None:
        if self.run is not None and not self._busy:
            self.resume_wanted.emit(self.run)

    def _open(self, number: int) -> None:
        """Open a trial in the editor, as an ordinary pipeline without a file of its own."""
        if self.run is None:
            return
        try:
            self.opened.emit(trial_document(self.run, number))
        except EspalierError as error:
            self._messages.error(error)

    def _ask_how_many(self) -> int | None:
        count, agreed = QInputDialog.getInt(
            self.view, tr("More trials"), tr("How many trials more?"), _MORE, 1, _MOST
        )
        return count if agreed else None
