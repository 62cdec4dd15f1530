"""What each layer of an exported file holds, computes and costs; a job of the measuring child.

ONNX Runtime's own profiler times every kernel that really ran. Kernels are what is left after
fusion and layout changes; each is traced back to the nodes of the file that it stands for, and
these to the modules of the network, whose names the export keeps (`pkg.torch.onnx.name_scopes`).
Times are medians over runs of one image; the profiler itself adds some microseconds a kernel,
so they say where the time goes, not how long the model takes (`core.profiling.latency` does).

A layer's precision is the type that its kernel computed with, not the one that it is stored in.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from core.common.errors import EspalierError
from core.common.temporary import temporary_folder
from core.machine.jobs import ProgressCallback
from core.onnx_graph.layer_names import module_of
from core.profiling.counting import stored_bytes

if TYPE_CHECKING:
    import onnx

_WARM_RUNS = 10
_SECONDS, _MOST_RUNS, _FEWEST_RUNS = 1.5, 60, 10
_EVENT = "_kernel_time"
_MOVED = ("activation_size", "parameter_size", "output_size")
_ADDED = re.compile(r"(_nchwc|_token_\d+|_quant|_fused|/.*|\.\d+)$")  # what fusions write behind a name,
_BEFORE = re.compile(r"^(InsertedPrecisionFreeCast_|fused )+")  # and before it
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger",
             "MatMulInteger", "FusedConv", "FusedGemm", "FusedMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat",
             "MatMulNBits", "QAttention", "Attention")  # fmt: skip
_LAYOUT = (
    "ReorderInput",
    "ReorderOutput",
    "Transpose",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Identity",
    "SpaceToDepth",
)
_MOVING = (
    *_LAYOUT,
    "Slice",
    "Pad",
    "Concat",
    "Split",
    "Gather",
    "Expand",
    "Shape",
    "Resize",
)  # no arithmetic
_CONVERSION = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast")
_PRECISIONS = {
    "float": "float32", "float16": "float16", "bfloat16": "bfloat16", "double": "float64",
    "uint8": "int8", "int8": "int8", "int16": "int16", "uint16": "int16",
}  # fmt: skip
_INTEGER_OPS = ("ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat")
TOP = "(outside of all modules)"
CONVERSIONS, LAYOUT = "(conversions between precisions)", "(changes of memory layout)"


@dataclass(slots=True)
class _Row:
    """One layer while it is being collected."""

    layer: str
    nodes: list["onnx.NodeProto"] = field(default_factory=list)
    kernels: list[str] = field(default_factory=list)
    milliseconds: float = 0.0
    moved: int = 0
    precisions: Counter[str] = field(default_factory=Counter)


def profile(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: the layers of an ONNX file in the order in which they run.

    Args (as plain data):
        model: .onnx file. input_size: pixels a side. threads: inside an operator; 1 unless given.
        measure: False counts only, for a machine that is busy; True unless given.

    Returns: layers, a list of {layer, type, shape, output, params, nonzero_params, macs, weight_bytes (as
        stored), moved_bytes (what its kernels read and wrote for one image; None where not measured), ms
        (likewise), precision, kernels (names of the operations that ran), nodes (names of the file's nodes that it stands for), fallback}; total_ms, runs,
        threads; quantized (whether anything computed with integers); fallbacks: layers with weights
        that computed in floating point although others computed with integers.

    Raises:
        EspalierError: when the file cannot be read or run.
    """
    from core.onnx_graph.reading import read_onnx
    from core.onnx_graph.shared_weights import expand
    from core.profiling.counting import count_graph

    progress(0.0, "Counting parameters and MACs")
    path, size = Path(arguments["model"]), int(arguments["input_size"])
    threads = int(arguments.get("threads", 1))
    model = read_onnx(path)
    try:
        stored = _stored(model)
        expand(model)
    except Exception as error:
        raise EspalierError(
            f"The weights in {path.name} cannot be read.", "Run its stage again.", str(error)
        ) from error
    graph = LayerGraph(model, count_graph(model, size)["nodes"], stored)
    measured = arguments.get("measure", True)
    kernels, runs = measure(path, size, threads, progress) if measured else ([], 0)
    rows = _assigned(graph, kernels) if kernels else _planned(graph)
    layers = [graph.described(row) for row in rows]
    quantized = any(layer["precision"] == "int8" for layer in layers)
    for layer in layers:
        floats = quantized and layer["precision"] in ("float32", "float16") and layer["layer"] != CONVERSIONS
        layer["fallback"] = bool(floats and layer["arithmetic"])
    progress(1.0, "Measured the layers" if measured else "Counted the layers")
    return {
        "layers": layers,
        "total_ms": sum(layer["ms"] or 0.0 for layer in layers) if measured else None,
        "runs": runs,
        "threads": threads,
        "quantized": quantized,
        "fallbacks": [layer["layer"] for layer in layers if layer["fallback"] and layer["macs"]],
    }


# Measuring


@dataclass(frozen=True, slots=True)
class Kernel:
    """One operation that ran: its name after fusion, its type, median time, types and names of its inputs,
    and the bytes that it read and wrote."""

    name: str
    op: str
    milliseconds: float
    types: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    moved: int = 0


def measure(path: Path, size: int, threads: int, progress: ProgressCallback) -> tuple[list[Kernel], int]:
    """The kernels in their order, and over how many runs their medians are.

    Raises:
        EspalierError: when ONNX Runtime cannot open or run the file.
    """
    import onnx

    from core.profiling.runtimes.onnxruntime_cpu import OnnxSession, opened, options
    from core.profiling.session import noise

    with temporary_folder() as folder:
        profiled = options(threads)
        profiled.enable_profiling = True
        profiled.profile_file_prefix = str(folder / "profile")
        profiled.optimized_model_filepath = str(folder / "optimised.onnx")
        session = opened(path, profiled, ["CPUExecutionProvider"])
        model = OnnxSession(session)
        batch, *sides = model.shape
        runs = _run(model.bind(noise(tuple(side or size for side in sides)).repeat(batch or 1, 0)), progress)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        optimised = onnx.load(folder / "optimised.onnx", load_external_data=False)
    inputs = {node.name: tuple(node.input) for node in optimised.graph.node}
    return _medians(events, inputs), runs


def _run(run: Any, progress: ProgressCallback) -> int:
    """Warm up, then run for a while; how many runs came after the warm-up."""
    progress(0.2, "Warming up")
    for _ in range(_WARM_RUNS - 1):  # binding the images ran it once
        run()
    started, runs = time.perf_counter(), 0
    while runs < _FEWEST_RUNS or (runs < _MOST_RUNS and time.perf_counter() - started < _SECONDS):
        run()
        runs += 1
        progress(0.2 + 0.7 * runs / _MOST_RUNS, "Timing every layer")
    return runs


def _medians(events: list[dict[str, Any]], inputs: dict[str, tuple[str, ...]]) -> list[Kernel]:
    """Kernels in the order of their first run, with the median of the runs after the warm-up."""
    times: dict[str, list[float]] = {}
    about: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_EVENT):
            name = event["name"].removesuffix(_EVENT)
            times.setdefault(name, []).append(event["dur"] / 1e3)
            about.setdefault(name, event["args"])
    kernels = []
    for name, all_times in times.items():
        counted = all_times[_WARM_RUNS:] or all_times
        types = tuple(next(iter(entry), "") for entry in about[name].get("input_type_shape", []))
        moved = sum(int(about[name].get(part, 0)) for part in _MOVED)
        kernels.append(
            Kernel(name, about[name]["op_name"], median(counted), types, inputs.get(name, ()), moved)
        )
    return kernels


def _stored(model: "onnx.ModelProto") -> dict[str, int]:
    """Bytes that each weight takes in the file; a shared one is stored as codebook and indices."""
    sizes: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        sizes[tensor.name.removesuffix(".codebook").removesuffix(".indices")] += stored_bytes(tensor)
    return dict(sizes)


# From kernels to layers


class LayerGraph:
    """The file's nodes by name and by what they give, with what was counted on them."""

    def __init__(self, model: "onnx.ModelProto", counted: list[dict[str, Any]], stored: dict[str, int]):
        self.stored = stored
        self.nodes = list(model.graph.node)
        self.by_name = {node.name: node for node in self.nodes}
        self.producers = {name: node for node in self.nodes for name in node.output}
        self.counted = {entry["name"]: entry for entry in counted}
        self.shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        self.owners = {
            name: node for node in self.nodes if node.name in self.counted for name in self._constants(node)
        }

    def _constants(self, node: "onnx.NodeProto") -> Iterable[str]:
        """The constants that a node reads, directly or through what only stores them otherwise."""
        for name in node.input:
            while name not in self.shapes and name in self.producers:
                if self.producers[name].op_type not in (*_CONVERSION, *_LAYOUT):
                    break
                name = self.producers[name].input[0]
            if self.shapes.get(name):
                yield name

    def layer(self, node: "onnx.NodeProto") -> str:
        """The layer that a node belongs to: by its weight's name, or by the module it came from.

        A product of a foreign file, whose weight has no name of its own and no module, goes by the node's name.
        """
        counted_layer = self.counted.get(node.name, {}).get("layer", "")
        return counted_layer or module_of(node) or (node.name if node.name in self.counted else TOP)

    def anchor(self, kernel: Kernel) -> "onnx.NodeProto | None":
        """The node of the file that a kernel mostly stands for."""
        for name in kernel.inputs:
            if name in self.owners:
                return self.owners[name]
        name = _BEFORE.sub("", kernel.name)
        while name:
            producer = self.by_name.get(name) or self.producers.get(name)
            if producer is not None:
                return self._weighted_before(producer)
            shorter = _ADDED.sub("", name)
            if shorter == name:
                return None
            name = shorter
        return None

    def _weighted_before(self, node: "onnx.NodeProto") -> "onnx.NodeProto":
        """The layer with weights right before an activation that was fused into it."""
        first = node
        while node.name not in self.counted and node.op_type in _FUSABLE:
            before = self.producers.get(node.input[0])
            if before is None:
                return first
            node = before
        return node if node.name in self.counted else first

    def described(self, row: _Row) -> dict[str, Any]:
        """A row as plain data."""
        counted = [self.counted[node.name] for node in row.nodes if node.name in self.counted]
        main = next((node for node in row.nodes if node.name in self.counted), None)
        kind, shape = self.kind(main) if main is not None else (", ".join(_distinct(row)), "")
        output: list[int] = next((entry["output"] for entry in reversed(counted) if entry["output"]), [])
        precision = row.precisions.most_common(1)[0][0] if row.precisions else ""
        return {
            "layer": row.layer,
            "type": kind,
            "shape": shape,
            "output": output[1:],
            "params": sum(entry["params"] for entry in counted),
            "nonzero_params": sum(entry["nonzero_params"] for entry in counted),
            "macs": sum(entry["macs"] for entry in counted),
            "weight_bytes": sum(self.stored.get(name, 0) for name in self._weights(row)),
            "moved_bytes": row.moved if row.kernels else None,
            "ms": row.milliseconds if row.kernels else None,
            "precision": precision,
            "kernels": row.kernels,
            "nodes": [node.name for node in row.nodes],
            "arithmetic": bool(counted) or any(op not in (*_MOVING, *_CONVERSION) for op in row.kernels),
        }

    def _weights(self, row: _Row) -> set[str]:
        """Names of the constants that a row's layers with weights read."""
        return {name for node in row.nodes if node.name in self.counted for name in self._constants(node)}

    def kind(self, node: "onnx.NodeProto") -> tuple[str, str]:
        """Type and shape of a layer with weights, in words."""
        weight = max((self.shapes[name] for name in self._constants(node)), key=len, default=())
        attributes = {entry.name: entry for entry in node.attribute}
        if len(weight) == 4:
            groups = attributes["group"].i if "group" in attributes else 1
            sides = "×".join(str(side) for side in weight[2:])
            strides = tuple(attributes["strides"].ints) if "strides" in attributes else (1,)
            step = f", stride {strides[0]}" if max(strides) > 1 else ""
            word = "Depthwise conv" if groups > 1 and groups == weight[0] else "Conv"
            grouped = f", {groups} groups" if 1 < groups < weight[0] else ""
            return f"{word} {sides}", f"{weight[1] * groups} → {weight[0]}{grouped}{step}"
        if len(weight) == 2:
            across = "transB" in attributes and attributes["transB"].i
            inputs, outputs = (weight[1], weight[0]) if across else weight
            return "Linear", f"{inputs} → {outputs}"
        return node.op_type, "×".join(str(side) for side in weight)


_FUSABLE = (
    "Relu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "LeakyRelu", "Tanh", "Gelu", "QuantizeLinear",
    "DequantizeLinear", "BatchNormalization", "Add", "Mul", "Identity", "Cast",
)  # fmt: skip


def _assigned(graph: LayerGraph, kernels: list[Kernel]) -> list[_Row]:
    """Rows in the order in which their first kernel ran."""
    rows: dict[str, _Row] = {}
    for kernel in kernels:
        node = graph.anchor(kernel)
        if kernel.op.startswith("Reorder") or (node is None and kernel.op in _LAYOUT):
            name, node = LAYOUT, None
        elif kernel.op in _CONVERSION:
            name, node = CONVERSIONS, None
        else:
            name = graph.layer(node) if node is not None else kernel.name
        row = rows.setdefault(name, _Row(name))
        if node is not None and node not in row.nodes:
            row.nodes.append(node)
        row.kernels.append(kernel.op)
        row.milliseconds += kernel.milliseconds
        row.moved += kernel.moved
        precision = _precision(kernel)
        if precision:
            row.precisions[precision] += 1000 if kernel.op in _WEIGHTED else 1
    _add_unseen(graph, rows)
    return [rows.pop(name) for name in list(rows) if name not in (LAYOUT, CONVERSIONS)] + list(rows.values())


def _add_unseen(graph: LayerGraph, rows: dict[str, _Row]) -> None:
    """Layers with weights that no kernel was found for keep their counts."""
    seen = {id(node) for row in rows.values() for node in row.nodes}
    for node in graph.nodes:
        if node.name in graph.counted and id(node) not in seen:
            name = graph.layer(node)
            rows.setdefault(name, _Row(name)).nodes.append(node)


def _planned(graph: LayerGraph) -> list[_Row]:
    """Rows of what the file holds, where nothing was measured: layers with weights."""
    rows: dict[str, _Row] = {}
    _add_unseen(graph, rows)
    return list(rows.values())


def _precision(kernel: Kernel) -> str:
    """What a kernel computes with."""
    if kernel.op in _INTEGER_OPS:
        return "int8"
    if kernel.op == "MatMulNBits":
        return "int4"
    return next((_PRECISIONS[each] for each in kernel.types if each in _PRECISIONS), "")


def _distinct(row: _Row) -> list[str]:
    """The operations of a row without weights, each once."""
    return list(dict.fromkeys(row.kernels)) or [node.op_type for node in row.nodes]
