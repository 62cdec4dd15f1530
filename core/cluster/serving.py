"""The two programs of a cluster that wait for work: its scheduler, and its workers."""

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.cluster.scheduler_store import Keeper
from core.cluster.security import check_reach, checked_address, security_of
from core.cluster.task import NAME, SEAT
from core.common.command_lines import command_line
from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.runs.home import Home

_log = logging.getLogger(__name__)

_STATUS = "127.0.0.1:0"  # where Dask's pages of status listen, which cannot be left out: nobody beyond this machine reads them
_AGAIN_SECONDS = 3.0
KEPT_FOLDER = "cluster/kept"  # in the scheduler's home
TRAINS = "trains"  # the resource that a stage takes: a worker makes one at a time
Say = Callable[[str], None]


def start_scheduler(host: str, port: int, tls: Path | None, say: Say) -> None:
    """Serve as the scheduler until interrupted.

    Raises:
        EspalierError: when it cannot listen there, or would listen to a network without TLS.
    """
    security = security_of(tls)
    check_reach(host, security is not None)
    from distributed import Scheduler

    _only_warnings()

    async def serve() -> None:
        scheme = "tcp" if security is None else "tls"
        async with Scheduler(
            host=f"{scheme}://{host}",
            port=port,
            security=security,
            dashboard=False,
            dashboard_address=_STATUS,
        ) as scheduler:
            Keeper(Home.default().folder / KEPT_FOLDER).serve(scheduler)
            words = () if tls is None else ("--tls", tls)
            worker = command_line("worker", scheduler.address, *words)
            say(f"The scheduler listens on {scheduler.address}. Workers: {worker}")
            await scheduler.finished()

    try:
        asyncio.run(serve())
    except OSError as error:
        raise EspalierError(
            f"The scheduler cannot listen on {host}:{port}: {error.strerror or error}.",
            "Choose another port (--port).",
        ) from error


@dataclass(frozen=True, slots=True)
class Ending:
    """When a worker ends by itself.

    Attributes:
        with_input: when its standard input closes, as it does when the program that started it ends.
        patience: when no scheduler has answered for so many seconds; 0 waits for ever.
    """

    with_input: bool = False
    patience: float = 0.0


def start_worker(address: str, tls: Path | None, name: str, ending: Ending, say: Say) -> None:
    """Serve as a worker until interrupted; a scheduler that goes away is waited for.

    Raises:
        EspalierError: when the address is none.
    """
    security = security_of(tls)
    full = checked_address(address, security is not None)
    worker_class = _worker_class()
    _only_warnings()
    home = Home.default()
    scratch = home.folder / "cluster"
    scratch.mkdir(parents=True, exist_ok=True)
    if ending.with_input:
        threading.Thread(target=_end_with_input, name="input", daemon=True).start()
    name = os.environ[NAME] = name or f"{socket.gethostname()}-{os.getpid()}"

    async def serve() -> None:
        waiting, heard = False, time.monotonic()
        while not ending.patience or time.monotonic() - heard < ending.patience:
            try:
                async with worker_class(
                    full, nthreads=1, name=name, resources={TRAINS: 1}, security=security, dashboard=False,
                    dashboard_address=_STATUS, local_directory=str(scratch), memory_limit=0, death_timeout=_AGAIN_SECONDS,
                ) as worker:  # fmt: skip
                    SEAT.worker = worker
                    say(f"{name} works for {full}.")
                    waiting = False
                    await worker.finished()
                    heard = time.monotonic()
            except (OSError, TimeoutError, ValueError) as error:
                _log.debug("The scheduler does not answer: %s", error)
            if not waiting:
                waiting = True
                say(f"No scheduler answers at {full}; trying again.")
            await asyncio.sleep(_AGAIN_SECONDS)
        say(f"No scheduler has answered for {ending.patience:g} seconds; the worker ends.")

    asyncio.run(serve())


def _worker_class() -> Any:
    """Dask's worker, which leaves a task that goes on alone when its scheduler is gone: it would wait half a minute for it."""
    from distributed import Worker

    class LeavingWorker(Worker):
        async def close(self, timeout: float = 30, executor_wait: bool = True, **more: Any) -> Any:
            return await super().close(timeout=timeout, executor_wait=False, **more)

    return LeavingWorker


def _end_with_input() -> None:
    """End at once: the process of a stage sees its own input close, saves what it has come to, and ends."""
    with passed_over(_log, "The input is gone", OSError):
        while os.read(0, 1024):
            pass
    os._exit(0)


def _only_warnings() -> None:
    """Dask's own lines about connections say nothing to a person."""
    logging.getLogger("distributed").setLevel(logging.WARNING)
