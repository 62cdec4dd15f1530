"""NVIDIA's management library (NVML), which every driver brings along, asked directly: no Python module is needed.

Source: NVML API reference, https://docs.nvidia.com/deploy/nvml-api/
"""

import ctypes
import functools
import logging
import sys
from typing import Any

from core.common.logs import passed_over

_log = logging.getLogger(__name__)

_LIBRARIES = ("nvml.dll",) if sys.platform == "win32" else ("libnvidia-ml.so.1",)
_NAME_BYTES = 96
_MOST_PROCESSES = 256
_UNKNOWN = ctypes.c_ulonglong(-1).value  # memory of a process that the driver does not know

Handle = ctypes.c_void_p


class _Utilization(ctypes.Structure):
    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class _Process(ctypes.Structure):
    _fields_ = [
        ("pid", ctypes.c_uint),
        ("memory", ctypes.c_ulonglong),
        ("instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


class Nvml:
    """The library, started. What a GPU, or an older driver, does not answer is None.

    Args:
        library: with NVML's functions, as `ctypes` gives them.

    Raises:
        OSError: when the driver does not answer.
    """

    def __init__(self, library: Any):
        self._library = library
        if not self._ask("nvmlInit_v2"):
            raise OSError("NVML could not be started")

    def count(self) -> int:
        """How many GPUs there are."""
        number = ctypes.c_uint()
        return int(number.value) if self._ask("nvmlDeviceGetCount_v2", ctypes.byref(number)) else 0

    def gpu(self, index: int) -> Handle | None:
        """The GPU at a place of the driver's list."""
        handle = Handle()
        found = self._ask("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle))
        return handle if found else None

    def gpu_called(self, uuid: str) -> Handle | None:
        """The GPU of this name, such as "GPU-8f2…"."""
        handle = Handle()
        found = self._ask("nvmlDeviceGetHandleByUUID", ctypes.c_char_p(uuid.encode()), ctypes.byref(handle))
        return handle if found else None

    def name(self, gpu: Handle) -> str:
        """What the maker calls it; "" where it does not say."""
        name = ctypes.create_string_buffer(_NAME_BYTES)
        self._ask("nvmlDeviceGetName", gpu, name, ctypes.c_uint(_NAME_BYTES))
        return name.value.decode(errors="replace")

    def memory(self, gpu: Handle) -> tuple[int, int] | None:
        """Used and all bytes of the GPU's memory."""
        memory = _Memory()
        if not self._ask("nvmlDeviceGetMemoryInfo", gpu, ctypes.byref(memory)):
            return None
        return int(memory.used), int(memory.total)

    def load(self, gpu: Handle) -> float | None:
        """Share of the last moments in which it worked, in %."""
        load = _Utilization()
        return (
            float(load.gpu) if self._ask("nvmlDeviceGetUtilizationRates", gpu, ctypes.byref(load)) else None
        )

    def joules(self, gpu: Handle) -> float | None:
        """Energy since the driver was loaded; GPUs before Volta do not count it."""
        energy = ctypes.c_ulonglong()
        if not self._ask("nvmlDeviceGetTotalEnergyConsumption", gpu, ctypes.byref(energy)):
            return None
        return energy.value / 1e3

    def watts(self, gpu: Handle) -> float | None:
        """Power that it draws now."""
        power = ctypes.c_uint()
        return power.value / 1e3 if self._ask("nvmlDeviceGetPowerUsage", gpu, ctypes.byref(power)) else None

    def process_bytes(self, gpu: Handle, process: int) -> int | None:
        """Bytes of its memory that a process holds."""
        number, found = ctypes.c_uint(_MOST_PROCESSES), (_Process * _MOST_PROCESSES)()
        if not self._ask("nvmlDeviceGetComputeRunningProcesses_v3", gpu, ctypes.byref(number), found):
            return None
        used = [one.memory for one in found[: number.value] if one.pid == process]
        return sum(used) if used and _UNKNOWN not in used else None

    def _ask(self, function: str, *arguments: Any) -> bool:
        """Whether a function of the library did what it was asked to."""
        ask = getattr(self._library, function, None)  # an older driver may not have it
        code = ask(*arguments) if ask is not None else -1
        if code:
            _log.debug("%s gives the code %s.", function, code)
        return bool(code == 0)


@functools.cache
def nvml() -> Nvml | None:
    """The system's library; None where there is none, or no driver answers."""
    for name in _LIBRARIES:
        with passed_over(_log, f"{name} is not there", OSError):
            return Nvml(ctypes.CDLL(name))
    return None
