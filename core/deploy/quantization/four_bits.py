"""Weights of 4 bits for linear layers, in the form that ONNX Runtime computes with.

A layer is MatMul(x, DequantizeLinear(levels of 4 bits, a scale for every block of inputs)), in ONNX's own operators (set 21). ONNX Runtime
1.31 makes MatMulNBits of it when it opens the file, at accuracy level 4: activations are rounded to 8 bits, block by block, while it
computes. Any number of inputs and outputs will do. The other layers stay float or become INT8 as by `core.deploy.quantization.static`;
both share one graph, and neither changes a number of the other.

Convolutions can also be *stored* in 4 bits: a channel's weights are the 15 whole numbers that are nearest to multiples of a seventh of its
largest, so that a file holds one codebook of 15 integers and indices of 4 bits (`core.onnx_graph.shared_weights`). ONNX Runtime writes them out
when it opens the file, and computes in 8 bits. The layer that sees the image keeps 8.

Source: GPTQ, Frantar et al. 2023, arXiv 2210.17323 (`core.deploy.quantization.blocks`). A job of the tool child.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.numbers import percent
from core.data.randomness import derive_seed
from core.deploy.quantization import reconstruct
from core.deploy.quantization.calibrated import CalibratedGraph, calibrated
from core.deploy.quantization.calibration import Sample
from core.deploy.quantization.graph import (
    Layer,
    array_of,
    consumers_of,
    copy_of,
    layers_of,
    node_called,
    prepare,
    put_array,
)
from core.deploy.quantization.products import as_products, reason_against
from core.deploy.quantization.sessions import probed
from core.machine.jobs import ProgressCallback
from core.onnx_graph.reading import names_read
from core.onnx_graph.shared_weights import compact

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from core.deploy.quantization.blocks import Blocks

OPSET = 21  # the first with integers of 4 bits, and with scales for blocks
HIGH = 7  # the largest level
_CORRECTED = {"float32": "off", "int8": "auto", "int4": "on"}  # whether biases take up what rounding adds
_MOST = 16_384  # inputs of a layer that are looked at, over all images


def quantize(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: a copy of a float32 ONNX file whose linear layers have weights of 4 bits.

    Args (as plain data): as for `calibrated`, and target: the .onnx file to write. block: inputs that share a scale.
        rounding: "compensated" or "nearest". pointwise: 1×1 convolutions too. convolutions: "float32" or "int8", for
        all other layers; "int4": those of 8 bits, with weights that are stored in 4.

    Returns: as the static job; four_bit_layers, four_bit_parameters, stored_layers; rounded: by layer, name and the share of its answers that
        is error, with weights at their nearest levels and as they are written (mean squares; only where compensated).

    Raises:
        EspalierError: when the file, the data or a pattern does not fit.
    """
    started = time.monotonic()
    prepared = prepare(Path(arguments["source"]), OPSET)
    pointwise, integers = bool(arguments["pointwise"]), arguments["convolutions"] != "float32"
    why = {layer.name: reason_against(prepared, layer, pointwise) for layer in layers_of(prepared)}
    reasons = {name: reason for name, reason in why.items() if reason}
    products = as_products(prepared, layers_of(prepared), pointwise)
    how = {
        "method": "minmax",
        "percentile": 100.0,
        "activations": "uint8",
        "correct_bias": _CORRECTED[arguments["convolutions"]],
    }
    graph = calibrated(
        {**arguments, **how, "ranges": integers}, lambda done, text: progress(0.2 * done, text), products
    )
    chosen = [
        layer for layer in graph.layers
        if layer.op == "MatMul" and layer.name not in graph.float_layers and layer.name not in reasons
    ]  # fmt: skip
    model, stored = copy_of(graph.model), list[Layer]()
    if integers:
        model, stored = _integers(
            graph, chosen, arguments, lambda done, text: progress(0.2 + 0.3 * done, text)
        )
    between = time.monotonic()
    rows = _round(graph, model, chosen, arguments, lambda done, text: progress(0.5 + 0.45 * done, text))
    notes = [_sentence(rows)] if rows else []
    compact(model, {f"{layer.weight}_quantized" for layer in stored})
    report = graph.write(model, "int4", Path(arguments["target"]), reasons, notes)
    progress(1.0, "Quantized")
    return {
        **report,
        "four_bit_layers": len(chosen),
        "four_bit_parameters": sum(
            {each.weight: each.constants[each.weight] for each in [*chosen, *stored]}.values()
        ),
        "stored_layers": len(stored),
        "rounded": rows,
        "seconds": {"calibrate": between - started, "round": time.monotonic() - between},
    }


def _integers(
    graph: CalibratedGraph, chosen: list[Layer], arguments: Mapping[str, Any], progress: ProgressCallback
) -> tuple["onnx.ModelProto", list[Layer]]:
    """The graph with its other layers in 8 bits, and those of them whose weights take few enough values to be stored in 4."""
    names = [layer.name for layer in chosen]
    if arguments["convolutions"] == "int8":
        model, sentence = graph.quantized(names, progress)
        graph.notes.append(sentence)
        return model, []
    entries = {value.name for value in graph.model.graph.input}
    four = [layer.name for layer in graph.layers if layer.name not in names and layer.input not in entries]
    return stored_in_four(replace(graph, corrects=False), four, names, arguments, progress)


def stored_in_four(
    graph: CalibratedGraph,
    four: Collection[str],
    keep: Collection[str],
    arguments: Mapping[str, Any],
    progress: ProgressCallback,
) -> tuple["onnx.ModelProto", list[Layer]]:
    """The graph in 8 bits, and its layers whose weights, compensated, take few enough values to be stored in 4.

    Args:
        four: names of the layers that are to. keep: of those that stay float.
    """
    apart = {layer.name: "" for layer in graph.layers if layer.name not in four}
    how = {"learn_images": len(graph.sample), "steps": 0, "drop": 0.0, "learn_ranges": False, "most": HIGH}
    changed, rows = reconstruct.reconstructed(
        replace(graph, float_layers=apart | graph.float_layers, corrects=False),
        {**arguments, **how},
        progress,
    )
    whole = replace(changed, float_layers=graph.float_layers, corrects=graph.corrects)
    model, _ = whole.quantized(keep, progress)
    done = {row["name"] for row in rows}
    return model, [layer for layer in graph.layers if layer.name in done]


def _sentence(rows: list[dict[str, Any]]) -> str:
    kept = float(np.exp(np.mean([np.log((row["after"] + 1e-12) / (row["nearest"] + 1e-12)) for row in rows])))
    return (
        f"Error compensation leaves {len(rows)} layers {percent(kept)} of the error that rounding to the nearest gives their answers, in "
        "the geometric mean."
    )


def _round(
    graph: CalibratedGraph,
    model: "onnx.ModelProto",
    chosen: list[Layer],
    arguments: Mapping[str, Any],
    progress: ProgressCallback,
) -> list[dict[str, Any]]:
    """Give the layers of `model` weights of 4 bits, in place and in order; a row for each that was compensated."""
    import torch

    from core.deploy.quantization import blocks

    size, compensates = int(arguments["block"]), arguments["rounding"] == "compensated"
    readers = Counter(layer.weight for layer in chosen)
    rows: list[dict[str, Any]] = []
    for index, layer in enumerate(chosen):
        if layer.weight not in readers:
            continue  # written for the layer that it is shared with
        nodes = [each.node for each in chosen if each.weight == layer.weight]
        del readers[layer.weight]
        progress(index / len(chosen), f"Rounding to 4 bits: layer {index + 1} of {len(chosen)}")
        weight = torch.from_numpy(array_of(graph.model, layer.weight).T.copy())
        plain = blocks.nearest(weight, size)
        if not compensates:
            _put(model, layer.weight, nodes, plain)
            continue
        bias = _bias(model, layer) if len(nodes) == 1 else ""
        seed = derive_seed(int(arguments["seed"]), "four bits", layer.name)
        inputs = _inputs(graph.model, model, layer, graph.sample, seed)
        own, cross = inputs.moments(centred=bool(bias))
        made = blocks.compensated(weight, own, cross, size)
        before, signal = blocks.excess(weight, plain.weights(), own, cross)
        after, _ = blocks.excess(weight, made.weights(), own, cross)
        rows.append(
            {"name": layer.name, "nearest": before / (signal or 1.0), "after": after / (signal or 1.0)}
        )
        _put(model, layer.weight, nodes, made)
        if bias:
            moved = weight.double() @ inputs.exact_mean - made.weights().double() @ inputs.rounded_mean
            put_array(model, bias, (array_of(model, bias) + moved.numpy()).astype(np.float32))
    return rows


def _bias(model: "onnx.ModelProto", layer: Layer) -> str:
    """The constant that alone is added to a product's answers, and that nothing else reads; "" where there is none."""
    constants = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    readers = consumers_of(model)
    after = readers.get(layer.raw, [])
    if len(after) != 1 or after[0].op_type != "Add":
        return ""
    outputs = constants[layer.weight][-1]
    names = [name for name in after[0].input if constants.get(name) == (outputs,)]
    return names[0] if names and len(readers[names[0]]) == 1 else ""


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Sums over what a layer reads in the rounded and in the float network, as means: [d, d] and [d], float64."""

    own: "Tensor"
    cross: "Tensor"
    rounded_mean: "Tensor"
    exact_mean: "Tensor"

    def moments(self, centred: bool) -> tuple["Tensor", "Tensor"]:
        """Second moments, damped; about the means where a bias takes those."""
        import torch

        from core.deploy.quantization.whole_numbers import damping

        own, cross = self.own, self.cross
        if centred:
            own = own - torch.outer(self.rounded_mean, self.rounded_mean)
            cross = cross - torch.outer(self.exact_mean, self.rounded_mean)
        more = damping(own[None])
        return own + more, cross + more


def _inputs(
    exact: "onnx.ModelProto", rounded: "onnx.ModelProto", layer: Layer, sample: Sample, seed: int
) -> _Inputs:
    import torch

    width = array_of(exact, layer.weight).shape[0]
    own, cross = (
        torch.zeros(width, width, dtype=torch.float64),
        torch.zeros(width, width, dtype=torch.float64),
    )
    means, count = torch.zeros(2, width, dtype=torch.float64), 0
    for given, wanted in _pairs(exact, rounded, layer, sample, seed):
        own += given.T @ given
        cross += wanted.T @ given
        means += torch.stack([given.double().sum(0), wanted.double().sum(0)])
        count += len(given)
    return _Inputs(own / count, cross / count, means[0] / count, means[1] / count)


def _pairs(
    exact: "onnx.ModelProto", rounded: "onnx.ModelProto", layer: Layer, sample: Sample, seed: int
) -> Iterator[tuple["Tensor", "Tensor"]]:
    """What the layer reads at some places of each image, [n, d], in the rounded and in the float network."""
    import torch

    ask_rounded = probed(rounded, [node_called(rounded, layer.node).input[0]])
    ask_exact = probed(exact, [layer.input])
    numbers, each = np.random.default_rng(seed), max(1, _MOST // len(sample))
    for block in sample.blocks():
        [given], [wanted] = ask_rounded(block), ask_exact(block)
        width = given.shape[-1]
        given, wanted = given.reshape(len(block), -1, width), wanted.reshape(len(block), -1, width)
        places = numbers.permutation(given.shape[1])[:each]
        yield tuple(torch.from_numpy(part[:, places].reshape(-1, width)) for part in (given, wanted))


def _put(model: "onnx.ModelProto", weight: str, nodes: list[str], made: "Blocks") -> None:
    """Let the products `nodes` read the constant `weight` as levels of 4 bits and scales, in place."""
    import onnx

    outputs, width = made.levels.shape
    packed = pack(made.levels.T.numpy().astype(np.int8))
    levels = onnx.helper.make_tensor(
        f"{weight}_quantized", onnx.TensorProto.INT4, (width, outputs), packed, raw=True
    )
    model.graph.initializer.append(levels)
    put_array(model, f"{weight}_scale", np.ascontiguousarray(made.scales.T.numpy()))
    dequantize = onnx.helper.make_node(
        "DequantizeLinear", [levels.name, f"{weight}_scale"], [f"{weight}_dequantized"], name=f"{weight}_dequantize",
        axis=0, block_size=made.size,
    )  # fmt: skip
    model.graph.node.insert(0, dequantize)
    for name in nodes:
        node_called(model, name).input[1] = dequantize.output[0]
    if weight not in names_read(model):
        model.graph.initializer.remove(next(each for each in model.graph.initializer if each.name == weight))


def pack(levels: np.ndarray) -> bytes:
    """Whole numbers of 4 bits, two to a byte, the first in the lower half."""
    halves = levels.reshape(-1).astype(np.uint8) & 15
    halves = np.append(halves, np.zeros(halves.size % 2, np.uint8))
    return (halves[0::2] | (halves[1::2] << 4)).tobytes()
