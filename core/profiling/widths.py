"""Networks of one build at other widths, made from one exported file and timed; a job of the measuring child.

How long a network takes does not depend on its weights, only on their shapes. So the exported file
is written again with random weights of the requested shapes: that takes a fraction of a second, where
cutting and exporting the network takes ten. ONNX only; no torch. `s` pixels a side.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.errors import EspalierError
from core.common.temporary import temporary_folder
from core.machine.jobs import ProgressCallback
from core.onnx_graph.layer_names import module_of
from core.profiling.per_layer import profile
from core.profiling.protocol import Block
from core.profiling.session import noise, time_block

if TYPE_CHECKING:
    import onnx

_BLOCK = {"runs": 8, "seconds": 0.15, "limit": 5.0, "warm_limit": 0.5}  # of the whole network
_FOLDED = "_bias"  # what the exporter writes behind a weight's name when it folds a norm into it
_STATISTICS = (".running_mean", ".running_var")


def time_widths(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: time a network's layers, and the whole of it, at several widths.

    A machine is not always equally fast. So the network as it is in the file is timed before and after
    each of the others, and all times are brought to its median pace.

    Args (as plain data):
        model: .onnx file, float32. input_size: s.
        widths: for each network the shapes of its parameters by name, as far as they differ from
            the file's; an empty mapping is the file's own.

    Returns: networks, for each {layers: ms by path, rest: ms, milliseconds}; values: by path, how many
        values each layer gives for one image at the first of the widths.

    Raises:
        EspalierError: when the file cannot be given other widths.
    """
    import onnx

    path, size = Path(arguments["model"]), int(arguments["input_size"])
    widths: Sequence[Mapping[str, Sequence[int]]] = arguments["widths"]
    model = onnx.load(path)
    networks: list[dict[str, Any]] = []
    values: dict[str, int] = {}
    with temporary_folder() as folder:
        file, sample = folder / "resized.onnx", folder / "sample.npy"
        channels = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value or 3
        np.save(sample, noise((channels, size, size)))
        paces = [_milliseconds(path, sample)]
        for number, shapes in enumerate(widths):
            progress(number / len(widths), f"Timing the layers at {len(widths)} widths")
            onnx.save(resized(model, shapes), file)
            rows = profile({"model": str(file), "input_size": size}, lambda done, text: None)["layers"]
            values = values or {row["layer"]: math.prod(row["output"]) for row in rows if row["macs"]}
            networks.append({**_times(rows), "milliseconds": _milliseconds(file, sample)})
            paces.append(_milliseconds(path, sample))
    progress(1.0, "Timed the layers")
    usual = float(np.median(paces))
    return {
        "networks": [
            _scaled(network, 2 * usual / (before + after))
            for network, before, after in zip(networks, paces, paces[1:], strict=False)
        ],
        "values": values,
    }


def _milliseconds(file: Path, sample: Path) -> float:
    """Of the whole network, without a profiler."""
    arguments = {"model": str(file), "sample": str(sample), "threads": 1, **_BLOCK}
    return 1e3 * Block.from_answer(time_block(arguments, lambda done, text: None)).median


def _times(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Milliseconds of the layers with weights by path, and of everything else."""
    layers = {row["layer"]: row["ms"] for row in rows if row["macs"] and row["ms"] is not None}
    return {"layers": layers, "rest": sum(row["ms"] or 0.0 for row in rows if row["layer"] not in layers)}


def _scaled(network: dict[str, Any], factor: float) -> dict[str, Any]:
    """The same times on a machine that is `factor` times as slow."""
    layers = {path: factor * ms for path, ms in network["layers"].items()}
    return {"layers": layers, **{name: factor * network[name] for name in ("rest", "milliseconds")}}


def resized(model: "onnx.ModelProto", shapes: Mapping[str, Sequence[int]]) -> "onnx.ModelProto":
    """A copy whose parameters have these shapes and random values; groups of convolutions follow.

    Args:
        shapes: by the parameter's name in the network; those left out keep theirs.

    Raises:
        EspalierError: when a parameter of the network is not in the file under its name.
    """
    import onnx
    from onnx import numpy_helper

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    tensors = {tensor.name: tensor for tensor in copy.graph.initializer}
    before = {name: tuple(tensor.dims) for name, tensor in tensors.items()}
    shapes = {**shapes, **_turned(copy, shapes, before)}
    numbers = np.random.default_rng(0)
    for name, tensor in tensors.items():
        shape = _shape_of(name, before[name], shapes)
        if shape != before[name]:
            tensor.CopyFrom(numpy_helper.from_array(_values(shape, name, numbers), name))
    _regroup(copy, before)
    _free_reshapes(copy, tensors)
    return copy


def _turned(
    model: "onnx.ModelProto", shapes: Mapping[str, Sequence[int]], before: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Shapes of linear layers' weights that the exporter wrote as [in, out], by their name in the file."""
    turned: dict[str, tuple[int, ...]] = {}
    present = set(before)
    for node in model.graph.node:
        name = f"{module_of(node)}.weight"
        if node.op_type == "MatMul" and node.input[1] in before and name in shapes and name not in before:
            turned[node.input[1]] = tuple(shapes[name])[::-1]
            present.add(name)
    strange = [name for name, shape in shapes.items() if len(shape) > 1 and name not in present]
    if strange:
        raise EspalierError(
            f"Expected the file to hold {strange[0]} as the network does; its layers cannot be given other widths.",
            "The latency of this network is known after the run.",
        )
    return turned


def _shape_of(name: str, before: tuple[int, ...], shapes: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    if name in shapes:
        return tuple(shapes[name])
    if name.endswith(_FOLDED) and name.removesuffix(_FOLDED) in shapes:
        return (shapes[name.removesuffix(_FOLDED)][0],)
    for ending in _STATISTICS:
        weight = f"{name.removesuffix(ending)}.weight"
        if name.endswith(ending) and weight in shapes:
            return tuple(shapes[weight])
    return before


def _values(shape: tuple[int, ...], name: str, numbers: np.random.Generator) -> np.ndarray:
    """Numbers that neither vanish nor grow from layer to layer: denormal ones would be slow."""
    if len(shape) < 2:
        return np.zeros(shape, np.float32) if name.endswith("bias") else np.ones(shape, np.float32)
    spread = math.sqrt(2.0 / math.prod(shape[1:]))
    return (spread * numbers.standard_normal(shape, dtype=np.float32)).astype(np.float32)


def _regroup(model: "onnx.ModelProto", before: Mapping[str, tuple[int, ...]]) -> None:
    """Depthwise convolutions have as many groups as channels."""
    after = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Conv" or node.input[1] not in before:
            continue
        old, new = before[node.input[1]], after[node.input[1]]
        for attribute in node.attribute:
            if attribute.name == "group" and attribute.i > 1 and old[1] == 1:
                attribute.i = new[0] // (old[0] // attribute.i)


def _free_reshapes(model: "onnx.ModelProto", tensors: Mapping[str, "onnx.TensorProto"]) -> None:
    """Let [batch, features] follow the features: the exporter writes their number down."""
    from onnx import numpy_helper

    for node in model.graph.node:
        if node.op_type == "Reshape" and node.input[1] in tensors:
            tensor = tensors[node.input[1]]
            if tuple(tensor.dims) == (2,):
                tensor.CopyFrom(numpy_helper.from_array(np.asarray([1, -1], np.int64), tensor.name))
