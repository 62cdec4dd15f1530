"""ONNX Runtime on an NVIDIA GPU. Images and logits stay on the device between the runs.

Needs the package onnxruntime-gpu in the place of onnxruntime, with the CUDA libraries that it names.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.common.errors import EspalierError
from core.machine.nvidia import present, process_bytes
from core.profiling.runtimes.base import Run, Runtime, Settings, as_input
from core.profiling.runtimes.onnxruntime_cpu import OnnxSession, opened, options, tried

if TYPE_CHECKING:
    import onnxruntime as ort

_PROVIDER = "CUDAExecutionProvider"


class OnnxRuntimeCuda(Runtime):
    """Any ONNX file, where the installed ONNX Runtime has its CUDA provider and there is a GPU."""

    id = "onnxruntime-cuda"
    label = "ONNX Runtime CUDA"
    package = "onnxruntime-gpu"
    module = "onnxruntime"
    takes = "onnx"
    child = "measure"

    def missing(self) -> str:
        import onnxruntime as ort

        if _PROVIDER not in ort.get_available_providers():
            return "This ONNX Runtime has no CUDA provider (pip install onnxruntime-gpu in its place)."
        return "" if present() else "No NVIDIA GPU was found."

    def settings(self, settings: Settings) -> Settings:
        return Settings(1, settings.device if settings.gpu is not None else "cuda:0")

    @contextmanager
    def open(self, model: Path, settings: Settings) -> Iterator["CudaSession"]:
        number = self.settings(settings).gpu or 0
        before = process_bytes(number)
        session = opened(model, options(1), [(_PROVIDER, {"device_id": number}), "CPUExecutionProvider"])
        if session.get_providers()[0] != _PROVIDER:
            raise EspalierError(
                "ONNX Runtime could not use the GPU and would have computed on the processor.",
                "Install the CUDA and cuDNN libraries that onnxruntime-gpu names.",
            )
        yield CudaSession(session, number, before)


class CudaSession(OnnxSession):
    """An ONNX file that is open on the GPU."""

    gpu: int

    def __init__(self, session: "ort.InferenceSession", number: int, before: int | None):
        super().__init__(session)
        self.gpu, self._before = number, before

    def bind(self, images: np.ndarray) -> Run:
        import onnxruntime as ort

        binding = self.session.io_binding()
        there = ort.OrtValue.ortvalue_from_numpy(as_input(images, self.kind), "cuda", self.gpu)
        binding.bind_ortvalue_input(self.input.name, there)
        output = self.session.get_outputs()[0].name
        binding.bind_output(output, "cuda", self.gpu)

        def run() -> object:
            self.session.run_with_iobinding(binding)
            binding.synchronize_outputs()
            return binding

        tried(run, self.input.shape, images)
        return run

    def device_peak(self) -> int | None:
        """What this process holds on the GPU now, above what it held before; its arenas do not shrink."""
        now = process_bytes(self.gpu)
        return None if now is None else now - (self._before or 0)
