"""What a person does with runs: check, start, pause, finish a stage, open an earlier one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from core.common.errors import EspalierError, Problem
from core.runs.library import register
from core.runs.run_folder import RunFolder
from core.runs.series import series_of
from core.search.records import is_study
from gui.base.document import Document
from gui.base.latest_job import LatestJob
from gui.base.messages import Messages
from gui.base.translation import QT_TR_NOOP, tr
from gui.editor.check_before_run import CheckBeforeRun
from gui.runs.queue_runner import QueueRunner
from gui.runs.run_queue import runs_of
from gui.runs.run_results import Results, read_results
from gui.runs.run_session import Session
from gui.shell.places import Places

_ENDS = {
    "completed": QT_TR_NOOP("The run is complete."),
    "stopped": QT_TR_NOOP("Stopped; Resume run goes on where it was."),
    "failed": QT_TR_NOOP("The run failed."),
    "interrupted": QT_TR_NOOP("The run was interrupted; Resume run goes on where it was."),
}


class RunController(QObject):
    """Connects the window's actions with the session, and the session with what is shown.

    Attributes:
        settle: asks about what the document would run, and goes on where a person agrees.

    Signals:
        shown: the `Results` that every place is to show; again after each stage of the run under way.
        problem_wanted: the `Problem` that a person is to see.
        series_ended: the folders of runs that are to be shown side by side.
        status_message: a sentence for the status bar.
    """

    shown = Signal(object)
    problem_wanted = Signal(object)
    series_ended = Signal(list)
    status_message = Signal(str)

    def __init__(
        self,
        window: QWidget,
        document: Document,
        session: Session,
        queue_runner: QueueRunner,
        check_before_run: CheckBeforeRun,
        places: Places,
        messages: Messages,
    ):
        super().__init__(window)
        self._window, self._document, self._session = window, document, session
        self._queue_runner, self._check_before_run, self._places, self._messages = (
            queue_runner,
            check_before_run,
            places,
            messages,
        )
        self.settle: Callable[[Callable[[], None]], None] = lambda then: then()
        self.results: Results | None = None
        self._read, self._reader = 0, LatestJob(self)  # by numbers: only what was asked for last is shown
        self._reader.done.connect(self._take)
        self._reader.failed.connect(lambda _number, failure: messages.failure(failure))
        session.stage_done.connect(self._stage_done)
        session.changed.connect(self._status_changed)
        session.run_ended.connect(self._run_ended)
        session.failed.connect(messages.failure)
        queue_runner.started.connect(lambda: self.show(session.run))
        check_before_run.ready.connect(self.start)
        check_before_run.shown.connect(lambda: places.go("pipeline"))
        check_before_run.again_wanted.connect(self.check)
        check_before_run.go_wanted.connect(self.problem_wanted)
        check_before_run.status_message.connect(self.status_message)

    def run(self) -> None:
        """Check the document where that is wanted, and run it; while a run goes on, offer to queue it."""
        if self._session.steered == "idle":
            self.settle(lambda: self._check_before_run.run(self._session.options()))
        else:
            self.settle(self.start)

    def start(self) -> None:
        """Run the document as it is now, unchecked; while a run goes on, offer to queue it.

        Of several data sets the first begins, and the others wait for their turn.
        """
        pipeline, base = self._document.pipeline, self._document.base
        if self._session.steered != "idle":
            self._queue_runner.offer_to_queue(pipeline, base)
        else:
            first, *others = runs_of(pipeline, base)
            self._begin(lambda: self._session.start(first.pipeline, first.base, first.series))
            if others and self._session.steered != "idle":
                self._queue_runner.queue.add_first(*others)

    def resume(self) -> None:
        """Go on with the stopped run of this document."""
        run = self._session.resumable(self._document.text)
        if run is not None and run.status == "completed":  # by somebody else meanwhile
            self._session.look_for_unfinished(self._document.pipeline)
            self.show(run, replay=True)
        elif run is not None:
            self.settle(lambda: self._begin(lambda: self._session.resume_run(run)))

    def go_on_with(self, run: RunFolder) -> None:
        """Go on with a run that somebody asks for more, and follow its search."""
        self._begin(lambda: self._session.resume_run(run), "study")

    def _begin(self, start: Callable[[], None], place: str = "") -> None:
        try:
            start()
        except EspalierError as error:
            self._messages.error(error)
            return
        self.show(self._session.run)
        searches = self._session.run is not None and is_study(self._session.run)
        self._places.go(place or ("study" if searches else "monitor"))

    def pause(self) -> None:
        """Pause, or go on."""
        if self._session.paused:
            self._session.go_on()
        else:
            self._session.pause()

    def stop(self) -> None:
        self._session.stop()

    def finish_stage(self) -> None:
        """Let the stage that trains end after this epoch."""
        self._session.finish_stage()
        self.status_message.emit(tr("This stage's training ends soon; its best epoch is kept."))

    def check(self) -> None:
        """Go to the first problem; where there is none, try every stage and estimate the cost."""
        problems: list[Problem] = self._document.problems
        if problems:
            self.problem_wanted.emit(problems[0])
            self.status_message.emit(tr("See the problems below the list."))
        else:
            self.settle(lambda: self._check_before_run.check(self._session.options()))

    # showing

    def open(self) -> None:
        """Ask for the folder of a run and show its results."""
        runs = str(self._session.home.runs)
        chosen = QFileDialog.getExistingDirectory(self._window, tr("Open the folder of a run"), runs)
        if chosen:
            self.choose(Path(chosen))

    def choose(self, folder: Path) -> None:
        """Show the results of the run in `folder`."""
        try:
            self.show(RunFolder.open(folder))
        except EspalierError as error:
            self._messages.error(error)

    def show(self, run: RunFolder | None, replay: bool = False) -> None:
        """Show a run's results; `replay` also shows its curves where nothing runs."""
        if run is None:
            return
        try:
            if self.results is None or self.results.run.folder != run.folder:
                self._remember(run.folder)
            self._read += 1
            self.results = self._as_now(read_results(run))
            if replay and self._session.steered == "idle":
                self._session.show(run)
        except EspalierError as error:
            self._messages.error(error)
            return
        self.shown.emit(self.results)

    def _remember(self, folder: Path) -> None:
        """The lists of runs know a run from elsewhere once it was opened."""
        if register(self._session.home, folder):
            self.status_message.emit(
                tr("A run from elsewhere: it stays where it lies, and is listed under Start.")
            )

    def _stage_done(self) -> None:
        shown = self.results.run.folder if self.results else None
        run = self._session.run
        if run is not None and shown == run.folder:
            self._read += 1
            self._reader.ask(self._read, tr("reading the results"), lambda _control, _say: read_results(run))

    def _take(self, number: int, results: Results) -> None:
        if number == self._read:
            self.results = self._as_now(results)
            self.shown.emit(self.results)

    def _as_now(self, results: Results) -> Results:
        """With the status that the run has by now."""
        return replace(results, status=self._session.status_of(results.run) or results.status)

    def _status_changed(self) -> None:
        """A run that is paused, or goes on again, is shown as such; how it ended is read when it has."""
        if self.results is not None and (now := self._as_now(self.results)).status != self.results.status:
            self.results = now
            self.shown.emit(now)

    def _show_side_by_side(self) -> None:
        """Compare the run with those on the other data sets that it was started with."""
        run = self._session.run
        together = series_of(self._session.home, run) if run is not None else []
        if len(together) > 1:
            self.series_ended.emit([each.folder for each in together])
        else:
            self._places.go("compare")

    def _run_ended(self, how: str) -> None:
        self._stage_done()
        if how != "completed" and self._document.pipeline.axes.data is not None:
            self._session.look_for_unfinished(self._document.pipeline)
        if how == "completed" and self._places.current == "monitor" and not self._queue_runner.queue.entries:
            self._show_side_by_side()
        self.status_message.emit(tr(_ENDS[how]))
