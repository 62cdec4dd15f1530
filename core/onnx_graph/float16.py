"""A float32 graph in half precision, by onnxconverter-common, with what that library leaves to its caller.

Beside the operators that have no form in half precision, whatever computes sizes stays float32: half precision
has no whole numbers beyond 2048.
"""

import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of
from core.onnx_graph.reading import graphs_of, sort_nodes, tensors_of

if TYPE_CHECKING:
    import onnx

QUANTIZED_TYPES = {
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QLinearConv",
    "QLinearMatMul", "QGemm", "QLinearAdd", "QLinearGlobalAveragePool", "MatMulNBits",
}  # fmt: skip
_FLOAT, _HALF = 1, 10  # ONNX's numbers of the types
_LARGEST, _SMALLEST = 65504.0, 1e-7
_SIZES = {"Shape", "Size"}


def check_float(model: "onnx.ModelProto") -> None:
    """See that a graph computes in float32.

    Raises:
        EspalierError: when it is quantized or in half precision already.
    """
    kinds = {node.op_type for graph in graphs_of(model.graph) for node in graph.node} & QUANTIZED_TYPES
    if kinds:
        raise EspalierError(
            f"Expected a float32 graph, received a file that is quantized already ({', '.join(sorted(kinds))}).",
            "Let this stage follow the network itself, not a quantized file.",
        )
    widened = _only_widened(model)
    types = {tensor.data_type for tensor in tensors_of(model) if tensor.dims and tensor.name not in widened}
    others = {_HALF: "half precision", 11: "double precision", 16: "bfloat16"}
    for number, words in others.items():
        if number in types:
            raise EspalierError(
                f"Expected a float32 graph, received a file that holds {words} weights.",
                f"Let this stage follow the network itself, not a {words} file.",
            )


def _only_widened(model: "onnx.ModelProto") -> set[str]:
    """Constants that the graph only reads to make them float32: stored smaller, and computed with in float32."""
    widened = {node.input[0] for node in model.graph.node if _casts_to(node, _FLOAT)}
    others = {
        name
        for graph in graphs_of(model.graph)
        for node in graph.node
        if not _casts_to(node, _FLOAT)
        for name in node.input
    }
    return widened - others


def half_of(model: "onnx.ModelProto", keep: Collection[str] = ()) -> "onnx.ModelProto":
    """The graph in half precision; input and output stay float32.

    Weights beyond ±65504 become that; ones closer to zero than 1e-7 become ±1e-7.

    Args:
        model: a float32 graph (`check_float`); changed.
        keep: further operators that stay float32.

    Raises:
        EspalierError: when the library has no form for it.
    """
    from onnxconverter_common import float16

    name_nodes(model)
    operators = {*float16.DEFAULT_OP_BLOCK_LIST, *keep}
    sizes = _size_computations(model)
    kept = {node.name for node in model.graph.node if node.op_type in operators or node.name in sizes}
    _cast_to_half(model, kept)
    _own_constants(model, kept)
    metadata = list(model.metadata_props)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a line per weight that is rounded to the smallest half
            converted = float16.convert_float_to_float16(
                model, min_positive_val=_SMALLEST, max_finite_val=_LARGEST, keep_io_types=True,
                op_block_list=sorted(operators), node_block_list=sorted(sizes), check_fp16_ready=False,
            )  # fmt: skip
    except Exception as error:
        raise EspalierError(
            f"The graph has no half precision form that can be made here: {reason_of(error)}.",
            "Leave this stage out, or export the network again.",
            repr(error),
        ) from error
    _without_detours(converted)
    sort_nodes(converted)  # the library's order overlooks what is read inside of branches and loops
    if not converted.metadata_props:
        converted.metadata_props.extend(metadata)
    return converted


def name_nodes(model: "onnx.ModelProto") -> None:
    """Give every node a name of its own: exclusions and new values go by name."""
    taken = {node.name for node in model.graph.node}
    seen: set[str] = set()
    for node in model.graph.node:
        if not node.name or node.name in seen:
            number, base = 1, node.name or node.op_type
            while f"{base}_{number}" in taken:
                number += 1
            node.name = f"{base}_{number}"
            taken.add(node.name)
        seen.add(node.name)


def _size_computations(model: "onnx.ModelProto") -> set[str]:
    """Names of the nodes that compute with sizes and constants alone."""
    constants = {tensor.name for tensor in model.graph.initializer} | {""}
    sizes: set[str] = set()
    names = set()
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants.update(node.output)
        elif node.op_type in _SIZES:
            sizes.update(node.output)
        elif set(node.input) & sizes and set(node.input) <= sizes | constants:
            sizes.update(node.output)
            names.add(node.name)
    return names


def _cast_to_half(model: "onnx.ModelProto", kept: Collection[str]) -> None:
    """Let what the graph itself makes float32 become half precision, in nodes that do not stay as they are."""
    for node in model.graph.node:
        if node.name in kept:
            continue
        for entry in node.attribute:
            if (node.op_type, entry.name) in _TYPE_SETTINGS and entry.i == _FLOAT:
                entry.i = _HALF


_TYPE_SETTINGS = {("Cast", "to"), ("EyeLike", "dtype"), ("RandomNormal", "dtype"), ("RandomUniform", "dtype")}


def _own_constants(model: "onnx.ModelProto", kept: Collection[str]) -> None:
    """Give nodes that stay float32 constants of their own, where others read the same."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == _FLOAT}
    elsewhere = {name for node in model.graph.node if node.name not in kept for name in node.input}
    copied: set[str] = set()
    for node in model.graph.node:
        for index, name in enumerate(node.input if node.name in kept else ()):
            if name not in constants or name not in elsewhere:
                continue
            node.input[index] = f"{name}/float32"
            if name not in copied:
                fresh = model.graph.initializer.add()
                fresh.CopyFrom(constants[name])
                fresh.name = f"{name}/float32"
                copied.add(name)


def _without_detours(model: "onnx.ModelProto") -> None:
    """Let float32 nodes read what float32 nodes gave, where the value went through half precision between them."""
    givers: dict[str, Any] = {name: node for node in model.graph.node for name in node.output}
    types = _types(model)
    origin: dict[str, str] = {}
    for node in model.graph.node:
        before = givers.get(node.input[0]) if _casts_to(node, _FLOAT) else None
        if before is not None and _casts_to(before, _HALF) and types.get(before.input[0]) == _FLOAT:
            origin[node.output[0]] = before.input[0]
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = origin.get(name, name)
    outputs = {entry.name for entry in model.graph.output}
    while True:
        read = {
            name for graph in graphs_of(model.graph) for node in graph.node for name in node.input
        } | outputs
        idle = [node for node in model.graph.node if node.op_type == "Cast" and node.output[0] not in read]
        if not idle:
            return
        for node in idle:
            model.graph.node.remove(node)


def _casts_to(node: "onnx.NodeProto", kind: int) -> bool:
    return node.op_type == "Cast" and any(entry.name == "to" and entry.i == kind for entry in node.attribute)


def _types(model: "onnx.ModelProto") -> dict[str, int]:
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    return {entry.name: entry.type.tensor_type.elem_type for entry in values}
