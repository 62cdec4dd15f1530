"""Writing the quantized graph (QDQ form) with ONNX Runtime's quantizer, from ranges that are known.

Weights are signed 8-bit per output channel, activations unsigned 8-bit per tensor (a choice).
Which nodes are quantized was measured in ONNX Runtime on a processor with VNNI, batch 1, one
thread, against float:

- Convolutions with the Relu or Clip behind them, and the additions that they feed: ResNet-56 takes
  0.44 of float's time; without the activations 0.53, with convolutions alone 0.49.
- Not the additions that no convolution feeds (ConvNeXt's): their neighbours compute in float.
- Not multiplications and gates: MobileNetV3-Large takes 1.4 times as long with them.
- Products keep float answers: logits are not rounded to 256 levels, and biases and activations
  behind them fuse (ConvNeXt-tiny 0.36 of float's time, quantized answers are no faster).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.deploy.quantization.graph import ACTIVATION_TYPES, LAYER_TYPES, Layer, copy_of

if TYPE_CHECKING:
    import onnx

    from core.deploy.quantization.calibration import Ranges

OP_TYPES = (*LAYER_TYPES, *ACTIVATION_TYPES, "Add", "MaxPool", "AveragePool")
_FLOAT_ANSWERS = ["Gemm", "MatMul"]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Which integers stand for the numbers.

    Attributes:
        activations: "uint8" or "int8".
        seven_bits: weights use 7 of their 8 bits, so that sums cannot saturate without VNNI.
    """

    activations: str = "uint8"
    seven_bits: bool = False


def quantized(
    prepared: "onnx.ModelProto",
    layers: list[Layer],
    ranges: "Ranges",
    numbers: Numbers,
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
    wanted = {name for layer in chosen for name in layer.nodes}
    if only is None:
        wanted |= _with_layers(prepared, chosen)
    data = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    if not wanted:
        return copy_of(prepared)
    quantizer = QDQQuantizer(
        copy_of(prepared),
        per_channel=True,
        reduce_range=numbers.seven_bits,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8 if numbers.activations == "uint8" else QuantType.QInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, data),
        nodes_to_quantize=sorted(wanted),
        nodes_to_exclude=[],
        op_types_to_quantize=list(OP_TYPES),
        extra_options={"OpTypesToExcludeOutputQuantization": _FLOAT_ANSWERS, "MatMulConstBOnly": True},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    return quantizer.model.model


def _with_layers(model: "onnx.ModelProto", chosen: list[Layer]) -> set[str]:
    """Nodes that are quantized beside the layers: poolings, and the additions that convolutions feed."""
    fed = {tensor for layer in chosen if layer.op == "Conv" for tensor in (layer.raw, layer.output)}
    constants = {tensor.name for tensor in model.graph.initializer}
    found: set[str] = set()
    stream = set(fed)
    for node in model.graph.node:
        of_images = not set(node.input) & constants
        if (node.op_type == "Add" and of_images and set(node.input) & fed) or (
            node.op_type in (*ACTIVATION_TYPES, "MaxPool", "AveragePool") and node.input[0] in stream
        ):
            found.add(node.name)
            stream.update(node.output)
    return found


def is_quantized(model: "onnx.ModelProto", layers: list[Layer]) -> dict[str, bool]:
    """By name, whether a layer of the written graph reads integer weights."""
    nodes = {node.name: node for node in model.graph.node}
    given = {name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    return {layer.name: nodes[layer.node].input[1] in given for layer in layers}


def counts(model: "onnx.ModelProto", layers: list[Layer]) -> dict[str, int]:
    """By type, how many nodes compute with integers: their inputs come from 8-bit numbers."""
    given = {name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    found: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in OP_TYPES and node.input and node.input[0] in given:
            found[node.op_type] = found.get(node.op_type, 0) + 1
    return dict(sorted(found.items()))


def integer_parameters(layers: list[Layer], quantized_names: Mapping[str, bool]) -> int:
    """Weights and biases of the quantized layers."""
    return sum(layer.parameters for layer in layers if quantized_names[layer.name])
