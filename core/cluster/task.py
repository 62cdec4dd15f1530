"""Making one stage on a worker: what Dask calls there.

The stage is made by a run process of its own, which the task only follows: a task that computed by itself would hold the
interpreter, and the scheduler would take the worker for dead. The process ends with its worker.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.cluster.parcels import packed, settle, settled_in, taken_in
from core.cluster.plans import Plan
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.files import discard
from core.common.seals import read_sealed
from core.document import pipeline as documents
from core.engine.engine import USED
from core.engine.options import Options
from core.engine.run_follower import TimedEvent, start_run
from core.runs.home import Home
from core.runs.run_folder import RunFolder, is_run

_log = logging.getLogger(__name__)

TOPIC = "espalier"
NAME = "ESPALIER_WORKER"  # the variable that says what the worker of this process is called
Tell = Callable[[dict[str, Any]], None]


class StageFailedError(RuntimeError):
    """A stage could not be made, in words; an error that travels as plain text."""


@dataclass(frozen=True, slots=True)
class Needed:
    """The result of another plan, with the ids that its decisions are about."""

    parcel: bytes
    ids: dict[str, str]


def make_stage(plan: dict[str, Any], ids: list[dict[str, str]], *parcels: bytes) -> bytes:
    """Dask's task: the parcel of a plan's stage.

    Args:
        plan: a `Plan` as plain data. ids: of each needed plan, its stages' ids in the person's pipeline.
        parcels: the needed plans' results.

    Raises:
        StageFailedError: when it cannot be made.
    """
    from distributed import get_worker

    worker = get_worker()

    def tell(record: dict[str, Any]) -> None:
        worker.log_event(TOPIC, {**record, "plan": plan["key"], "by": os.environ.get(NAME, worker.address)})

    needed = [Needed(parcel, names) for parcel, names in zip(parcels, ids, strict=True)]
    try:
        return made(Plan(**{**plan, "needs": tuple(plan["needs"])}), needed, Home.default(), tell)
    except EspalierError as error:
        tell({"failed": error.message})
        raise StageFailedError("\n".join(part for part in (error.message, error.advice) if part)) from None


def made(plan: Plan, needed: list[Needed], home: Home, tell: Tell) -> bytes:
    """Make the stage of a plan in this home, or take it from its caches; its parcel.

    Raises:
        EspalierError: when it cannot be made.
    """
    tell({"state": "started"})
    run = _run_of(plan, home)
    there: set[tuple[str, str]] = set()
    own = {person: id for id, person in plan.ids.items()}
    for one in needed:
        entries, decisions = taken_in(home, one.parcel)
        there |= set(entries)
        settle(run, decisions, {id: own[person] for id, person in one.ids.items() if person in own})
    discard(
        run.stage_folder(plan.stage).path
    )  # where a run before came so far: from the cache it says what it is
    follower = start_run(run, home, Options(**plan.options), stay=False, after=run.last_event_number)
    done = follower.follow(RunControl(), lambda timed: _pass_on(timed, plan, tell))
    if done is None or done.status != "completed":
        message = done.message if done is not None else "The run's process was left."
        raise EspalierError(f"{plan.title}: {message}", done.advice if done is not None else "")
    used = {(kind, key) for kind, key in read_sealed(run.folder / USED)["entries"]}
    parcel = packed(home, sorted(used - there), settled_in(run))
    discard(run.folder)
    tell({"state": "done"})
    return parcel


def _run_of(plan: Plan, home: Home) -> RunFolder:
    """The run that makes a plan: one that was killed goes on where it was."""
    folder = home.folder / "cluster" / plan.key
    if is_run(folder):
        return RunFolder.open(folder)
    return RunFolder.create(documents.loads(plan.document), Path.cwd(), home, folder)


def _pass_on(timed: TimedEvent, plan: Plan, tell: Tell) -> None:
    """Tell the event where it is about the plan's own stage, or about none."""
    record = timed.event.as_dict()
    if record.get("stage", "") in (plan.stage, "") and record["event"] not in (
        "RunStarted",
        "RunDone",
        "StageDone",
    ):
        tell({"event": record})
