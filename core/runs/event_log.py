"""The events of a run on disk: `events.jsonl`, one numbered JSON object a line, written by one process and read by any.

Each line carries the hash of its content, and one that does not fit is passed over: those behind it count.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from core.common.content_hashes import DamagedError, sealed, unsealed
from core.records.events import Event

_log = logging.getLogger(__name__)

_NAME = Path("events.jsonl")
_SEAL_DIGITS = 16  # shorter than a document's: there may be millions of lines


class EventLog:
    """Appends events; safe to call from several threads of the process that holds the run folder."""

    def __init__(self, path: Path):
        self.path = path
        self._file: TextIO | None = None
        self._number = 0
        self._lock = threading.Lock()

    def record(self, event: Event) -> None:
        """Append an event with its number, time and seal; an incomplete last line of a killed run is removed first."""
        with self._lock:
            if self._file is None:
                self._end_with_whole_line()
                self._number = self.last_number
                self._file = self.path.open("a", encoding="utf-8")
            self._number += 1
            record = {"number": self._number, "time": round(time.time(), 3), **event.as_dict()}
            self._file.write(json.dumps(sealed(record, _SEAL_DIGITS)) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file; the next event opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def records(self) -> Iterator[dict[str, Any]]:
        """All events so far in their JSON form, oldest first; damaged lines are passed over."""
        for line in self._lines():
            record = _record(line)
            if record is not None:
                yield record

    @property
    def last_number(self) -> int:
        """The number of the last event; 0 before the first."""
        return max((_number(record) for record in self.records()), default=0)

    @property
    def damaged(self) -> int:
        """How many lines are no events."""
        return sum(_record(line) is None for line in self._lines())

    def _lines(self) -> list[bytes]:
        """All lines that hold something; the last one may be incomplete."""
        if not self.path.is_file():
            return []
        return [line for line in self.path.read_bytes().split(b"\n") if line.strip()]

    def _end_with_whole_line(self) -> None:
        if not self.path.is_file():
            return
        with self.path.open("r+b") as file:
            content = file.read()
            end = len(content)
            while end and _record(content[content.rfind(b"\n", 0, end - 1) + 1 : end]) is None:
                end = content.rfind(b"\n", 0, end - 1) + 1
            if end < len(content):
                _log.debug("The end of %s was cut short and is removed.", self.path)
                file.truncate(end)
            if end and content[end - 1 : end] != b"\n":
                file.seek(end)
                file.write(b"\n")


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
        for line in whole.split(b"\n"):
            record = _record(line)
            if record is not None and _number(record) > self._number:
                self._number = _number(record)
                records.append(record)
        return records


def _record(line: bytes) -> dict[str, Any] | None:
    """The event of a line in its JSON form; None where it is damaged or cut short."""
    try:
        return unsealed(json.loads(line.decode("utf-8")), _NAME)
    except (ValueError, RecursionError, DamagedError):
        return None


def _number(record: dict[str, Any]) -> int:
    number = record.get("number", 0)
    return number if isinstance(number, int) else 0
