"""SmoothQuant: what makes activations hard to round is moved into the weights that read them; the network's answers stay what they are.

A transformer's normalised tokens have a few channels far larger than the others, and one scale for all then leaves few levels to the rest. Channel j
of a layer norm's answer is divided by s_j, in the norm's scale and shift, and row j of every weight that reads it is multiplied by s_j,

    s_j = max|x_j|^α / max|w_j|^(1 − α),

the largest values being those on calibration images and those of all these weights.

Source: Xiao et al. 2023, arXiv 2211.10438, equation 4. Where we depart: only layer norms whose answers nothing but linear layers read are smoothed, or convolutions behind a transposition (ConvNeXt), so attention's own products and what follows a GELU stay as they are. Scales of weights are those of
`core.deploy.quantization.qdq`, for every channel of a convolution or matrix product.

Shapes: `c` channels of the norm, `o` outputs of a layer.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.deploy.quantization.calibration import Sample
from core.deploy.quantization.graph import Layer, array_of, consumers_of, copy_of, put_array
from core.deploy.quantization.sessions import probed
from core.onnx_graph.reading import names_read

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class SmoothedNorm:
    """A layer norm and the layers that read it.

    Attributes:
        readers: by name of the weight, the axis of its inputs.
    """

    node: "onnx.NodeProto"
    readers: dict[str, int]


def smoothed(
    prepared: "onnx.ModelProto", layers: list[Layer], sample: Sample, alpha: float
) -> tuple["onnx.ModelProto", str]:
    """The graph with its norms smoothed, and a sentence about it."""
    model = copy_of(prepared)
    norms = norms_of(model, layers)
    if not norms:
        return model, "Smoothed: nothing, for no layer norm is read by linear layers or convolutions alone."
    largest = _largest(model, [norm.node.output[0] for norm in norms], sample)
    for norm in norms:
        weights = {name: array_of(model, name) for name in norm.readers}
        by_input = [np.moveaxis(weights[name], axis, 0) for name, axis in norm.readers.items()]
        reads = np.max([np.abs(rows).reshape(len(rows), -1).max(1) for rows in by_input], 0)
        factors = smoothing(largest[norm.node.output[0]], reads, alpha)
        for place in range(1, len(norm.node.input)):
            name = norm.node.input[place]
            own = f"{norm.node.output[0]}.smoothed.{place}"  # equal constants of several norms are one in the file
            put_array(model, own, (array_of(model, name) / factors).astype(np.float32))
            norm.node.input[place] = own
        for name, axis in norm.readers.items():
            scaled = weights[name] * np.expand_dims(
                factors, [place for place in range(weights[name].ndim) if place != axis]
            )
            put_array(model, name, scaled.astype(np.float32))
    _drop_unused(model)
    count = sum(len(norm.readers) for norm in norms)
    return model, (
        f"Smoothed: {len(norms)} layer {'norm' if len(norms) == 1 else 'norms'}, read by {count} {'layer' if count == 1 else 'layers'} (α = {alpha:g})."
    )


def smoothing(activations: np.ndarray, weights: np.ndarray, alpha: float) -> np.ndarray:
    """s [c] by the largest absolute values [c] of the channels and of the weights that read them; 1 where one of them is zero."""
    alive = (activations > 0) & (weights > 0)
    factors = np.ones(len(activations))
    factors[alive] = activations[alive].astype(np.float64) ** alpha / weights[alive].astype(np.float64) ** (
        1 - alpha
    )
    return factors


def norms_of(model: "onnx.ModelProto", layers: list[Layer]) -> list[SmoothedNorm]:
    """The layer norms over the last axis that linear layers alone read, or convolutions behind a transposition."""
    readers = consumers_of(model)
    sizes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    found = []
    for node in model.graph.node:
        if node.op_type != "LayerNormalization" or not _over_last(node):
            continue
        plain = all(len(sizes.get(name, ())) == 1 for name in node.input[1:])
        axes = _readers(model, node.output[0], {layer.node: layer for layer in layers}, readers)
        if plain and axes and all(len(readers[name]) == 1 for name in axes):
            found.append(SmoothedNorm(node, axes))
    return found


def _readers(
    model: "onnx.ModelProto",
    name: str,
    layers: dict[str, Layer],
    readers: dict[str, list["onnx.NodeProto"]],
    turned: bool = False,
) -> dict[str, int]:
    """By name of its weight, the axis of the inputs of each layer that reads a tensor; empty where anything else does, too.

    Args:
        turned: whether the channels stand on axis 1, as convolutions read them, instead of the last.
    """
    after = readers.get(name, [])
    if name in {value.name for value in model.graph.output}:
        return {}
    axes: dict[str, int] = {}
    for node in after:
        layer = layers.get(node.name)
        if node.op_type == "Transpose" and not turned and _to_channels(node):
            inner = _readers(model, node.output[0], layers, readers, turned=True)
            if not inner:
                return {}
            axes |= inner
        elif layer is None or node.input[0] != name or turned != (layer.op == "Conv") or _grouped(node):
            return {}
        else:
            axes[layer.weight] = 1 if turned else _input_axis(node)
    return axes


def _to_channels(node: "onnx.NodeProto") -> bool:
    """Whether a transposition brings the last axis to the place of a convolution's channels."""
    order = next((list(entry.ints) for entry in node.attribute if entry.name == "perm"), [])
    return len(order) > 2 and order[1] == len(order) - 1


def _grouped(node: "onnx.NodeProto") -> bool:
    return any(entry.name == "group" and entry.i != 1 for entry in node.attribute)


def _drop_unused(model: "onnx.ModelProto") -> None:
    """Take out constants that nothing reads any more."""
    read = names_read(model)
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    if len(kept) < len(model.graph.initializer):
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)


def _over_last(node: "onnx.NodeProto") -> bool:
    return next((entry.i for entry in node.attribute if entry.name == "axis"), -1) == -1


def _input_axis(node: "onnx.NodeProto") -> int:
    """The axis of a linear layer's weight along which its inputs stand."""
    turned = node.op_type == "Gemm" and any(entry.name == "transB" and entry.i for entry in node.attribute)
    return 1 if turned else 0


def _largest(model: "onnx.ModelProto", names: list[str], sample: Sample) -> dict[str, np.ndarray]:
    """The largest absolute value of each channel of these tensors on the calibration images: [c] by name."""
    largest: dict[str, np.ndarray] = {}
    shown = probed(model, names)
    for block in sample.blocks():
        for name, values in zip(names, shown(block), strict=True):
            seen = np.abs(values).reshape(-1, values.shape[-1]).max(0)
            largest[name] = np.maximum(largest[name], seen) if name in largest else seen
    return largest
