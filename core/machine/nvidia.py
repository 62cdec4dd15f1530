"""What NVIDIA's driver says of its GPUs: energy, power, memory and load.

Energy, power and memory through NVML where its Python module is installed (`nvidia-ml-py`, imported as pynvml; Espalier's extra `nvml`), else by the
driver's own program nvidia-smi. GPUs of the Volta generation and later count their energy; on others, and with
nvidia-smi, power is read several times a second and summed up. Both are of the whole card.

Source: NVML API reference, https://docs.nvidia.com/deploy/nvml-api/
"""

import ctypes
import functools
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from core.common.logs import in_a_line, passed_over

_log = logging.getLogger(__name__)

_EVERY = 0.02  # seconds between readings of the power
_LIBRARIES = ("nvml.dll",) if sys.platform == "win32" else ("libnvidia-ml.so.1",)
_NAME_BYTES = 96
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
    library = _nvml()
    if library is not None:
        return "NVML" if library.nvmlDeviceGetCount() else ""
    return "nvidia-smi" if _query("name") is not None else ""


def present() -> bool:
    """Whether the driver shows a GPU."""
    return bool(gpu_interface())


def process_bytes(number: int = 0) -> int | None:
    """Bytes of device memory that this process holds on its GPU `number`; None where it is unknown."""
    library = _nvml()
    if library is None:
        return None
    processes = library.nvmlDeviceGetComputeRunningProcesses(_handle(library, number))
    used = [process.usedGpuMemory for process in processes if process.pid == os.getpid()]
    return sum(used) if used and None not in used else None


def energy_of(work: Callable[[], object], number: int = 0) -> Reading | None:
    """Run `work` and give the energy that GPU `number` took meanwhile; None where it is not counted."""
    library = _nvml()
    if library is not None:
        handle = _handle(library, number)
        try:
            before = library.nvmlDeviceGetTotalEnergyConsumption(handle)
        except library.NVMLError as error:  # before Volta
            _log.debug("The GPU counts no energy, its power is read: %s", in_a_line(error))
            return _summed(
                work, lambda: library.nvmlDeviceGetPowerUsage(handle) / 1e3, "power read through NVML"
            )
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
        joules = (library.nvmlDeviceGetTotalEnergyConsumption(handle) - before) / 1e3
        return Reading(joules, seconds, "the GPU's own counter (NVML, whole card)")
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


@functools.cache
def _nvml() -> Any:
    """NVML's module, started; None where it or the driver is missing."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception as error:  # not installed, no driver, or one that is too old: each has its own error
        _log.debug("There is no NVML: %s", in_a_line(error))
        return None
    return pynvml


def _handle(library: Any, number: int) -> Any:
    """The card that is this process's GPU `number`, which CUDA_VISIBLE_DEVICES may have renumbered."""
    visible = [each.strip() for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each.strip()]
    name = visible[number] if number < len(visible) else str(number)
    if name.isdecimal():
        return library.nvmlDeviceGetHandleByIndex(int(name))
    return library.nvmlDeviceGetHandleByUUID(name)


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


class _Utilization(ctypes.Structure):
    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class GpuLoads:
    """Load and memory of all GPUs, from the driver's own library, which is asked directly.

    Needs no Python module and no process of its own, so it can be asked several times a second.

    Args:
        library: NVML; None loads the system's.
    """

    def __init__(self, library: Any = None):
        self._library = library or _load(_LIBRARIES)
        self._handles: list[tuple[str, ctypes.c_void_p]] = []
        if self._library is not None:
            with passed_over(_log, "NVIDIA's library does not list the GPUs", OSError, AttributeError):
                self._handles = self._find()

    def read(self) -> tuple[Gpu, ...]:
        """All GPUs; one that does not answer is left out."""
        gpus = []
        for name, handle in self._handles:
            load, memory = _Utilization(), _Memory()
            if self._library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) != 0:
                continue
            self._library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(load))  # 0 % where it is unknown
            gpus.append(Gpu(name, float(load.gpu), int(memory.used), int(memory.total)))
        return tuple(gpus)

    def _find(self) -> list[tuple[str, ctypes.c_void_p]]:
        count = ctypes.c_uint()
        if self._library.nvmlInit_v2() != 0:
            return []
        if self._library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return []
        handles = []
        for index in range(count.value):
            handle, name = ctypes.c_void_p(), ctypes.create_string_buffer(_NAME_BYTES)
            if self._library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) == 0:
                self._library.nvmlDeviceGetName(handle, name, ctypes.c_uint(_NAME_BYTES))
                handles.append((name.value.decode(errors="replace") or f"GPU {index}", handle))
        return handles


def _load(names: Sequence[str]) -> Any:
    for name in names:
        with passed_over(_log, f"{name} is not there", OSError):
            return ctypes.CDLL(name)
    return None
