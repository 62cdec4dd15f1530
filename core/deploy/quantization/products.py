"""Linear layers and 1×1 convolutions written as plain matrix products, which changes no answer.

ONNX Runtime has 4-bit arithmetic for MatMul alone, with weights [c, o]. A Gemm becomes a MatMul and an addition; a 1×1
convolution of stride 1 is a linear layer over the channels, so that it becomes the same between two transpositions (ConvNeXt's
smaller networks in timm write the linear layers of the paper as such convolutions).
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from core.deploy.quantization.graph import Layer, array_of, copy_of, put_array
from core.onnx_graph.reading import names_read, settings_of

if TYPE_CHECKING:
    import onnx

_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # channels behind and in front of height and width


def as_products(prepared: "onnx.ModelProto", layers: list[Layer], pointwise: bool) -> "onnx.ModelProto":
    """The same graph with its linear layers as MatMul.

    Args:
        pointwise: 1×1 convolutions too.
    """
    from onnxruntime.quantization.quant_utils import save_and_reload_model_with_shape_infer

    model = copy_of(prepared)
    chosen = {layer.node: layer for layer in layers if not reason_against(model, layer, pointwise)}
    readers = Counter(name for node in model.graph.node for name in node.input)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        plain = node.op_type == "MatMul" or node.name not in chosen
        nodes += [node] if plain else _product(model, node, _matrix(model, chosen[node.name], readers))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = names_read(model)
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)
    del model.graph.value_info[:]
    return save_and_reload_model_with_shape_infer(model)


def reason_against(model: "onnx.ModelProto", layer: Layer, pointwise: bool) -> str:
    """Why a layer cannot be a matrix product; "" where it can."""
    [node] = [node for node in model.graph.node if node.name == layer.node]
    settings = settings_of(node)
    if layer.op == "Conv":
        if any(side != 1 for side in array_of(model, layer.weight).shape[2:]):
            return "a convolution over more than one pixel"
        whole = all(set(settings.get(name, [one])) == {one} for name, one in (("strides", 1), ("pads", 0)))
        if not whole or settings.get("group", 1) != 1 or array_of(model, layer.weight).ndim != 4:
            return "a 1×1 convolution with strides, padding or groups"
        return "" if pointwise else "a 1×1 convolution, which stays one"
    if array_of(model, layer.weight).ndim != 2:
        return "its weights are no matrix"
    factors = {settings.get("alpha", 1.0), settings.get("beta", 1.0)}
    if layer.op == "Gemm" and (factors != {1.0} or settings.get("transA")):
        return "a product with factors or a transposed input"
    return ""


def _matrix(model: "onnx.ModelProto", layer: Layer, readers: Mapping[str, int]) -> str:
    """A name for the weights of a layer that is written anew, which tells the layer's own."""
    name, names = f"{layer.name}.weight", {tensor.name for tensor in model.graph.initializer}
    free = name not in names or (name == layer.weight and readers[name] == 1)
    return name if free else f"{layer.node}.weight"


def _product(model: "onnx.ModelProto", node: "onnx.NodeProto", matrix: str) -> list["onnx.NodeProto"]:
    """The nodes that stand for a Gemm or a 1×1 convolution, with its weights as the constant `matrix`."""
    from onnx import helper

    weight, name, convolution = array_of(model, node.input[1]), node.name, node.op_type == "Conv"
    if convolution or settings_of(node).get("transB"):
        weight = weight.reshape(weight.shape[:2]).T
    put_array(model, matrix, np.ascontiguousarray(weight))
    entry, answer = node.input[0], node.output[0]
    bias = node.input[2] if len(node.input) > 2 else ""
    given = f"{name}_given" if convolution else entry
    made = f"{name}_made" if convolution else answer
    raw = f"{name}_raw" if bias else made
    nodes = [helper.make_node("MatMul", [given, matrix], [raw], name=name)]
    if bias:
        nodes.append(helper.make_node("Add", [raw, bias], [made], name=f"{name}_shift"))
    if convolution:
        nodes.insert(
            0, helper.make_node("Transpose", [entry], [given], name=f"{name}_channels_last", perm=_LAST)
        )
        nodes.append(
            helper.make_node("Transpose", [made], [answer], name=f"{name}_channels_first", perm=_FIRST)
        )
    for new in nodes:
        new.metadata_props.extend(node.metadata_props)
    return nodes
