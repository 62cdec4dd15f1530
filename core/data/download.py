"""Fetching a public data set, only when a person asks for it by name; nothing else calls this.

A file arrives beside its name as `.part`, is checked against the SHA-256 that `core.data.public_sets` has,
and only then gets its name.
"""

import hashlib
import http.client
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.files import written_beside
from core.common.numbers import percent
from core.common.partial_files import remove_abandoned
from core.data.public_sets import PUBLIC_SETS, PublicFile
from core.machine.site_policy import site_policy

CHUNK = 1 << 18
TIMEOUT = 30.0
"""Seconds without a byte after which a download has failed."""

Progress = Callable[[float, str], None]


def _silent(fraction: float, text: str) -> None:
    """Progress that nobody wants to hear of."""


def download(
    name: str, folder: Path, control: RunControl | None = None, on_progress: Progress = _silent
) -> Path:
    """Fetch a public data set into `folder`; files that are there already are only checked.

    Args:
        name: a key of `PUBLIC_SETS`.
        on_progress: called with the received share (0…1) and a sentence.

    Returns: what to give as the path in the data settings, with the set's `source`.

    Raises:
        EspalierError: the name is unknown, the server does not answer, what arrives is something
            else, or the disk does not take it.
        Stopped: a person asked to stop; half a file is removed.
    """
    if name not in PUBLIC_SETS:
        raise EspalierError(
            f"Expected one of the public data sets {', '.join(PUBLIC_SETS)}, received '{name}'.",
            "Download others yourself and give their path.",
        )
    public_set = PUBLIC_SETS[name]
    site_policy().allow_download(public_set.title)
    bytes_before = 0
    for file in public_set.files:

        def report(received: int, before: int = bytes_before) -> None:
            share = (before + received) / public_set.size
            on_progress(
                share, f"Downloading {public_set.title}: {percent(share)} of {public_set.size / 1e6:.1f} MB"
            )

        _fetch(file, folder / public_set.folder / file.name, control or RunControl(), report)
        bytes_before += file.size
        report(0, bytes_before)
    return public_set.path(folder)


def _fetch(file: PublicFile, target: Path, control: RunControl, report: Callable[[int], None]) -> None:
    try:
        if target.exists():
            _check_present(file, target)
            return
        remove_abandoned(target.parent)
        _make_room(file, target.parent)
        with written_beside(target) as part:
            _check_arrived(file, *_receive(file, part, control, report))
    except OSError as error:  # of this disk; `_chunks` reports those of the network
        raise EspalierError(
            f"Expected to write {target}, but that failed: {error.strerror or error}.",
            "Check the free space and the permissions there, or choose another folder.",
        ) from error


def _receive(
    file: PublicFile, part: Path, control: RunControl, report: Callable[[int], None]
) -> tuple[int, str]:
    """Bytes and SHA-256 of what arrived in `part`; no more is taken than there should be."""
    digest, received = hashlib.sha256(), 0
    with part.open("wb") as out:
        for chunk in _chunks(file, control):
            received += len(chunk)
            if received > file.size:
                break
            out.write(chunk)
            digest.update(chunk)
            report(received)
    return received, digest.hexdigest()


def _check_arrived(file: PublicFile, received: int, sha256: str) -> None:
    if (received, sha256) == (file.size, file.sha256):
        return
    received_text = (
        "other content" if received == file.size else f"{received}{' or more' * (received > file.size)}"
    )
    raise EspalierError(
        f"Expected the {file.size} bytes of {file.name} as published, received {received_text}; the file was thrown away.",
        "Try again later; where it happens again, the file on the server was changed, or something stands "
        "between.",
    )


def _check_present(file: PublicFile, target: Path) -> None:
    """A person's file of that name is used if it is the published one, and never replaced."""
    with target.open("rb") as opened:
        if hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256:
            return
    raise EspalierError(
        f"Expected no file or the published one at {target}, received another.",
        "Move it away, or choose another folder.",
    )


def _make_room(file: PublicFile, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if file.size > free:
        raise EspalierError(
            f"Expected {file.size / 1e6:.1f} MB of free space in {folder}, received {free / 1e6:.1f} MB.",
            "Free some space, or choose another folder.",
        )


def _chunks(file: PublicFile, control: RunControl) -> Iterator[bytes]:
    control.checkpoint()
    try:
        with urllib.request.urlopen(file.address, timeout=TIMEOUT) as answer:
            while chunk := answer.read(CHUNK):
                control.checkpoint()
                yield chunk
    except (OSError, http.client.HTTPException) as error:  # urllib's own errors are OSErrors
        raise EspalierError(
            f"Expected to download {file.address}, but that failed: {error}.",
            "Check the connection and try again, or download the file in a browser and give its path.",
        ) from error
