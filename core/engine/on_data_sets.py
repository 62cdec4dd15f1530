"""Pre-flight and estimate of a pipeline over several data sets: each data set's, put together."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from core.common.control import RunControl
from core.document import pipeline as documents
from core.document.data_axis import data_sets, in_the_file, of_data_set, per_data_set
from core.document.pipeline import Pipeline
from core.engine.cost_estimate import Estimate, StageEstimate, estimate
from core.engine.options import Options
from core.engine.preflight import Preflight, Progress, Trial, Watcher, preflight
from core.runs.home import Home


def preflight_on_each(
    pipeline: Pipeline, base: Path, home: Home, options: Options, control: RunControl | None, watcher: Watcher
) -> Preflight:
    """`preflight` on every data set; of one alone as it is. Problems stand at their place in the file."""
    if pipeline.axes.data is None:
        return preflight(pipeline, base, home, options, control, watcher)
    problems, names, flights = documents.check(pipeline), data_sets(pipeline), []
    if problems:
        return Preflight((), 0.0, tuple(problems))
    for number, name in enumerate(names):
        told = partial(_placed, pipeline, name)
        heard = Watcher(
            _part(watcher.on_progress, number, names), _after(told, watcher.on_trial), watcher.on_made
        )
        flight = preflight(of_data_set(pipeline, name), base, home, options, control, heard)
        general = tuple(in_the_file(pipeline, name, problem) for problem in flight.general)
        flights.append(replace(flight, trials=tuple(map(told, flight.trials)), general=general))
    return Preflight(
        tuple(trial for flight in flights for trial in flight.trials),
        sum(flight.seconds for flight in flights),
        tuple(problem for flight in flights for problem in flight.general),
        tuple(dict.fromkeys(note for flight in flights for note in flight.notes)),
    )


def _placed(pipeline: Pipeline, name: str, trial: Trial) -> Trial:
    """A trial on one data set, with its name, and its problem where it is in the file."""
    problem = trial.problem and in_the_file(pipeline, name, trial.problem)
    return replace(trial, name=f"{trial.name} · {name}", problem=problem)


def _after(change: Callable[[Trial], Trial], tell: Callable[[Trial], None]) -> Callable[[Trial], None]:
    return lambda trial: tell(change(trial))


def estimate_on_each(
    pipeline: Pipeline, base: Path, home: Home, options: Options, on_progress: Progress = lambda done, text: None,
    control: RunControl | None = None,
) -> Estimate:  # fmt: skip
    """`estimate` on every data set: a stage's time and disk are those of all; of one alone as it is."""
    names = data_sets(pipeline)
    costs = [
        estimate(one, base, home, options, _part(on_progress, number, names), control)
        for number, one in enumerate(per_data_set(pipeline))
    ]
    if len(costs) == 1:
        return costs[0]
    stages: dict[str, StageEstimate] = {}
    for stage in (stage for cost in costs for stage in cost.stages):
        before = stages.get(stage.id)
        stages[stage.id] = stage if before is None else _sum(before, stage)
    memory = max(cost.memory_mb for cost in costs)
    kept = " ".join(dict.fromkeys(cost.data for cost in costs if cost.data))
    return replace(costs[0], stages=tuple(stages.values()), memory_mb=memory, data=kept, data_sets=len(costs))


def _sum(one: StageEstimate, other: StageEstimate) -> StageEstimate:
    return replace(
        one,
        seconds=one.seconds + other.seconds,
        disk_mb=one.disk_mb + other.disk_mb,
        epoch_seconds=one.epoch_seconds + other.epoch_seconds,
    )


def _part(on_progress: Progress, number: int, names: Sequence[str]) -> Progress:
    """Progress of one data set after the other, as a part of the whole and with its name; of one alone as it is."""
    if not names:
        return on_progress
    return lambda done, text: on_progress((number + done) / len(names), f"{names[number]}: {text}")
