"""Having the stages of a run made by a cluster, before the run: its results come into the home's caches.

The run itself then works on this machine as always, takes every stage from the caches, and measures all files: figures
that are compared come from one machine.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cluster.parcels import settle, taken_in
from core.cluster.plans import Plan, plans_of
from core.cluster.security import check_installed, checked_address, security_of
from core.cluster.serving import TRAINS
from core.cluster.task import TOPIC, StageFailedError, make_stage
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.logs import in_a_line, passed_over
from core.engine.options import Options
from core.machine.processes import environment
from core.records.events import Event, event_from
from core.runs.home import Home
from core.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from distributed import Client, Future

_log = logging.getLogger(__name__)

LOCAL = "local:"
_MOST_LOCAL = 64
_LOST_SECONDS = 300.0  # how long a scheduler that went away is waited for
_AGAIN_SECONDS = 3.0
_POLL_SECONDS = 0.2
OnEvent = Callable[[str, Plan, Event], None]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where workers are asked.

    Attributes:
        address: of a scheduler, or `local:N` for so many workers on this machine.
        tls: folder with the certificates; None on this machine.
    """

    address: str
    tls: Path | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What is told while workers work.

    Attributes:
        say: a sentence for a person.
        event: the worker, the plan, and each event of the stage that it makes.
    """

    say: Say
    event: OnEvent


def fill_caches(
    run: RunFolder,
    home: Home,
    options: Options,
    cluster: Cluster,
    heard: Heard,
    control: RunControl | None = None,
) -> dict[str, str]:
    """Have every stage of a run made by a cluster, each once; which worker made each plan.

    Raises:
        EspalierError: when a stage cannot be made, or the cluster is not reached.
        Stopped: a person asked to stop; what workers are making goes on.
    """
    check_installed()
    if run.written.search is not None:
        raise EspalierError(
            "A search decides as it goes which stages it wants; a cluster makes the stages of a pipeline without one.",
            "Run the search on this machine, or open one of its trials as a pipeline.",
        )
    plans = {plan.key: plan for plan in plans_of(run.pipeline, run.base, options.resolved())}
    with _reached(cluster, home, heard.say) as reached:
        making = _Making(plans, reached, home, run, heard, control or RunControl())
        making.work()
        return making.made_by


class _Making:
    """The plans of one run, and what has come back of them."""

    def __init__(
        self,
        plans: dict[str, Plan],
        cluster: Cluster,
        home: Home,
        run: RunFolder,
        heard: Heard,
        control: RunControl,
    ):
        self.plans, self.address, self.tls, self.home, self.run = (
            plans,
            cluster.address,
            cluster.tls,
            home,
            run,
        )
        self.say, self.on_event, self.control = heard.say, heard.event, control
        self.parcels: dict[str, bytes] = {}
        self.made_by: dict[str, str] = {}
        self._told = threading.Lock()

    def work(self) -> None:
        lost_since = 0.0
        while len(self.parcels) < len(self.plans):
            self.control.checkpoint()
            try:
                with self._client() as client:
                    lost_since = 0.0
                    self._round(client)
            except (OSError, TimeoutError, CancelledError) as error:
                now = time.monotonic()
                if not lost_since:
                    self.say(f"The scheduler at {self.address} does not answer; waiting for it.")
                lost_since = lost_since or now
                _log.warning("The scheduler is lost: %s", in_a_line(error))
                if now - lost_since > _LOST_SECONDS:
                    raise EspalierError(
                        f"The scheduler at {self.address} does not answer.",
                        "Start it again (espalier cluster start); what is finished is kept.",
                    ) from error
                time.sleep(_AGAIN_SECONDS)

    @contextmanager
    def _client(self) -> "Iterator[Client]":
        from distributed import Client

        client = Client(self.address, security=security_of(self.tls), timeout=10, set_as_default=False)
        try:
            client.subscribe_topic(TOPIC, self._hear)
            yield client
        finally:
            with passed_over(_log, "The scheduler did not hear that we leave", OSError, TimeoutError):
                client.close(timeout=5)

    def _round(self, client: "Client") -> None:
        """Ask for all plans that are not back yet, and take them in as they come.

        Raises:
            OSError, TimeoutError, CancelledError: when the scheduler is gone.
        """
        from distributed import fire_and_forget

        futures: dict[str, Future] = {}
        for key, plan in self.plans.items():
            if key in self.parcels:
                continue
            needed = [self.parcels.get(need) or futures[need] for need in plan.needs]
            ids = [self.plans[need].ids for need in plan.needs]
            futures[key] = client.submit(
                make_stage, asdict(plan), ids, *needed, key=key, resources={TRAINS: 1}, pure=False
            )
            fire_and_forget(futures[key])  # what was begun is finished, also where we leave
        while waiting := [key for key in futures if key not in self.parcels]:
            self.control.checkpoint()
            if client.status != "running":
                raise TimeoutError("the connection is closed")
            for key in waiting:
                future = futures[key]
                if future.status in ("cancelled", "lost"):
                    raise CancelledError(key)
                if future.done():
                    self._take(self.plans[key], future)
            time.sleep(_POLL_SECONDS)

    def _take(self, plan: Plan, future: "Future") -> None:
        from distributed import KilledWorker

        try:
            parcel = future.result(timeout=60)
        except StageFailedError as error:
            message, _, advice = str(error).partition("\n")
            raise EspalierError(f"On a worker: {message}", advice) from error
        except KilledWorker as error:
            raise EspalierError(
                f"{plan.title}: several workers ended while they made it.",
                "Look at their logs: they may have too little memory for it.",
            ) from error
        _, decisions = taken_in(self.home, parcel)
        settle(self.run, decisions, plan.ids)
        self.parcels[plan.key] = parcel

    def _hear(self, event: tuple[float, Any]) -> None:
        """What a worker says, on Dask's thread."""
        record = event[1]
        plan = self.plans.get(str(record.get("plan"))) if isinstance(record, dict) else None
        if plan is None:
            return
        worker = str(record.get("by"))
        with self._told, passed_over(_log, "An event of a worker is passed over", Exception):
            if record.get("state") == "started":
                self.made_by[plan.key] = worker
                self.say(f"{worker}: {plan.title} begins")
            elif record.get("state") == "done":
                self.say(f"{worker}: {plan.title} is made")
            elif isinstance(record.get("event"), dict) and (told := event_from(record["event"])) is not None:
                self.on_event(worker, plan, told)


@contextmanager
def _reached(wanted: Cluster, home: Home, say: Say) -> Iterator[Cluster]:
    """The cluster, its address in full; one on this machine lasts as long as it is needed."""
    where = wanted.address
    if not where.startswith(LOCAL):
        yield Cluster(checked_address(where, wanted.tls is not None), wanted.tls)
        return
    text = where.removeprefix(LOCAL)
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_LOCAL:
        raise EspalierError(f"Expected {LOCAL}N with N from 1 to {_MOST_LOCAL}, received {where!r}.")
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=0, processes=False, host="127.0.0.1", scheduler_port=0, dashboard_address="127.0.0.1:0", silence_logs=logging.ERROR,
    ) as cluster:  # fmt: skip
        address = str(cluster.scheduler_address)
        workers = [_local_worker(address, number, home) for number in range(1, int(text) + 1)]
        say(f"{text} workers on this machine.")
        try:
            yield Cluster(address)
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()


def _local_worker(address: str, number: int, home: Home) -> "subprocess.Popen[bytes]":
    log = home.logs / "workers.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "core.commands.main", "worker", address, "--name", f"local-{number}"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env=environment(extra={"ESPALIER_HOME": os.fspath(home.folder)}),
        )  # fmt: skip
