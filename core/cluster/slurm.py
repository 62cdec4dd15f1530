"""A cluster of a Slurm job: a scheduler in this process, and a person's batch file whose workers connect to it.

The file gets the scheduler's address as ESPALIER_CLUSTER and the folder of certificates as ESPALIER_TLS; the job is cancelled when the
stages are made.
"""

import logging
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.cluster.scheduler_store import Keeper
from core.cluster.security import check_reach, security_of
from core.cluster.serving import KEPT_FOLDER
from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.runs.home import Home

_log = logging.getLogger(__name__)

SLURM = "slurm:"
_SECONDS = 60


@contextmanager
def slurm_cluster(where: str, tls: Path | None, home: Home, say: Callable[[str], None]) -> Iterator[str]:
    """The address of a scheduler whose workers are the job of `slurm:FILE`.

    Args:
        where: `slurm:FILE`, or `slurm:FILE@HOST` where the job reaches this machine under another name than its own.

    Raises:
        EspalierError: when there is no such file, no Slurm, or the machine would be reached without TLS.
    """
    name, _, host = where.removeprefix(SLURM).partition("@")
    file, host = Path(name), host or socket.gethostname()
    if not file.is_file():
        raise EspalierError(
            f"Expected a batch file for Slurm, found none at {name!r}.", "docs/machines.md has one."
        )
    check_reach(host, tls is not None)
    security = security_of(tls)
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=0, processes=False, host=host, scheduler_port=0, dashboard_address="127.0.0.1:0",
        silence_logs=logging.ERROR, protocol="tcp://" if security is None else "tls://", security=security,
    ) as cluster:  # fmt: skip
        Keeper(home.folder / KEPT_FOLDER).serve(cluster.scheduler)
        address = str(cluster.scheduler_address)
        job = _submitted(file, address, tls)
        say(f"Job {job} is submitted; its workers connect to {address}.")
        try:
            yield address
        finally:
            with passed_over(_log, "The job was not cancelled", OSError, subprocess.SubprocessError):
                subprocess.run(["scancel", job], check=True, capture_output=True, timeout=_SECONDS)


def _submitted(file: Path, address: str, tls: Path | None) -> str:
    """The number of the job that the file is submitted as."""
    env = {**os.environ, "ESPALIER_CLUSTER": address, "ESPALIER_TLS": str(tls.resolve()) if tls else ""}
    try:
        done = subprocess.run(
            ["sbatch", "--parsable", "--export=ALL", str(file)],
            check=True, capture_output=True, text=True, timeout=_SECONDS, env=env,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise EspalierError(
            "Expected Slurm on this machine, found no command sbatch.", "Run it on a login node."
        ) from error
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", "") or str(error)
        raise EspalierError("Slurm did not take the job.", "Try it with sbatch itself.", str(said)) from error
    return done.stdout.strip().partition(";")[0]
