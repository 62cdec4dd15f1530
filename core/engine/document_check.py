"""The check of a document before it runs, in a process of its own: a pre-flight, then an estimate of the cost."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.common.control import RunControl
from core.common.errors import Problem
from core.document.pipeline import Pipeline
from core.engine.cost_estimate import Estimate, SearchEstimate, StageEstimate
from core.engine.on_data_sets import estimate_on_each, preflight_on_each
from core.engine.options import Options
from core.engine.preflight import Preflight, Trial, Watcher
from core.machine.child import Child
from core.machine.jobs import JobContext
from core.runs.home import Home

_PREFLIGHT = 0.7  # share of the progress
_PATIENCE = 10.0  # seconds for a stage to end and for the trial's files to be removed


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found; no estimate where the pre-flight failed."""

    preflight: Preflight
    estimate: Estimate | None


def check_document(
    pipeline: Pipeline,
    base: Path,
    home: Home,
    options: Mapping[str, Any],
    control: RunControl,
    watcher: Watcher,
) -> CheckResult:
    """Check a document without broken rules; `options` are those of `Options`.

    Raises:
        EspalierError: when the device is not there.
        Stopped: a person asked to stop.
    """
    arguments = {
        "pipeline": pipeline.as_dict(), "base": str(base), "home": str(home.folder), "options": dict(options),
    }  # fmt: skip
    with Child("tool", patience=_PATIENCE) as child:
        result = child.call(
            check,
            arguments,
            control,
            watcher.on_progress,
            on_part=lambda part: watcher.on_trial(_trial(part)),
        )
    found, cost = result["preflight"], result["estimate"]
    flight = Preflight(
        tuple(_trial(trial) for trial in found["trials"]), found["seconds"],
        tuple(_problem(problem) for problem in found["general"]), tuple(found["notes"]),
    )  # fmt: skip
    return CheckResult(flight, _estimate(cost) if cost is not None else None)


def check(arguments: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Job of the tool child; each stage's `Trial` is sent as a part when it is known."""
    pipeline, base = Pipeline.parse(arguments["pipeline"]), Path(arguments["base"])
    home, options = Home(Path(arguments["home"])), Options(**arguments["options"])
    watcher = Watcher(
        lambda done, words: context(done * _PREFLIGHT, words), lambda trial: context.send_part(asdict(trial))
    )
    flight = preflight_on_each(pipeline, base, home, options, context.control, watcher)
    cost = None
    if flight.passed:
        share = 1 - _PREFLIGHT
        cost = estimate_on_each(
            pipeline, base, home, options,
            lambda done, words: context(_PREFLIGHT + done * share, words), context.control,
        )  # fmt: skip
    return {"preflight": asdict(flight), "estimate": asdict(cost) if cost is not None else None}


def _trial(plain: Mapping[str, Any]) -> Trial:
    problem = plain["problem"]
    fields = {"files": tuple(plain["files"]), "problem": _problem(problem) if problem else None}
    return Trial(**{**plain, **fields})


def _problem(plain: Mapping[str, Any]) -> Problem:
    return Problem(**{**plain, "place": tuple(plain["place"])})


def _estimate(plain: Mapping[str, Any]) -> Estimate:
    search = plain["search"]
    return Estimate(**{
        **plain, "stages": tuple(StageEstimate(**stage) for stage in plain["stages"]),
        "search": SearchEstimate(**search) if search is not None else None,
    })  # fmt: skip
