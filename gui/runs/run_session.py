"""One run at a time: starts the engine on the worker, steers it, keeps the picture of it.

The window's state is computed from here and from the document; nothing stores "enabled".
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QObject, Signal

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.runs.home import Home
from core.runs.run_folder import RunFolder, unfinished_run
from gui.base.translation import tr
from gui.base.worker import Failure, Say, Worker
from gui.runs.run_state import RunState, merged

Steered = Literal["idle", "running", "paused", "stopping"]


class Session(QObject):
    """The run under way, or the last one.

    Signals:
        changed: the state of the run or the steering is other than before.
        running_changed: whether a run goes on; only when that is other than before.
        stage_done: a stage has finished; its report is in the run folder.
        run_ended: "completed", "stopped" or "failed"; a `Failure` follows by `failed`.

    `options` gives what the engine's `Options` are made from, asked when a run starts.
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
        self.run: RunFolder | None = None
        self.state = RunState()
        self.paused = False
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

    def start(self, pipeline: Pipeline, base: Path) -> None:
        """Run `pipeline` in a fresh run folder; raises `EspalierError` when that cannot be made."""
        if self.worker.retired:  # the window closes: nothing would run in the folder
            return
        self._go(RunFolder.create(pipeline, base, self.home), RunState())

    def resume_run(self, run: RunFolder) -> None:
        """Go on with a run that was stopped; what is finished is kept."""
        state = RunState()
        state.take_all(run.events())
        self._go(run, state)

    def show(self, run: RunFolder) -> None:
        """Show the curves and the log of a run from before."""
        if not self.worker.running:
            self.run, self.state = run, RunState()
            self.state.take_all(run.events())
            self.changed.emit()

    def look_for_unfinished(self, pipeline: Pipeline) -> None:
        """Remember the newest run of exactly this document that is not completed."""
        found = None
        with contextlib.suppress(EspalierError):  # a folder that cannot be read is no run to go on with
            found = unfinished_run(self.home, pipeline)
        self._unfinished = (documents.dumps(pipeline), found) if found else None
        self.changed.emit()

    def resumable(self, text: str) -> RunFolder | None:
        """The run to go on with for the document `text`; None while one is running."""
        if self.worker.running or self._unfinished is None or self._unfinished[0] != text:
            return None
        return self._unfinished[1]

    def pause(self) -> None:
        if self.steered == "running":
            self.worker.control.pause()
            self.paused = True
            self.changed.emit()

    def go_on(self) -> None:
        if self.steered == "paused":
            self.worker.control.resume()
            self.paused = False
            self.changed.emit()

    def stop(self) -> None:
        """Ask the run to stop; finished epochs are kept."""
        self.paused = False
        self.worker.stop()
        self.changed.emit()

    def finish_stage(self) -> None:
        """Let the stage that trains end after this epoch."""
        self.worker.control.finish_stage()

    def _go(self, run: RunFolder, state: RunState) -> None:
        self.run, self.state, self.paused, self._unfinished = run, state, False, None
        home, options = self.home, self.options()

        def job(control: RunControl, say: Say) -> Any:
            from core.engine.engine import Engine
            from core.engine.options import Options

            done = Engine(run, home, Options(**options), control, say).run()
            if done.status == "stopped":
                raise Stopped
            if done.status == "failed":
                raise EspalierError(done.message, done.advice, done.details)
            return done

        self.worker.start(tr("the run “{name}”", name=run.name), job)
        self.running_changed.emit(self.worker.running)
        self.changed.emit()

    def _take(self, batch: list[Any]) -> None:
        finished = len([stage for stage in self.state.stages.values() if stage.report])
        for event in batch:
            self.state.take(event)
        self.changed.emit()
        if len([stage for stage in self.state.stages.values() if stage.report]) != finished:
            self.stage_done.emit()

    def _ended(self, how: str) -> None:
        self.paused = False
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
