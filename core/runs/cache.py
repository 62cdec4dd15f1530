"""Caches by key.

A model's key is everything that it was computed from. A measurement's key is the file's hash, the machine and
the protocol. Entries are folders, written under a temporary name and renamed, so that a kill leaves none incomplete.
A cache that cannot be read or written fails nobody: its user is told once and goes on without. Every entry is
held against its manifest (`core.common.content_hashes`) before it is believed; one that does not fit is set aside, and made again.
Large files lie beside all caches, each content once (`core.runs.shared_files`).
"""

import json
import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from core.common.content_hashes import (
    DamagedError,
    check_folder,
    files_of,
    read_sealed,
    seal_folder,
    set_aside,
)
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.files import UnreadableError, copy_folder, discard, folder_beside, put_link_or_copy
from core.common.keys import make_key
from core.common.logs import in_a_line, passed_over
from core.common.single_flight import alone
from core.machine.fingerprint import fingerprint_hash
from core.profiling import PROTOCOL_VERSION
from core.runs.former_folders import check_or_adopt
from core.runs.shared_files import CONTENTS, Contents

_log = logging.getLogger(__name__)

COMPLETE = "complete"
_MEASUREMENT = "measurement.json"


class CacheUser:
    """Whoever uses caches, such as a run: is told once of trouble, and can stop waiting.

    Args:
        control: of who waits while another process makes an entry; without it nobody is waited for.
        say: told in a sentence when a cache cannot be read or written.
        on_wait: called when waiting for another process begins.
    """

    def __init__(
        self,
        control: RunControl | None = None,
        say: Callable[[str], None] = lambda text: None,
        on_wait: Callable[[], None] = lambda: None,
    ):
        self.control, self.on_wait = control, on_wait
        self.used: list[tuple[str, str]] = []  # name of the cache and key of each entry taken or made
        self._say = say
        self._said: set[str] = set()

    def trouble(self, kind: str, text: str, error: Exception) -> None:
        """Say what a cache does not do, once for each kind."""
        _log.warning("%s %s", text, in_a_line(error))
        if kind not in self._said:
            self._said.add(kind)
            self._say(text)

    def damaged(self, entry: Path, error: DamagedError) -> None:
        """Set a damaged entry aside and say so."""
        what = f"What was stored of an earlier run is damaged ({error.message.removesuffix('.')})"
        try:
            self._say(f"{what}; it is set aside as {set_aside(entry).name} and made again.")
        except OSError as refused:
            _log.warning("%s stays where it is: %s", entry, in_a_line(refused))
            self._say(f"{what}; it is made again.")


class Store:
    """Folders by key below one folder."""

    def __init__(self, folder: Path, user: CacheUser | None = None):
        self.folder = folder
        self.user = user or CacheUser()
        self._contents = Contents(folder.parent / CONTENTS)

    def get(self, key: str) -> Path | None:
        """The entry's folder, held against its manifest, or None."""
        path = self._entry(key)
        if path is None:
            return None
        try:
            self._contents.share(path, files_of(path))
            check_or_adopt(path, _log, (COMPLETE,), self._contents.path)
            return path
        except DamagedError as error:
            self.user.damaged(path, error)
            return None

    def _entry(self, key: str) -> Path | None:
        """The entry's folder, damaged or not."""
        path = self._path(key)
        try:
            return path if (path / COMPLETE).is_file() else None
        except OSError as error:
            self._cannot_be_read(error)
            return None

    def put(self, key: str, source: Path) -> None:
        """Keep what is in `source`, whose large files become further names of what is kept; an entry that is there already stays."""
        self.add(key, lambda folder: copy_folder(source, folder, put=put_link_or_copy))
        self.user.used.append((self.folder.name, key))
        with passed_over(_log, f"{source} keeps files of its own", OSError, DamagedError):
            self._contents.share(source, files_of(source))

    def add(self, key: str, write: Callable[[Path], None]) -> None:
        """Keep what `write` puts into an empty folder; an entry that is there already stays."""
        if self.get(key):
            return
        path = self._path(key)
        try:
            if path.exists():  # without the mark of a whole one
                discard(path)
            with folder_beside(path, replace=False) as part:
                write(part)
                if not check_folder(part):
                    seal_folder(part)
                self._contents.take(part, files_of(part))
                (part / COMPLETE).touch()
        except UnreadableError:
            raise
        except FileNotFoundError as error:
            _log.info("%s is not kept, the cache is being cleared away: %s", key[:12], in_a_line(error))
        except OSError as error:
            if self.get(key):
                _log.debug("Another process was faster to keep %s.", key[:12])
                return
            reason = error.strerror or error
            self.user.trouble(
                "write",
                f"The cache in {self.folder.parent} takes nothing ({reason}): the work goes on without it, "
                "and later runs will make again what is made now.",
                error,
            )

    def remove(self, key: str) -> None:
        """Let go of an entry, where there is one."""
        path = self._path(key)
        with passed_over(_log, f"The entry {key[:12]} stays", OSError):
            if path.exists():
                discard(path)

    def copy_to(self, key: str, target: Path) -> bool:
        """Copy the entry to `target`, whole or not at all, in the place of what is there; False when there is none."""
        entry = self._entry(key)
        if entry is None:
            return False
        try:
            self._contents.share(entry, files_of(entry))
            with folder_beside(target) as part:
                copy_folder(entry, part, without={COMPLETE}, put=put_link_or_copy)
                self._contents.bring(part, files_of(part))
                check_or_adopt(part, _log)  # the copy, so that errors of copying are noticed too
        except UnreadableError as error:
            if os.path.lexists(entry):  # else somebody has cleared it away meanwhile
                self._cannot_be_read(error)
            return False
        except DamagedError as error:
            self.user.damaged(entry, error)
            return False
        self.user.used.append((self.folder.name, key))
        return True

    def making(self, key: str) -> AbstractContextManager[None]:
        """Only one process at a time makes an entry: others wait until it has ended, and then look again.

        Raises:
            Stopped: a person asked to stop while waiting.
        """
        path = self._path(key)
        return alone(path.with_name(f".{key}.lock"), self.user.control, self.user.on_wait)

    def _cannot_be_read(self, error: OSError) -> None:
        self.user.trouble(
            "read",
            f"The cache in {self.folder.parent} cannot be read ({error.strerror or error}): "
            "what is in it is made again.",
            error,
        )

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key


class Measurements:
    """What was measured on this machine, as plain data, by what was measured."""

    def __init__(self, folder: Path, user: CacheUser | None = None):
        self._store = Store(folder, user)

    def get(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The measurement, when this machine has made it with the present version of the protocol."""
        entry = self._store.get(self._name(key))
        if entry is None:
            return None
        try:
            return read_sealed(entry / _MEASUREMENT)
        except EspalierError as error:  # of a version before, and no document
            _log.warning("A measurement is taken again: %s", error.message)
            return None

    def get_or_measure(
        self,
        key: dict[str, Any],
        measure: Callable[[], dict[str, Any]],
        good: Callable[[dict[str, Any]], bool] = lambda plain: True,
        again: bool = False,
    ) -> tuple[dict[str, Any], bool]:
        """The measurement, made now unless it is known, and whether it was known.

        Args:
            good: whether a measurement is worth keeping.
            again: measure although it is known; a good measurement takes the place of the one before.
        """
        stored = None if again else self.get(key)
        if stored is not None:
            return stored, True
        name = self._name(key)
        with self._store.making(name):
            stored = None if again else self.get(key)  # another process may have measured it meanwhile
            if stored is not None:
                return stored, True
            _log.debug("A measurement is not known and is taken: %s.", name[:12])
            plain = measure()
            if good(plain):
                text = json.dumps(plain)
                if again:
                    self._store.remove(name)
                self._store.add(name, lambda folder: _write(folder / _MEASUREMENT, text))
        return plain, False

    @staticmethod
    def _name(key: dict[str, Any]) -> str:
        """The address; a key can name another version of the protocol than the present one."""
        return make_key({"protocol": PROTOCOL_VERSION, **key, "machine": fingerprint_hash()})


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
