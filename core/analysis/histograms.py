"""How a layer's weights and activations are distributed, of one model or of two over each other.

Weights come from a checkpoint (NumPy alone), or from the exported file: there they are what really computes, with
batch norms folded in and integers given back their scale. Activations are what the layer gives on a few
validation images, read from the exported file as it runs; a job of the tool child.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.analysis import stored_ranges
from core.common.content_hashes import intact
from core.common.errors import EspalierError
from core.common.numbers import grouped, percent
from core.machine.jobs import ProgressCallback
from core.models.checkpoint_files import WEIGHTS
from core.onnx_graph.layer_names import module_of
from core.onnx_graph.stored_scales import spread

if TYPE_CHECKING:
    import onnx

BINS, FEWEST_BINS = 120, 24
_MOST_VALUES = 4_000_000  # of larger activations every second, third, … value is taken
_STORED = ("DequantizeLinear", "Cast", "Identity", "Transpose", "Reshape")


@dataclass(frozen=True, slots=True)
class Histogram:
    """One distribution.

    Attributes:
        counts: of each of the bins between `low` and `high`, which all histograms of a picture share.
        zeros: share of exact zeros, 0…1. n: values. distinct: different values among them, at most 1000.
        range_low, range_high: what the integers of a quantized file can hold of the values; None for no bound.
        clipped: share of the values outside of it, 0…1; None where the file holds them in floating point.
    """

    counts: list[int]
    low: float
    high: float
    n: int
    mean: float
    deviation: float
    lowest: float
    highest: float
    zeros: float
    distinct: int
    range_low: float | None = None
    range_high: float | None = None
    clipped: float | None = None

    @property
    def sentence(self) -> str:
        """The distribution in figures."""
        if not self.n:
            return "no values"
        words = f"{grouped(self.n)} values, mean {self.mean:.3g}, deviation {self.deviation:.3g}, "
        words += f"{self.lowest:.3g} to {self.highest:.3g}"
        words = words.replace("-", "−")
        words += f", {percent(self.zeros, 1)} zeros" if self.zeros >= 0.0005 else ""
        words += f", {self.distinct} different values" if self.distinct <= 256 else ""
        return words + (f"; {self.range_words}" if self.clipped is not None else "")

    @property
    def range_words(self) -> str:
        """What of the values the integers hold."""
        share = f"{100 * (self.clipped or 0.0):.2g} %" if self.clipped else "nothing"
        low, high = (
            f"{bound:.3g}".replace("-", "−") if bound is not None else ""
            for bound in (self.range_low, self.range_high)
        )
        bounds = f"hold {low} to {high}" if low else f"hold at most {high}"
        return f"its integers {bounds}: {share} clipped"


def histograms(values: Sequence[np.ndarray], bins: int | None = None) -> list[Histogram]:
    """Histograms of several arrays over common bins, more of them where there are more values."""
    flat = [np.asarray(array, dtype=np.float64).ravel() for array in values]
    filled = [array for array in flat if len(array)]
    fewest = min((len(array) for array in filled), default=0)
    bins = bins or max(FEWEST_BINS, min(BINS, round(math.sqrt(fewest))))
    low = min((float(array.min()) for array in filled), default=0.0)
    high = max((float(array.max()) for array in filled), default=1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return [_histogram(array, low, high, bins) for array in flat]


def _histogram(array: np.ndarray, low: float, high: float, bins: int) -> Histogram:
    counts, _ = np.histogram(array, bins=bins, range=(low, high))
    n = len(array)
    distinct = len(np.unique(array if n <= 1_000_000 else array[:: n // 1_000_000]))
    return Histogram(
        [int(each) for each in counts], low, high, n,
        float(array.mean()) if n else 0.0, float(array.std()) if n else 0.0,
        float(array.min()) if n else 0.0, float(array.max()) if n else 0.0,
        float((array == 0).mean()) if n else 0.0, min(distinct, 1000),
    )  # fmt: skip


def weights_of_checkpoint(checkpoint: Path, layer: str) -> np.ndarray:
    """A layer's weights (not its bias).

    Raises:
        EspalierError: when the checkpoint has no such layer.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(intact(checkpoint / WEIGHTS), framework="np") as file:
            return np.asarray(file.get_tensor(f"{layer}.weight"))
    except (OSError, SafetensorError) as error:
        raise EspalierError(
            f"There is no layer {layer!r} in {checkpoint.parent.name}.",
            "Choose a layer that both models have.",
            str(error),
        ) from error


def of_files(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: histograms of one layer of one or two exported files.

    Args (as plain data):
        what: "weights" or "activations". files: .onnx files. layer: the module's path.
        For activations: data, data_cache, base (of `DataAccess.as_plain`), count (of images).

    Returns: histograms, one a file (as `Histogram`), by its field names, with the range of a quantized file; images that were looked at.

    Raises:
        EspalierError: when a file has no such layer or cannot be run.
    """
    import onnx

    from core.onnx_graph.shared_weights import expand

    models = [onnx.load(path) for path in arguments["files"]]
    for model in models:
        expand(model)
    layer = arguments["layer"]
    images = 0
    ranges: list[dict[str, Any]] = []
    if arguments["what"] == "weights":
        values = [file_weights(model, layer) for model in models]
        ranges = [_weight_range(model, layer, values) for model in models]
    else:
        values = []
        for number, model in enumerate(models):
            words = f"Activations of {layer}"
            progress(number / len(models), words)
            activations, images = _activations(model, layer, arguments)
            values.append(activations)
            stored = stored_ranges.of_activations(model, _node(model, layer)[0].output[0])
            ranges.append(_described(stored, stored.clipped(activations)) if stored is not None else {})
    told = [{**asdict(each), **bounds} for each, bounds in zip(histograms(values), ranges, strict=True)]
    return {"histograms": told, "images": images}


def _weight_range(model: "onnx.ModelProto", layer: str, values: Sequence[np.ndarray]) -> dict[str, Any]:
    """What a file's integers hold of a layer's weights, and the share of the other file's weights that is clipped."""
    own, shapes = _node(model, layer)[1], {array.shape for array in values}
    bounds = stored_ranges.of_weights(model, own, values[0].shape) if len(shapes) == 1 else None
    if bounds is None:
        return {}
    low, high = bounds
    slack = 1e-6 * (high - low)  # of rounding: a bound itself is not outside
    outside = max(float(((array < low - slack) | (array > high + slack)).mean()) for array in values)
    return _described(stored_ranges.StoredRange(float(low.min()), float(high.max())), outside)


def _described(stored: stored_ranges.StoredRange, clipped: float) -> dict[str, Any]:
    return {"range_low": stored.low, "range_high": stored.high, "clipped": clipped}


def file_weights(model: "onnx.ModelProto", layer: str) -> np.ndarray:
    """A layer's weights as they compute, in float.

    Raises:
        EspalierError: when the file has no such layer.
    """
    return _constant(model, _node(model, layer)[1])


def weighted_nodes(model: "onnx.ModelProto") -> Iterator[tuple[tuple[str, str], "onnx.NodeProto", str]]:
    """Every node with weights of at least two dimensions, in the graph's order: its layer's names in the layer table and in
    the network, the node, and which of its inputs is the weight."""
    from core.profiling.counting import count_graph

    layer_of_node = {entry["name"]: entry["layer"] for entry in count_graph(model, 32)["nodes"]}
    constants = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    producers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.name not in layer_of_node:
            continue
        for name in node.input:
            origin = name
            while origin not in constants and origin in producers and producers[origin].op_type in _STORED:
                origin = producers[origin].input[0]
            if constants.get(origin, 0) >= 2:
                yield (layer_of_node[node.name], module_of(node)), node, name
                break


def _node(model: "onnx.ModelProto", layer: str) -> tuple["onnx.NodeProto", str]:
    """The node of a layer with weights, and the name of its weight.

    Raises:
        EspalierError: when the file has no such layer.
    """
    for names, node, weight in weighted_nodes(model):
        if layer in names:
            return node, weight
    raise EspalierError(
        f"The exported file has no layer {layer!r} with weights.",
        "It was merged with another one; choose one of the layer table.",
    )


def _constant(model: "onnx.ModelProto", name: str) -> np.ndarray:
    """A constant in float, computed from how it is stored."""
    from onnx import numpy_helper

    for tensor in model.graph.initializer:
        if tensor.name == name:
            return numpy_helper.to_array(tensor)
    node = next(node for node in model.graph.node if name in node.output)
    if node.op_type != "DequantizeLinear":
        return _constant(model, node.input[0]).astype(np.float32)
    values, scale = (_constant(model, each) for each in node.input[:2])
    zero = _constant(model, node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros_like(scale)
    scales, zeros = (spread(node, each.astype(np.float32), values.shape) for each in (scale, zero))
    return np.asarray((values.astype(np.float32) - zeros) * scales)


def _activations(
    model: "onnx.ModelProto", layer: str, arguments: Mapping[str, Any]
) -> tuple[np.ndarray, int]:
    """What a layer gives on validation images, and on how many."""
    import onnx
    import onnxruntime as ort

    from core.deploy.quantization.calibration import draw

    node, _ = _node(model, layer)
    sample = draw(model, arguments, "validation", int(arguments["count"]), 0)
    value = node.output[0]
    if value not in {entry.name for entry in model.graph.output}:
        model.graph.output.append(onnx.ValueInfoProto(name=value))
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0].name
        parts = [session.run([value], {entry: block})[0].ravel() for block in sample.blocks()]
        step = max(1, sum(len(part) for part in parts) // _MOST_VALUES)
    except Exception as error:
        raise EspalierError(
            f"The activations of {layer} could not be read.", "Choose another layer.", str(error)
        ) from error
    return np.concatenate([part[::step] for part in parts]), len(sample)
