"""A runtime that Espalier does not have, as somebody would add it: `test_new_runtime` registers it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.profiling.runtimes.base import Runtime, Settings
from core.profiling.runtimes.onnxruntime_cpu import OnnxSession


class UnoptimisedOnnx(Runtime):
    """ONNX Runtime that runs the graph as it is written."""

    id = "onnxruntime-plain"
    label = "ONNX Runtime, plain"
    package = module = "onnxruntime"
    takes = "onnx"
    child = "measure"
    note = "no optimisation"

    @contextmanager
    def open(self, model: Path, settings: Settings) -> Iterator[OnnxSession]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = settings.threads
        yield OnnxSession(onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]))
