"""ONNX Runtime on the processor: what Espalier's headline figures are measured in.

A session has every graph optimisation, as many threads as asked inside an operator and one across
operators. Several threads wait for the next operator as ONNX Runtime has it unless told otherwise, awake: to
wake one costs some 15 µs an operator, of which a small integer file has a hundred in a few milliseconds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.content_hashes import intact
from core.common.errors import EspalierError
from core.onnx_graph.reading import unopened
from core.profiling.runtimes.base import Run, Runtime, Session, Settings, as_input, no_images

if TYPE_CHECKING:
    import onnxruntime as ort

_KINDS = {"float": "float32", "float16": "float16", "double": "float64", "uint8": "uint8", "int8": "int8"}


class OnnxRuntimeCpu(Runtime):
    """Any ONNX file."""

    id = "onnxruntime"
    label = "ONNX Runtime"
    package = module = "onnxruntime"
    takes = "onnx"
    child = "measure"

    @contextmanager
    def open(self, model: Path, settings: Settings) -> Iterator["OnnxSession"]:
        yield OnnxSession(open_session(model, settings.threads))


def open_session(model: Path, threads: int) -> "ort.InferenceSession":
    """A session on the processor; see the module's text for its settings.

    Raises:
        EspalierError: when ONNX Runtime cannot open the file.
    """
    return opened(model, options(threads), ["CPUExecutionProvider"])


def options(threads: int) -> "ort.SessionOptions":
    """The settings of every session that is timed."""
    import onnxruntime as ort

    session_options = ort.SessionOptions()
    session_options.intra_op_num_threads = threads
    session_options.inter_op_num_threads = 1
    session_options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    session_options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session_options.log_severity_level = 3
    return session_options


def opened(
    model: Path, session_options: "ort.SessionOptions", providers: list[Any]
) -> "ort.InferenceSession":
    """ONNX Runtime's own session.

    Raises:
        EspalierError: when it cannot open the file.
    """
    import onnxruntime as ort

    try:
        return ort.InferenceSession(intact(model), session_options, providers=providers)
    except EspalierError:
        raise
    except Exception as error:
        raise unopened(model, error) from error


class OnnxSession(Session):
    """An ONNX file that is open; it has one input of numbers.

    Raises:
        EspalierError: when it has several inputs, or one that takes no images.
    """

    def __init__(self, session: "ort.InferenceSession"):
        self.session = session
        inputs = session.get_inputs()
        self.input = inputs[0]
        self.kind = _KINDS.get(self.input.type.removeprefix("tensor(").removesuffix(")"), "")
        if len(inputs) != 1 or len(self.input.shape) != 4 or not self.kind:
            raise no_images(f"{each.name} {each.type} {each.shape}" for each in inputs)
        self.shape = [side if isinstance(side, int) else None for side in self.input.shape]
        self.about = dict(session.get_modelmeta().custom_metadata_map)

    def bind(self, images: np.ndarray) -> Run:
        feed = {self.input.name: as_input(images, self.kind)}
        names = [output.name for output in self.session.get_outputs()[:1]]

        def run() -> object:
            return self.session.run(names, feed)[0]

        tried(run, self.input.shape, images)
        return run


def tried(run: Run, shape: object, images: np.ndarray) -> None:
    """Run once.

    Raises:
        EspalierError: when the model does not take images of that shape.
    """
    try:
        run()
    except Exception as error:
        raise EspalierError(
            f"The model takes images of shape {shape}, the measurement gave {list(images.shape)}.",
            "Only models with an open batch size can be measured in batches.",
            str(error),
        ) from error
