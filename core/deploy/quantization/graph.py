"""An ONNX graph as quantization sees it: prepared, and with its layers named as the network names them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of
from core.common.temporary import temporary_folder, working_in
from core.deploy.onnx_export import annotate, metadata_of, save_checked
from core.onnx_graph.float16 import check_float, name_nodes
from core.onnx_graph.layer_names import module_of
from core.onnx_graph.pool_padding import with_own_padding
from core.onnx_graph.reading import graphs_of, opset_of, read_onnx
from core.onnx_graph.standard_form import in_opset

if TYPE_CHECKING:
    import numpy as np
    import onnx

LAYER_TYPES = ("Conv", "Gemm", "MatMul")
ACTIVATION_TYPES = ("Relu", "Clip")  # an unsigned range that begins at 0 contains them
_OLDEST = 13  # the operator set in which integers have a scale for every channel
_FUSED = re.compile(r"^(Conv\w+Fusion_W_)+")  # what ONNX Runtime puts before the name of a weight it merged
_NOT_OURS = ("onnx.infer", "onnx.quant.pre_process")  # metadata that ONNX Runtime adds for its own use


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or matrix product with constant weights.

    Attributes:
        name: the module's path ("body.layer1.0.conv1"); the node's name where the file gives none.
        node: the node's name. op: its type. weight: name of its constant.
        nodes: names of the node and of the Relu or Clip that it alone feeds.
        input: the tensor that it reads. output: what it gives, after that Relu or Clip.
        raw: what it gives before.
        constants: how many numbers its weights and biases have, by name; layers may share them.
    """

    name: str
    node: str
    op: str
    weight: str
    nodes: tuple[str, ...]
    input: str
    output: str
    raw: str
    constants: dict[str, int]


def prepare(source: Path, opset: int = _OLDEST) -> "onnx.ModelProto":
    """The float graph ready for quantization: shapes inferred, batch norms folded, nodes named.

    Nodes still tell the modules that they came from, which ONNX Runtime drops when it writes a graph.

    Args:
        opset: the oldest operator set that the result may be written in; an older graph is brought up to it.

    Raises:
        EspalierError: when the file cannot be read, or is no float32 graph any more.
    """
    import onnx
    from onnxruntime.quantization.quant_utils import save_and_reload_model_with_shape_infer
    from onnxruntime.quantization.shape_inference import quant_pre_process

    original = read_onnx(source)
    check_float(original)
    source = source.absolute()
    with temporary_folder() as folder, working_in(folder):  # incomplete symbolic shapes are saved there
        path = folder / "prepared.onnx"
        if opset_of(original) < opset:
            converted = in_opset(original, opset)
            _remember_modules(converted, original)
            original = converted
            source = folder / source.name
            onnx.save(original, source)
        try:
            quant_pre_process(source, path)
        except Exception:  # symbolic shapes are a help that ONNX's own inference can do without
            try:
                quant_pre_process(source, path, skip_symbolic_shape=True)
            except Exception as error:
                raise EspalierError(
                    f"{source.name} could not be prepared for quantization: {reason_of(error)}.",
                    "Export the network again.",
                    str(error),
                ) from error
        model = onnx.load(path)
    name_nodes(model)
    with_own_padding(model)
    _remember_modules(model, original)
    _keep_used_domains(model)
    del model.metadata_props[:]
    annotate(model, metadata_of(original))
    return save_and_reload_model_with_shape_infer(model)


def _remember_modules(model: "onnx.ModelProto", original: "onnx.ModelProto") -> None:
    """Give nodes the metadata of those that gave the same tensor, or had the same name, in the original."""
    by_output = {name: node for node in original.graph.node for name in node.output}
    by_name = {node.name: node for node in original.graph.node}
    for node in model.graph.node:
        source = by_output.get(node.output[0]) or by_name.get(node.name)
        if source is not None:
            del node.metadata_props[:]
            node.metadata_props.extend(source.metadata_props)


def _keep_used_domains(model: "onnx.ModelProto") -> None:
    """Drop the operator sets that ONNX Runtime lists and nothing uses."""
    used = {node.domain for graph in graphs_of(model.graph) for node in graph.node} | {""}
    opsets = [entry for entry in model.opset_import if entry.domain in used]
    names = [(entry.domain, entry.version) for entry in opsets]
    del model.opset_import[:]
    for domain, version in names:
        model.opset_import.add(domain=domain, version=version)


def layers_of(model: "onnx.ModelProto") -> list[Layer]:
    """The layers of a prepared graph in its order."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    consumers = consumers_of(model)
    outputs = {value.name for value in graph.output}
    layers: list[Layer] = []
    names: set[str] = set()
    for node in graph.node:
        if node.op_type not in LAYER_TYPES or node.input[1] not in constants:
            continue
        name = _layer_name(node)
        name = name if name not in names else f"{name} ({node.name})"
        names.add(name)
        raw = node.output[0]
        after = consumers.get(raw, [])
        fused = len(after) == 1 and after[0].op_type in ACTIVATION_TYPES and raw not in outputs
        sizes = {each: _size(constants[each]) for each in node.input[1:] if each in constants}
        layers.append(Layer(
            name, node.name, node.op_type, node.input[1],
            (node.name, after[0].name) if fused else (node.name,),
            node.input[0], after[0].output[0] if fused else raw, raw, sizes,
        ))  # fmt: skip
    return layers


def consumers_of(model: "onnx.ModelProto") -> dict[str, list["onnx.NodeProto"]]:
    """By tensor, the nodes that read it."""
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    return consumers


def _layer_name(node: "onnx.NodeProto") -> str:
    """The weight's name without ".weight"; matrix products lose it, but they know their module."""
    weight = _FUSED.sub("", node.input[1])
    return weight.removesuffix(".weight") if weight.endswith(".weight") else module_of(node) or node.name


def _size(tensor: "onnx.TensorProto") -> int:
    count = 1
    for dimension in tensor.dims:
        count *= dimension
    return count


def parameter_count(model: "onnx.ModelProto") -> int:
    """Numbers in the graph's float32 constants, limits and factors of one number left out."""
    return sum(_size(tensor) for tensor in model.graph.initializer if tensor.data_type == 1 and tensor.dims)


def array_of(model: "onnx.ModelProto", name: str) -> "np.ndarray":
    """A constant's values, writable."""
    from onnx import numpy_helper

    return numpy_helper.to_array(constant(model, name)).copy()


def put_array(model: "onnx.ModelProto", name: str, values: "np.ndarray") -> None:
    """Replace a constant's values, or add the constant."""
    from onnx import numpy_helper

    fresh = numpy_helper.from_array(values, name)
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(fresh)
            return
    model.graph.initializer.append(fresh)


def constant(model: "onnx.ModelProto", name: str) -> "onnx.TensorProto":
    """The constant called `name`.

    Raises:
        KeyError: when there is none.
    """
    for tensor in model.graph.initializer:
        if tensor.name == name:
            return tensor
    raise KeyError(name)


def node_called(model: "onnx.ModelProto", name: str) -> "onnx.NodeProto":
    """The node called `name`.

    Raises:
        KeyError: when there is none.
    """
    for node in model.graph.node:
        if node.name == name:
            return node
    raise KeyError(name)


def copy_of(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """A graph of its own: ONNX Runtime's quantizers change what they are given."""
    copied = type(model)()
    copied.CopyFrom(model)
    return copied


def matching(layers: Iterable[Layer], patterns: Iterable[str]) -> dict[str, str]:
    """By name, the layers that a pattern (`fnmatch`) names, and the pattern.

    Raises:
        EspalierError: when a pattern names no layer.
    """
    layers = list(layers)
    matches: dict[str, str] = {}
    for pattern in patterns:
        hits = [layer.name for layer in layers if fnmatchcase(layer.name, pattern) or layer.node == pattern]
        if not hits:
            some = ", ".join(layer.name for layer in layers[:4])
            raise EspalierError(
                f"Expected names of layers to keep in float, {pattern!r} matches none.",
                f"Names look like {some}; * stands for any text.",
            )
        matches.update({name: pattern for name in hits if name not in matches})
    return matches


def finish(model: "onnx.ModelProto", metadata: dict[str, str], precision: str, target: Path) -> None:
    """Write the graph with the source's metadata and its own precision.

    Raises:
        EspalierError: when the graph breaks a rule of ONNX.
    """
    del model.graph.value_info[:]
    annotate(
        model,
        {key: text for key, text in metadata.items() if key not in _NOT_OURS} | {"precision": precision},
    )
    save_checked(model, target)
