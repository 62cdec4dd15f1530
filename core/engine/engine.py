"""Runs a pipeline: stage after stage, cached, resumable; says what happens through events.

For each stage: look in the run folder, then in the cache; otherwise run it. The result is a
checkpoint; `Evaluator` makes files of it, verifies and measures them; the report is written and
sent as an event. Killed at any moment, a run resumes in the epoch under way and ends with the same
weights, bit for bit on a CPU with the same number of threads.
"""

import logging
import shutil
import sqlite3
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from core.common.command_lines import command_line
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.common.full_disk import full_disk
from core.common.parts import remove_abandoned
from core.common.seals import set_aside, write_sealed
from core.data.balance import epoch_images
from core.data.entry import CacheRefusedError
from core.data.image_data import ImageData
from core.data.store import changed_since, open_data
from core.document.pipeline import Pipeline, StageNode
from core.document.stage_keys import stage_key, stage_keys
from core.engine.evaluator import Evaluator
from core.engine.grid import combinations_of, run_grid
from core.engine.options import Options
from core.engine.results import write_results
from core.engine.stage_inputs import RunContext
from core.engine.stage_plans import process_seconds, source_costs, stage_plans
from core.engine.stage_runner import StageRunner
from core.machine.child import Child
from core.machine.child_watch import trouble_told_to
from core.machine.fingerprint import fingerprint
from core.models.network_facts import NetworkFacts
from core.records.events import (
    Event,
    Listener,
    Note,
    PhaseStarted,
    Progress,
    RunDone,
    RunStarted,
    StageDone,
    StageStarted,
)
from core.records.progress import Meter, StagePlan
from core.records.reports import StageReport
from core.runs.belief import check_own_documents, check_stage, made_from
from core.runs.cache import CacheUser
from core.runs.costs import EarlierCosts
from core.runs.grid_results import is_written
from core.runs.home import Home
from core.runs.index import index_run
from core.runs.resuming import check_same_data, check_same_pipeline
from core.runs.run_folder import RunFolder
from core.runs.storage import tidy
from core.search.judging import TRIALS_SHARE

_log = logging.getLogger(__name__)

_IMAGES = "images"  # below a run's scratch, where the home takes no decoded images
USED = "used.json"  # in the folder of a run that measures nothing: the entries of caches that its stages are
_TELL_SECONDS = 1.0  # between two sentences about decoding
_ELSEWHERE_SHARE = 0.9  # of a run whose stages are made elsewhere
_LEVELS = 4  # of folders in a run folder: stages, a stage, its parts

Beforehand = Callable[[RunContext, Options, Listener], None]
"""Has stages made elsewhere; the listener hears of it."""


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
        beforehand: "Beforehand | None" = None,
    ):
        self.folder, self.home = run, home
        self.pipeline: Pipeline = run.pipeline
        self.options = options or Options()
        self.control = control or RunControl()
        self.listeners, self.beforehand = listeners, beforehand
        self._stage = ""  # the key of the one under way
        self._images: Path | None = None  # folder of decoded images, where it is not the home's

    def run(self) -> RunDone:
        """Work until completed, stopped or failed; never raises, the last event says how it ended."""
        started = time.monotonic()
        _log.info("The run in %s begins.", self.folder.folder)
        try:
            with self.folder.locked(), trouble_told_to(self._tell_trouble):
                done = self._guarded()
                seconds = time.monotonic() - started + (self.folder.info.seconds or 0.0)
                self.folder.update_info(status=done.status, seconds=seconds, message=done.message)
                self._index()
                self._emit(done)
        except (EspalierError, OSError) as error:  # an OSError: not even the last event could be written
            done = (
                RunDone("failed", error.message, error.advice, error.details, error.command)
                if isinstance(error, EspalierError)
                else _unexpected(error)
            )
            for listener in self.listeners:
                listener(done)
        level = logging.ERROR if done.status == "failed" else logging.INFO
        _log.log(level, "The run in %s is %s: %s", self.folder.folder, done.status, done.message)
        if done.status == "failed" and done.details:
            _log.warning("Details: %s", done.details)
        return done

    def _index(self) -> None:
        """The index may be made anew at any time, so a failure to write it fails no run."""
        try:
            index_run(self.home, self.folder)
        except (sqlite3.Error, OSError) as error:
            _log.warning("The index was not brought up to date: %s", error)
            text = (
                f"The index of runs could not be brought up to date ({error}); nothing of this run is lost."
            )
            self._emit(Note("", "warning", text))

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
        except EspalierError as error:
            return RunDone("failed", error.message, error.advice, error.details, error.command)
        except Exception as error:
            return _unexpected(error)
        return RunDone("completed", f"All {len(stage_keys(self.pipeline))} stages are done.")

    def _run(self) -> None:
        self.folder.restore_pipeline()
        check_same_pipeline(self.folder)
        self._wanted = self.options
        self.options = self.options.resolved()
        self._tell_stages(resumed=any(True for _ in self.folder.events()))
        self._stage = ""
        self.folder.update_info(
            status="running", machine=fingerprint(), device=self.options.device, threads=self.options.threads
        )
        self._tidy()
        check_own_documents(self.folder, self._warn)
        for text in self.folder.restored:
            self._warn(text)
        with ExitStack() as stack:
            stack.callback(self._forget_images)
            stack.enter_context(reproducible(self.options.threads, self.options.deterministic))
            self._note_kernels()
            self._emit(PhaseStarted("", "data", "Opening the data set"))
            self.data = self._open_data()
            check_same_data(self.folder, self.data)
            if any(node.stage.epochs(node.parameters) for node in self.pipeline.active):
                self.data.check_training_classes()
            self.folder.update_info(data=self.data.opened.as_plain())
            self._note_data()
            self._check_networks()
            tool = stack.enter_context(Child("tool", self.folder.folder / "tool.log"))
            caches = self._caches()
            context = RunContext(
                self.folder, self.home, self.pipeline, self.data, self.options.device, self.options.threads,
                self.control, self._emit, tool, self.options.core_watts, caches=caches,
                images=self._images, deterministic=self.options.deterministic,
                processes=self.options.processes, compiled=self.options.compiled,
            )  # fmt: skip
            written = self.folder.written
            if written.search is not None:
                context = self._searched(replace(context, pipeline=written))
            self._run_stages(context)
            if self.options.measures:
                write_results(self.folder)
            else:
                write_sealed(self.folder.folder / USED, {"entries": caches.used})
            self._note_changed_data()

    def _note_kernels(self) -> None:
        if self._wanted.compiled:
            text = "Training passes go through torch.compile, as asked: the first steps take longer, and stages made so are kept apart from others."
            other = "torch.compile is for training on one GPU; this run goes on without it."
            self._emit(Note("", "info", text if self.options.compiled else other))
        if self.options.processes > 1:
            text = f"{self.options.processes} processes train each stage together; stages made so are kept apart from others."
            self._emit(Note("", "info", text))
        if self.options.device != "cpu" and not self.options.deterministic:
            text = (
                "The GPU takes its fastest kernels, as asked: the same run again may differ in the last digits, "
                "and stages made so are kept apart from others."
            )
            self._emit(Note("", "info", text))

    def _tell_stages(self, resumed: bool) -> None:
        keys = tuple(stage_keys(self.pipeline))
        names = tuple(node.title for _ in self.pipeline.axes.seed for node in self.pipeline.active)
        self._emit(
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

    def _run_stages(self, context: RunContext) -> None:
        """Make and evaluate all stages of the pipeline."""
        known = EarlierCosts(self.home, self.pipeline, self.folder, self._epoch_images())
        jobs = [(node, seed) for seed in self.pipeline.axes.seed for node in self.pipeline.active]
        before = TRIALS_SHARE if self.folder.written.search is not None else 0.0
        if self.beforehand is not None:
            before = _ELSEWHERE_SHARE
        grids = self.pipeline.axes.grids
        planned = [(node, seed, [grids[number] for number in self._grids(node, seed)]) for node, seed in jobs]
        costs = source_costs(self.pipeline, self.folder.base, self.data)
        images = self._epoch_images(), len(self.data.split("test"))
        plans = partial(stage_plans, self.pipeline, planned, images, known, costs)
        self.meter = Meter(
            plans(self.folder.info.process_seconds),
            _behind(before, self._emit),
            lambda: time.monotonic() - self.control.paused_total,
        )
        self.runner, self.evaluator = StageRunner(context), Evaluator(context)
        self.runner.before_work = lambda: self._time_tool(context.tool, plans)
        self._emit(PhaseStarted("", "sources", "Opening what the pipeline starts from"))
        self.runner.inputs.take_all()
        if self.beforehand is not None:
            self.beforehand(context, self.options, _up_to(before, self._emit))
        for index, (node, seed) in enumerate(jobs):
            self.control.checkpoint()
            self._run_stage(index, len(jobs), node, seed)

    def _time_tool(self, tool: Child, plans: Callable[[float], list[StagePlan]]) -> None:
        """Start the tool process, and plan by how long that takes."""
        seconds = process_seconds(tool, self.options, self.control)
        if seconds:
            self.folder.update_info(process_seconds=seconds)
            self.meter.plans = plans(seconds)

    def _tidy(self) -> None:
        """Remove what killed processes left half written; nothing of it is needed."""
        self._forget_images()
        remove_abandoned(self.folder.folder, _LEVELS, ours=True)
        tidy(self.home)

    def _forget_images(self) -> None:
        """Remove the images that the home did not take."""
        shutil.rmtree(self.folder.scratch / _IMAGES, ignore_errors=True)

    def _open_data(self) -> ImageData:
        """The data set; decoded into the run folder where the home takes nothing."""
        try:
            return self._open_data_in(self.home.data)
        except CacheRefusedError as error:
            text = f"{error.message} They are kept in the run folder while the run goes on."
            self._emit(Note("", "warning", text))
            self._images = self.folder.scratch / _IMAGES
            return self._open_data_in(self._images)

    def _open_data_in(self, cache: Path) -> ImageData:
        told = 0.0

        def tell(done: float, text: str) -> None:
            nonlocal told
            if time.monotonic() - told >= _TELL_SECONDS:
                told = time.monotonic()
                self._emit(PhaseStarted("", "data", text))

        return open_data(self.pipeline.data, cache, self.folder.base, self.control, tell)

    def _check_networks(self) -> None:
        """Collect the stages' problems that only a built network shows, before the first stage trains.

        Raises:
            EspalierError: the first problem.
        """
        facts_of_source: dict[str, NetworkFacts | None] = {}
        for node in self.pipeline.active:
            root = self.pipeline.root(node)
            if root.id not in facts_of_source:
                size = self.pipeline.data.image_size or self.data.size[0]
                facts_of_source[root.id] = root.source.facts_when_built(root.parameters, size)
            facts = facts_of_source[root.id]
            for problem in node.stage.check(node.parameters, facts) if facts is not None else []:
                raise EspalierError(f"{node.title}: {problem.message}", problem.advice)

    def _epoch_images(self) -> int:
        return epoch_images(self.data.labels[self.data.split("train")], self.pipeline.data.balance)

    def _run_stage(self, index: int, total: int, node: StageNode, seed: int) -> None:
        started = time.monotonic()
        key = stage_key(self.pipeline, node.id, seed)
        self._stage = key
        self._emit(StageStarted(key, node.title, node.kind, index, total))
        self.meter.begin(index)
        self._check_stored(node, seed, key)
        report = self.folder.report(key)
        if report is None:
            shares = self._shares(node, seed)
            cached = self.runner.make(node, seed, lambda fraction: self.meter.train(fraction * shares[0]))
            for place, number in enumerate(self._grids(node, seed), 1):
                run_grid(self.runner, node, number, seed, self._part(sum(shares[:place]), shares[place]))
            report = self._report(node, seed, key, started, cached)
        else:
            for number in self._grids(node, seed):
                if not is_written(self.folder, number):  # was damaged
                    run_grid(self.runner, node, number, seed, lambda done: None)
        self.meter.end(report.cached)
        self._emit(StageDone(key, report.cached, report.model_dump(mode="json")))

    def _check_stored(self, node: StageNode, seed: int, key: str) -> None:
        """Set aside what the run folder holds of a stage, as far as it is damaged or made from something else than there is now."""
        check_stage(self.folder, key, self._warn)
        folder = self.folder.stage_folder(key)
        if not folder.complete:
            return
        before = made_from(folder)
        if before is not None and before != self.runner.made_from(
            node, seed, self.runner.inputs.stage_input(node, seed)
        ):
            set_aside(folder.path)
            self._warn(f"Stage {key!r} is made again: what it was made from came out differently.")

    def _warn(self, text: str) -> None:
        self._emit(Note(self._stage, "warning", text))

    def _grids(self, node: StageNode, seed: int) -> list[int]:
        """The numbers of the grids that are tried at this stage; with several seeds only for the first."""
        axes = self.pipeline.axes
        here = [number for number, grid in enumerate(axes.grids) if grid.stage == node.id]
        return here if seed == axes.seed[0] else []

    def _part(self, before: float, share: float) -> Callable[[float], None]:
        """Tells how far a part of a stage's training is, which begins after `before` of it."""
        return lambda done: self.meter.train(before + done * share)

    def _shares(self, node: StageNode, seed: int) -> list[float]:
        """The parts of a stage's training: its own, then each grid's."""
        points = [
            len(combinations_of(self.pipeline.axes.grids[number])) for number in self._grids(node, seed)
        ]
        return [count / (1 + sum(points)) for count in (1, *points)]

    def _report(self, node: StageNode, seed: int, key: str, started: float, cached: bool) -> StageReport:
        folder = self.folder.stage_folder(key)
        outcome = folder.outcome
        parent = self.pipeline.parent(node)
        if parent in self.pipeline.stage_ids:
            parent = stage_key(self.pipeline, parent, seed)
        report = StageReport(
            key=key, id=node.id, source=parent, seed=seed, name=node.title, kind=node.kind, notes=outcome.notes,
            skipped=outcome.skipped, facts=outcome.facts, history=outcome.history,
        )  # fmt: skip
        root = self.pipeline.root(node)
        stage_input = self.runner.inputs.stage_input(node, seed)
        report.notes += stage_input.notes
        report.notes += root.source.warnings(root.parameters, len(self.data.split("train")))
        evaluation = (report, folder, outcome, stage_input, node.stage)
        if not self.options.measures:
            self.evaluator.obtain(*evaluation, self.meter.follow_up)
            return report
        measured_cached = self.evaluator.evaluate(*evaluation, self.meter.follow_up)
        report.cached = cached and measured_cached
        report.seconds = time.monotonic() - started
        self.folder.write_report(report)
        return report

    def _note_changed_data(self) -> None:
        """Say that the images have changed: the run has worked with those that were there when it began."""
        if changed_since(self.pipeline.data, self.folder.base, self.data.opened, self.control):
            self._emit(Note(
                "", "warning",
                "The images of the data set have changed, or are gone, since this run opened them. All its results "
                "are of the images as they were then; a new run takes them as they are now.",
            ))  # fmt: skip

    def _note_data(self) -> None:
        for note in self.data.notes:
            self._emit(Note("", "info", note))
        for sentence in self.data.left_out():
            self._emit(Note("", "warning", sentence))

    def _caches(self) -> CacheUser:
        """How this run uses the caches: it says once what they do not do, and shows when it waits for another run."""

        def wait() -> None:
            text = "Another run is making this; waiting for its result"
            self._emit(PhaseStarted(self._stage, "wait", text))
            self._emit(Note(self._stage, "info", f"{text}."))

        return CacheUser(self.control, lambda text: self._emit(Note("", "warning", text)), wait)

    def _tell_trouble(self, text: str) -> None:
        self._emit(Note(self._stage, "warning", text))

    def _emit(self, event: Event) -> None:
        self.folder.record(event)
        for listener in self.listeners:
            listener(event)


def _up_to(share: float, emit: Listener) -> Listener:
    """`emit`, for progress of what comes before the rest of the run."""

    def tell(event: Event) -> None:
        if isinstance(event, Progress):
            event = replace(event, run_fraction=share * event.run_fraction)
        emit(event)

    return tell


def _behind(share: float, emit: Listener) -> Listener:
    """`emit`, for progress of what comes after so much of the run."""

    def tell(event: Event) -> None:
        if isinstance(event, Progress):
            event = replace(event, run_fraction=share + (1 - share) * event.run_fraction)
        emit(event)

    return tell


def _unexpected(error: Exception) -> RunDone:
    details = "".join(traceback.format_exception(error))
    if full := full_disk(error):
        return RunDone("failed", full.message, full.advice, details)
    if "out of memory" in str(error).lower() or isinstance(error, MemoryError):
        return RunDone(
            "failed",
            "The memory was not enough for this stage.",
            "Choose a smaller batch size or image size, or another device.",
            details,
        )
    return RunDone(
        "failed",
        f"Something unexpected stopped the run: {error}",
        "Please report it with the end of the log, which says where; what is finished is kept.",
        details,
    )


@contextmanager
def reproducible(threads: int, deterministic: bool = True) -> Iterator[None]:
    """Deterministic backends, unless otherwise asked, and a fixed number of threads while a run goes on."""
    import os

    import torch

    from core.machine.torch_import import load_late_part

    load_late_part()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
    )
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = not deterministic
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1], warn_only=True)
        torch.backends.cudnn.benchmark = before[2]
