"""A model in the usual form, tried on noise: whether it runs, always answers alike, and takes several images at once.

`c` channels, `s` pixels a side, `k` classes.
"""

import re
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of
from core.onnx_graph.classifier import Images
from core.onnx_graph.reading import graphs_of

if TYPE_CHECKING:
    import onnx

_SAME = 1e-3  # of the largest answer: how far answers may lie apart by rounding
_REPEATS = 8  # of the same image, to see whether random numbers are drawn
_DRAWS = ("Random", "Bernoulli", "Multinomial")
_PROBE_SEED = 20_261_128
LONGEST_ANSWER = 60.0
"""Seconds that a model may take for two images; large ones take a few."""


def try_out(model: "onnx.ModelProto", file: str, images: Images, size: int, classes: int) -> str:
    """Run a model in the usual form on two images of noise, together and one by one.

    Returns: why it has to be given one image at a time; "" where it takes any number, or the number it declares.

    Raises:
        EspalierError: when it does not run, or gives something else than numbers for the classes.
    """
    session, noise = _session(model, file), _noise(images, size)
    few = np.resize(noise, (images.batch or 1, *noise.shape[1:]))
    first = _answers(session, few)
    if isinstance(first, str):
        raise EspalierError(
            f"ONNX Runtime cannot run {file} on {_images(len(few))} of {size} × {size} pixels: {first}.",
            "Give the image size that it was made for, or export it again.",
        )
    _check_answers(first, file, classes, len(few))
    again = [_answers(session, few) for _ in range(_REPEATS if _may_draw(model) else 1)]
    if not all(isinstance(answer, np.ndarray) and _close(first, answer) for answer in again):
        raise EspalierError(
            f"{file} answers the same image otherwise each time: it draws random numbers.",
            "Export it in evaluation mode (model.eval()), so that dropout and the like are off.",
        )
    if images.batch is not None:
        return ""
    together, second = _answers(session, noise), _answers(session, noise[1:])
    if isinstance(together, str) or isinstance(second, str):
        return "It runs on one image at a time only, although it declares otherwise: its batch size is 1 from here on."
    if any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node):
        return ""  # it finds one range for all images of a call, so answers differ by rounding
    if not _close(together, np.concatenate([first, second])):
        return (
            "Its answer to an image depends on which others are in the call, so it is given one at a time: its batch "
            "size is 1 from here on."
        )
    return ""


def _may_draw(model: "onnx.ModelProto") -> bool:
    """Whether some operator can draw random numbers; Dropout does where it is told that it trains."""
    return any(
        node.op_type.startswith(_DRAWS) or (node.op_type == "Dropout" and len(node.input) > 2)
        for graph in graphs_of(model.graph) for node in graph.node
    )  # fmt: skip


def _session(model: "onnx.ModelProto", file: str) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if model.graph.value_info:  # what a file declares inside is not always true, and nothing needs it
            del model.graph.value_info[:]
            return _session(model, file)
        if "NOT_IMPLEMENTED" in str(error) or "Could not find an implementation" in str(error):
            raise EspalierError(
                f"{file} holds an operator in a form that ONNX Runtime has not on a processor: {_operator(error)}.",
                "Export it in float32 (model.float()) with ONNX's own operators.",
                str(error),
            ) from error
        raise EspalierError(
            f"ONNX Runtime cannot open {file}: {reason_of(error)}.",
            "Export it again, or with another operator set.",
            str(error),
        ) from error


def _operator(error: Exception) -> str:
    found = re.search(r"implementation for (\S+)", str(error))
    return found[1] if found else reason_of(error)


def _noise(images: Images, size: int) -> np.ndarray:
    """float32 [2, c, s, s]: bytes for a network of bytes, else numbers around 0."""
    random = np.random.default_rng(_PROBE_SEED)
    shape = (2, images.channels, size, size)
    if images.kind == "uint8":
        return random.integers(0, 256, shape).astype(np.float32)
    return random.standard_normal(shape).astype(np.float32)


def _answers(session: Any, images: np.ndarray) -> np.ndarray | str:
    """What the model gives, or why it gives nothing; a file may hold a loop that never ends."""
    import onnxruntime as ort

    run = ort.RunOptions()
    timer = threading.Timer(LONGEST_ANSWER, setattr, (run, "terminate", True))
    timer.start()
    try:
        answer: np.ndarray = session.run(None, {session.get_inputs()[0].name: images}, run)[0]
        return answer
    except Exception as error:
        return reason_of(error) if not run.terminate else f"no answer came within {LONGEST_ANSWER:g} seconds"
    finally:
        timer.cancel()


def _check_answers(answers: np.ndarray, file: str, classes: int, images: int) -> None:
    if answers.ndim == 2 and answers.shape[1] == classes:
        return
    raise EspalierError(
        f"{file} gives {list(answers.shape)} for {_images(images)}, expected one number for each of the data set's "
        f"{classes} classes.",
        "Choose the data set that the network was made for.",
    )


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _close(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether answers are the same but for rounding; what is no number counts as the same everywhere."""
    if first.shape != second.shape:
        return False
    largest = float(np.abs(first[np.isfinite(first)]).max(initial=0.0))
    return bool(np.allclose(first, second, rtol=_SAME, atol=_SAME * largest, equal_nan=True))
