"""Properties of a file's graph that explain its speed; a job of the measuring child.

ONNX only. Of every layer its channels, its zero channels and the scales of its weights; of the whole the
number format of its activations; and, measured, what each layer takes and computes in.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.machine.jobs import ProgressCallback, quick

if TYPE_CHECKING:
    import onnx

_WEIGHT_OF = {"Conv": 1, "Gemm": 1, "MatMul": 1, "ConvInteger": 1, "MatMulInteger": 1, "QLinearConv": 3}
_FEW = 7  # the largest integer of 4 bits
_STORING = ("DequantizeLinear", "QuantizeLinear", "Transpose", "Cast", "Identity")


@quick
def examine_graph(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: read the graph of a file and time its layers.

    Args (as plain data): model, .onnx file; input_size, pixels a side.

    Returns: layers, for each convolution and linear layer {layer, kind ("conv", "depthwise" or "linear"),
        given, made (channels), zeros (channels made whose weights are all zero), scales ("", "tensor",
        "channel"), faint (channels made that a scale for the whole tensor leaves at most 4 of 8 bits)}; activations ("", "int8", "uint8"); rows, the layers as timed
        (`core.profiling.per_layer.profile`); total_ms; rounded, the latency with channel counts rounded up to
        multiples of 8 / the latency as it is, None where that was not tried (`core.analysis.why.rounding`).

    Raises:
        EspalierError: when the file cannot be read or run.
    """
    import onnx

    from core.analysis.why.rounding import MULTIPLE, rounded_up
    from core.onnx_graph.shared_weights import expand
    from core.profiling.per_layer import profile

    profiled = profile(arguments, progress)
    model = onnx.load(Path(arguments["model"]))
    expand(model)
    layers, activations = list(_layers(model)), _activations(model)
    odd = any(layer["made"] % MULTIPLE for layer in layers if layer["kind"] != "linear") and not activations
    return {
        "layers": layers,
        "activations": activations,
        "rounded": rounded_up(Path(arguments["model"]), int(arguments["input_size"])) if odd else None,
        "rows": [
            {
                name: row[name]
                for name in ("layer", "type", "params", "macs", "ms", "precision", "fallback", "kernels")
            }
            for row in profiled["layers"]
        ],
        "total_ms": profiled["total_ms"],
    }


def _layers(model: "onnx.ModelProto") -> Iterator[dict[str, Any]]:
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type not in _WEIGHT_OF or len(node.input) <= _WEIGHT_OF[node.op_type]:
            continue
        name, scales, zero = node.input[_WEIGHT_OF[node.op_type]], "", 0
        turned = node.op_type in ("MatMul", "MatMulInteger")
        while name not in tensors and name in makers and makers[name].op_type in _STORING:
            maker = makers[name]
            if maker.op_type == "DequantizeLinear" and maker.input[1] in tensors:
                scales = "channel" if np.prod(tensors[maker.input[1]].dims) > 1 else "tensor"
                if scales == "tensor" and len(maker.input) > 2 and maker.input[2] in tensors:
                    zero = int(numpy_helper.to_array(tensors[maker.input[2]]).reshape(-1)[0])
            turned ^= maker.op_type == "Transpose"
            name = maker.input[0]
        if name not in tensors or len(tensors[name].dims) < 2:
            continue
        weight = numpy_helper.to_array(tensors[name])
        groups = next((entry.i for entry in node.attribute if entry.name == "group"), 1)
        weight = weight.T if turned and weight.ndim == 2 else weight
        largest = np.abs(weight.reshape(len(weight), -1).astype(np.float32) - zero).max(1)
        depthwise = groups > 1 and weight.shape[1] == 1
        yield {
            "layer": name.removesuffix("_quantized").rpartition(".")[0] or node.name,
            "kind": "depthwise" if depthwise else "conv" if weight.ndim == 4 else "linear",
            "given": int(weight.shape[1] * groups), "made": int(weight.shape[0]),
            "zeros": 0 if scales else int((largest == 0).sum()), "scales": scales,
            "faint": int((largest <= _FEW).sum()) if scales == "tensor" else 0,
        }  # fmt: skip


def _activations(model: "onnx.ModelProto") -> str:
    """The integers that most activations are rounded to."""
    import onnx

    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    words = {onnx.TensorProto.INT8: "int8", onnx.TensorProto.UINT8: "uint8"}
    counts = Counter(
        words[kinds[node.input[2]]]
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and len(node.input) > 2 and kinds.get(node.input[2]) in words
    )
    return counts.most_common(1)[0][0] if counts else ""
