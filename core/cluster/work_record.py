"""What a worker's machine is, what it does, and what it has done since the worker was started."""

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from core.machine.fingerprint import fingerprint

_REMEMBERED = 50


class WorkRecord:
    """What a worker does and has done; written by its tasks, read by whoever asks."""

    def __init__(self) -> None:
        self._now: dict[str, Any] = {}
        self._done: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self._count, self._lock = 0, threading.Lock()

    def hear(self, title: str, record: Mapping[str, Any]) -> None:
        """Take in what a task tells of the stage that is called so."""
        event = record.get("event") or {}
        with self._lock:
            if record.get("state") == "started":
                self._now = {"title": title, "since": time.time(), "text": ""}
            elif record.get("state") == "done" or "failed" in record:
                seconds = time.time() - self._now.get("since", time.time())
                self._done.append({"title": title, "seconds": seconds, "failed": record.get("failed", "")})
                self._count += 1
                self._now = {}
            elif event.get("event") == "EpochDone":
                self._now["text"] = f"epoch {event['epoch']} of {event['epochs']}"
            elif event.get("event") == "PhaseStarted":
                self._now["text"] = event["text"]

    def as_plain(self) -> dict[str, Any]:
        """What the machine is (`machine`), `now` (empty: nothing), the last of what is `done`, and how many that were."""
        with self._lock:
            return {
                "machine": fingerprint(),
                "now": dict(self._now),
                "done": list(self._done),
                "count": self._count,
            }
