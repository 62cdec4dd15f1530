"""One run at a time: starts its process or attaches to it, steers it, keeps its state.

A run works in a process of its own, which goes on when the window closes; the worker's thread follows
it. The window's state is computed from here and from the document; nothing stores "enabled".
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QObject, Signal

from core.cluster.security import Cluster
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.common.logs import passed_over
from core.document import pipeline as documents
from core.document.data_axis import per_data_set
from core.document.pipeline import Pipeline
from core.engine.options import Options
from core.engine.run_follower import RunFollower, TimedEvent, start_run
from core.runs.finding import unfinished_run
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from gui.base.translation import tr
from gui.base.worker import Failure, Say, Worker
from gui.runs.run_state import RunState, merged

_log = logging.getLogger(__name__)

Steered = Literal["idle", "running", "paused", "stopping"]


class Session(QObject):
    """The run under way, or the last one.

    Signals:
        changed: the state of the run or the steering is other than before.
        running_changed: whether a run goes on; only when that is other than before.
        stage_done: a stage has finished; its report is in the run folder.
        run_ended: "completed", "stopped", "failed" or "interrupted"; after the last two a `Failure` follows by `failed`.

    `options` gives what the engine's `Options` are made from, `cluster` the address and certificates of the scheduler whose
    workers make the stages, None for this machine; both are asked when a run starts.
    """

    changed = Signal()
    running_changed = Signal(bool)
    stage_done = Signal()
    run_ended = Signal(str)
    failed = Signal(object)

    def __init__(self, home: Home, parent: QObject | None = None):
        super().__init__(parent)
        self.home = home
        self.options: Callable[[], dict[str, Any]] = dict
        self.cluster: Callable[[], dict[str, str] | None] = lambda: None
        self.run: RunFolder | None = None
        self.state = RunState()
        self._follower: RunFollower | None = None
        self._left, self._finishing = False, ""
        self.worker = Worker(self, merged)
        self.worker.happened.connect(self._take)
        self.worker.completed.connect(lambda _result: self._ended("completed"))
        self.worker.stopped.connect(lambda: self._ended("stopped"))
        self.worker.failed.connect(self._failed)
        self._unfinished: tuple[str, RunFolder] | None = None

    @property
    def steered(self) -> Steered:
        """What the run is doing, as far as a person steers it."""
        if not self.worker.running:
            return "idle"
        if self.worker.control.stopping:
            return "stopping"
        return "paused" if self.paused else "running"

    def status_of(self, run: RunFolder) -> str:
        """The status of `run` where it is the one under way, "" otherwise; its folder says it only once the process works."""
        if not self.worker.running or self.run is None or self.run.folder != run.folder:
            return ""
        return "paused" if self.paused else "running"

    @property
    def paused(self) -> bool:
        """Whether the run is held, by this window or another watcher, or was just asked to hold."""
        return self.worker.running and self.worker.control.paused

    @property
    def finishing(self) -> bool:
        """Whether the stage that trains was asked to end and has not yet."""
        return bool(self._finishing) and self.state.training and self.state.current == self._finishing

    def start(self, pipeline: Pipeline, base: Path, series: str = "") -> None:
        """Run `pipeline` in a fresh run folder; raises `EspalierError` when that cannot be made.

        Args:
            series: as of `core.runs.new_run.create_run`.
        """
        if self.worker.retired:  # the window closes: nothing would run in the folder
            return
        self._start(create_run(pipeline, base, self.home, series=series), RunState(), 0)

    def resume_run(self, run: RunFolder) -> None:
        """Go on with a run that was stopped; what is finished is kept."""
        state = RunState()
        state.take_all(run.events())
        self._start(run, state, run.last_event_number)

    def show(self, run: RunFolder) -> None:
        """Show the curves and the log of a run from before; one that goes on is followed."""
        if self.worker.running:
            return
        if run.active:
            self._follow(run, RunState(), RunFollower(run))
            return
        self.run, self.state = run, RunState()
        self.state.take_all(run.events())
        if run.status == "interrupted":
            self.state.interrupt()
        self.changed.emit()

    def leave(self) -> None:
        """Stop following the run, which goes on; `run_ended` is not emitted."""
        self._left = True
        if self._follower is not None:
            self._follower.detach()

    def look_for_unfinished(self, pipeline: Pipeline) -> None:
        """Remember the newest run of exactly this document that is not completed; one that goes on needs nobody."""
        run = None
        with passed_over(_log, "A folder is no run to go on with", EspalierError):
            runs = (unfinished_run(self.home, one) for one in per_data_set(pipeline))
            run = next((one for one in runs if one is not None and not one.active), None)
        self._unfinished = (documents.dumps(pipeline), run) if run else None
        self.changed.emit()

    def resumable(self, text: str) -> RunFolder | None:
        """The run to go on with for the document `text`; None while one is running."""
        if self.worker.running or self._unfinished is None or self._unfinished[0] != text:
            return None
        return self._unfinished[1]

    def pause(self) -> None:
        if self.steered == "running":
            self.worker.control.pause()
            self.changed.emit()

    def go_on(self) -> None:
        if self.steered == "paused":
            self.worker.control.resume()
            self.changed.emit()

    def stop(self) -> None:
        """Ask the run to stop; finished epochs are kept."""
        self.worker.stop()
        self.changed.emit()

    def finish_stage(self) -> None:
        """Let the stage that trains end after this epoch."""
        self.worker.control.finish_stage()
        self._finishing = self.state.current
        self.changed.emit()

    def _start(self, run: RunFolder, state: RunState, last_event: int) -> None:
        """Start the run's process; the first `last_event` events are in `state` already."""
        options, cluster = Options(**self.options()), self.cluster()
        if cluster is None or run.written.search is not None:  # a search decides as it goes
            follower = start_run(run, self.home, options, stay=True, after=last_event)
        else:
            from core.cluster.run_process import start_run_by_cluster

            where = Cluster(cluster["address"], Path(cluster["tls"]) if cluster["tls"] else None)
            follower = start_run_by_cluster(run, self.home, options, where, stay=True, after=last_event)
        self._follow(run, state, follower)

    def _follow(self, run: RunFolder, state: RunState, follower: RunFollower) -> None:
        self.run, self.state, self._unfinished = run, state, None
        self._follower, self._left, self._finishing = follower, False, ""

        def job(control: RunControl, say: Say) -> Any:
            done = follower.follow(control, say)
            if done is None or done.status == "stopped":
                raise Stopped
            if done.status == "failed":
                raise EspalierError(done.message, done.advice, done.details)
            return done

        self.worker.start(tr("the run “{name}”", name=run.name), job)
        self.running_changed.emit(self.worker.running)
        self.changed.emit()

    def _take(self, batch: list[TimedEvent]) -> None:
        finished = self._finished()
        for line in batch:
            self.state.take(line.event, line.time)
        self.changed.emit()
        if self._finished() != finished:
            self.stage_done.emit()

    def _finished(self) -> int:
        return sum(1 for stage in self.state.stages.values() if stage.report)

    def _ended(self, how: str) -> None:
        self._follower = None
        if self._left:
            self.running_changed.emit(False)
            return
        if how != "completed" and self.state.done is None:
            how = "interrupted"
            self.state.interrupt()
        if self.run is not None and how != "completed":
            try:
                text = self.run.info.document
                self._unfinished = (text, self.run) if text else None
            except EspalierError:
                self._unfinished = None
        self.running_changed.emit(False)
        self.changed.emit()
        self.run_ended.emit(how)

    def _failed(self, failure: Failure) -> None:
        self._ended("failed")
        self.failed.emit(failure)
