"""The gain of rounding: the same network with every number of channels rounded up, timed in turns.

Runs in the measuring child. More channels can only cost time by their work; where the
rounded network is faster all the same, its channel counts are what slows the file down.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.errors import EspalierError
from core.common.temporary import temporary_folder
from core.profiling.session import noise, time_block
from core.profiling.widths import resized

if TYPE_CHECKING:
    import onnx

MULTIPLE = 8
_IMAGE = 4  # channels of an image stay what they are
_PAIRS = 4
_BLOCK = {"threads": 1, "runs": 10, "seconds": 0.1, "limit": 3.0, "warm_limit": 0.3}


def rounded_up(file: Path, size: int) -> float | None:
    """Latency with channels rounded up to multiples of 8 / latency as it is.

    None where that cannot be tried, or hardly a run of one was left uninterrupted.

    Args:
        file: float32 ONNX file. size: pixels a side.
    """
    import onnx

    model = onnx.load(file)
    shapes = rounded_shapes(model)
    if not shapes:
        return None
    channels = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value or 3
    with temporary_folder() as folder:
        rounded, sample = folder / "rounded.onnx", folder / "sample.npy"
        np.save(sample, noise((channels, size, size)))
        try:
            onnx.save(resized(model, shapes), rounded)
            pairs = [_pair(file, rounded, sample, swap=bool(turn % 2)) for turn in range(_PAIRS)]
        except EspalierError:  # a graph whose other constants hold numbers of channels too
            return None
    gain = float(np.median([late / early for early, late in pairs]))
    return None if math.isnan(gain) else gain


def _pair(file: Path, rounded: Path, sample: Path, swap: bool) -> tuple[float, float]:
    """Seconds of one image, of the file and of the other; not a number where hardly a run was left whole."""

    def seconds(model: Path) -> float:
        timing: dict[str, Any] = {"model": str(model), "sample": str(sample), **_BLOCK}
        whole = time_block(timing, lambda done, text: None)["seconds"]
        return float(np.median(whole)) if len(whole) > 1 else math.nan

    if swap:
        late = seconds(rounded)
        return seconds(file), late
    return seconds(file), seconds(rounded)


def rounded_shapes(model: "onnx.ModelProto") -> dict[str, tuple[int, ...]]:
    """By name, the shapes of weights and biases with every number of channels rounded up.

    Empty where there is nothing to round or the graph has grouped convolutions, whose channels go in step.
    The answers of the network stay as many as they are.
    """
    tensors = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    answers = {value.name for value in model.graph.output}
    shapes: dict[str, tuple[int, ...]] = {}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm") or node.input[1] not in tensors:
            continue
        outputs, inputs, *sides = tensors[node.input[1]]
        groups = next((entry.i for entry in node.attribute if entry.name == "group"), 1)
        if groups > 1 and inputs > 1:
            return {}
        rounded_outputs = outputs if node.output[0] in answers else round_up(outputs)
        rounded_inputs = inputs if inputs <= _IMAGE else round_up(inputs)
        shapes[node.input[1]] = (rounded_outputs, rounded_inputs, *sides)
        if len(node.input) > 2 and node.input[2] in tensors:
            shapes[node.input[2]] = (rounded_outputs,)
    return shapes if any(shapes[name] != tensors[name] for name in shapes) else {}


def round_up(channels: int) -> int:
    """The next multiple of 8."""
    return -(-channels // MULTIPLE) * MULTIPLE
