"""Dynamic INT8: weights are integers, every activation finds its own range while the network runs.

x → DynamicQuantizeLinear → ConvInteger or MatMulInteger → × (scale of x · scale of each channel).
Needs no calibration images. Weights are symmetric per output channel, in convolutions too: ONNX
Runtime's own tool quantizes those per tensor, which ruins depthwise networks. Convolutions hold
them as unsigned numbers around 128: ONNX Runtime's ConvInteger is 4 times slower on signed ones.

Measured, batch 1, one thread, against float: ConvNeXt-tiny takes 0.25 of the time with its linear layers
as integers, and 1.8 with its convolutions too; ResNet-56 takes 2.8 times as long. So convolutions are
a choice for small files, not for speed.

Source: ONNX Runtime's quantization; Krishnamoorthi 2018, arXiv 1806.08342 (per-channel weights).
A job of the tool child.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.deploy.onnx_export import metadata_of
from core.deploy.quantization.graph import (
    LAYER_TYPES,
    Layer,
    array_of,
    finish,
    layers_of,
    matching,
    parameter_count,
    prepare,
    put_array,
)
from core.machine.jobs import ProgressCallback
from core.onnx_graph.reading import names_read

if TYPE_CHECKING:
    import onnx

_LARGEST = 127
_MIDDLE = 128  # the zero of a convolution's unsigned weights


def quantize(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: a dynamic INT8 copy of a float32 ONNX file.

    Args (as plain data):
        source, target: .onnx files. scope: "linear" or "all" (convolutions too).
        keep: patterns of layers that stay float.

    Returns: quantized (layers by type), layers, quantized_layers, parameters, int8_parameters,
        skipped (name and reason), seconds.

    Raises:
        EspalierError: when the file is no float32 graph, or a pattern names no layer.
    """
    import onnx

    started = time.monotonic()
    progress(0.0, "Preparing the graph")
    source = Path(arguments["source"])
    original, model = onnx.load(source), prepare(source)
    layers = layers_of(model)
    float_layers = matching(layers, arguments.get("keep", ()))
    types = LAYER_TYPES if arguments["scope"] == "all" else ("Gemm", "MatMul")
    progress(0.5, "Quantizing")
    done, skipped = [], []
    for layer in layers:
        reason = _reason_to_skip(model, layer, types, float_layers)
        if reason:
            skipped.append((layer.name, reason))
        else:
            done.append(layer)
    parameters = parameter_count(model)
    _rewrite(model, done)
    finish(model, metadata_of(original), "int8", Path(arguments["target"]))
    progress(1.0, "Quantized")
    return {
        "quantized": {
            op: sum(layer.op == op for layer in done) for op in sorted({layer.op for layer in done})
        },
        "layers": len(layers),
        "quantized_layers": len(done),
        "parameters": parameters,
        "int8_parameters": sum({layer.weight: layer.constants[layer.weight] for layer in done}.values()),
        "skipped": skipped,
        "seconds": time.monotonic() - started,
    }


def _reason_to_skip(
    model: "onnx.ModelProto", layer: Layer, types: tuple[str, ...], float_layers: dict[str, str]
) -> str:
    if layer.op not in types:
        return "a convolution, outside the scope 'linear'"
    if layer.name in float_layers:
        return f"kept in float by {float_layers[layer.name]!r}"
    if array_of(model, layer.weight).ndim < 2:
        return "its weights are no matrix"
    [node] = [node for node in model.graph.node if node.name == layer.node]
    plain = all(_attribute(node, name, 1.0) == 1.0 for name in ("alpha", "beta"))
    if layer.op == "Gemm" and (not plain or _attribute(node, "transA", 0)):
        return "a product with factors or a transposed input"
    return ""


def _attribute(node: "onnx.NodeProto", name: str, default: float) -> float:
    return next(
        (entry.f if entry.type == 1 else entry.i for entry in node.attribute if entry.name == name), default
    )


def _rewrite(model: "onnx.ModelProto", layers: list[Layer]) -> None:
    """Replace the layers' nodes by integer ones, in place."""
    from onnx import numpy_helper

    chosen = {layer.node: layer for layer in layers}
    nodes: list[onnx.NodeProto] = []
    measured: set[str] = set()
    for node in model.graph.node:
        if node.name not in chosen:
            nodes.append(node)
            continue
        if node.input[0] not in measured:
            measured.add(node.input[0])
            nodes.append(_range_finder(node.input[0]))
        weight, scale = integer_weight(
            array_of(model, node.input[1]), node.op_type, bool(_attribute(node, "transB", 0))
        )
        name = node.input[1]
        put_array(model, f"{name}_int8", weight)
        put_array(model, f"{name}_zero", np.array(_MIDDLE if weight.dtype == np.uint8 else 0, weight.dtype))
        put_array(model, f"{name}_scale", scale)
        nodes += _integer_layer(model, node, scale.ndim)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = names_read(model)
    used_tensors = [tensor for tensor in model.graph.initializer if tensor.name in used]
    arrays = [numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name) for tensor in used_tensors]
    del model.graph.initializer[:]
    model.graph.initializer.extend(arrays)


def integer_weight(weight: np.ndarray, op: str, transposed: bool) -> tuple[np.ndarray, np.ndarray]:
    """8-bit weights (uint8 of a convolution) and each output channel's float32 scale, shaped for the answer.

    Args:
        weight: [o, c, h, w] of a convolution; [i, o] of a product, or [o, i] where `transposed`.
    """
    if op == "Conv":
        axes, shape = tuple(range(1, weight.ndim)), (1, -1, *[1] * (weight.ndim - 2))
    else:
        weight = weight.T if transposed else weight
        axes, shape = (weight.ndim - 2,), (-1,)
    scale = np.abs(weight).max(axes, keepdims=True).astype(np.float64) / _LARGEST
    scale[scale < np.finfo(np.float32).tiny] = 1.0
    integers = np.clip(np.round(weight / scale), -_LARGEST, _LARGEST).astype(np.int16)
    integers = (integers + _MIDDLE).astype(np.uint8) if op == "Conv" else integers.astype(np.int8)
    return np.ascontiguousarray(integers), scale.astype(np.float32).reshape(shape)


def _range_finder(tensor: str) -> "onnx.NodeProto":
    from onnx import helper

    names = [f"{tensor}_uint8", f"{tensor}_range_scale", f"{tensor}_range_zero"]
    return helper.make_node("DynamicQuantizeLinear", [tensor], names, name=f"{tensor}_range")


def _integer_layer(model: "onnx.ModelProto", node: "onnx.NodeProto", rank: int) -> list["onnx.NodeProto"]:
    """The nodes that stand for a convolution or product; `rank` of the scale."""
    from onnx import TensorProto, helper

    entry, weight, name = node.input[0], node.input[1], node.name
    attributes = {
        new_node.name: helper.get_attribute_value(new_node)
        for new_node in node.attribute
        if node.op_type == "Conv"
    }
    bias = node.input[2] if len(node.input) > 2 else ""
    scaled = f"{name}_scaled" if bias else node.output[0]
    nodes = [
        helper.make_node(
            "ConvInteger" if node.op_type == "Conv" else "MatMulInteger",
            [f"{entry}_uint8", f"{weight}_int8", f"{entry}_range_zero", f"{weight}_zero"], [f"{name}_int32"], name=name, **attributes,
        ),
        helper.make_node("Cast", [f"{name}_int32"], [f"{name}_float"], name=f"{name}_cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{entry}_range_scale", f"{weight}_scale"], [f"{name}_factor"], name=f"{name}_factors"),
        helper.make_node("Mul", [f"{name}_float", f"{name}_factor"], [scaled], name=f"{name}_scaling"),
    ]  # fmt: skip
    if bias:
        values = array_of(model, bias).reshape((1, -1, *[1] * (rank - 2)) if rank > 1 else (-1,))
        put_array(model, f"{name}_bias", values)
        nodes.append(
            helper.make_node("Add", [scaled, f"{name}_bias"], [node.output[0]], name=f"{name}_shift")
        )
    for new_node in nodes:
        new_node.metadata_props.extend(node.metadata_props)
    return nodes
