"""A cluster on this machine: a scheduler in this process and workers beside it, for as long as they are needed."""

import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.cluster.scheduler_store import Keeper
from core.cluster.serving import KEPT_FOLDER
from core.common.errors import EspalierError
from core.machine.processes import environment, own_command
from core.runs.home import Home

LOCAL = "local:"
_MOST = 64


@contextmanager
def local_cluster(where: str, home: Home, say: Callable[[str], None]) -> Iterator[str]:
    """The address of a scheduler with the workers that `local:N` asks for; they end with this process, however it ends.

    Raises:
        EspalierError: when `where` is no such text.
    """
    text = where.removeprefix(LOCAL)
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise EspalierError(f"Expected {LOCAL}N with N from 1 to {_MOST}, received {where!r}.")
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=0, processes=False, protocol="tcp://", host="127.0.0.1", scheduler_port=0, dashboard_address="127.0.0.1:0", silence_logs=logging.ERROR,
    ) as cluster:  # fmt: skip
        Keeper(home.folder / KEPT_FOLDER, results=False).serve(cluster.scheduler)
        address = str(cluster.scheduler_address)
        workers = [_worker(address, number, home) for number in range(1, int(text) + 1)]
        say(f"{text} workers on this machine.")
        try:
            yield address
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()


def _worker(address: str, number: int, home: Home) -> "subprocess.Popen[bytes]":
    """Its standard input is a pipe from this process, which the system closes when this process ends."""
    log = home.logs / "workers.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [*own_command(), "worker", address, "--name", f"local-{number}", "--with-input"],
            stdin=subprocess.PIPE, stdout=output, stderr=output,
            env=environment(extra={"ESPALIER_HOME": os.fspath(home.folder)}),
        )  # fmt: skip
