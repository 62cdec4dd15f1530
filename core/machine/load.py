"""How busy the machine is: processor, memory, NVIDIA GPUs. One call is cheap and blocks for no time.

NVIDIA's figures come from the driver's own library (NVML), which is asked directly; where there is
none, or it does not answer, there are simply no GPUs.
"""

import contextlib
import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psutil

_LIBRARIES = ("nvml.dll",) if sys.platform == "win32" else ("libnvidia-ml.so.1",)
_NAME_BYTES = 96


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
class Sample:
    """One look at the machine.

    Attributes:
        cpu: load of all cores since the look before, in %.
        used, total: the machine's memory in bytes; what can be freed at once does not count as used.
        own: memory of this program and of its children, in bytes.
    """

    cpu: float
    cores: int
    used: int
    total: int
    own: int
    gpus: tuple[Gpu, ...] = ()


class Sampler:
    """Looks at the machine again and again; the first CPU load is 0, as there is nothing before it.

    Args:
        library: NVML; None loads the system's.
    """

    def __init__(self, library: Any = None):
        self._process = psutil.Process()
        self._gpus = _Nvml(library)
        psutil.cpu_percent(None)

    def sample(self) -> Sample:
        """The machine now."""
        memory = psutil.virtual_memory()
        return Sample(
            cpu=psutil.cpu_percent(None),
            cores=psutil.cpu_count() or 1,
            used=memory.total - memory.available,
            total=memory.total,
            own=_own_memory(self._process),
            gpus=self._gpus.read(),
        )


def _own_memory(process: psutil.Process) -> int:
    total = 0
    for each in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            total += each.memory_info().rss
    return total


class _Utilization(ctypes.Structure):
    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class _Nvml:
    """The part of NVIDIA's management library that is needed here."""

    def __init__(self, library: Any = None):
        self._library = library or _load(_LIBRARIES)
        self._handles: list[tuple[str, ctypes.c_void_p]] = []
        if self._library is not None:
            with contextlib.suppress(OSError, AttributeError):
                self._handles = self._find()

    def read(self) -> tuple[Gpu, ...]:
        """All GPUs; one that does not answer is left out."""
        found = []
        for name, handle in self._handles:
            load, memory = _Utilization(), _Memory()
            if self._library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) != 0:
                continue
            self._library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(load))  # 0 % where it is unknown
            found.append(Gpu(name, float(load.gpu), int(memory.used), int(memory.total)))
        return tuple(found)

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
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    return None
