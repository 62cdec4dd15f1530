"""Having the stages of a run made by a cluster, before the run: its results come into the home's caches.

The run itself then works on this machine as always, takes every stage from the caches, and measures all files: figures
that are compared come from one machine.
"""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from core.cluster.local import LOCAL, local_cluster
from core.cluster.packed_results import settle, taken_in
from core.cluster.plans import Plan, plans_of
from core.cluster.security import Cluster, check_installed, checked_address, security_of
from core.cluster.serving import TRAINS
from core.cluster.slurm import SLURM, slurm_cluster
from core.cluster.task import TOPIC, StageFailedError, make_stage, plans_under_way
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.logs import in_a_line, passed_over
from core.engine.options import Options
from core.records.events import Event, event_from
from core.runs.home import Home
from core.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from distributed import Client, Future

_log = logging.getLogger(__name__)

_LOST_SECONDS = 300.0  # how long a scheduler that went away is waited for
_AGAIN_SECONDS = 3.0
_POLL_SECONDS = 0.2
_WORKERS_SECONDS = 15.0  # how long workers are waited for that were there before a scheduler started again
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Begun(Event):
    """A worker begins with a plan, or takes it from where it was made before."""


@dataclass(frozen=True, slots=True)
class Made(Event):
    """A worker has what a plan asks for."""


OnEvent = Callable[[str, Plan, Event], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """What is told while workers work, on the thread that asked for it.

    Attributes:
        say: a sentence for a person.
        event: the worker, the plan, and each event of the stage that it makes, `Begun` first and `Made` last.
    """

    say: Say
    event: OnEvent


def check_makeable(run: RunFolder) -> None:
    """Nothing where a cluster can make the run's stages.

    Raises:
        EspalierError: where it cannot, or Dask is not there.
    """
    check_installed()
    if run.written.search is not None:
        raise EspalierError(
            "A search decides as it goes which stages it wants; a cluster makes the stages of a pipeline without one.",
            "Run the search on this machine, or open one of its trials as a pipeline.",
        )


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
    check_makeable(run)
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
        self._heard: SimpleQueue[Any] = SimpleQueue()
        self._workers: set[str] = set()  # that have said something

    def work(self) -> None:
        lost_since = 0.0
        while len(self.parcels) < len(self.plans):
            self.control.checkpoint()
            try:
                with self._client() as client:
                    held = self._under_way(client, again=lost_since > 0)
                    if lost_since:
                        self.say(f"The scheduler at {self.address} answers again.")
                    lost_since = 0.0
                    self._round(client, held)
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
                self._wait(_AGAIN_SECONDS)

    @contextmanager
    def _client(self) -> "Iterator[Client]":
        from distributed import Client

        client = Client(self.address, security=security_of(self.tls), timeout=10, set_as_default=False)
        try:
            client.subscribe_topic(TOPIC, self._heard.put)
            yield client
        finally:
            with passed_over(_log, "The scheduler did not hear that we leave", OSError, TimeoutError):
                client.close(timeout=5)

    def _under_way(self, client: "Client", again: bool) -> dict[str, str]:
        """Which workers are at which plans: after a scheduler has started again it does not know it.

        Args:
            again: the workers of before are waited for; they come back within seconds.
        """
        until = time.monotonic() + (_WORKERS_SECONDS if again else 0.0)
        while time.monotonic() < until:
            there = {about["name"] for about in client.scheduler_info(n_workers=-1)["workers"].values()}
            if self._workers <= there:
                break
            self._wait(_POLL_SECONDS)
        answers = client.run(plans_under_way, on_error="ignore") or {}
        return {key: address for address, keys in answers.items() for key in keys if key in self.plans}

    def _round(self, client: "Client", held: dict[str, str]) -> None:
        """Ask for all plans that are not back yet, and take them in as they come.

        Args:
            held: addresses of workers that are at plans already, by the plans' keys.

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
            where = {"workers": [held[key]], "allow_other_workers": True} if key in held else {}
            futures[key] = client.submit(
                make_stage, asdict(plan), ids, *needed, key=key, resources={TRAINS: 1}, pure=False, **where
            )
            fire_and_forget(futures[key])  # what was begun is finished, also where we leave
        while waiting := [key for key in futures if key not in self.parcels]:
            self._wait(_POLL_SECONDS)
            if client.status != "running":
                raise TimeoutError("the connection is closed")
            for key in waiting:
                future = futures[key]
                if future.status in ("cancelled", "lost"):
                    raise CancelledError(key)
                if future.done():
                    self._take(self.plans[key], future)

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
        self._listen()

    def _wait(self, seconds: float) -> None:
        """Let a moment pass, with an ear to the person and to the workers.

        Raises:
            Stopped: when a person asked to stop.
        """
        until = time.monotonic() + seconds
        while True:
            self.control.checkpoint()
            self._listen()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _POLL_SECONDS))

    def _listen(self) -> None:
        """Pass on what workers have said."""
        while not self._heard.empty():
            _, record = self._heard.get()
            with passed_over(_log, "What a worker says is passed over", KeyError, TypeError, ValueError):
                self._hear(record)

    def _hear(self, record: dict[str, Any]) -> None:
        plan, worker = self.plans[record["plan"]], str(record["by"])
        self._workers.add(worker)
        if record.get("state") == "started":
            self.made_by[plan.key] = worker
            self.on_event(worker, plan, Begun())
        elif record.get("state") == "done":
            self.on_event(worker, plan, Made())
        elif (told := event_from(record.get("event", {}))) is not None:
            self.on_event(worker, plan, told)


@contextmanager
def _reached(wanted: Cluster, home: Home, say: Say) -> Iterator[Cluster]:
    """The cluster, its address in full; one on this machine lasts as long as it is needed."""
    if wanted.address.startswith(LOCAL):
        with local_cluster(wanted.address, home, say) as address:
            yield Cluster(address)
    elif wanted.address.startswith(SLURM):
        with slurm_cluster(wanted.address, wanted.tls, home, say) as address:
            yield Cluster(address, wanted.tls)
    else:
        yield Cluster(checked_address(wanted.address, wanted.tls is not None), wanted.tls)
