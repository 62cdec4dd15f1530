"""The machines of a cluster for people, asked of their schedulers."""

from contextlib import closing
from pathlib import Path
from typing import Any

from core.cluster.security import check_installed, checked_address, security_of
from core.common.errors import EspalierError
from core.common.logs import in_a_line
from core.machine.jobs import JobContext, quick

_SECONDS = 10


@quick
def look_at_machines(arguments: dict[str, Any], progress: JobContext) -> dict[str, Any]:
    """Job: the workers of some schedulers.

    Args:
        arguments: `clusters`: a list of `address` and `tls`, a folder of certificates or "".

    Returns: `clusters`: of each, in their order, `address`, `error` ("" where it answered) and `workers`: `name` and what
        `core.cluster.work_record` says of each.
    """
    found = []
    for number, asked in enumerate(arguments["clusters"]):
        progress(number / len(arguments["clusters"]), asked["address"])
        found.append(_looked_at(asked["address"], Path(asked["tls"]) if asked["tls"] else None))
    return {"clusters": found}


def _looked_at(address: str, tls: Path | None) -> dict[str, Any]:
    try:
        check_installed()
        full = checked_address(address, tls is not None)
        return {"address": address, "error": "", "workers": _workers(full, tls)}
    except EspalierError as error:
        return {"address": address, "error": f"{error.message} {error.advice}".strip(), "workers": []}
    except (OSError, TimeoutError) as error:
        text = f"No scheduler answers there ({in_a_line(error)[:200]})."
        return {"address": address, "error": text, "workers": []}


def _workers(address: str, tls: Path | None) -> list[dict[str, Any]]:
    from distributed import Client

    from core.cluster.task import about_this_worker

    client = Client(address, security=security_of(tls), timeout=_SECONDS, set_as_default=False)
    with closing(client):
        known = client.scheduler_info(n_workers=-1)["workers"]
        answers = client.run(about_this_worker, on_error="ignore") or {}
    workers = [{"name": str(known[one]["name"]), **about} for one, about in answers.items() if one in known]
    return sorted(workers, key=lambda worker: str(worker["name"]))
