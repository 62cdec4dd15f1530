"""Caches by key.

A model's key is everything that it was computed from. A measurement's key is the file's hash, the machine and
the protocol. Entries are folders, written under a temporary name and renamed, so that a kill leaves none incomplete.
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.common.keys import make_key
from core.machine.fingerprint import fingerprint_hash
from core.profiling import PROTOCOL_VERSION

_log = logging.getLogger(__name__)


class Store:
    """Folders by key below one folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def get(self, key: str) -> Path | None:
        """The entry's folder, or None."""
        path = self._path(key)
        return path if (path / "complete").is_file() else None

    def put(self, key: str, source: Path) -> None:
        """Keep a copy of `source`; an entry that is there already stays."""
        if self.get(key):
            return
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=path.parent))
        try:
            shutil.copytree(source, part, dirs_exist_ok=True)
            (part / "complete").touch()
            if path.exists():
                shutil.rmtree(path, ignore_errors=True)
            part.rename(path)
        except OSError:
            if not self.get(key):
                raise
            _log.debug("Another process was faster to keep %s.", key[:12])
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def copy_to(self, key: str, target: Path) -> bool:
        """Copy the entry to `target`; False when there is none."""
        entry = self.get(key)
        if entry is None:
            return False
        shutil.copytree(entry, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("complete"))
        return True

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key


class Measurements:
    """What was measured on this machine, as plain data, by what was measured."""

    def __init__(self, folder: Path):
        self._store = Store(folder)

    def get(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The measurement, when this machine has made it with the present version of the protocol."""
        entry = self._store.get(self._name(key))
        if entry is None:
            return None
        measurement: dict[str, Any] = json.loads((entry / "measurement.json").read_text(encoding="utf-8"))
        return measurement

    def get_or_measure(
        self, key: dict[str, Any], measure: Callable[[], dict[str, Any]]
    ) -> tuple[dict[str, Any], bool]:
        """The measurement, made now unless it is known, and whether it was known."""
        stored = self.get(key)
        if stored is not None:
            _log.debug("A measurement is known: %s.", self._name(key)[:12])
            return stored, True
        _log.debug("A measurement is not known and is taken: %s.", self._name(key)[:12])
        plain = measure()
        with tempfile.TemporaryDirectory(prefix="espalier-") as scratch:
            (Path(scratch) / "measurement.json").write_text(json.dumps(plain), encoding="utf-8")
            self._store.put(self._name(key), Path(scratch))
        return plain, False

    @staticmethod
    def _name(key: dict[str, Any]) -> str:
        return make_key({**key, "machine": fingerprint_hash(), "protocol": PROTOCOL_VERSION})
