"""All stages of a run's pipeline in turn: each made with its grids, measured, reported; and how far the run is."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from core.common.content_hashes import set_aside
from core.data.balance import epoch_images
from core.document.pipeline import StageNode
from core.document.stage_keys import stage_key
from core.engine.evaluator import Evaluator
from core.engine.grid import combinations_of, run_grid
from core.engine.options import Options
from core.engine.run_events import RunEvents
from core.engine.stage_inputs import RunContext
from core.engine.stage_plans import process_seconds, source_costs, stage_plans
from core.engine.stage_runner import StageRunner
from core.records.events import Event, Listener, PhaseStarted, Progress, StageDone, StageStarted
from core.records.reports import StageReport
from core.records.time_left import Meter, StagePlan
from core.runs.check_on_resume import check_stage, made_from
from core.runs.costs import EarlierCosts
from core.runs.grid_results import is_written
from core.search.judging import TRIALS_SHARE

_ELSEWHERE_SHARE = 0.9  # of a run whose stages are made elsewhere

Beforehand = Callable[[RunContext, Options, Listener], None]
"""Has stages made elsewhere; the listener hears of it."""


class StageSequence:
    """The stages of one run, seed after seed.

    Args:
        events: of the run; they are told which stage is under way.
        beforehand: called before the first stage; what it brings into the caches is taken from there.
    """

    def __init__(
        self, context: RunContext, events: RunEvents, options: Options, beforehand: Beforehand | None = None
    ):
        self.context, self.events, self.options, self.beforehand = context, events, options, beforehand
        self.run, self.pipeline = context.run, context.pipeline
        self.jobs = [(node, seed) for seed in self.pipeline.axes.seed for node in self.pipeline.active]
        self._before = TRIALS_SHARE if self.run.written.search is not None else 0.0
        if beforehand is not None:
            self._before = _ELSEWHERE_SHARE
        self._plans = self._planned()
        self.meter = Meter(
            self._plans(self.run.info.process_seconds),
            _behind(self._before, events.emit),
            lambda: time.monotonic() - context.control.paused_total,
        )
        self.runner, self.evaluator = StageRunner(context), Evaluator(context)
        self.runner.before_work = self._time_tool

    def make_all(self) -> None:
        """Make and evaluate every stage; what is there already is taken as it is.

        Raises:
            EspalierError: of the first stage that fails.
            Stopped: a person asked to stop.
        """
        self.events.emit(PhaseStarted("", "sources", "Opening what the pipeline starts from"))
        self.runner.inputs.take_all()
        if self.beforehand is not None:
            self.beforehand(self.context, self.options, _up_to(self._before, self.events.emit))
        for index, (node, seed) in enumerate(self.jobs):
            self.context.control.checkpoint()
            self._make(index, len(self.jobs), node, seed)

    def _planned(self) -> Callable[[float], list[StagePlan]]:
        """The stages' plans by how long the tool process takes to start."""
        data, grids = self.context.data, self.pipeline.axes.grids
        passed = epoch_images(data.labels[data.split("train")], self.pipeline.data.balance)
        known = EarlierCosts(self.context.home, self.pipeline, self.run, passed)
        planned = [
            (node, seed, [grids[number] for number in self._grids(node, seed)]) for node, seed in self.jobs
        ]
        costs = source_costs(self.pipeline, self.run.base, data)
        return partial(stage_plans, self.pipeline, planned, (passed, len(data.split("test"))), known, costs)

    def _time_tool(self) -> None:
        """Start the tool process, and plan by how long that takes."""
        seconds = process_seconds(self.context.tool, self.options, self.context.control)
        if seconds:
            self.run.update_info(process_seconds=seconds)
            self.meter.plans = self._plans(seconds)

    def _make(self, index: int, total: int, node: StageNode, seed: int) -> None:
        started = time.monotonic()
        key = stage_key(self.pipeline, node.id, seed)
        self.events.stage = key
        self.events.emit(StageStarted(key, node.title, node.kind, index, total))
        self.meter.begin(index)
        self._check_stored(node, seed, key)
        report = self.run.report(key)
        if report is None:
            shares = self._shares(node, seed)
            cached = self.runner.make(node, seed, lambda fraction: self.meter.train(fraction * shares[0]))
            for place, number in enumerate(self._grids(node, seed), 1):
                run_grid(self.runner, node, number, seed, self._part(sum(shares[:place]), shares[place]))
            report = self._report(node, seed, key, started, cached)
        else:
            for number in self._grids(node, seed):
                if not is_written(self.run, number):  # was damaged
                    run_grid(self.runner, node, number, seed, lambda done: None)
        self.meter.end(report.cached)
        self.events.emit(StageDone(key, report.cached, report.model_dump(mode="json")))

    def _check_stored(self, node: StageNode, seed: int, key: str) -> None:
        """Set aside what the run folder holds of a stage, as far as it is damaged or made from something else than there is now."""
        check_stage(self.run, key, self.events.warn)
        folder = self.run.stage_folder(key)
        if not folder.complete:
            return
        before = made_from(folder)
        if before is not None and before != self.runner.made_from(
            node, seed, self.runner.inputs.stage_input(node, seed)
        ):
            set_aside(folder.path)
            self.events.warn(f"Stage {key!r} is made again: what it was made from came out differently.")

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
        folder = self.run.stage_folder(key)
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
        report.notes += root.source.warnings(root.parameters, len(self.context.data.split("train")))
        evaluation = (report, folder, outcome, stage_input, node.stage)
        if not self.options.measures:
            self.evaluator.obtain(*evaluation, self.meter.follow_up)
            return report
        measured_cached = self.evaluator.evaluate(*evaluation, self.meter.follow_up)
        report.cached = cached and measured_cached
        report.seconds = time.monotonic() - started
        self.run.write_report(report)
        return report


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
