"""Reconstruction: layer after layer, the rounding of the weights and the ranges of the activations are learned.

Each layer is given what the layers before it, rounded already, give, and has to answer what it answers in float
(`core.deploy.quantization.rounding`, where the sources stand). What it learns is put back as weights that are whole multiples of
their scale, so that the file is written by the same code as static INT8, which then rounds nothing.

Where we depart from AdaRound: of a layer's maps some patches are looked at, drawn evenly, which is an
unbiased sample of the same error at a fraction of the time on a processor. Layer by layer, not block by block (BRECQ): no
network has to be taken out of the graph, whatever lies between its layers. A job of the tool child.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.randomness import derive_seed
from core.deploy.quantization.calibrated import CalibratedGraph, calibrated
from core.deploy.quantization.calibration import Sample
from core.deploy.quantization.equalise import clip_limits
from core.deploy.quantization.graph import Layer, array_of, copy_of, node_called, put_array
from core.deploy.quantization.sessions import probed
from core.machine.jobs import ProgressCallback

if TYPE_CHECKING:
    import onnx

    from core.deploy.quantization.rounding import LayerForm, LayerSample, Rounded

_MOST = 16_384  # patches of a layer, over all images
_BYTES = 96e6  # of them
_BLOCK = 8  # images computed at once


def quantize(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: a static INT8 copy of a float32 ONNX file whose rounding is learned.

    Args (as plain data): as for `calibrated`, and target: the .onnx file to write. learn_images: how many of the calibration
        images are learned from. steps: of gradient descent, a layer. drop: share of the inputs left unrounded.
        learn_ranges: whether activations' ranges are learned too. most: the largest whole number of a weight, where
            it is less than 8 bits hold: 7 for 4 bits.

    Returns: as the static job; reconstructed: by layer, name, error before and after (mean square, of float's mean
        square) and the share of the weights that do not go to the nearest.

    Raises:
        EspalierError: when the file, the data or a pattern does not fit.
    """
    graph = calibrated({**arguments, "correct_bias": "on"}, lambda done, text: progress(0.15 * done, text))
    graph = replace(graph, corrects=False)
    started = time.monotonic()
    graph, rows = reconstructed(graph, arguments, lambda done, text: progress(0.15 + 0.8 * done, text))
    model, _ = graph.quantized((), lambda done, text: None)
    report = graph.write(model, "int8", Path(arguments["target"]), {}, [_sentence(rows)])
    progress(1.0, "Quantized")
    return {
        **report,
        "reconstructed": rows,
        "seconds": {"calibrate": graph.seconds, "reconstruct": time.monotonic() - started},
    }


def _sentence(rows: list[dict[str, Any]]) -> str:
    better = [row for row in rows if row["after"] < row["before"]]
    if not better:
        return "No layer answers better with learned rounding."
    kept = float(np.exp(np.mean([np.log(row["after"] / row["before"]) for row in better])))
    return (
        f"Learned rounding leaves {len(better)} of {len(rows)} layers {kept:.0%} of the error that rounding to the nearest gives, in "
        f"the geometric mean; {np.mean([row['moved'] for row in rows]):.0%} of a layer's weights go another way."
    )


def reconstructed(
    graph: CalibratedGraph, arguments: Mapping[str, Any], progress: ProgressCallback
) -> tuple[CalibratedGraph, list[dict[str, Any]]]:
    """The graph with learned weights, biases and ranges, and a row for every layer."""
    from core.deploy.quantization.rounding import learn

    count = min(int(arguments["learn_images"]), len(graph.sample))
    spread = np.linspace(0, len(graph.sample) - 1, count).round().astype(int)  # rows lie class by class
    few = replace(graph.sample, rows=graph.sample.rows[spread])
    changed = replace(graph, model=copy_of(graph.model), ranges=dict(graph.ranges))
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    for index, layer in enumerate(graph.layers):
        progress(index / len(graph.layers), f"Learning to round: layer {index + 1} of {len(graph.layers)}")
        if layer.name in graph.float_layers or layer.weight in seen:
            continue  # weights that two layers share are learned for the first
        seen.add(layer.weight)
        rounded_graph, _ = changed.quantized((), lambda done, text: None)
        form = _form(changed, rounded_graph, layer, arguments)
        if form is None:
            continue
        seed = derive_seed(int(arguments["seed"]), "reconstruct", layer.name)
        sample = _sample(graph.model, rounded_graph, layer, few, seed)
        weight, bias = _weights(changed.model, layer)
        learned = learn(weight, bias, sample, form, int(arguments["steps"]), float(arguments["drop"]), seed)
        _put(changed, layer, learned)
        rows.append(_row(layer, learned, sample))
    return changed, rows


def _row(layer: Layer, learned: "Rounded", sample: "LayerSample") -> dict[str, Any]:
    signal = float(np.square(sample.answers, dtype=np.float64).mean()) or 1.0
    return {
        "name": layer.name, "before": learned.before / signal, "after": learned.after / signal,
        "moved": learned.moved / learned.weight.size,
    }  # fmt: skip


def _settings(node: "onnx.NodeProto") -> dict[str, Any]:
    import onnx

    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}


def _turned(layer: Layer, node: "onnx.NodeProto") -> bool:
    """Whether its weights lie as [c, o] in the file."""
    return layer.op == "MatMul" or (layer.op == "Gemm" and not _settings(node).get("transB"))


def _weights(model: "onnx.ModelProto", layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Weights as [o, c, …] and the bias [o], zeros where it has none."""
    node = node_called(model, layer.node)
    weight = array_of(model, layer.weight)
    weight = weight.T.copy() if _turned(layer, node) else weight
    has = len(node.input) > 2 and node.input[2]
    return weight, array_of(model, node.input[2]) if has else np.zeros(len(weight), np.float32)


def _put(graph: CalibratedGraph, layer: Layer, learned: "Rounded") -> None:
    """What a layer learned, into the float graph and its ranges."""
    node = node_called(graph.model, layer.node)
    weight = learned.weight.T.copy() if _turned(layer, node) else learned.weight
    put_array(graph.model, layer.weight, np.ascontiguousarray(weight, dtype=np.float32))
    if len(node.input) > 2 and node.input[2]:
        put_array(graph.model, node.input[2], learned.bias.astype(np.float32))
    if learned.ends is not None:
        graph.ranges[layer.output] = learned.ends


def _form(
    graph: CalibratedGraph, rounded: "onnx.ModelProto", layer: Layer, arguments: Mapping[str, Any]
) -> "LayerForm | None":
    """How the layer computes; None where it stays float, or in a form that is not learned."""
    from core.deploy.quantization.rounding import LayerForm

    givers = {name: node for node in rounded.graph.node for name in node.output}
    node = node_called(rounded, layer.node)
    dequantize, settings = givers.get(node.input[1]), _settings(node)
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
    quantized = {
        name for entry in rounded.graph.node if entry.op_type == "QuantizeLinear" for name in entry.input[:1]
    }
    return LayerForm(
        groups=int(settings.get("group", 1)),
        limits=_limits(graph.model, layer),
        scale=scale * np.float32(held / max(most, 1)),
        most=most,
        ends=graph.ranges[layer.output]
        if arguments["learn_ranges"] and layer.output in quantized & set(graph.ranges)
        else None,
    )


def _limits(model: "onnx.ModelProto", layer: Layer) -> tuple[float, float] | None:
    """What the activation that belongs to the layer cuts its answers to."""
    if len(layer.nodes) < 2:
        return None
    node = node_called(model, layer.nodes[1])
    return (0.0, float("inf")) if node.op_type == "Relu" else clip_limits(model, node)


def _sample(
    exact: "onnx.ModelProto", rounded: "onnx.ModelProto", layer: Layer, sample: Sample, seed: int
) -> "LayerSample":
    """What the layer reads and gives on some patches of the images."""
    from core.deploy.quantization.rounding import LayerSample

    entry = node_called(rounded, layer.node).input[0]
    ask_rounded, ask_exact = probed(rounded, [entry]), probed(exact, [layer.input, layer.raw])
    settings, numbers = _settings(node_called(exact, layer.node)), np.random.default_rng(seed)
    parts: list[list[np.ndarray]] = [[], [], []]
    for block in _blocks(sample):
        [mixed], [given, answers] = ask_rounded(block), ask_exact(block)
        for image in range(len(block)):
            one = (mixed[image], given[image], answers[image])
            found = (_patches if layer.op == "Conv" else _rows)(settings, one, len(sample), numbers)
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
