"""What is known of a run, built from its events, live or from `events.jsonl` (no widgets).

Every point knows its optimiser's step and its time, both counted from the beginning of its stage;
`timeline` lays the stages one behind the other.
"""

import time
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from core.analysis.heat_map import HeatMap
from core.common.durations import time_left
from core.machine.measuring_lock import WAITING
from core.records import events
from core.records.events import Event, event_from
from gui.base.translation import tr

Status = Literal["waiting", "running", "done", "cached", "failed", "stopped", "interrupted"]
_CACHED_STEPS = 100  # width of an epoch of a cached stage before any stage's own is known


def _numbers() -> "array[float]":
    return array("d")


@dataclass(slots=True)
class Series:
    """One curve's points of one stage; `steps` and `times` (seconds) count from the stage's beginning."""

    steps: "array[float]" = field(default_factory=_numbers)
    values: "array[float]" = field(default_factory=_numbers)
    times: "array[float]" = field(default_factory=_numbers)

    def add(self, step: float, value: float, time: float = 0.0) -> None:
        while self.steps and self.steps[-1] >= step:  # a resumed epoch is reported again
            self._pop()
        self.steps.append(step)
        self.values.append(value)
        self.times.append(time)

    def cut(self, step: float) -> None:
        """Forget what lies behind `step`."""
        while self.steps and self.steps[-1] > step:
            self._pop()

    def _pop(self) -> None:
        for column in (self.steps, self.values, self.times):
            column.pop()


@dataclass(slots=True)
class StageState:
    """One stage of the run; `series` by name: train_loss, val_top1, step_loss, train_<part>."""

    key: str
    name: str
    kind: str = ""
    status: Status = "waiting"
    phase: str = ""
    training: bool = False
    fraction: float = 0.0
    seconds_left: float | None = None
    epoch: int = 0
    epochs: int = 0
    steps_per_epoch: int = 0
    best_epoch: int = 0
    best_step: float = 0.0
    best_value: float = 0.0
    best_time: float = 0.0
    length: float = 0.0
    began: float = 0.0
    images_per_second: float = 0.0
    series: dict[str, Series] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> list[str]:
        """The loss parts, where there are several: a single one is the whole loss."""
        names = [n for n in self.series if n.startswith("train_") and n not in ("train_loss", "train_top1")]
        return names if len(names) > 1 else []

    def add(self, name: str, step: float, value: float, time: float) -> None:
        self.series.setdefault(name, Series()).add(step, value, time)
        self.length = max(self.length, step)

    def begin(self, now: float) -> None:
        """Start (or, for a resumed stage, go on with) counting seconds."""
        last = max((series.times[-1] for series in self.series.values() if series.times), default=0.0)
        self.began = now - last


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log; `level` is "info", "warning" or "error"."""

    level: str
    stage: str
    text: str


class RunState:
    """Reads events and holds what is known of the run.

    Attributes:
        version: raised with every event that changes a curve.
        training: a stage's training is under way, and can be finished early.
        measuring: latency is being measured, so that nothing should be drawn.
        grids: by number, the points of the run's grids so far; empty before one began.
    """

    def __init__(self) -> None:
        self.run = self.folder = self.pipeline = ""
        self.stages: dict[str, StageState] = {}
        self.log: list[LogLine] = []
        self.fraction = 0.0
        self.seconds_left: float | None = None
        self.phase = ""
        self.current = ""
        self.training = False
        self.measuring = False
        self.done: events.RunDone | None = None
        self.grids: dict[int, HeatMap] = {}
        self.version = 0
        self.trials = 0  # of a search, that have ended
        self._now = 0.0

    @property
    def left(self) -> str:
        """ "about 3 min left", of work where measuring waits for a quiet machine; empty where nothing is known."""
        words = time_left(self.seconds_left)
        if not self.phase.startswith(WAITING):
            return words
        return tr("measuring waits; then {left}", left=words) if words else tr("measuring waits")

    def take(self, event: Event, at: float | None = None) -> None:
        """Take one event in that happened `at` that time (seconds; None: now)."""
        self._now = time.time() if at is None else at
        handler = getattr(self, f"_on_{type(event).__name__.lower()}", None)
        if handler is not None:
            handler(event)

    def take_all(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Take events in their JSON form, as a run folder keeps them."""
        for record in records:
            event = event_from(record)
            if event is not None:
                self.take(event, float(record.get("time", 0.0)))

    def part_names(self) -> list[str]:
        """Names of the loss parts of stages that have several, in the order of their appearance."""
        names: dict[str, None] = {}
        for stage in self.stages.values():
            names |= dict.fromkeys(stage.parts)
        return list(names)

    def _on_runstarted(self, event: events.RunStarted) -> None:
        self.run, self.folder, self.pipeline = event.run, event.folder, event.pipeline
        old = self.stages if event.resumed else {}
        self.stages = {
            key: old.get(key) or StageState(key, name)
            for key, name in zip(event.stages, event.names, strict=True)
        }
        for stage in self.stages.values():
            if stage.status not in ("done", "cached"):
                stage.status = "waiting"
        self.done, self.measuring, self.fraction, self.seconds_left = None, False, 0.0, None
        self.phase = ""
        self.log.append(
            LogLine("info", "", f"{tr('Going on with') if event.resumed else tr('Started')} {event.run}")
        )
        self.version += 1

    def _on_runpaused(self, event: events.RunPaused) -> None:
        """Whether it is paused is for its session to say, which knows it sooner."""
        self.log.append(LogLine("info", "", tr("Paused") if event.paused else tr("Going on")))

    def interrupt(self) -> None:
        """The process of the run is gone without having reported an end."""
        self.seconds_left, self.measuring, self.training = None, False, False
        self.phase = tr("Interrupted; every finished epoch is kept")
        for stage in self.stages.values():
            if stage.status == "running":
                stage.status, stage.phase, stage.seconds_left, stage.training = "interrupted", "", None, False
        self.log.append(LogLine("error", "", tr("Interrupted: the process of the run is gone.")))
        self.version += 1

    def _on_gridstarted(self, event: events.GridStarted) -> None:
        cells = tuple(tuple(None for _ in event.columns) for _ in event.rows)
        self.grids[event.grid] = HeatMap(
            event.title, event.row_name, event.rows, event.column_name, event.columns, cells
        )  # fmt: skip

    def _on_gridpointdone(self, event: events.GridPointDone) -> None:
        grid = self.grids.get(event.grid)
        if grid is None:
            return
        row, column = divmod(event.index, len(grid.columns))
        if row < len(grid.rows):
            cells = [list(line) for line in grid.cells]
            cells[row][column] = event.top1
            self.grids[event.grid] = replace(grid, cells=cells)

    def _on_stagestarted(self, event: events.StageStarted) -> None:
        stage = self._stage(event.stage, event.name)
        stage.kind, stage.status, stage.fraction = event.kind, "running", 0.0
        stage.begin(self._now)
        self.current, self.measuring, self.training = event.stage, False, False
        self.phase = stage.phase = tr("Starting")
        self.log.append(
            LogLine(
                "info",
                event.stage,
                tr(
                    "Stage {index} of {total}: {name}",
                    index=event.index + 1,
                    total=event.total,
                    name=event.name,
                ),
            )
        )

    def _on_phasestarted(self, event: events.PhaseStarted) -> None:
        self.measuring, self.training = event.phase == "measure", event.phase == "train"
        self.phase = event.text
        if event.stage in self.stages:
            self.stages[event.stage].phase = event.text
            self.stages[event.stage].training = self.training
        self.log.append(LogLine("info", event.stage, event.text))

    def _on_trainingstarted(self, event: events.TrainingStarted) -> None:
        stage = self._stage(event.stage)
        stage.epoch, stage.epochs, stage.steps_per_epoch = event.epoch, event.epochs, event.steps_per_epoch
        finished_steps = (event.epoch - 1) * event.steps_per_epoch
        for name, series in stage.series.items():
            if name != "step_loss":
                series.cut(finished_steps)
        stage.length = max(
            [series.steps[-1] for series in stage.series.values() if series.steps], default=0.0
        )
        stage.begin(self._now)
        self.version += 1

    def _on_stepdone(self, event: events.StepDone) -> None:
        stage = self._stage(event.stage)
        stage.epoch, stage.images_per_second = event.epoch, event.images_per_second
        whole = event.losses.get("loss", sum(event.losses.values()))
        stage.add("step_loss", event.step, whole, self._now - stage.began)
        self.version += 1

    def _on_epochdone(self, event: events.EpochDone) -> None:
        stage = self._stage(event.stage)
        stage.epoch, stage.epochs = event.epoch, event.epochs
        seconds = self._now - stage.began
        self._add_epoch(stage, event.step, event.metrics, seconds)
        if event.best:
            stage.best_epoch, stage.best_step, stage.best_time = event.epoch, event.step, seconds
            stage.best_value = event.metrics.get("val_top1", 0.0)
        self.version += 1

    def _add_epoch(
        self, stage: StageState, step: float, metrics: Mapping[str, float], seconds: float
    ) -> None:
        for name, value in metrics.items():
            if name.startswith(("train_", "val_")):
                stage.add(name, step, value, seconds)

    def _on_progress(self, event: events.Progress) -> None:
        self.fraction, self.seconds_left = event.run_fraction, event.run_seconds_left
        if event.stage in self.stages:
            stage = self.stages[event.stage]
            stage.fraction, stage.seconds_left = event.stage_fraction, event.stage_seconds_left

    def _on_note(self, event: events.Note) -> None:
        self.log.append(LogLine(event.level, event.stage, event.text))

    def _on_trialstarted(self, event: events.TrialStarted) -> None:
        self.phase = tr("Trial {number}", number=event.trial)
        self.log.append(
            LogLine("info", "", tr("Trial {number}: {text}", number=event.trial, text=event.text))
        )

    def _on_trialdone(self, event: events.TrialDone) -> None:
        self.trials += 1
        self.log.append(
            LogLine("info", "", tr("Trial {number}: {text}", number=event.trial, text=event.text))
        )

    def _on_stagedone(self, event: events.StageDone) -> None:
        stage = self._stage(event.stage)
        stage.status = "cached" if event.cached else "done"
        stage.fraction, stage.seconds_left, stage.report, stage.phase = 1.0, None, event.report, ""
        self.measuring = self.training = False
        if not stage.series:
            self._add_history(stage, event.report.get("history", []))
        self.log.append(
            LogLine(
                "info",
                event.stage,
                f"{stage.name} {tr('was in the cache') if event.cached else tr('is done')}",
            )
        )
        self.version += 1

    def _add_history(self, stage: StageState, history: Iterable[Mapping[str, float]]) -> None:
        """The curves of a cached stage, epoch by epoch."""
        lengths = [other.steps_per_epoch for other in self.stages.values() if other.steps_per_epoch]
        per_epoch = lengths[0] if lengths else _CACHED_STEPS
        seconds = 0.0
        for metrics in history:
            epoch = int(metrics.get("epoch", 0))
            step = metrics.get("step", epoch * per_epoch)
            seconds += metrics.get("seconds", 0.0)
            self._add_epoch(stage, step, {k: v for k, v in metrics.items() if k != "step"}, seconds)
            stage.epoch = stage.epochs = epoch
            stage.steps_per_epoch = round(step / epoch) if epoch else per_epoch
            if metrics.get("val_top1", 0.0) > stage.best_value:
                stage.best_epoch, stage.best_step, stage.best_value = epoch, step, metrics["val_top1"]
                stage.best_time = seconds

    def _on_rundone(self, event: events.RunDone) -> None:
        self.done, self.seconds_left = event, None
        self.measuring = self.training = False
        self.phase = event.message
        for stage in self.stages.values():
            if stage.status == "running":
                stage.status = "failed" if event.status == "failed" else "stopped"
        if event.status == "completed":
            self.fraction = 1.0
        level = "error" if event.status == "failed" else "info"
        self.log.append(LogLine(level, "", f"{event.message} {event.advice}".strip()))

    def _stage(self, key: str, name: str = "") -> StageState:
        if key not in self.stages:
            self.stages[key] = StageState(key, name or key)
        return self.stages[key]


def merged(batch: list[Any]) -> list[Any]:
    """A batch of `TimedEvent`s without the progress that later progress of the same batch outdates."""
    progress = [isinstance(item.event, events.Progress) for item in batch]
    last = max((index for index, is_progress in enumerate(progress) if is_progress), default=-1)
    return [item for index, item in enumerate(batch) if index == last or not progress[index]]
