"""Energy of one image: measured where the processor counts it, else estimated and called so.

Processors with RAPL (Intel's "running average power limit" counters; AMD has them too) count the
energy of the whole package in microjoules. Linux shows the counters below `/sys/class/powercap`,
since 2020 to the administrator only (CVE-2020-8694); where they cannot be read, energy is the
median latency times the power of one busy core, a figure that a person states. NVIDIA GPUs count
theirs, see `core.machine.nvidia`.

Energy is of everything in the package while images are classified one after the other, the idle
share included: that is what a device draws. Joules a second are watts.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.common.logs import in_a_line
from core.machine.interruptions import Runs
from core.machine.jobs import ProgressCallback, quick
from core.machine.nvidia import Reading, energy_of
from core.records.reports import Metric

_log = logging.getLogger(__name__)

COUNTERS = Path("/sys/class/powercap")
CORE_WATTS = 10.0
"""Power of one busy core where nobody states another: the order of a desktop processor's."""

_SECONDS = 1.0
_IDLE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Counter:
    """One package's energy counter; it starts again at 0 after `wraps` microjoules."""

    path: Path
    wraps: int

    def read(self) -> int:
        """Microjoules so far."""
        return int((self.path / "energy_uj").read_text())

    def since(self, before: int) -> float:
        """Joules since a reading of `before`, over at most one new start."""
        return ((self.read() - before) % self.wraps) / 1e6


def counters(folder: Path = COUNTERS) -> list[Counter]:
    """The packages' counters that this process may read."""
    readable = []
    for path in sorted(folder.glob("intel-rapl:*")):
        if path.name.count(":") != 1:
            continue  # a part of a package, counted with it
        try:
            counter = Counter(path, int((path / "max_energy_range_uj").read_text()))
            counter.read()
        except (OSError, ValueError) as error:
            _log.debug("The energy counter %s cannot be read: %s", path, in_a_line(error))
            continue
        readable.append(counter)
    return readable


@quick
def energy(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: energy of images one after the other, on one thread or on a GPU.

    Args (as plain data): model, runtime, device, precision, sample or shape as for
        `core.profiling.session.time_block`.

    Returns: joules (an image), watts, idle_watts, images, how (what counted); empty where nothing does.
    """
    from core.profiling.session import bound, chosen, opened, timed_runs, warm_up

    if chosen(arguments)[1].gpu is None and not counters():
        return {}
    with opened(arguments) as session:
        run = bound(session, arguments)
        warm_up(run)
        idle = _reading(lambda: time.sleep(_IDLE_SECONDS), session.gpu)
        if idle is None:
            return {}
        runs = Runs()
        busy = _reading(lambda: runs.add(timed_runs(run, 10, _SECONDS, 10 * _SECONDS)), session.gpu)
    assert busy is not None
    return {
        "joules": busy.joules / len(runs),
        "watts": busy.joules / busy.seconds,
        "idle_watts": idle.joules / idle.seconds,
        "images": len(runs),
        "how": busy.how,
    }


def _reading(work: Callable[[], object], gpu: int | None) -> Reading | None:
    """The energy of the GPU, or of the processor, while `work` is done; None where it is not counted."""
    if gpu is not None:
        return energy_of(work, gpu)
    available = counters()
    if not available:
        return None
    before = [counter.read() for counter in available]
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    joules = sum(counter.since(then) for counter, then in zip(available, before, strict=True))
    return Reading(joules, seconds, "the processor's own counter (RAPL, whole package), one thread")


def measured(reading: dict[str, Any]) -> dict[str, Metric]:
    """What `energy` read, as metrics."""
    how = f"measured: {reading['how']}, batch 1, {reading['images']} images; idle before it {reading['idle_watts']:.1f} W"
    return {
        "energy_mj": Metric(value=1e3 * reading["joules"], unit="mJ", n=reading["images"], how=how),
        "power_w": Metric(value=reading["watts"], unit="W", n=reading["images"], how=how),
    }


def estimated(latency_ms: Metric, core_watts: float) -> dict[str, Metric]:
    """Latency times a stated power; not available without a latency."""
    if latency_ms.value is None:
        missing = "not available: no latency to estimate it from"
        return {"energy_mj": Metric(value=None, unit="mJ", how=missing)}
    how = (
        f"estimated: median latency on one thread × {core_watts:g} W for one busy core (stated, not measured; "
        "this processor's energy counters cannot be read)"
    )
    low, high = (None if b is None else b * core_watts for b in (latency_ms.low, latency_ms.high))
    return {
        "energy_mj": Metric(
            value=latency_ms.value * core_watts, unit="mJ", low=low, high=high, level=latency_ms.level,
            n=latency_ms.n, how=how,
        ),
        "power_w": Metric(value=core_watts, unit="W", how="stated, not measured"),
    }  # fmt: skip
