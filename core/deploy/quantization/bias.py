"""Bias correction: takes the mean error that quantization gives each channel out of its bias.

Layer after layer in the graph's order: the mean answer of a channel over the calibration images,
in float minus in integers with the layers before already corrected, is added to its bias.

Source: Nagel et al. 2019, arXiv 1906.04721, section 4.2 and appendix D (empirical correction).

Measured: EfficientNet-Lite0 with ImageNet weights keeps float's class on 86.5 % of the images instead of
73.5 %, its logits' signal to noise rises from 13.9 to 20.9 dB; correcting for the weights' rounding
alone, without the layers before, gave 83 % and 16.1 dB. Networks without depthwise convolutions
gain nothing (ResNet-56 98 % either way).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from core.deploy.quantization.calibration import Sample
from core.deploy.quantization.graph import Layer, array_of, copy_of, node_called, put_array
from core.deploy.quantization.kept_tensors import Asked, KeptTensors
from core.deploy.quantization.sessions import probed
from core.machine.jobs import ProgressCallback

if TYPE_CHECKING:
    import onnx

_IMAGES = 256


def with_biases(prepared: "onnx.ModelProto", layers: list[Layer]) -> "onnx.ModelProto":
    """The same graph with a bias of zeros in every convolution and Gemm that has none."""
    model = copy_of(prepared)
    for layer in layers:
        node = node_called(model, layer.node)
        if layer.op in ("Conv", "Gemm") and len(node.input) == 2:
            name = f"{layer.weight}_zero_bias"
            put_array(model, name, np.zeros(_outputs(model, node), np.float32))
            node.input.append(name)
    return model


def correct(
    quantized: "onnx.ModelProto",
    prepared: "onnx.ModelProto",
    layers: list[Layer],
    done: Mapping[str, bool],
    sample: Sample,
    progress: ProgressCallback,
) -> str:
    """Correct the integer biases of `quantized` in place.

    Args:
        prepared: the float graph that it was made from. done: by name, which layers are integers.

    Returns: a sentence.
    """
    blocks = list(sample.spread(_IMAGES).blocks())
    chosen = [layer for layer in layers if done[layer.name] and layer.op in ("Conv", "Gemm")]
    float_means = channel_means(prepared, [layer.raw for layer in chosen], blocks)
    moved = 0
    with KeptTensors(lambda: blocks, sum(map(len, blocks)), sample.batch is not None) as tensors:
        for index, layer in enumerate(chosen):
            progress(index / len(chosen), f"Correcting biases: {index} of {len(chosen)} layers")
            node = node_called(quantized, layer.node)
            dequantize = next(
                (entry for entry in quantized.graph.node if entry.output[0] == node.input[2]), None
            )
            if dequantize is None:
                continue
            [integer_means] = _means(tensors.ask(quantized, [node.output[0]]), [node.output[0]]).values()
            steps = (float_means[layer.raw] - integer_means) / array_of(quantized, dequantize.input[1])
            bias = array_of(quantized, dequantize.input[0])
            limits = np.iinfo(np.int32)
            moved_to = np.clip(bias.astype(np.float64) + np.round(steps), limits.min, limits.max)
            put_array(quantized, dequantize.input[0], moved_to.astype(np.int32))
            moved += 1
    return f"The biases of {moved} layers were corrected on {sum(map(len, blocks))} calibration images."


def channel_means(
    model: "onnx.ModelProto", tensors: list[str], blocks: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """By tensor [b, c] or [b, c, h, w], its mean per channel over all images: float64 [c]."""
    shown = probed(model, tensors)
    return _means(((len(block), shown(block)) for block in blocks), tensors)


def _means(asked: Asked, tensors: list[str]) -> dict[str, np.ndarray]:
    sums: dict[str, np.ndarray] = {}
    images = 0
    for count, found in asked:
        images += count
        for name, values in zip(tensors, found, strict=True):
            spatial = tuple(range(2, values.ndim))
            sums[name] = sums.get(name, 0.0) + values.astype(np.float64).mean(spatial).sum(0)
    return {name: total / images for name, total in sums.items()}


def _outputs(model: "onnx.ModelProto", node: "onnx.NodeProto") -> int:
    shape = array_of(model, node.input[1]).shape
    transposed = any(entry.name == "transB" and entry.i for entry in node.attribute)
    return int(shape[0] if node.op_type == "Conv" or transposed else shape[1])
