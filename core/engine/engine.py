"""Runs a pipeline: stage after stage, cached, resumable; says what happens through events.

For each stage: look in the run folder, then in the cache; otherwise run it. The result is a
checkpoint; `Evaluator` makes files of it, verifies and measures them; the report is written and
sent as an event. Killed at any moment, a run resumes in the epoch under way and ends with the same
weights, bit for bit on a CPU with the same number of threads.
"""

import logging
import sqlite3
import time
from contextlib import ExitStack
from dataclasses import replace

from core.common.command_lines import command_line
from core.common.content_hashes import write_sealed
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.common.partial_files import remove_abandoned
from core.data.image_data import ImageData
from core.document.pipeline import Pipeline
from core.document.stage_keys import stage_keys
from core.engine.failure import failed
from core.engine.options import Options
from core.engine.reproducible import reproducible
from core.engine.results import write_results
from core.engine.run_data import RunData
from core.engine.run_events import RunEvents
from core.engine.stage_inputs import RunContext
from core.engine.stage_runner import StageRunner
from core.engine.stage_sequence import Beforehand, StageSequence
from core.machine.child import Child
from core.machine.child_watch import trouble_told_to
from core.machine.fingerprint import fingerprint
from core.models.network_facts import NetworkFacts
from core.records.events import Listener, Note, PhaseStarted, RunDone, RunStarted
from core.runs.cache import CacheUser
from core.runs.check_on_resume import check_own_documents
from core.runs.home import Home
from core.runs.index import index_run
from core.runs.resuming import check_same_pipeline
from core.runs.run_folder import RunFolder
from core.runs.storage import tidy

_log = logging.getLogger(__name__)

USED = "used.json"  # in the folder of a run that measures nothing: the entries of caches that its stages are
_LEVELS = 4  # of folders in a run folder: stages, a stage, its parts


class Engine:
    """One run of one pipeline in one run folder.

    Args:
        listeners: called with every event, on the thread of the run; the run folder records them too.
        beforehand: called before the first stage, to have stages made elsewhere; what it brings into the caches is taken from there.
    """

    def __init__(
        self,
        run: RunFolder,
        home: Home,
        options: Options | None = None,
        control: RunControl | None = None,
        *listeners: Listener,
        beforehand: Beforehand | None = None,
    ):
        self.folder, self.home = run, home
        self.pipeline: Pipeline = run.pipeline
        self.options = options or Options()
        self.control = control or RunControl()
        self.beforehand = beforehand
        self.events = RunEvents(run, listeners)

    def run(self) -> RunDone:
        """Work until completed, stopped or failed; never raises, the last event says how it ended.

        A complete run that is gone on with, and of which nothing is missing, stays complete also where that fails.
        """
        started = time.monotonic()
        _log.info("The run in %s begins.", self.folder.folder)
        try:
            with self.folder.locked(), trouble_told_to(self.events.warn):
                before = self.folder.info
                done = self._guarded()
                if before.status == "completed" != done.status and self._whole():
                    self.folder.update_info(status="completed")
                else:
                    seconds = time.monotonic() - started + (before.seconds or 0.0)
                    self.folder.update_info(status=done.status, seconds=seconds, message=done.message)
                self._index()
                self.events.emit(done)
        except (EspalierError, OSError) as error:  # an OSError: not even the last event could be written
            done = failed(error)
            for listener in self.events.listeners:
                listener(done)
        level = logging.ERROR if done.status == "failed" else logging.INFO
        _log.log(level, "The run in %s is %s: %s", self.folder.folder, done.status, done.message)
        if done.status == "failed" and done.details:
            _log.warning("Details: %s", done.details)
        return done

    def _whole(self) -> bool:
        """Whether every stage is finished: a run that was complete stays so, whatever came of going on with it."""
        return len(self.folder.reports(self.pipeline)) == len(stage_keys(self.pipeline))

    def _index(self) -> None:
        """The index may be made anew at any time, so a failure to write it fails no run."""
        try:
            index_run(self.home, self.folder)
        except (sqlite3.Error, OSError) as error:
            _log.warning("The index was not brought up to date: %s", error)
            text = (
                f"The index of runs could not be brought up to date ({error}); nothing of this run is lost."
            )
            self.events.emit(Note("", "warning", text))

    def _guarded(self) -> RunDone:
        try:
            self._run()
        except Stopped:
            return RunDone(
                "stopped",
                "Stopped; every finished epoch is kept.",
                "It goes on where it was.",
                command=command_line("run", "--resume", self.folder.folder),
            )
        except Exception as error:
            return failed(error)
        count = len(stage_keys(self.pipeline))
        return RunDone("completed", f"All {count} stages are done." if count > 1 else "The stage is done.")

    def _run(self) -> None:
        self.folder.restore_pipeline()
        check_same_pipeline(self.folder)
        asked, self.options = self.options, self.options.resolved()
        self._tell_stages(resumed=any(True for _ in self.folder.events()))
        self.folder.update_info(
            status="running", machine=fingerprint(), device=self.options.device, threads=self.options.threads
        )
        images = RunData(self.folder, self.home, self.pipeline, self.control, self.events.emit)
        images.forget_images()
        self._tidy()
        check_own_documents(self.folder, self.events.warn)
        for text in self.folder.restored:
            self.events.warn(text)
        with ExitStack() as stack:
            stack.callback(images.forget_images)
            stack.enter_context(reproducible(self.options.threads, self.options.deterministic))
            for text in self.options.remarks(asked):
                self.events.emit(Note("", "info", text))
            data = images.open()
            self._check_networks(data)
            tool = stack.enter_context(Child("tool", self.folder.folder / "tool.log"))
            caches = self._caches()
            context = RunContext(
                self.folder, self.home, self.pipeline, data, self.options.device, self.options.threads,
                self.control, self.events.emit, tool, self.options.core_watts, caches=caches,
                images=images.folder, deterministic=self.options.deterministic,
                processes=self.options.processes, compiled=self.options.compiled,
            )  # fmt: skip
            written = self.folder.written
            if written.search is not None:
                context = self._searched(replace(context, pipeline=written))
            StageSequence(context, self.events, self.options, self.beforehand).make_all()
            if self.options.measures:
                write_results(self.folder)
            else:
                write_sealed(self.folder.folder / USED, {"entries": caches.used})
            images.note_changes(data)

    def _tell_stages(self, resumed: bool) -> None:
        keys = tuple(stage_keys(self.pipeline))
        names = tuple(node.title for _ in self.pipeline.axes.seed for node in self.pipeline.active)
        self.events.emit(
            RunStarted(self.folder.name, str(self.folder.folder), self.pipeline.name, keys, names, resumed)
        )

    def _searched(self, context: RunContext) -> RunContext:
        """The same for the pipeline that confirms what a search has found; the search is made first."""
        from core.engine.search_run import SearchRun  # Optuna is for runs that search

        StageRunner(context).inputs.take_all()
        self.pipeline = SearchRun(context).run()
        self.folder.write_confirmed(self.pipeline)
        self._tell_stages(resumed=True)
        return replace(context, pipeline=self.pipeline)

    def _tidy(self) -> None:
        """Remove what killed processes left half written; nothing of it is needed."""
        remove_abandoned(self.folder.folder, _LEVELS, ours=True)
        tidy(self.home)

    def _check_networks(self, data: ImageData) -> None:
        """Collect the stages' problems that only a built network shows, before the first stage trains.

        Raises:
            EspalierError: the first problem.
        """
        facts_of_source: dict[str, NetworkFacts | None] = {}
        for node in self.pipeline.active:
            root = self.pipeline.root(node)
            if root.id not in facts_of_source:
                size = self.pipeline.data.image_size or data.size[0]
                facts_of_source[root.id] = root.source.facts_when_built(root.parameters, size)
            facts = facts_of_source[root.id]
            for problem in node.stage.check(node.parameters, facts) if facts is not None else []:
                raise EspalierError(f"{node.title}: {problem.message}", problem.advice)

    def _caches(self) -> CacheUser:
        """How this run uses the caches: it says once what they do not do, and shows when it waits for another run."""

        def wait() -> None:
            text = "Another run is making this; waiting for its result"
            self.events.emit(PhaseStarted(self.events.stage, "wait", text))
            self.events.emit(Note(self.events.stage, "info", f"{text}."))

        return CacheUser(self.control, lambda text: self.events.emit(Note("", "warning", text)), wait)
