"""What NVIDIA's driver says of its GPUs: energy, power, memory and load.

Through the driver's library (`core.machine.nvml`), else by its program nvidia-smi. GPUs of the Volta generation and
later count their energy; on others, and with nvidia-smi, power is read several times a second and summed up. Both are
of the whole card.
"""

import logging
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from core.common.logs import in_a_line
from core.machine.nvml import Handle, Nvml, nvml

_log = logging.getLogger(__name__)

_EVERY = 0.02  # seconds between readings of the power
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU.

    Attributes:
        load: share of the last moments in which it worked, in %.
        used, total: its memory, in bytes.
    """

    name: str
    load: float
    used: int
    total: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The energy of a piece of work: joules, seconds, and in words how they were counted."""

    joules: float
    seconds: float
    how: str


def gpu_interface() -> str:
    """Through what the GPUs are read: "NVML" or "nvidia-smi"; empty where the driver shows no GPU."""
    library = nvml()
    if library is not None:
        return "NVML" if library.count() else ""
    return "nvidia-smi" if _query("name") is not None else ""


def present() -> bool:
    """Whether the driver shows a GPU."""
    return bool(gpu_interface())


def process_bytes(number: int = 0) -> int | None:
    """Bytes of device memory that this process holds on its GPU `number`; None where it is unknown."""
    library = nvml()
    gpu = _gpu(library, number) if library is not None else None
    return library.process_bytes(gpu, os.getpid()) if library is not None and gpu is not None else None


def energy_of(work: Callable[[], object], number: int = 0) -> Reading | None:
    """Run `work` and give the energy that GPU `number` took meanwhile; None where it is not counted."""
    library = nvml()
    gpu = _gpu(library, number) if library is not None else None
    if library is not None and gpu is not None:
        before = library.joules(gpu)
        if before is None:  # before Volta
            return _summed(work, lambda: library.watts(gpu), "power read through NVML")
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
        after = library.joules(gpu)
        return (
            Reading(after - before, seconds, "the GPU's own counter (NVML, whole card)")
            if after is not None
            else None
        )
    if _query("power.draw", number) is None:
        return None
    return _summed(work, lambda: _query("power.draw", number), "power read through nvidia-smi")


def _summed(work: Callable[[], object], watts: Callable[[], float | None], how: str) -> Reading:
    """Power over time by the trapezoidal rule, read beside the work."""
    readings: list[tuple[float, float]] = []
    done = threading.Event()

    def read() -> None:
        while True:
            last = done.is_set()
            if (power := watts()) is not None:
                readings.append((time.perf_counter(), power))
            if last:
                return
            done.wait(_EVERY)

    reader = threading.Thread(target=read, name="gpu-power", daemon=True)
    started = time.perf_counter()
    reader.start()
    try:
        work()
    finally:
        seconds = time.perf_counter() - started
        done.set()
        reader.join()
    pairs = list(pairwise(readings))
    area = sum((late - early) * (first + second) / 2 for (early, first), (late, second) in pairs)
    span = readings[-1][0] - readings[0][0] if pairs else 0.0
    mean = area / span if span else (readings[0][1] if readings else 0.0)
    return Reading(mean * seconds, seconds, f"{how} {len(readings)} times, whole card")


def _gpu(library: Nvml, number: int) -> Handle | None:
    """The card that is this process's GPU `number`, which CUDA_VISIBLE_DEVICES may have renumbered."""
    visible = [each.strip() for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each.strip()]
    name = visible[number] if number < len(visible) else str(number)
    return library.gpu(int(name)) if name.isdecimal() else library.gpu_called(name)


def _query(what: str, number: int = 0) -> Any:
    """One answer of nvidia-smi, as a number where it is one; None where there is none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    try:
        answer = subprocess.run(
            [tool, f"--query-gpu={what}", "--format=csv,noheader,nounits", f"--id={number}"],
            capture_output=True, text=True, timeout=20, check=True, creationflags=_NO_WINDOW,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        _log.debug("nvidia-smi does not say %s: %s", what, in_a_line(error))
        return None
    text = answer.stdout.strip()
    if what == "name":
        return text or None
    try:
        return float(text)
    except ValueError:  # "[N/A]"
        return None


class GpuLoads:
    """Load and memory of all GPUs; can be asked several times a second.

    Args:
        library: NVML; None takes the system's.
    """

    def __init__(self, library: Nvml | None = None):
        self._library = library or nvml()
        self._gpus: list[tuple[str, Handle]] = []
        for index in range(self._library.count() if self._library is not None else 0):
            assert self._library is not None
            if (gpu := self._library.gpu(index)) is not None:
                self._gpus.append((self._library.name(gpu) or f"GPU {index}", gpu))

    def read(self) -> tuple[Gpu, ...]:
        """All GPUs; one that does not answer is left out."""
        found = []
        for name, gpu in self._gpus:
            assert self._library is not None
            if (memory := self._library.memory(gpu)) is not None:
                found.append(Gpu(name, self._library.load(gpu) or 0.0, *memory))
        return tuple(found)
