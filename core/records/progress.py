"""How far a run is and how long it will still take."""

import time

from core.records.events import Listener, Progress

_EVERY_SECONDS = 0.5


class Meter:
    """Turns "this part of this stage is done" into fractions and seconds left.

    What was there before the first word about a stage (a training that goes on, a network from the
    cache) says nothing about this machine's speed.

    Args:
        work: expected work per stage, in any common unit; cached stages cost nothing.
    """

    def __init__(self, stages: list[str], work: list[float], emit: Listener):
        self.stages, self.work, self.emit = stages, work, emit
        self._index, self._fraction = 0, 0.0
        self._worked = 0.0  # work really done in this process, not taken from the cache
        self._from: float | None = None  # fraction of the stage where this process took it up
        self._start = self._reported = time.monotonic()
        self._stage_start = self._start

    def begin(self, index: int) -> None:
        """Stage `index` begins."""
        self._index, self._fraction, self._from = index, 0.0, None
        self._stage_start = time.monotonic()
        self._report()

    def update(self, fraction: float) -> None:
        """`fraction` of the stage is done."""
        self._fraction = max(self._fraction, min(fraction, 1.0))
        if self._from is None:
            self._from = self._fraction
        if time.monotonic() - self._reported >= _EVERY_SECONDS:
            self._report()

    def end(self, cached: bool) -> None:
        """The stage is done; `cached` work does not count towards the speed."""
        if not cached:
            self._worked += self.work[self._index] * (1.0 - (self._from or 0.0))
        else:
            self._start += time.monotonic() - self._stage_start
        self._fraction = 1.0
        self._report()

    def _report(self) -> None:
        now = self._reported = time.monotonic()
        work = self.work[self._index]
        done = sum(self.work[: self._index]) + work * self._fraction
        fresh = self._worked + work * (self._fraction - (self._from or 0.0)) * (self._fraction < 1.0)
        seconds = now - self._start
        rate = fresh / seconds if fresh and seconds > 1.0 else None
        total = sum(self.work) or 1.0
        self.emit(
            Progress(
                self.stages[self._index],
                self._fraction,
                done / total,
                work * (1 - self._fraction) / rate if rate else None,
                (total - done) / rate if rate else None,
            )
        )
