"""NVIDIA's management library as `ctypes` shows it: one GPU, half full, a third busy, that draws 50 W."""

import os
import time
from typing import Any

NOT_SUPPORTED = 3


class FakeNvml:
    """Answers through pointers, as the library does."""

    def __init__(self, counts: bool = True):
        self.counts, self.asked = counts, []  # type: ignore[var-annotated]
        self.started = time.perf_counter()

    def nvmlInit_v2(self) -> int:
        self.asked.append("init")
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = 1
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        self.asked.append(f"card {index.value}")
        return 0

    def nvmlDeviceGetHandleByUUID(self, name: Any, handle: Any) -> int:
        self.asked.append(f"card {name.value.decode()}")
        return 0

    def nvmlDeviceGetName(self, handle: Any, name: Any, length: Any) -> int:
        name.value = b"Test GPU"
        return 0

    def nvmlDeviceGetUtilizationRates(self, handle: Any, found: Any) -> int:
        found._obj.gpu = 33
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: Any, found: Any) -> int:
        found._obj.total, found._obj.used = 8_000_000_000, 4_000_000_000
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, energy: Any) -> int:
        if not self.counts:
            return NOT_SUPPORTED
        self.asked.append("energy")
        energy._obj.value = round(50_000 * (time.perf_counter() - self.started))  # millijoules
        return 0

    def nvmlDeviceGetPowerUsage(self, handle: Any, power: Any) -> int:
        power._obj.value = 50_000  # milliwatts
        return 0

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle: Any, number: Any, found: Any) -> int:
        number._obj.value = 2
        found[0].pid, found[0].memory = 1, 7
        found[1].pid, found[1].memory = os.getpid(), 300_000_000
        return 0
