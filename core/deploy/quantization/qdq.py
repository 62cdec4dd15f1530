"""Writing the quantized graph (QDQ form) with ONNX Runtime's quantizer, from ranges that are known.

Weights are signed 8-bit per output channel, activations unsigned 8-bit per tensor (a choice).
Which nodes are quantized was measured in ONNX Runtime on a processor with VNNI, batch 1, one
thread, against float:

- Convolutions with the Relu or Clip behind them, and the additions that they feed: ResNet-56 takes
  0.44 of float's time; without the activations 0.53, with convolutions alone 0.49.
- Not the additions that no convolution feeds, or float alone (ConvNeXt's): their neighbours compute in float.
- Not multiplications and gates: MobileNetV3-Large took 6.6 ms with them and 4.6 without (on a busy machine).
- Products keep float answers: logits are not rounded to 256 levels, and biases and activations
  behind them fuse (ConvNeXt-tiny 0.36 of float's time, quantized answers are no faster).

A layer that is kept in float needs protection: between two quantized tensors ONNX Runtime rounds its float
weights to 8 bits *per tensor* when it opens the file (its WeightBiasQuantization pass; EfficientNet-Lite0
lost 8 dB by keeping one depthwise layer). That pass only looks at inputs with one scale, so a kept
layer reads its input through a DequantizeLinear that repeats the same scale for every channel.
"""

import platform
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of
from core.deploy.quantization.graph import ACTIVATION_TYPES, LAYER_TYPES, Layer, array_of, copy_of, put_array
from core.onnx_graph.reading import sort_nodes

if TYPE_CHECKING:
    import onnx

    from core.deploy.quantization.calibration import Ranges

# What this program quantizes, as measured above: fewer than what ONNX Runtime has in integers, which
# `core.analysis.network_graph` knows to read files of any origin.
OP_TYPES = (*LAYER_TYPES, *ACTIVATION_TYPES, "Add", "MaxPool", "AveragePool")
_MOVES = ("Slice", "Pad", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
_PLUMBING = (
    *_MOVES, "QuantizeLinear", "DequantizeLinear", "Shape", "Gather", "Range", "Cast", "Concat", "Identity",
    "Constant", "Expand", "SpaceToDepth",
)  # fmt: skip
_FLOAT_ANSWERS = ["Gemm", "MatMul"]


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """Which integers stand for the numbers.

    Attributes:
        activations: "uint8" or "int8".
        seven_bits: weights use 7 of their 8 bits, so that sums cannot saturate without VNNI.
        scales: of weights: one for every output "channel", or one for a whole "tensor".
    """

    activations: str = "uint8"
    seven_bits: bool = False
    scales: str = "channel"


def resolve_activations(choice: str) -> str:
    """What "auto" means here: unsigned on x86, signed on Arm."""
    if choice != "auto":
        return choice
    return "int8" if platform.machine().lower() in ("arm64", "aarch64") else "uint8"


def quantized(
    prepared: "onnx.ModelProto",
    layers: list[Layer],
    ranges: "Ranges",
    numbers: NumberFormat,
    keep: Collection[str] = (),
    only: Collection[str] | None = None,
) -> "onnx.ModelProto":
    """The graph with its layers quantized; `prepared` stays as it is.

    Args:
        keep: names of layers that stay float.
        only: names of the only layers that are quantized, with nothing else; None means all.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    chosen = [layer for layer in layers if layer.name not in keep and (only is None or layer.name in only)]
    node_names = {name for layer in chosen for name in layer.nodes}
    if only is None:
        node_names |= _with_layers(prepared, chosen)
    data = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    if not node_names:
        return copy_of(prepared)
    quantizer = QDQQuantizer(
        copy_of(prepared),
        per_channel=numbers.scales == "channel",
        reduce_range=numbers.seven_bits,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8 if numbers.activations == "uint8" else QuantType.QInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, data),
        nodes_to_quantize=sorted(node_names),
        nodes_to_exclude=[],
        op_types_to_quantize=list(OP_TYPES),
        extra_options={"OpTypesToExcludeOutputQuantization": _FLOAT_ANSWERS, "MatMulConstBOnly": True},
    )
    try:
        quantizer.quantize_model()
    except Exception as error:
        raise _not_quantized(prepared, error) from error
    model: onnx.ModelProto = quantizer.model.model
    _free(model, node_names)
    _protect(model, [layer for layer in layers if layer not in chosen])
    quantizer.model.topological_sort()
    sort_nodes(model)
    return model


def _not_quantized(model: "onnx.ModelProto", error: Exception) -> EspalierError:
    fused = sorted({node.op_type for node in model.graph.node if node.domain == "com.microsoft"})
    if fused:
        return EspalierError(
            f"The file is optimised for ONNX Runtime already ({', '.join(fused[:4])}), and what it has no types for cannot be "
            "quantized.",
            "Quantize the file from before that optimisation.",
            repr(error),
        )
    return EspalierError(
        f"ONNX Runtime's quantizer has no form for this graph: {reason_of(error)}.",
        "Keep the layer that this names in float, or choose dynamic quantization.",
        repr(error),
    )


def _free(model: "onnx.ModelProto", quantized_nodes: Collection[str]) -> None:
    """Let float nodes read a tensor as float nodes gave it, where only integer nodes need it rounded.

    ONNX Runtime's quantizer hands the rounded tensor to all; a residual stream would be rounded in every block.
    """
    givers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.name in quantized_nodes or node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        for index, name in enumerate(node.input):
            dequantize = givers.get(name)
            quantize = (
                givers.get(dequantize.input[0])
                if dequantize is not None and dequantize.op_type == "DequantizeLinear"
                else None
            )
            if quantize is None or quantize.op_type != "QuantizeLinear":
                continue
            origin = givers.get(quantize.input[0])
            if origin is not None and origin.name not in quantized_nodes:
                node.input[index] = quantize.input[0]


def _protect(model: "onnx.ModelProto", float_layers: list[Layer]) -> None:
    """Let float layers read quantized tensors in a form in which ONNX Runtime leaves their weights as they are."""
    import onnx

    nodes = {node.name: node for node in model.graph.node}
    givers = {
        name: node for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    for layer in float_layers:
        node, giver = nodes[layer.node], givers.get(nodes[layer.node].input[0])
        if giver is None or layer.op == "MatMul":
            continue
        channels, name = _input_channels(model, node), f"{layer.node}_input"
        for index, part in ((1, "scale"), (2, "zero_point")):
            put_array(model, f"{name}_{part}", np.full(channels, array_of(model, giver.input[index])))
        model.graph.node.append(onnx.helper.make_node(
            "DequantizeLinear", [giver.input[0], f"{name}_scale", f"{name}_zero_point"], [f"{name}_float"],
            name=f"{name}_dequantize", axis=1,
        ))  # fmt: skip
        node.input[0] = f"{name}_float"


def _input_channels(model: "onnx.ModelProto", node: "onnx.NodeProto") -> int:
    shape = array_of(model, node.input[1]).shape
    settings = {entry.name: entry.i for entry in node.attribute}
    if node.op_type == "Conv":
        return int(shape[1] * settings.get("group", 1))
    return int(shape[1] if settings.get("transB") else shape[0])


def _with_layers(model: "onnx.ModelProto", chosen: list[Layer]) -> set[str]:
    """Nodes that are quantized beside the layers: activations, poolings, and additions of quantized tensors.

    An addition is one of those when a convolution feeds it and each of its inputs is in 8 bits anyway.
    """
    convolutions = [layer for layer in chosen if layer.op == "Conv"]
    fed = {tensor for layer in convolutions for tensor in (layer.raw, layer.output)}
    stream = fed | {layer.input for layer in convolutions}
    names: set[str] = set()
    for node in model.graph.node:
        entry = node.input[0] if node.input else ""
        if node.op_type in _MOVES and entry in stream:
            stream.update(node.output)
        elif (node.op_type == "Add" and set(node.input) <= stream and set(node.input) & fed) or (
            node.op_type in (*ACTIVATION_TYPES, "MaxPool", "AveragePool") and entry in stream
        ):
            names.add(node.name)
            stream.update(node.output)
    return names


def is_quantized(model: "onnx.ModelProto", layers: list[Layer]) -> dict[str, bool]:
    """By name, whether a layer of the written graph reads integer weights."""
    nodes = {node.name: node for node in model.graph.node}
    dequantized = {
        name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    return {layer.name: nodes[layer.node].input[1] in dequantized for layer in layers}


def counts(model: "onnx.ModelProto") -> tuple[dict[str, int], dict[str, int]]:
    """By type, how many nodes compute with integers, and how many beside the layers compute in float."""
    dequantized = {
        name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    integer, in_float = Counter[str](), Counter[str]()
    for node in model.graph.node:
        if node.op_type in LAYER_TYPES:
            integer[node.op_type] += node.input[1] in dequantized
        elif node.op_type in OP_TYPES and node.input[0] in dequantized:
            integer[node.op_type] += 1
        elif node.op_type not in _PLUMBING:
            in_float[node.op_type] += 1
    return dict(sorted((+integer).items())), dict(sorted(in_float.items()))


def integer_parameters(layers: list[Layer], quantized_names: Mapping[str, bool]) -> int:
    """Weights and biases of the quantized layers; those that several share count once."""
    constants: dict[str, int] = {}
    for layer in layers:
        if quantized_names[layer.name]:
            constants |= layer.constants
    return sum(constants.values())
