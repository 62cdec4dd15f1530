"""Whether somebody else had the processor during a timed run.

A run that the system interrupted for another program says how long that program was let in, not how long the network
takes. Beside the wall clock two things tell: the processor time that this process used (one thread computes: what is
missing of the wall clock, it did not have), and how long its threads stood ready to run and were not let (Linux counts
that for every thread in /proc/self/task/*/schedstat). Where the system counts no waiting, several threads count as
interrupted when one of them was switched off against its will.

The run right after somebody was let in does not count either: it finds the caches as the other left them. Beside seven test
suites on two cores such runs of ResNet-20 took 0.899 ms in the median, the next 0.786 and the fourth 0.757; most of the time the other is let in between two runs,
when this process asks for the time.

What it does badly: what another guest of the same host takes is invisible from inside a virtual machine, and so is a
neighbour that slows memory or the clock; the machine's pace (`core.profiling.pace`) takes most of that out. Windows
counts processor time in steps of 16 ms: there only runs that take longer than twenty of those can be judged.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from core.common.logs import in_a_line

_log = logging.getLogger(__name__)

_SHARE = 0.02  # of a run that may be missing: the clocks do not agree to the last percent
_LEAST = 10e-6  # seconds that may be missing of a run however short it is
_STEP = 1 / 64 if sys.platform == "win32" else 0.0  # in which the system counts processor time
_PROMPT, _AGAIN = 50e-6, 5  # seconds that asking takes when nobody is let in meanwhile; tries
_TASKS = Path("/proc/self/task")


Timed = Callable[[Callable[[], object]], tuple[float, float, bool]]
"""Times one run: seconds by the wall clock, seconds of these in which somebody else had the processor, and whether somebody
had it right before."""


def unwatched(run: Callable[[], object]) -> tuple[float, float, bool]:
    """Takes every run for one that nobody interrupted."""
    before = time.perf_counter()
    run()
    return time.perf_counter() - before, 0.0, False


def interrupted(wall: float, lost: float) -> bool:
    """Whether so much of a run is missing that it does not count."""
    return lost > max(_LEAST, _SHARE * wall)


@dataclass(slots=True)
class Runs:
    """Timed runs.

    Attributes:
        whole: seconds of each run that nobody interrupted.
        disturbed: of each other run the seconds by the wall clock, and those in which it had a processor.
    """

    whole: list[float] = field(default_factory=list)
    disturbed: list[tuple[float, float]] = field(default_factory=list)

    def take(self, wall: float, lost: float, cold: bool = False) -> float:
        """Add a run as `Timed` gives it; returns its seconds where it counts, else 0."""
        if cold or interrupted(wall, lost):
            self.disturbed.append((wall, wall - lost))
            return 0.0
        self.whole.append(wall)
        return wall

    def add(self, others: "Runs", pace: float | None = 1.0) -> None:
        """Add runs at the machine's usual pace; where nobody knows at what pace they ran they do not count."""
        if pace is None:
            self.disturbed += others.disturbed + [(wall, wall) for wall in others.whole]
        else:
            self.whole += [pace * wall for wall in others.whole]
            self.disturbed += [(pace * wall, pace * own) for wall, own in others.disturbed]

    @property
    def own(self) -> list[float]:
        """Seconds that each run had a processor, of whichever kind."""
        return self.whole + [own for _, own in self.disturbed]

    def __len__(self) -> int:
        return len(self.whole) + len(self.disturbed)


class Watch:
    """Says of a run how many of its seconds somebody else had the processor.

    To be made when the network is open and has run once: its threads are known then.

    Args:
        alone: whether one thread computes, on a processor; what is missing of the wall clock was taken from it.
    """

    def __init__(self, alone: bool):
        self._alone = alone
        self._queues = [] if alone else _queues()
        self._cold = False
        self._ended: tuple[float, float] | None = None  # the last run: clock on the wall, and processor time
        self._stood: list[float] = []  # what every thread had waited at the end of the last run

    def __enter__(self) -> "Watch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for queue in self._queues:
            os.close(queue)
        self._queues = []

    def timed(self, run: Callable[[], object]) -> tuple[float, float, bool]:
        """Wall seconds of one run, how many of them were lost, and whether somebody was let in right before it."""
        wall, lost, before = self._missing(run) if self._alone else self._waiting(run)
        lost, cold = min(max(lost, 0.0), wall), self._cold or before > _PROMPT
        self._cold = interrupted(wall, lost)
        return wall, lost, cold

    def _missing(self, run: Callable[[], object]) -> tuple[float, float, float]:
        """Wall seconds of a run, how many of them this process had no processor, and how many since the run before.

        The clock on the wall is read inside: systems like to let others in when a program asks them something.
        """
        used = time.process_time()
        before = time.perf_counter()
        run()
        after = time.perf_counter()
        ended, wall = (after, time.process_time()), after - before
        since = before - self._ended[0] - (used - self._ended[1]) if self._ended else 0.0
        self._ended = ended
        if _STEP:
            return wall, wall - (ended[1] - used) - _STEP if wall > 20 * _STEP else 0.0, 0.0
        return wall, wall - (ended[1] - used), since

    def _waiting(self, run: Callable[[], object]) -> tuple[float, float, float]:
        """Wall seconds of a run, and how long a thread of this process stood ready in it and since the run before.

        The thread that waited longest counts: the others wait for it meanwhile, or waited at the same time.
        """
        for _ in range(_AGAIN):
            asked = time.perf_counter()
            waited, switched = self._waited(), _switched()
            before = time.perf_counter()
            if before - asked < _PROMPT:
                break
        run()
        wall = time.perf_counter() - before
        ended = self._waited()
        since = _longest(self._stood, waited)
        self._stood = ended
        lost = wall if not self._queues and _switched() > switched else _longest(waited, ended)
        return wall, lost, since

    def _waited(self) -> list[float]:
        """Seconds that each of this process' threads has stood ready and was not let."""
        return [_waited(queue) for queue in self._queues]


def _longest(before: Sequence[float], after: Sequence[float]) -> float:
    """Seconds that the thread that waited longest did so in between."""
    return max((late - early for early, late in zip(before, after, strict=False)), default=0.0)


def _queues() -> list[int]:
    """One open file a thread that tells how long it has waited for a processor; empty where there are none."""
    queues = []
    try:
        for task in _TASKS.iterdir():
            queues.append(os.open(task / "schedstat", os.O_RDONLY))
        for queue in queues:
            _waited(queue)
    except (OSError, ValueError, IndexError) as error:
        _log.debug("The system does not tell how long threads wait: %s", in_a_line(error))
        for queue in queues:
            os.close(queue)
        return []
    return queues


def _waited(queue: int) -> float:
    """Seconds; 0 of a thread that has ended."""
    try:
        return int(os.pread(queue, 96, 0).split()[1]) / 1e9
    except ProcessLookupError:
        return 0.0


def _switched() -> int:
    """How often this process' threads were switched off against their will."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
