"""`run.json` on disk: read, changed and written by one at a time, with a copy for where it is damaged.

What it says is in `core.records.run_info`.
"""

import logging
import threading
from pathlib import Path
from typing import Any

from core.common.content_hashes import DamagedError, read_sealed, set_aside, write_sealed
from core.common.errors import EspalierError
from core.common.files import changed_by_one
from core.common.logs import passed_over
from core.records.run_info import RunInfo, changed

INFO_FILE = "run.json"
COPY_FILE = "run.copy.json"  # of run.json, without which nothing says what the folder holds
_log = logging.getLogger(__name__)


class InfoFile:
    """The `run.json` of one run folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()

    def read(self) -> RunInfo:
        """What it says.

        Raises:
            EspalierError: when there is none, or it is no such file.
        """
        content = self.content()
        try:
            return RunInfo.model_validate(content)
        except ValueError as error:
            raise self._no_run(error) from error

    def content(self) -> dict[str, Any]:
        """All entries as they are written, from the copy where it is damaged.

        Raises:
            EspalierError: as of `read`.
        """
        return self._content_and_damage()[0]

    def change(self, **changes: Any) -> str:
        """Change entries, by the names of `RunInfo`; None takes an entry out, all others stay.

        Returns: a sentence where it was damaged and is whole again, else "".
        """
        with self._lock, changed_by_one(self.folder / INFO_FILE):  # a pause is noted on a thread of its own
            content, damage = self._content_and_damage()
            if damage is not None:
                with passed_over(_log, "It is written over", OSError):
                    set_aside(self.folder / INFO_FILE)
            self.write(changed(content, **changes))
        return "" if damage is None else f"{damage.message} It is made again from its copy."

    def write(self, content: dict[str, Any]) -> None:
        """Write all entries anew, and the copy."""
        for name in (INFO_FILE, COPY_FILE):
            write_sealed(self.folder / name, content)

    def _content_and_damage(self) -> tuple[dict[str, Any], EspalierError | None]:
        """The content, from the copy where the file is damaged, and then why."""
        try:
            return read_sealed(self.folder / INFO_FILE), None
        except EspalierError as error:
            if (self.folder / COPY_FILE).is_file():
                return read_sealed(self.folder / COPY_FILE), error
            raise self._no_run(error) from error

    def _no_run(self, error: Exception) -> EspalierError:
        if isinstance(error, DamagedError):
            return EspalierError(
                error.message, "Start its pipeline again: finished stages come from the cache."
            )
        return EspalierError(
            f"Expected a run folder (with run.json), {self.folder} is none.",
            "Pick the folder of a run.",
            repr(error),
        )
