"""What a scheduler keeps on its disk for the workers: how far a training has come, and what was made.

A worker that is lost takes its disk along. So each worker sends its training's state after every epoch, and what it has made, under
the plan's key; whoever is asked for the same plan next takes it from there. At most one epoch is repeated, and a
scheduler that starts again has nothing made twice.
"""

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.common.files import written_beside
from core.common.logs import passed_over

if TYPE_CHECKING:
    from distributed import Scheduler, Worker

_log = logging.getLogger(__name__)

Kind = Literal["state", "result"]
KEEP, KEPT = "espalier_keep", "espalier_kept"  # what the scheduler is asked for
_KEY = re.compile(r"espalier-[0-9a-f]{8,128}")
_DAYS = 7  # that something is kept which nobody asks for
_AGAIN_SECONDS = 3.0
_PATIENCE_SECONDS = 300.0  # how long a scheduler that went away is waited for


class Keeper:
    """The scheduler's side: one file for each plan, a state or a result.

    Args:
        results: results are kept too; not so where all workers share a home, whose caches have them.
    """

    def __init__(self, folder: Path, results: bool = True):
        self.folder, self._results = folder, results

    def serve(self, scheduler: "Scheduler") -> None:
        """Answer workers that are connected to the scheduler."""
        self.folder.mkdir(parents=True, exist_ok=True)
        scheduler.handlers.update({KEEP: self.keep, KEPT: self.kept})

    async def keep(self, kind: str, key: str, content: bytes) -> bool:
        """Keep the content under a plan's key; a result takes the place of a state."""
        return await asyncio.to_thread(self._keep, kind, key, content)

    async def kept(self, key: str) -> dict[str, bytes]:
        """What is kept under a plan's key, by its kind; empty where nothing is."""
        return await asyncio.to_thread(self._kept, key)

    def _keep(self, kind: str, key: str, content: bytes) -> bool:
        file = self._file(kind, key)
        if kind == "result":
            if self._results:
                with written_beside(file) as part:
                    part.write_bytes(content)
            self._file("state", key).unlink(missing_ok=True)
        elif not self._file("result", key).exists():
            with written_beside(file) as part:
                part.write_bytes(content)
        self._remove_old()
        return True

    def _kept(self, key: str) -> dict[str, bytes]:
        for kind in ("result", "state"):
            file = self._file(kind, key)
            with passed_over(_log, "Nothing is kept", FileNotFoundError):
                content = file.read_bytes()
                file.touch()
                return {kind: content}
        return {}

    def _file(self, kind: str, key: str) -> Path:
        if kind not in ("state", "result") or not _KEY.fullmatch(key):
            raise ValueError(f"Expected a plan's key, received {key[:100]!r}.")
        return self.folder / f"{key}.{kind}"

    def _remove_old(self) -> None:
        oldest = time.time() - _DAYS * 24 * 3600
        for file in self.folder.glob("espalier-*"):
            with passed_over(_log, "A file is gone already", OSError):
                if file.stat().st_mtime < oldest:
                    file.unlink()


class Shelf:
    """The worker's side: asks the scheduler that the worker is connected to now, which may change."""

    def __init__(self, worker: "Callable[[], Worker]"):
        self._worker = worker

    def kept(self, key: str) -> dict[str, bytes]:
        """What the scheduler keeps under a plan's key; empty where it keeps nothing, or does not answer."""
        answer = self._ask(KEPT, key=key)
        return (
            {str(kind): bytes(content) for kind, content in answer.items()}
            if isinstance(answer, dict)
            else {}
        )

    def keep(self, kind: Kind, key: str, content: bytes) -> bool:
        """Whether the scheduler took it."""
        return self._ask(KEEP, kind=kind, key=key, content=content) is True

    def keep_at_last(self, kind: Kind, key: str, content: bytes) -> bool:
        """The same, where a scheduler that is away is waited for."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while not self.keep(kind, key, content):
            if time.monotonic() > until:
                return False
            time.sleep(_AGAIN_SECONDS)
        return True

    def _ask(self, what: str, **arguments: object) -> object:
        """The scheduler's answer; None where there is none."""
        with passed_over(_log, "The scheduler keeps nothing for the moment", Exception):
            worker = self._worker()
            from distributed.utils import sync

            async def ask() -> object:
                return await getattr(worker.scheduler, what)(**arguments)

            return sync(worker.loop, ask, callback_timeout=_PATIENCE_SECONDS)
        return None


class Sender:
    """Sends the newest state of a training, on a thread of its own: a slow network holds nothing up.

    Args:
        pack: the state as it is now; None where there is none yet.
        send: sends it.
    """

    def __init__(self, pack: Callable[[], bytes | None], send: Callable[[bytes], object]):
        self._pack, self._send = pack, send
        self._due, self._over = threading.Event(), False
        self._thread = threading.Thread(target=self._work, name="state of a training", daemon=True)

    def __enter__(self) -> "Sender":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over = True
        self._due.set()
        self._thread.join()

    def due(self) -> None:
        """There is a newer one."""
        self._due.set()

    def _work(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._over:
                return
            with passed_over(_log, "A state was not sent", OSError):
                content = self._pack()
                if content is not None:
                    self._send(content)
