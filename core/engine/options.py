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
        compiled: training on a GPU goes through `torch.compile`: faster steps, after a minute of compiling, with other last digits.
        processes: that train a stage together: on GPUs one for each, on a processor they share its threads.
    """

    device: str = "auto"
    threads: int = 0
    core_watts: float = CORE_WATTS
    deterministic: bool = True
    measures: bool = True
    processes: int = 1
    compiled: bool = False

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
        self._check_processes(device, threads)
        compiled = self.compiled and device.startswith("cuda") and self.processes == 1
        return replace(self, device=device, threads=threads, compiled=compiled)

    def remarks(self, asked: "Options") -> list[str]:
        """What a person should know of how a run with these resolved options computes.

        Args:
            asked: the options before `resolved`.
        """
        texts = []
        if asked.compiled:
            text = "Training passes go through torch.compile, as asked: the first steps take longer, and stages made so are kept apart from others."
            other = "torch.compile is for training on one GPU; this run goes on without it."
            texts.append(text if self.compiled else other)
        if self.processes > 1:
            texts.append(
                f"{self.processes} processes train each stage together; stages made so are kept apart from others."
            )
        if self.device != "cpu" and not self.deterministic:
            texts.append(
                "The GPU takes its fastest kernels, as asked: the same run again may differ in the last digits, "
                "and stages made so are kept apart from others."
            )
        return texts

    def _check_processes(self, device: str, threads: int) -> None:
        import torch

        if self.processes == 1:
            return
        most = torch.cuda.device_count() if device == "cuda" else threads if device == "cpu" else 1
        if not 1 <= self.processes <= most:
            raise EspalierError(
                f"Expected from 1 to {most} processes that train together, received {self.processes}.",
                "On 'cuda' one for each GPU; on 'cpu' at most one for each thread; on one GPU of several, one.",
            )


def resolve(arguments: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Job of the tool child: `Options` as plain data, with the device and the threads decided."""
    return asdict(Options(**arguments).resolved())
