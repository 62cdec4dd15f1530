"""Reconstruction: layer after layer, the rounding of the weights and the ranges of the activations are learned.

Each layer is given what the layers before it, rounded already, give, and has to answer what it answers in float
(`core.deploy.quantization.rounding`, where the sources stand). What it learns is put back as weights that are whole multiples of
their scale, so that the file is written by the same code as static INT8, which then rounds nothing.

Where we depart from AdaRound: of a layer's maps some patches are looked at, drawn evenly, which is an
unbiased sample of the same error at a fraction of the time on a processor. With the objective *block* the residual blocks then learn as wholes (BRECQ,
`core.deploy.quantization.block_rounding`), on whole maps. A job of the tool child.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.numbers import percent
from core.data.randomness import derive_seed
from core.deploy.quantization.calibrated import CalibratedGraph, calibrated
from core.deploy.quantization.calibration import Sample
from core.deploy.quantization.equalise import clip_limits
from core.deploy.quantization.graph import Layer, array_of, copy_of, node_called, put_array
from core.deploy.quantization.kept_tensors import KeptTensors
from core.machine.jobs import ProgressCallback
from core.onnx_graph.reading import settings_of

if TYPE_CHECKING:
    import onnx

    from core.deploy.quantization.block_rounding import Block, BlockForm, BlockSample
    from core.deploy.quantization.rounding import LayerForm, LayerSample, Rounded

_MOST = 16_384  # patches of a layer, over all images
_BYTES = 96e6  # of them
_BLOCK = 8  # images computed at once
_BLOCK_BYTES = 256e6  # of maps that a residual block reads and gives


def quantize(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: a static INT8 copy of a float32 ONNX file whose rounding is learned.

    Args (as plain data): as for `calibrated`, and target: the .onnx file to write. learn_images: how many of the calibration
        images are learned from. steps: of gradient descent, a layer. drop: share of the inputs left unrounded.
        learn_ranges: whether activations' ranges are learned too. most: the largest whole number of a weight, where
            it is less than 8 bits hold: 7 for 4 bits. objective: "layer", as without it, or "block".

    Returns: as the static job; reconstructed: by layer, name, error before and after (mean square, of float's mean
        square) and the share of the weights that do not go to the nearest; by block, the error layer by layer and as a whole.

    Raises:
        EspalierError: when the file, the data or a pattern does not fit.
    """
    graph = calibrated({**arguments, "correct_bias": "on"}, lambda done, text: progress(0.15 * done, text))
    graph = replace(graph, corrects=False)
    started = time.monotonic()
    graph, rows = reconstructed(graph, arguments, lambda done, text: progress(0.15 + 0.8 * done, text))
    model, _ = graph.quantized((), lambda done, text: None)
    said = [_sentence(rows), *([_block_sentence(rows)] if arguments.get("objective") == "block" else [])]
    report = graph.write(model, "int8", Path(arguments["target"]), {}, said)
    progress(1.0, "Quantized")
    return {
        **report,
        "reconstructed": rows,
        "seconds": {"calibrate": graph.seconds, "reconstruct": time.monotonic() - started},
    }


def _sentence(rows: list[dict[str, Any]]) -> str:
    layers = [row for row in rows if "block" not in row]
    better = [row for row in layers if row["after"] < row["before"]]
    if not better:
        return "No layer answers better with learned rounding."
    return (
        f"Learned rounding leaves {len(better)} of {len(layers)} layers {percent(_kept(better))} of the error that rounding to the nearest gives, in "
        f"the geometric mean; {percent(np.mean([row['moved'] for row in layers]))} of a layer's weights go another way."
    )


def _block_sentence(rows: list[dict[str, Any]]) -> str:
    blocks = [row for row in rows if "block" in row]
    better = [row for row in blocks if row["after"] < row["before"]]
    if not blocks:
        return "No residual block is of a form that is learned as a whole; layers were learned one by one."
    if not better:
        return f"Learned as wholes, none of {len(blocks)} residual blocks comes nearer to float than layer by layer."
    return (
        f"Learned as wholes, {len(better)} of {len(blocks)} residual blocks come nearer to float: {percent(_kept(better))} of the error that is left layer by layer, "
        "in the geometric mean. The others keep what their layers learned."
    )


def _kept(rows: list[dict[str, Any]]) -> float:
    """The geometric mean of what is left of the errors."""
    return float(np.exp(np.mean([np.log(max(row["after"], 1e-12) / row["before"]) for row in rows])))


def reconstructed(
    graph: CalibratedGraph, arguments: Mapping[str, Any], progress: ProgressCallback
) -> tuple[CalibratedGraph, list[dict[str, Any]]]:
    """The graph with learned weights, biases and ranges, and a row for every layer."""
    few = graph.sample.spread(int(arguments["learn_images"]))
    changed = replace(graph, model=copy_of(graph.model), ranges=dict(graph.ranges))
    blocks = _blocks_by_last_layer(graph, arguments)
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    with Networks.on(few) as networks:
        for index, layer in enumerate(graph.layers):
            progress(
                index / len(graph.layers), f"Learning to round: layer {index + 1} of {len(graph.layers)}"
            )
            if layer.name not in graph.float_layers and layer.weight not in seen:
                seen.add(layer.weight)  # weights that two layers share are learned for the first
                rows += _learn_layer(graph, changed, layer, networks, arguments)
            if layer.name in blocks:
                rows += _learn_block(graph, changed, blocks[layer.name], networks, arguments)
    return changed, rows


@dataclass(frozen=True, slots=True)
class Networks:
    """The float and the rounded network's tensors on the images that are learned from."""

    exact: KeptTensors
    rounded: KeptTensors

    @classmethod
    @contextmanager
    def on(cls, sample: Sample) -> Iterator["Networks"]:
        def kept() -> KeptTensors:
            return KeptTensors(lambda: _blocks(sample), len(sample), sample.batch is not None)

        with kept() as exact, kept() as rounded:
            yield cls(exact, rounded)


def _learn_layer(
    graph: CalibratedGraph,
    changed: CalibratedGraph,
    layer: Layer,
    networks: Networks,
    arguments: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Let one layer of `changed` learn; its row, or none where it stays as it is."""
    from core.deploy.quantization.rounding import learn

    rounded_graph, _ = changed.quantized((), lambda done, text: None)
    form = _form(changed, rounded_graph, layer, arguments)
    if form is None:
        return []
    seed = derive_seed(int(arguments["seed"]), "reconstruct", layer.name)
    sample = _sample(graph.model, rounded_graph, layer, networks, seed)
    weight, bias = _weights(changed.model, layer)
    learned = learn(weight, bias, sample, form, int(arguments["steps"]), float(arguments["drop"]), seed)
    _put(changed, layer, learned)
    return [_row(layer, learned, sample)]


def _blocks_by_last_layer(graph: CalibratedGraph, arguments: Mapping[str, Any]) -> dict[str, "Block"]:
    """The residual blocks that are learned as wholes, by the last of their layers; none where layers alone are."""
    if arguments.get("objective", "layer") != "block":
        return {}
    from core.deploy.quantization.block_rounding import residual_blocks

    found = residual_blocks(graph.model, graph.layers)
    return {block.layers[-1]: block for block in found if not set(block.layers) & set(graph.float_layers)}


def _learn_block(
    graph: CalibratedGraph,
    changed: CalibratedGraph,
    block: "Block",
    networks: Networks,
    arguments: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Let a block of `changed`, whose layers have learned one by one, learn as a whole; its row, or none where it is not of that form."""
    import torch

    from core.deploy.quantization import block_rounding

    rounded, _ = changed.quantized((), lambda done, text: None)
    form = _block_form(graph, changed, rounded, block, arguments)
    sample = _block_sample(graph.model, rounded, block, networks) if form is not None else None
    if form is None or sample is None:
        return []
    layers = {layer.node: layer for layer in graph.layers if layer.name in block.layers}
    one_by_one = {name: torch.from_numpy(_weights(changed.model, layer)[0]) for name, layer in layers.items()}
    before = block_rounding.error(form, one_by_one, sample)
    seed = derive_seed(int(arguments["seed"]), "reconstruct block", block.answer)
    learned = block_rounding.learn_block(
        form, sample, int(arguments["steps"]), float(arguments["drop"]), seed
    )
    after = block_rounding.error(form, learned, sample)
    if after < before:
        for name, layer in layers.items():
            weight = learned[name].numpy().reshape(_weights(changed.model, layer)[0].shape)
            _put_weights(changed, layer, weight, form.layers[name].bias.numpy())
        for tensor, ends in form.ranges.items():
            low, high = (float(end) for end in ends)
            if high > low:
                changed.ranges[tensor] = (low, high)
    signal = float(sample.wanted.double().square().mean()) or 1.0
    return [
        {
            "name": f"block of {', '.join(block.layers)}",
            "block": len(layers),
            "before": before / signal,
            "after": min(before, after) / signal,
        }
    ]


def _block_form(
    graph: CalibratedGraph,
    changed: CalibratedGraph,
    rounded: "onnx.ModelProto",
    block: "Block",
    arguments: Mapping[str, Any],
) -> "BlockForm | None":
    """How the block's layers round; None where one of them is not learned."""
    import torch

    from core.deploy.quantization.block_rounding import BlockForm, limits_of, shapes_of
    from core.deploy.quantization.rounding import RoundingLayer

    layers = {layer.node: layer for layer in graph.layers if layer.name in block.layers}
    rounding: dict[str, RoundingLayer] = {}
    for name, layer in layers.items():
        form = _form(changed, rounded, layer, arguments)
        if form is None:
            return None
        (weight, _), (_, bias) = _weights(graph.model, layer), _weights(changed.model, layer)
        rounding[name] = RoundingLayer(weight, bias, replace(form, ends=None))
    integer = _quantized_tensors(rounded) & set(changed.ranges)
    ranges = {
        name: torch.tensor(changed.ranges[name], requires_grad=bool(arguments["learn_ranges"]))
        for node in block.nodes for name in node.output if name in integer
    }  # fmt: skip
    return BlockForm(block, rounding, shapes_of(graph.model, block), ranges, limits_of(graph.model, block))


def _block_sample(
    exact: "onnx.ModelProto", rounded: "onnx.ModelProto", block: "Block", networks: Networks
) -> "BlockSample | None":
    """What the block reads and gives on as many images as fit; None where its answers are no maps."""
    import torch

    from core.deploy.quantization.block_rounding import BlockSample

    entries = []
    for tensor in block.given:
        node = next(node for node in block.nodes if tensor in node.input)
        entries.append(node_called(rounded, node.name).input[list(node.input).index(tensor)])
    theirs, ours = (
        networks.rounded.ask(rounded, entries),
        networks.exact.ask(exact, [*block.given, block.answer]),
    )
    parts: list[list[np.ndarray]] = []
    held = 0
    for (_, some), (_, others) in zip(theirs, ours, strict=True):
        found = [*some, *others]
        if any(array.ndim != 4 for array in found):
            return None
        parts.append(found)
        held += sum(array.nbytes for array in found)
        if held > _BLOCK_BYTES:
            break
    whole = [torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*parts, strict=True)]
    count = len(block.given)
    given = [dict(zip(block.given, some, strict=True)) for some in (whole[:count], whole[count:-1])]
    return BlockSample(given[0], given[1], whole[-1])


def _row(layer: Layer, learned: "Rounded", sample: "LayerSample") -> dict[str, Any]:
    signal = float(np.square(sample.answers, dtype=np.float64).mean()) or 1.0
    return {
        "name": layer.name, "before": learned.before / signal, "after": learned.after / signal,
        "moved": learned.moved / learned.weight.size,
    }  # fmt: skip


def _turned(layer: Layer, node: "onnx.NodeProto") -> bool:
    """Whether its weights lie as [c, o] in the file."""
    return layer.op == "MatMul" or (layer.op == "Gemm" and not settings_of(node).get("transB"))


def _weights(model: "onnx.ModelProto", layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Weights as [o, c, …] and the bias [o], zeros where it has none."""
    node = node_called(model, layer.node)
    weight = array_of(model, layer.weight)
    weight = weight.T.copy() if _turned(layer, node) else weight
    has = len(node.input) > 2 and node.input[2]
    return weight, array_of(model, node.input[2]) if has else np.zeros(len(weight), np.float32)


def _put(graph: CalibratedGraph, layer: Layer, learned: "Rounded") -> None:
    """What a layer learned, into the float graph and its ranges."""
    _put_weights(graph, layer, learned.weight, learned.bias)
    if learned.ends is not None:
        graph.ranges[layer.output] = learned.ends


def _put_weights(graph: CalibratedGraph, layer: Layer, weight: np.ndarray, bias: np.ndarray) -> None:
    """Weights [o, c, …] and biases [o], where the layer has any, into the float graph."""
    node = node_called(graph.model, layer.node)
    weight = weight.T.copy() if _turned(layer, node) else weight
    put_array(graph.model, layer.weight, np.ascontiguousarray(weight, dtype=np.float32))
    if len(node.input) > 2 and node.input[2]:
        put_array(graph.model, node.input[2], bias.astype(np.float32))


def _form(
    graph: CalibratedGraph, rounded: "onnx.ModelProto", layer: Layer, arguments: Mapping[str, Any]
) -> "LayerForm | None":
    """How the layer computes; None where it stays float, or in a form that is not learned."""
    from core.deploy.quantization.rounding import LayerForm

    givers = {name: node for node in rounded.graph.node for name in node.output}
    node = node_called(rounded, layer.node)
    dequantize, settings = givers.get(node.input[1]), settings_of(node)
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return None
    if layer.op == "Gemm" and {settings.get("alpha", 1.0), settings.get("beta", 1.0)} != {1.0}:
        return None
    auto = settings.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    if auto or (layer.op == "Conv" and len(settings.get("kernel_shape", [0, 0])) != 2):
        return None
    weight, _ = _weights(graph.model, layer)
    weight, scale = weight.reshape(len(weight), -1), array_of(rounded, dequantize.input[1]).reshape(-1, 1)
    if len(scale) not in (1, len(weight)):
        return None
    held = int(np.abs(np.round(weight / scale)).max())
    most = min(held, int(arguments.get("most", held)))
    quantized = _quantized_tensors(rounded)
    return LayerForm(
        groups=int(settings.get("group", 1)),
        limits=_limits(graph.model, layer),
        scale=scale * np.float32(held / max(most, 1)),
        most=most,
        ends=graph.ranges[layer.output]
        if arguments["learn_ranges"] and layer.output in quantized & set(graph.ranges)
        else None,
    )


def _quantized_tensors(model: "onnx.ModelProto") -> set[str]:
    """The tensors that are rounded to 8 bits."""
    return {name for node in model.graph.node if node.op_type == "QuantizeLinear" for name in node.input[:1]}


def _limits(model: "onnx.ModelProto", layer: Layer) -> tuple[float, float] | None:
    """What the activation that belongs to the layer cuts its answers to."""
    if len(layer.nodes) < 2:
        return None
    node = node_called(model, layer.nodes[1])
    return (0.0, float("inf")) if node.op_type == "Relu" else clip_limits(model, node)


def _sample(
    exact: "onnx.ModelProto", rounded: "onnx.ModelProto", layer: Layer, networks: Networks, seed: int
) -> "LayerSample":
    """What the layer reads and gives on some patches of the images."""
    from core.deploy.quantization.rounding import LayerSample

    entry = node_called(rounded, layer.node).input[0]
    theirs = networks.rounded.ask(rounded, [entry])
    ours = networks.exact.ask(exact, [layer.input, layer.raw])
    settings, numbers = settings_of(node_called(exact, layer.node)), np.random.default_rng(seed)
    parts: list[list[np.ndarray]] = [[], [], []]
    for (count, [mixed]), (_, [given, answers]) in zip(theirs, ours, strict=True):
        for image in range(count):
            one = (mixed[image], given[image], answers[image])
            found = (_patches if layer.op == "Conv" else _rows)(settings, one, networks.exact.images, numbers)
            for part, array in zip(parts, found, strict=True):
                part.append(array)
    return LayerSample(np.concatenate(parts[0], 1), np.concatenate(parts[1], 1), np.concatenate(parts[2]))


def _blocks(sample: Sample) -> Iterator[np.ndarray]:
    for block in sample.blocks():
        size = sample.batch or _BLOCK
        for start in range(0, len(block), size):
            yield block[start : start + size]


Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def _rows(settings: Mapping[str, Any], image: Arrays, images: int, numbers: np.random.Generator) -> Arrays:
    """Of one image what a linear layer reads, [1, n, c] twice, and gives, [n, o]."""
    rounded, exact, answers = (array.reshape(-1, array.shape[-1]) for array in image)
    picked = numbers.permutation(len(answers))[: _each(images, rounded.shape[1])]
    return rounded[None, picked], exact[None, picked], answers[picked]


def _patches(settings: Mapping[str, Any], image: Arrays, images: int, numbers: np.random.Generator) -> Arrays:
    """Of one image [c, h, w] what a convolution reads at some places, [g, n, d] twice, and gives there, [n, o]."""
    rounded, exact, answers = image
    kernel, groups = settings["kernel_shape"], int(settings.get("group", 1))
    pads, dilations = settings.get("pads", [0, 0, 0, 0]), settings.get("dilations", [1, 1])
    places = answers.shape[1] * answers.shape[2]
    picked = numbers.permutation(places)[: _each(images, len(rounded) * kernel[0] * kernel[1])]
    top, left = (
        place * stride
        for place, stride in zip(np.unravel_index(picked, answers.shape[1:]), settings.get("strides", [1, 1]), strict=True)
    )  # fmt: skip
    rows = top[:, None, None] + dilations[0] * np.arange(kernel[0])[:, None]  # [n, kh, 1]
    columns = left[:, None, None] + dilations[1] * np.arange(kernel[1])  # [n, 1, kw]
    read = []
    for array in (rounded, exact):
        padded = np.pad(array, ((0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
        cut = padded[:, rows, columns]  # [c, n, kh, kw]
        grouped = cut.reshape(groups, -1, *cut.shape[1:]).transpose(0, 2, 1, 3, 4)  # [g, n, c/g, kh, kw]
        read.append(np.ascontiguousarray(grouped.reshape(groups, len(picked), -1)))
    return read[0], read[1], answers.reshape(len(answers), -1)[:, picked].T.copy()


def _each(images: int, numbers: int) -> int:
    """How many patches of so many numbers are taken from each image."""
    return max(1, int(min(_MOST, _BYTES / (4 * numbers)) / images))
