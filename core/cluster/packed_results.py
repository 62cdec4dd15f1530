"""Results on their way between machines: entries of caches, packed into one file of bytes.

A parcel is a zip without compression: `entries/KIND/KEY/…`, folders with their manifests, which every receiver holds them
against, and `decisions.json`, what was settled by timing. The state of a training under way is such a file too, of what it goes
on from. No code and no pickled objects travel.
"""

import io
import json
import logging
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.common.content_hashes import DamagedError, check_folder, read_sealed, write_sealed
from core.common.errors import EspalierError
from core.common.files import discard, folder_beside, written_beside
from core.common.paths import is_inner
from core.runs.cache import CacheUser, Store
from core.runs.home import Home
from core.runs.run_folder import RunFolder

_log = logging.getLogger(__name__)

_RESUME = ".resume"  # how the files end that a training goes on from
_MADE = "made.json"

Entry = tuple[str, str]
"""The name of a cache and a key in it."""
_KINDS = ("models", "artefacts")
_DECISIONS = "decisions.json"
SETTLED = ("precision_trials.json", "latency_targets.json")


def packed(home: Home, entries: Iterable[Entry], decisions: Mapping[str, Any]) -> bytes:
    """A parcel of entries of the home's caches.

    Args:
        decisions: by the name of the file in a run folder and the stage's id.

    Raises:
        EspalierError: when an entry is not there, or damaged.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as parcel:
        parcel.writestr(_DECISIONS, json.dumps(decisions))
        for kind, key in entries:
            with folder_beside(home.cache / "parcels" / key, replace=True) as part:
                if not Store(home.cache / kind).copy_to(key, part / "entry"):
                    raise EspalierError(
                        f"A result ({kind} {key[:12]}) is no longer in this machine's cache.",
                        "Start the run again.",
                    )
                for file in sorted((part / "entry").rglob("*")):
                    if file.is_file():
                        parcel.write(
                            file, f"entries/{kind}/{key}/{file.relative_to(part / 'entry').as_posix()}"
                        )
            shutil.rmtree(home.cache / "parcels" / key, ignore_errors=True)
    return content.getvalue()


def taken_in(home: Home, parcel: bytes) -> tuple[list[Entry], dict[str, Any]]:
    """Put a parcel's entries into the home's caches; which they are, and its decisions.

    Raises:
        EspalierError: when it is no parcel, or an entry does not hold what its manifest says.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(parcel)) as opened:
            decisions = json.loads(opened.read(_DECISIONS))
            entries = sorted({_entry_of(name) for name in opened.namelist() if name != _DECISIONS})
            for kind, key in entries:
                _take(home, opened, kind, key)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise EspalierError(
            "A result that came from another machine is damaged.", "Start the run again.", repr(error)
        ) from error
    return entries, decisions


def _entry_of(name: str) -> Entry:
    parts = name.split("/")
    if (
        len(parts) < 4
        or parts[0] != "entries"
        or parts[1] not in _KINDS
        or not is_inner(name)
        or not parts[2].isalnum()
    ):
        raise ValueError(f"unexpected: {name[:100]!r}")
    return parts[1], parts[2]


def _take(home: Home, parcel: zipfile.ZipFile, kind: str, key: str) -> None:
    prefix = f"entries/{kind}/{key}/"
    place = home.cache / "parcels" / f"from-{key}"
    with folder_beside(place) as part:
        for name in parcel.namelist():
            if name.startswith(prefix):
                target = part / name.removeprefix(prefix)
                target.parent.mkdir(parents=True, exist_ok=True)
                with parcel.open(name) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
        if not check_folder(part):
            raise DamagedError(part, "it has no manifest")
        Store(home.cache / kind, CacheUser()).put(key, part)
    shutil.rmtree(place, ignore_errors=True)


def settled_in(run: RunFolder) -> dict[str, Any]:
    """What a run has settled by timing, by file and stage."""
    return {name: read_sealed(run.folder / name) for name in SETTLED if (run.folder / name).is_file()}


def settle(run: RunFolder, decisions: Mapping[str, Any], ids: Mapping[str, str]) -> None:
    """Write decisions into a run that has not taken its own.

    Args:
        ids: the run's id of each stage that they are about, by the id that they name it by.
    """
    for name in SETTLED:
        fresh = {ids[stage]: plain for stage, plain in dict(decisions.get(name, {})).items() if stage in ids}
        if fresh:
            file = run.folder / name
            before = read_sealed(file) if file.is_file() else {}
            write_sealed(file, {**fresh, **before})


def packed_state(run: RunFolder, stage: str) -> bytes | None:
    """How far the training of a run's stage has come, with what was settled before it; None before its first epoch."""
    files = _resume_files(run, stage)
    if not files:
        return None
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as parcel:
        parcel.writestr(_DECISIONS, json.dumps(settled_in(run)))
        parcel.writestr(_MADE, json.dumps(max(file.stat().st_mtime for file in files)))
        for file in files:
            parcel.writestr(file.name, file.read_bytes())
    return content.getvalue()


def put_state(run: RunFolder, stage: str, state: bytes) -> bool:
    """Let a run's stage go on from a state that another worker has sent; whether it does: it may have come further itself.

    Raises:
        EspalierError: when it is none, or damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(state)) as parcel:
            decisions, made = json.loads(parcel.read(_DECISIONS)), float(json.loads(parcel.read(_MADE)))
            names = [name for name in parcel.namelist() if name not in (_DECISIONS, _MADE)]
            if not all(name.endswith(_RESUME) and is_inner(name) and "/" not in name for name in names):
                raise ValueError(f"unexpected: {names[:5]}")
            if any(file.stat().st_mtime >= made for file in _resume_files(run, stage)):
                return False
            for name in SETTLED:  # theirs count, for the state is of a training that took them
                discard(run.folder / name)
            settle(run, decisions, {id: id for about in decisions.values() for id in about})
            for name in names:
                with written_beside(run.scratch / stage / name) as part:
                    part.write_bytes(parcel.read(name))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise EspalierError(
            "The state of a training that came from another machine is damaged.",
            "It begins again.",
            repr(error),
        ) from error
    return True


def _resume_files(run: RunFolder, stage: str) -> list[Path]:
    return sorted((run.scratch / stage).glob(f"*{_RESUME}"))
