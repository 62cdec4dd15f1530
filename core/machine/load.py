"""How busy the machine is: processor, memory, NVIDIA GPUs. One call is cheap and blocks for no time.

Where NVIDIA's driver does not answer there are simply no GPUs.
"""

import logging
from dataclasses import dataclass

import psutil

from core.common.logs import passed_over
from core.machine.nvidia import Gpu, GpuLoads
from core.machine.nvml import Nvml

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """The load at one moment.

    Attributes:
        cpu: load of all cores since the sample before, in %.
        used, total: the machine's memory in bytes; what can be freed at once does not count as used.
        program: memory of this program and of its children, in bytes.
    """

    cpu: float
    cores: int
    used: int
    total: int
    program: int
    gpus: tuple[Gpu, ...] = ()


class Sampler:
    """Samples the machine; the first CPU load is 0, as there is nothing before it.

    Args:
        library: NVML; None takes the system's.
    """

    def __init__(self, library: Nvml | None = None):
        self._process = psutil.Process()
        self._gpus = GpuLoads(library)
        psutil.cpu_percent(None)

    def sample(self) -> Sample:
        """The machine now."""
        memory = psutil.virtual_memory()
        return Sample(
            cpu=psutil.cpu_percent(None),
            cores=psutil.cpu_count() or 1,
            used=memory.total - memory.available,
            total=memory.total,
            program=_program_memory(self._process),
            gpus=self._gpus.read(),
        )


def _program_memory(process: psutil.Process) -> int:
    total = 0
    for each in [process, *process.children(recursive=True)]:
        with passed_over(_log, "A process ended while its memory was read", psutil.Error):
            total += each.memory_info().rss
    return total
