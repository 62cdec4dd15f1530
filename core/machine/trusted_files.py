"""Which Python files a person said they trust, by content.

Running a Python file can do anything that its user can do, so none is run before that person said
so, and none that changed since. The list is one JSON file in the person's own configuration folder:
SHA-256 → the file's name and the time.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platformdirs

from core.common.errors import EspalierError
from core.common.files import changed_by_one, written_beside

_NAME = "trusted.json"
_ONLY_THIS_PERSON = 0o600


@dataclass(frozen=True, slots=True)
class TrustedFile:
    """A file on the list: its SHA-256, the name that it had, and since when it is trusted (ISO 8601)."""

    digest: str
    file: str
    since: str


class TrustList:
    """The files that one person trusts.

    Args:
        folder: where the list is kept.
    """

    def __init__(self, folder: Path):
        self.path = folder / _NAME

    @classmethod
    def default(cls) -> "TrustList":
        """The list of the person who runs the program; `ESPALIER_HOME` overrides the platform's folder."""
        chosen = os.environ.get("ESPALIER_HOME")
        return cls(Path(chosen or platformdirs.user_config_dir("Espalier", appauthor=False)))

    def knows(self, content: bytes) -> bool:
        """Whether a file of this content is on the list."""
        return hashlib.sha256(content).hexdigest() in self._read()

    def trust(self, path: Path) -> str:
        """Put the file, as it is now, on the list; gives its SHA-256.

        Raises:
            EspalierError: when there is no such file, or the list cannot be written.
        """
        if not path.is_file():
            raise EspalierError(f"Expected a file at {path}, found none.", "Pick the file again.")
        return self.trust_content(path.name, path.read_bytes())

    def trust_content(self, name: str, content: bytes) -> str:
        """Put a file on the list by what a person has seen of it; gives its SHA-256.

        Raises:
            EspalierError: when the list cannot be written.
        """
        digest = hashlib.sha256(content).hexdigest()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with changed_by_one(self.path):
            self._write({**self._read(), digest: {"file": name, "since": now}})
        return digest

    def entries(self) -> list[TrustedFile]:
        """All files on the list, by name.

        Raises:
            EspalierError: when the list cannot be read.
        """
        files = [
            TrustedFile(digest, str(about.get("file", "")), str(about.get("since", "")))
            for digest, about in self._read().items()
        ]
        return sorted(files, key=lambda one: (one.file.casefold(), one.since))

    def forget(self, digest: str) -> None:
        """Take the file of this SHA-256 off the list; unknown ones are ignored.

        Raises:
            EspalierError: when the list cannot be read or written.
        """
        with changed_by_one(self.path):
            self._write({known: about for known, about in self._read().items() if known != digest})

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.path.read_text(encoding="utf-8"))["trusted"])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EspalierError(
                f"The list of trusted files, {self.path}, cannot be read.",
                "Delete it; then say again which files you trust.",
                repr(error),
            ) from error

    def _write(self, trusted: dict[str, Any]) -> None:
        """Whole or not at all."""
        try:
            with written_beside(self.path) as part:
                part.touch(mode=_ONLY_THIS_PERSON)
                part.write_text(json.dumps({"trusted": trusted}, indent=1), encoding="utf-8")
        except OSError as error:
            raise EspalierError(
                f"The list of trusted files, {self.path}, could not be written: {error.strerror or error}.",
                "Free some space, or make the folder writable.",
            ) from error
