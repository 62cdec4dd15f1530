"""The two programs of a cluster that wait for work: its scheduler, and its workers."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

from core.cluster.security import check_reach, checked_address, security_of
from core.cluster.task import NAME
from core.common.errors import EspalierError
from core.runs.home import Home

_log = logging.getLogger(__name__)

_STATUS = "127.0.0.1:0"  # where Dask's pages of status listen, which cannot be left out: nobody beyond this machine reads them
_AGAIN_SECONDS = 3.0
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
            say(
                f"The scheduler listens on {scheduler.address}. Workers: espalier worker {scheduler.address}{_tls(tls)}"
            )
            await scheduler.finished()

    try:
        asyncio.run(serve())
    except OSError as error:
        raise EspalierError(
            f"The scheduler cannot listen on {host}:{port}: {error.strerror or error}.",
            "Choose another port (--port).",
        ) from error


def start_worker(address: str, tls: Path | None, name: str, say: Say) -> None:
    """Serve as a worker until interrupted; a scheduler that goes away is waited for.

    Raises:
        EspalierError: when the address is none.
    """
    security = security_of(tls)
    full = checked_address(address, security is not None)
    from distributed import Worker

    _only_warnings()
    home = Home.default()
    scratch = home.folder / "cluster"
    scratch.mkdir(parents=True, exist_ok=True)
    name = os.environ[NAME] = name or f"{socket.gethostname()}-{os.getpid()}"

    async def serve() -> None:
        waiting = False
        while True:
            try:
                async with Worker(
                    full, nthreads=1, name=name, resources={TRAINS: 1}, security=security, dashboard=False,
                    dashboard_address=_STATUS, local_directory=str(scratch), memory_limit=0, death_timeout=_AGAIN_SECONDS,
                ) as worker:  # fmt: skip
                    say(f"{name} works for {full}.")
                    waiting = False
                    await worker.finished()
            except (OSError, TimeoutError, ValueError) as error:
                _log.debug("The scheduler does not answer: %s", error)
            if not waiting:
                waiting = True
                say(f"No scheduler answers at {full}; trying again.")
            await asyncio.sleep(_AGAIN_SECONDS)

    asyncio.run(serve())


def _only_warnings() -> None:
    """Dask's own lines about connections say nothing to a person."""
    logging.getLogger("distributed").setLevel(logging.WARNING)


def _tls(folder: Path | None) -> str:
    return "" if folder is None else f" --tls {folder}"
