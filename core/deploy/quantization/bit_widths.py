"""The width of each layer, 4, 8 or float, under a size budget: the file gets no larger, and its answers stay as near to float's as that allows.

Each layer is tried alone at each width on validation images: what it adds to the error of the logits, and what its weights then take in the
file. Errors are taken to add up, and the widths with the least sum that fit are found exactly (a knapsack with one choice for every
layer). Layers of 4 bits are *stored* so, and compute in 8 (`core.deploy.quantization.four_bits`); their weights are compensated once the choice is
made, and tried by the nearest level before. The layer that sees the image has no 4 bits.

Sources: HAWQ-V3, Yao et al. 2021, arXiv 2011.10680 (widths by an integer program over errors that add up, under a limit of size); Aswathy (IJERT 15(5), 2026)
for layers in float. Where we depart: the error is that of the logits, measured, where theirs is the Hessian's estimate; and float is a width too. A job of the
tool child.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.deploy.quantization.calibrated import CalibratedGraph, calibrated
from core.deploy.quantization.calibration import draw
from core.deploy.quantization.four_bits import HIGH, OPSET, stored_in_four
from core.deploy.quantization.graph import Layer, array_of, copy_of, prepare, put_array
from core.deploy.quantization.mixed import store_half
from core.deploy.quantization.sensitivity import quantized_alone, ranked
from core.deploy.quantization.sessions import agreement, run, sqnr, top1
from core.machine.jobs import ProgressCallback
from core.onnx_graph.shared_weights import compact

if TYPE_CHECKING:
    import onnx

FLOAT = 32
_GRID = 20_000  # parts of the budget that sizes are rounded up to
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Option:
    """A layer at one width, alone. `bytes`: of the file, with what is float elsewhere; `noise`: squared error of the logits."""

    width: int
    bytes: int
    noise: float


def quantize(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: a copy of a float32 ONNX file whose layers have 4 (stored), 8 or all bits, and which takes no more than a share of it.

    Args (as plain data): as for `calibrated`, and target: the .onnx file to write. size: percent of the source's bytes that the
        file may take. most_kept: percent of the layers that may stay float. kept_as: "float32" or "float16" (storage of float layers). sensitivity_images: how many. threads.

    Returns: as the static job; widths: by layer, 4, 8 or 32; ranking (name, dB alone in 8 bits); met (whether the file is as small);
        share: percent of the source's bytes; predicted and measured: signal to noise on the sensitivity images, dB, by adding
        up and together; float_, int8_ and mixed_ top1, int8_ and mixed_agreement; validation_images.

    Raises:
        EspalierError: when the file, the data or a pattern does not fit.
    """
    started = time.monotonic()
    source = Path(arguments["source"])
    graph = calibrated(arguments, lambda done, text: progress(0.15 * done, text), prepare(source, OPSET))
    between, budget = time.monotonic(), arguments["size"] / 100 * source.stat().st_size
    trials = _Trials(graph, arguments)
    options = trials.options(lambda done, text: progress(0.15 + 0.5 * done, text))
    whole = dict.fromkeys(graph.float_layers, FLOAT)
    widths, met = _fitting(trials, options, whole, budget)
    searched = time.monotonic()
    model = trials.written(widths, lambda done, text: progress(0.65 + 0.2 * done, text))
    reasons = {name: "float by the size budget" for name, width in widths.items() if width == FLOAT}
    report = graph.write(copy_of(model), "mixed", Path(arguments["target"]), reasons, [])
    judged = _judge(graph, model, arguments)
    progress(1.0, "Quantized")
    chosen = {option.name: option.at(widths[option.name]) for option in options}
    added = sum(option.noise for option in chosen.values())
    eight = [(each.name, trials.in_decibels(each.at(8).noise)) for each in options]
    return {
        **report, **judged, "widths": widths, "met": met,
        "share": 100 * Path(arguments["target"]).stat().st_size / source.stat().st_size,
        "ranking": ranked(eight, "alone", "sqnr"),
        "predicted": trials.in_decibels(added), "measured": sqnr(trials.reference, trials.answers(model)),
        "seconds": {"calibrate": between - started, "sensitivity": searched - between, "write": time.monotonic() - searched},
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layered:
    """What a layer may be, the narrowest first."""

    name: str
    options: tuple[Option, ...]

    def at(self, width: int) -> Option:
        return next(option for option in self.options if option.width == width)


def choose(layers: Sequence[Layered], budget: float) -> dict[str, int]:
    """The width of each layer with the least sum of noise whose bytes stay within the budget; the fewest bytes where nothing does.

    Exact but for sizes that are rounded up to a twenty-thousandth of the room that there is (dynamic programming).
    """
    least = [min(option.bytes for option in layer.options) for layer in layers]
    room = budget - sum(least)
    if room < 0:
        return {layer.name: min(layer.options, key=lambda option: option.bytes).width for layer in layers}
    unit = max(room / _GRID, 1e-9)
    best, picked = np.zeros(_GRID + 1), list[np.ndarray]()
    steps = [
        [int(np.ceil((option.bytes - fewest) / unit - 1e-9)) for option in layer.options]
        for layer, fewest in zip(layers, least, strict=True)
    ]
    for layer, taken in zip(layers, steps, strict=True):
        sums = np.full((len(taken), _GRID + 1), np.inf)
        for row, step in enumerate(taken):
            if step <= _GRID:
                sums[row, step:] = best[: _GRID + 1 - step] + layer.options[row].noise
        picked.append(sums.argmin(0))
        best = sums.min(0)
    left, widths = _GRID, dict[str, int]()
    for layer, taken, rows in zip(reversed(layers), reversed(steps), reversed(picked), strict=True):
        row = int(rows[left])
        widths[layer.name], left = layer.options[row].width, left - taken[row]
    return {layer.name: widths[layer.name] for layer in layers}


def _fitting(
    trials: "_Trials", layers: Sequence[Layered], whole: Mapping[str, int], budget: float
) -> tuple[dict[str, int], bool]:
    """The widths whose file fits, and whether it does: what layers share in the file is not in what each takes alone."""
    room, widths = budget - trials.base, dict[str, int]()
    for _ in range(_ROUNDS):
        widths = {**choose(layers, room), **whole}
        excess = trials.plain(widths).ByteSize() - budget
        if excess <= 0:
            return widths, True
        room -= excess
    return widths, False


class _Trials:
    """Layers at their widths, each alone, on the sensitivity images."""

    def __init__(self, graph: CalibratedGraph, arguments: Mapping[str, Any]) -> None:
        self._graph, self._arguments = graph, arguments
        self._threads = int(arguments.get("threads", 0))
        images = draw(
            graph.model, arguments, "validation", arguments["sensitivity_images"], arguments["seed"]
        )
        self._blocks = list(images.blocks())
        self.reference = run(graph.model, self._blocks, self._threads)
        self.base = graph.model.ByteSize()

    def answers(self, model: "onnx.ModelProto") -> np.ndarray:
        return run(model, self._blocks, self._threads)

    def in_decibels(self, noise: float) -> float:
        signal = float(np.square(self.reference.astype(np.float64)).sum())
        return float("inf") if noise <= 0 else 10.0 * float(np.log10(signal / noise))

    def options(self, progress: ProgressCallback) -> list[Layered]:
        free = [layer for layer in self._graph.layers if layer.name not in self._graph.float_layers]
        found = []
        for number, layer in enumerate(free):
            progress(number / len(free), f"Widths: {number} of {len(free)} layers")
            found.append(Layered(layer.name, tuple(self._options(layer))))
        return _few_in_float(found, int(len(found) * self._arguments["most_kept"] / 100))

    def _options(self, layer: Layer) -> list[Option]:
        """The bytes are against the float graph, so that they are negative where the file gets smaller."""
        graph = self._graph
        eight = quantized_alone(graph.model, graph.layers, graph.ranges, graph.numbers, layer.name)
        options = [self._option(8, eight)]
        if self._takes_four(layer):
            four = copy_of(eight)
            _round_to_four(four, [layer])
            if four.ByteSize() < eight.ByteSize():  # a small layer's codebook takes more than it saves
                options.insert(0, self._option(4, four))
        kept = copy_of(graph.model)
        self._store(kept, [layer])
        return [*options, Option(FLOAT, kept.ByteSize() - self.base, 0.0)]

    def _option(self, width: int, model: "onnx.ModelProto") -> Option:
        error = self.answers(model).astype(np.float64) - self.reference
        return Option(width, model.ByteSize() - self.base, float(np.square(error).sum()))

    def _takes_four(self, layer: Layer) -> bool:
        """Not the layer that sees the image, nor weights that two layers read."""
        entries = {value.name for value in self._graph.model.graph.input}
        shared = sum(each.weight == layer.weight for each in self._graph.layers) > 1
        return layer.input not in entries and not shared

    def plain(self, widths: Mapping[str, int]) -> "onnx.ModelProto":
        """The graph at these widths, weights at their nearest levels: as large as what is written in the end."""
        model, _ = _uncorrected(self._graph).quantized(_at(widths, FLOAT), lambda done, text: None)
        _round_to_four(model, self._layers(widths, 4))
        self._store(model, self._layers(widths, FLOAT))
        return model

    def written(self, widths: Mapping[str, int], progress: ProgressCallback) -> "onnx.ModelProto":
        """The same with weights of 4 bits compensated, and biases corrected."""
        four = _at(widths, 4)
        model, stored = stored_in_four(self._graph, four, _at(widths, FLOAT), self._arguments, progress)
        compact(model, {f"{layer.weight}_quantized" for layer in stored})
        self._store(model, self._layers(widths, FLOAT))
        return model

    def _layers(self, widths: Mapping[str, int], width: int) -> list[Layer]:
        return [layer for layer in self._graph.layers if widths[layer.name] == width]

    def _store(self, model: "onnx.ModelProto", layers: list[Layer]) -> None:
        if self._arguments["kept_as"] == "float16":
            store_half(model, layers)


def _few_in_float(layers: Sequence[Layered], most: int) -> list[Layered]:
    """The layers, of which only the `most` that 8 bits hurt most may stay float.

    Small layers take as much in float as in 8 bits with their scales, and would all stay float, which makes the file slow.
    """
    sensitive = sorted(layers, key=lambda layer: -layer.at(8).noise)[:most]
    return [
        layer
        if layer in sensitive
        else Layered(layer.name, tuple(each for each in layer.options if each.width != FLOAT))
        for layer in layers
    ]


def _at(widths: Mapping[str, int], width: int) -> list[str]:
    return [name for name, each in widths.items() if each == width]


def _uncorrected(graph: CalibratedGraph) -> CalibratedGraph:
    return replace(graph, corrects=False)


def _round_to_four(model: "onnx.ModelProto", layers: Sequence[Layer]) -> None:
    """Weights of 8 bits at the nearest of the 15 that 4 bits hold, stored so, in place."""
    names = {f"{layer.weight}_quantized" for layer in layers}
    for name in names & {tensor.name for tensor in model.graph.initializer}:
        whole = array_of(model, name)
        most = max(int(np.abs(whole.astype(np.int16)).max()), 1)
        levels = np.round(whole.astype(np.float64) * HIGH / most)
        put_array(model, name, np.round(levels * most / HIGH).astype(whole.dtype))
    compact(model, names)


def _judge(graph: CalibratedGraph, model: "onnx.ModelProto", arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Float, all layers in 8 bits, and the chosen widths on the validation split."""
    threads = int(arguments.get("threads", 0))
    sample = draw(graph.model, arguments, "validation", None, arguments["seed"])
    eight, _ = graph.quantized((), lambda done, text: None)
    reference, plain, mixed = (run(each, sample.blocks(), threads) for each in (graph.model, eight, model))
    return {
        "float_top1": top1(reference, sample.labels), "int8_top1": top1(plain, sample.labels),
        "mixed_top1": top1(mixed, sample.labels), "int8_agreement": agreement(reference, plain),
        "mixed_agreement": agreement(reference, mixed), "validation_images": len(sample),
    }  # fmt: skip
