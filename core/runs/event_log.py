"""The events of a run on disk: `events.jsonl`, one numbered JSON object a line, written by one process and read by any."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from core.common.files import write_atomically
from core.records.events import Event

_log = logging.getLogger(__name__)


class EventLog:
    """Appends events; safe to call from several threads of the process that holds the run folder."""

    def __init__(self, path: Path):
        self.path = path
        self._file: TextIO | None = None
        self._number = 0
        self._lock = threading.Lock()

    def record(self, event: Event) -> None:
        """Append an event with its number and time; an incomplete last line of a killed run is removed first."""
        with self._lock:
            if self._file is None:
                self._number = self._remove_incomplete()
                self._file = self.path.open("a", encoding="utf-8")
            self._number += 1
            line = json.dumps({"number": self._number, "time": round(time.time(), 3), **event.as_dict()})
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file; the next event opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def records(self) -> Iterator[dict[str, Any]]:
        """All events so far in their JSON form, oldest first."""
        if self.path.is_file():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    yield json.loads(line)
                except ValueError:  # the last line of a killed run
                    _log.debug("The last line of %s is cut short.", self.path)
                    return

    def _remove_incomplete(self) -> int:
        """Number of the last whole event; a broken tail is cut off."""
        if not self.path.is_file():
            return 0
        whole = [json.dumps(record) + "\n" for record in self.records()]
        if self.path.read_text(encoding="utf-8") != "".join(whole):
            write_atomically(self.path, "".join(whole))
        return len(whole)


class EventTail:
    """Reads what was appended since the last call, while another process writes.

    Args:
        after: number of the last event that is known already; 0 begins at the beginning.
    """

    def __init__(self, path: Path, after: int = 0):
        self.path, self._number = path, after
        self._offset = 0

    def read(self) -> list[dict[str, Any]]:
        """The new whole lines in their JSON form, in order; each event once, also after an incomplete line was removed."""
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) < self._offset:  # written anew without an incomplete line
                    self._offset = 0
                file.seek(self._offset)
                content = file.read()
        except OSError:  # not there yet, or for a moment out of reach
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        records = []
        for line in whole.splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if record.get("number", 0) > self._number:
                self._number = record["number"]
                records.append(record)
        return records
