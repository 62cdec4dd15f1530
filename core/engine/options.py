"""What a run takes from the machine and not from the pipeline."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from core.common.errors import EspalierError
from core.machine.jobs import JobContext
from core.machine.site_policy import site_policy
from core.profiling.energy import CORE_WATTS


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a run that belong to the machine and not to the pipeline.

    Attributes:
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
        threads: of training and PyTorch; 0 takes one per physical core.
        core_watts: power of one busy core, for energy where it cannot be measured.
        deterministic: a GPU repeats its results to the bit, with slower kernels where it has no others. On the processor
            results always repeat.
        measures: stages are measured and reported; else they are only made, for another machine.
    """

    device: str = "auto"
    threads: int = 0
    core_watts: float = CORE_WATTS
    deterministic: bool = True
    measures: bool = True

    def resolved(self) -> "Options":
        """With the device and the threads decided.

        Raises:
            EspalierError: when a GPU is asked for and there is none.
        """
        import psutil
        import torch

        policy = site_policy()
        device = policy.device_for(self.device)
        threads = policy.threads_for(self.threads, psutil.cpu_count(logical=False) or 1)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise EspalierError(
                "Expected an NVIDIA GPU, PyTorch finds none.", "Choose the device 'cpu', or check the driver."
            )
        return replace(self, device=device, threads=threads)


def resolve(arguments: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Job of the tool child: `Options` as plain data, with the device and the threads decided."""
    return asdict(Options(**arguments).resolved())
