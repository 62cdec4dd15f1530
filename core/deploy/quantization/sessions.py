"""Running a graph that is in memory, and saying how close its answers are to another's."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of

if TYPE_CHECKING:
    import onnx
    import onnxruntime as ort


def open_model(model: "onnx.ModelProto", threads: int = 0) -> "ort.InferenceSession":
    """A session of a graph in memory.

    Raises:
        EspalierError: when ONNX Runtime cannot open it.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EspalierError(
            f"ONNX Runtime could not open the quantized graph: {reason_of(error)}.",
            "Keep that layer in float.",
            str(error),
        ) from error


def run(model: "onnx.ModelProto", blocks: Iterable[np.ndarray], threads: int = 0) -> np.ndarray:
    """Logits [n, k] of blocks of images."""
    session = open_model(model, threads)
    entry, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    return np.concatenate([session.run([output], {entry: block})[0] for block in blocks])


def probed(model: "onnx.ModelProto", names: list[str]) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Gives tensors of a graph for a block of images; what comes behind them is not computed."""
    import onnx

    shown = type(model)()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    for name in names:
        shown.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = open_model(shown)
    entry = session.get_inputs()[0].name
    return lambda block: session.run(names, {entry: block})


def agreement(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Percent of the images [n, k] that get the same class."""
    return 100.0 * float((reference.argmax(1) == candidate.argmax(1)).mean())


def top1(logits: np.ndarray, labels: np.ndarray) -> float:
    """Percent of the images [n, k] that get their label."""
    return 100.0 * float((logits.argmax(1) == labels).mean())


def sqnr(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Signal to quantization noise of the logits [n, k], in dB; infinite when they are equal."""
    noise = float(np.square(reference.astype(np.float64) - candidate).sum())
    signal = float(np.square(reference.astype(np.float64)).sum())
    return float("inf") if noise == 0 else 10.0 * float(np.log10(signal / noise))


def divergence(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Mean KL(reference ‖ candidate) of the softened logits [n, k], in nats."""
    first, second = (_log_softmax(logits.astype(np.float64)) for logits in (reference, candidate))
    return float((np.exp(first) * (first - second)).sum(1).mean())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
