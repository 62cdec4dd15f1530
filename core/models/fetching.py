"""ImageNet weights, downloaded when a person asks for them: which are here, and fetching one with progress.

The library that downloads cannot be stopped, so a process does it (`core.machine.child`), which can. Jobs of
the tool child, with plain data in and out.
"""

import logging
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.common.logs import passed_over
from core.machine.jobs import quick
from core.machine.site_policy import site_policy
from core.models.catalogue import BACKBONES, backbone

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.3
_TIMEOUT = 15.0


@quick
def weights_here(arguments: dict[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
    """Job: every backbone with ImageNet weights; `weights` lists id, title, path and bytes (0: not here)."""
    from core.models.weights import imagenet_file

    listed = []
    for entry in BACKBONES.values():
        if entry.imagenet:
            path = imagenet_file(entry)
            size = path.stat().st_size if path.is_file() else 0
            listed.append({"id": entry.id, "title": entry.title, "path": str(path), "bytes": size})
    return {"weights": listed}


def fetch_weights(arguments: dict[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
    """Job: fetch the weights of a backbone.

    Args (as plain data): backbone, its id.

    Raises:
        EspalierError: the site's policy forbids it, or the download fails.
    """
    from core.models.weights import download_imagenet, imagenet_file, imagenet_url

    network = backbone(arguments["backbone"])
    site_policy().allow_download(f"the ImageNet weights of {network.title}")
    folder = imagenet_file(network).parent
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.rglob("*"))
    total, ended = _size_there(imagenet_url(network)), threading.Event()

    def tell() -> None:
        while not ended.wait(_LOOK_SECONDS):
            received = _received(folder, before)
            share = min(1.0, received / total) if total else 0.0
            of = f" of {total / 1e6:.0f}" if total else ""
            progress(share, f"Downloading {network.title}: {received / 1e6:.0f}{of} MB")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        path = download_imagenet(network)
    finally:
        ended.set()
        teller.join()
    return {"path": str(path)}


def remove_parts(folder: Path, before: set[Path]) -> None:
    """Remove the half-received files that a stopped download left in `folder`."""
    for path in set(folder.rglob("*")) - before if folder.is_dir() else ():
        if path.is_file() and path.suffix in (".partial", ".incomplete"):
            path.unlink(missing_ok=True)


def _size_there(address: str) -> int:
    """Bytes that a server says a file has; 0 where it does not say."""
    with passed_over(_log, f"The size of {address} is not known", OSError, ValueError):
        request = urllib.request.Request(address, method="HEAD")
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            return int(answer.headers.get("Content-Length") or 0)
    return 0


def _received(folder: Path, before: set[Path]) -> int:
    total = 0
    for path in set(folder.rglob("*")) - before:
        with passed_over(_log, f"{path} went away while it was received", OSError):
            if path.is_file():
                total += path.stat().st_size
    return total
