"""Making one stage on a worker: what Dask calls there.

The stage is made by a run process of its own, which the task only follows: a task that computed by itself would hold the
interpreter, and the scheduler would take the worker for dead. The process ends with its worker. A task outlives its
scheduler: when that comes back and the worker is asked for the same plan again, the one that goes on answers.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cluster.packed_results import packed, packed_state, put_state, settle, settled_in, taken_in
from core.cluster.plans import Plan
from core.cluster.scheduler_store import Sender, Shelf
from core.cluster.work_record import WorkRecord
from core.common.content_hashes import read_sealed
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.files import discard
from core.common.logs import passed_over
from core.document import pipeline as documents
from core.engine.engine import USED
from core.engine.options import Options
from core.engine.run_follower import TimedEvent, start_run
from core.records.events import EpochDone, Note
from core.runs.finding import is_run
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from distributed import Worker

_log = logging.getLogger(__name__)

TOPIC = "espalier"
NAME = "ESPALIER_WORKER"  # the variable that says what the worker of this process is called
_ATTEMPTS = 3  # at a stage whose process ends unexpectedly
_FREE_SECONDS = 20.0  # that a process before, which is ending, may still hold its run folder
Tell = Callable[[dict[str, Any]], None]


class StageFailedError(RuntimeError):
    """A stage could not be made, in words; an error that travels as plain text."""


@dataclass(frozen=True, slots=True)
class Needed:
    """The result of another plan, with the ids that its decisions are about."""

    parcel: bytes
    ids: dict[str, str]


class Seat:
    """What this process works at: plan after plan, for the scheduler that it is connected to now."""

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self.record = WorkRecord()
        self._under_way: dict[str, Future[bytes]] = {}
        self._lock, self._one = threading.Lock(), threading.Lock()

    def connected(self) -> "Worker":
        """The worker as the scheduler knows it now.

        Raises:
            OSError: when there is none.
        """
        if self.worker is None:
            raise OSError("No scheduler is there.")
        return self.worker

    def under_way(self) -> list[str]:
        """Keys of the plans that are being made, or whose results the scheduler does not keep yet."""
        with self._lock:
            return list(self._under_way)

    def once(self, key: str, make: Callable[[], bytes], keep: Callable[[bytes], object]) -> bytes:
        """What `make` gives, or what it gives to who asked before; one plan at a time.

        Args:
            keep: called with it on a thread of its own; until it returns the plan is under way.
        """
        with self._lock:
            before = self._under_way.get(key)
            future = before or self._under_way.setdefault(key, Future())
        if before is not None:
            return before.result()
        try:
            with self._one:
                future.set_result(make())
        except BaseException as error:
            with self._lock:
                del self._under_way[key]
            future.set_exception(error)
            raise
        threading.Thread(target=self._kept, args=(key, keep, future.result()), daemon=True).start()
        return future.result()

    def _kept(self, key: str, keep: Callable[[bytes], object], result: bytes) -> None:
        try:
            keep(result)
        finally:
            with self._lock:
                del self._under_way[key]


SEAT = Seat()


def about_this_worker() -> dict[str, Any]:
    """Asked of every worker by who looks at a cluster's machines."""
    return SEAT.record.as_plain()


def plans_under_way() -> list[str]:
    """Asked of every worker by a client: what it need not give to others."""
    return SEAT.under_way()


def make_stage(plan: dict[str, Any], ids: list[dict[str, str]], *parcels: bytes) -> bytes:
    """Dask's task: the parcel of a plan's stage.

    Args:
        plan: a `Plan` as plain data. ids: of each needed plan, its stages' ids in the person's pipeline.
        parcels: the needed plans' results.

    Raises:
        StageFailedError: when it cannot be made.
    """
    key = plan["key"]
    name = os.environ.get(NAME, "a worker")

    def tell(record: dict[str, Any]) -> None:
        SEAT.record.hear(plan["title"], record)
        with passed_over(_log, "Nobody hears what a worker does", Exception):
            SEAT.connected().log_event(TOPIC, {**record, "plan": key, "by": name})

    needed = [Needed(parcel, names) for parcel, names in zip(parcels, ids, strict=True)]
    shelf = Shelf(SEAT.connected)
    try:
        return SEAT.once(
            key,
            lambda: made(
                Plan(**{**plan, "needs": tuple(plan["needs"])}), needed, Home.default(), tell, shelf
            ),
            lambda result: shelf.keep_at_last("result", key, result),
        )
    except EspalierError as error:
        tell({"failed": error.message})
        raise StageFailedError("\n".join(part for part in (error.message, error.advice) if part)) from None
    except OSError as error:  # not one of the connection, which would be waited for
        raise StageFailedError(f"{name} cannot make it: {error}.") from None


def made(plan: Plan, needed: list[Needed], home: Home, tell: Tell, shelf: Shelf) -> bytes:
    """The parcel of a plan's stage: kept by the scheduler, taken from this home's caches, or made now.

    Raises:
        EspalierError: when it cannot be made.
    """
    tell({"state": "started"})
    kept = shelf.kept(plan.key)
    if (result := kept.get("result")) is not None:
        with passed_over(_log, "What the scheduler keeps is made again", EspalierError):
            taken_in(home, result)
            tell({"state": "done"})
            return result
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
    if (state := kept.get("state")) is not None:
        with passed_over(_log, "What the scheduler keeps of the training is passed over", EspalierError):
            put_state(run, plan.stage, state)
    _follow(run, plan, home, tell, shelf)
    used = {(kind, key) for kind, key in read_sealed(run.folder / USED)["entries"]}
    parcel = packed(home, sorted(used - there), settled_in(run))
    discard(run.folder)
    tell({"state": "done"})
    return parcel


def _follow(run: RunFolder, plan: Plan, home: Home, tell: Tell, shelf: Shelf) -> None:
    """Have a run made by a process of its own; the state of its training goes to the scheduler after every epoch.

    Raises:
        EspalierError: when it is not completed.
    """
    with Sender(
        lambda: packed_state(run, plan.stage), lambda state: shelf.keep("state", plan.key, state)
    ) as sender:

        def hear(timed: TimedEvent) -> None:
            _pass_on(timed, plan, tell)
            if isinstance(timed.event, EpochDone):
                sender.due()

        for left in reversed(range(_ATTEMPTS)):
            follower = start_run(run, home, Options(**plan.options), stay=False, after=run.last_event_number)
            try:
                done = follower.follow(RunControl(), hear)
                break
            except EspalierError as error:  # its process is gone, not its stage failed
                if not left:
                    raise
                tell({"event": Note(plan.stage, "warning", f"{error.message} It goes on.").as_dict()})
    if done is None or done.status != "completed":
        message = done.message if done is not None else "The run's process was left."
        raise EspalierError(f"{plan.title}: {message}", done.advice if done is not None else "")


def _run_of(plan: Plan, home: Home) -> RunFolder:
    """The run that makes a plan: one that was killed goes on where it was; a new one where another process holds on to that."""
    folder = home.folder / "cluster" / plan.key
    if is_run(folder):
        run = RunFolder.open(folder)
        until = time.monotonic() + _FREE_SECONDS
        while run.active and time.monotonic() < until:
            time.sleep(0.1)
        if not run.active:
            return run
        folder = folder.with_name(f"{plan.key}-{os.getpid()}")
        discard(folder)
    return create_run(documents.loads(plan.document), Path.cwd(), home, folder)


def _pass_on(timed: TimedEvent, plan: Plan, tell: Tell) -> None:
    """Tell the event where it is about the plan's own stage, or about none."""
    record = timed.event.as_dict()
    if record.get("stage", "") in (plan.stage, "") and record["event"] not in (
        "RunStarted",
        "StageStarted",
        "RunDone",
        "StageDone",
    ):
        tell({"event": record})
