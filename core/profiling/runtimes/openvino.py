"""OpenVINO on the processor, where it is installed.

On processors with bfloat16 OpenVINO computes float models in it unless told otherwise. Here it is
told to compute what is float in float32, as ONNX Runtime does, so that the two can be compared;
layers in INT8 compute in INT8. The batch is fixed before compiling, as its authors advise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.errors import EspalierError
from core.profiling.runtimes.base import Run, Runtime, Session, Settings, as_input, no_images
from core.profiling.runtimes.onnxruntime_cpu import tried

if TYPE_CHECKING:
    import openvino

_KINDS = {"f32": "float32", "f16": "float16", "f64": "float64", "u8": "uint8", "i8": "int8"}


class OpenVino(Runtime):
    """Any ONNX file that OpenVINO reads."""

    id = "openvino"
    label = "OpenVINO"
    package = module = extra = "openvino"
    takes = "onnx"
    child = "measure"
    note = "float layers in float32 (not in its default, bfloat16)"

    @contextmanager
    def open(self, model: Path, settings: Settings) -> Iterator["OpenVinoSession"]:
        import openvino

        core = openvino.Core()
        try:
            read = core.read_model(model)
        except Exception as error:
            raise EspalierError(
                f"OpenVINO could not open {model.name} to measure it.",
                "It does not know every operation of ONNX; measure this file in ONNX Runtime.",
                str(error),
            ) from error
        yield OpenVinoSession(core, read, settings.threads)


class OpenVinoSession(Session):
    """A model that was read; it is compiled for the shape of the images that it is bound to."""

    def __init__(self, core: "openvino.Core", model: "openvino.Model", threads: int):
        self._core, self._model, self._threads = core, model, threads
        if len(model.inputs) != 1 or model.inputs[0].partial_shape.rank.get_length() != 4:
            raise no_images(model.inputs)
        self._shape = model.inputs[0].partial_shape
        self.shape = [side.get_length() if side.is_static else None for side in self._shape]
        self.about = {}

    def bind(self, images: np.ndarray) -> Run:
        kind = _KINDS.get(self._model.inputs[0].element_type.get_type_name(), "float32")
        feed = as_input(images, kind)
        request: Any = None

        def run() -> object:
            nonlocal request
            if request is None:
                self._model.reshape(list(feed.shape))
                request = self._core.compile_model(
                    self._model, "CPU", computing(self._threads)
                ).create_infer_request()
                request.set_input_tensor(_shared(feed))
            request.infer()
            return request.get_output_tensor(0).data

        tried(run, self._shape, images)
        return run


def computing(threads: int) -> dict[str, Any]:
    """OpenVINO's settings for one image after the other, in float32; 0 threads leave the number to it.

    Without its generated code for groups of small operations ("snippets") on one thread: OpenVINO 2026.4.1 crashes while it
    makes that for the Quick tour's network. On one thread it gained nothing: six networks took 0.97 to 1.03 of the time.
    """
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
    }  # fmt: skip
    if threads > 0:
        settings["INFERENCE_NUM_THREADS"] = threads
    if threads == 1:
        settings["SNIPPETS_MODE"] = "DISABLE"
    return settings


def _shared(feed: np.ndarray) -> "openvino.Tensor":
    """A tensor that lies where the array lies."""
    import openvino

    return openvino.Tensor(feed, shared_memory=True)
