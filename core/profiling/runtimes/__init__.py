"""The runtimes that models are measured in. One file each, and one line here."""

from core.common.errors import EspalierError
from core.profiling.runtimes.base import Run, Runtime, Session, Settings
from core.profiling.runtimes.onnxruntime_cpu import OnnxRuntimeCpu
from core.profiling.runtimes.onnxruntime_cuda import OnnxRuntimeCuda
from core.profiling.runtimes.openvino import OpenVino
from core.profiling.runtimes.pytorch import PyTorch
from core.profiling.runtimes.pytorch_channels_last import PyTorchChannelsLast
from core.profiling.runtimes.pytorch_compile import PyTorchCompile

__all__ = ["DEFAULT", "RUNTIMES", "Run", "Runtime", "Session", "Settings", "runtime"]

RUNTIMES: dict[str, Runtime] = {
    each.id: each
    for each in (
        OnnxRuntimeCpu(),
        OnnxRuntimeCuda(),
        OpenVino(),
        PyTorch(),
        PyTorchChannelsLast(),
        PyTorchCompile(),
    )
}
DEFAULT = OnnxRuntimeCpu.id


def runtime(name: str) -> Runtime:
    """The runtime of that id.

    Raises:
        EspalierError: there is none.
    """
    if name not in RUNTIMES:
        raise EspalierError(f"Expected a runtime, received '{name}'.", f"There are: {', '.join(RUNTIMES)}.")
    return RUNTIMES[name]
