"""Weights that take few values, stored in an ONNX file as a codebook and small indices.

Source: Han, Mao, Dally 2016, arXiv 1510.00149, section 3. A weight w becomes
Gather(codebook, Cast(indices)): indices of 4 bits for up to 16 values where the file's operator set
has them (21 and later), else of 8 bits for up to 256. ONNX Runtime computes this once, when it opens
the file, and from there on runs what it would have run: latency does not change, memory gets no smaller.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import onnx

OPSET = 21  # the first with 4-bit integers
_OVERHEAD = 300  # bytes that two nodes and the names take


@dataclass(frozen=True, slots=True)
class Compacted:
    """What `compact` did: weights stored as indices, and the bytes of their values before and after."""

    tensors: int
    before: int
    after: int


def compact(model: "onnx.ModelProto", only: Collection[str] | None = None) -> Compacted:
    """Store the float32 weights that take at most 256 values as codebook and indices, in place; int8 ones of at most 16.

    Weights that would not get smaller stay. Names of values do not change.

    Args:
        only: names of the weights that may be stored so; None means all of float32.
    """
    from onnx import TensorProto, helper, numpy_helper

    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    initialisers, nodes, before, after = [], [], 0, 0
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        wanted = array.dtype == "float32" if only is None else tensor.name in only
        stored = _stored(tensor.name, array, opset) if wanted and array.ndim else []
        size = sum(len(part.raw_data) for part in stored)
        if not stored or size + _OVERHEAD >= array.nbytes:
            initialisers.append(tensor)
            continue
        initialisers += stored
        codebook, indices = (part.name for part in stored)
        cast = f"{tensor.name}.cast"
        nodes += [
            helper.make_node("Cast", [indices], [cast], cast, to=TensorProto.INT32),
            helper.make_node("Gather", [codebook, cast], [tensor.name], f"{tensor.name}.gather"),
        ]
        before, after = before + array.nbytes, after + size
    _replace(model.graph.initializer, initialisers)
    _replace(model.graph.node, [*nodes, *model.graph.node])
    return Compacted(len(nodes) // 2, before, after)


def expand(model: "onnx.ModelProto") -> int:
    """Write the weights that `compact` stored as indices out again, in place; how many there were.

    For whatever looks for weights in the file: counting, quantization.
    """
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    casts = {node.output[0]: node for node in model.graph.node if node.op_type == "Cast"}
    written, gone, used = [], [], set[str]()
    for node in model.graph.node:
        if node.op_type != "Gather" or not _is_stored_weight(node, tensors, casts):
            continue
        cast = casts[node.input[1]]
        codebook, indices = (numpy_helper.to_array(tensors[name]) for name in (node.input[0], cast.input[0]))
        written.append(numpy_helper.from_array(codebook[indices.astype("int64")], node.output[0]))
        gone += [node, cast]
        used |= {node.input[0], cast.input[0]}
    _replace(
        model.graph.initializer,
        [*(tensor for tensor in model.graph.initializer if tensor.name not in used), *written],
    )
    for node in gone:
        model.graph.node.remove(node)
    return len(written)


def _is_stored_weight(
    node: "onnx.NodeProto", tensors: dict[str, "onnx.TensorProto"], casts: dict[str, "onnx.NodeProto"]
) -> bool:
    name = node.output[0]
    return (
        list(node.input) == [f"{name}.codebook", f"{name}.cast"]
        and node.input[0] in tensors
        and node.input[1] in casts
        and casts[node.input[1]].input[0] in tensors
    )


def _stored(name: str, array: "np.ndarray", opset: int) -> "list[onnx.TensorProto]":
    """Codebook and indices of an array; nothing where it takes more than 256 values.

    Two indices of 4 bits share a byte, the first in the lower half.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    values, inverse = np.unique(array, return_inverse=True)
    if len(values) > 256:
        return []
    codebook = numpy_helper.from_array(values, f"{name}.codebook")
    indices = inverse.astype(np.uint8).reshape(array.shape)
    if len(values) > 16 or opset < OPSET:
        return [codebook, numpy_helper.from_array(indices, f"{name}.indices")]
    flat = np.append(indices.reshape(-1), np.zeros(indices.size % 2, np.uint8))
    packed = (flat[0::2] | (flat[1::2] << 4)).tobytes()
    return [codebook, helper.make_tensor(f"{name}.indices", TensorProto.UINT4, array.shape, packed, raw=True)]


def _replace(field: Any, content: Iterable[Any]) -> None:
    """Give a repeated field of a protobuf message other content."""
    content = list(content)
    del field[:]
    field.extend(content)
