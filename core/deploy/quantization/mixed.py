"""Mixed precision: the layers that integers hurt most stay float, until the accuracy budget holds.

Every layer's sensitivity is measured on validation images and ranked; the smallest number of most
sensitive layers whose return to float meets the budget on the validation split is found by halving.
Test images are never seen.

Source: Aswathy (IJERT 15(5), 2026: sensitive layers stay FP16, the others go INT8); HAWQ (Dong et
al. 2019, arXiv 1905.03696) for ranking by sensitivity. Where we depart from them: sensitivity is the
measured change of the answers, not the Hessian; and kept layers may be *stored* in float16, but compute in
float32, because ONNX Runtime has no fast half precision on processors. A job of the tool child.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.deploy.quantization.calibrated import CalibratedGraph, calibrated
from core.deploy.quantization.calibration import draw
from core.deploy.quantization.graph import Layer, array_of, put_array
from core.deploy.quantization.sensitivity import LayerTrials, confirm, sensitivities
from core.deploy.quantization.sessions import agreement, run, top1
from core.machine.jobs import ProgressCallback
from core.onnx_graph.reading import names_read

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class Outcome:
    """A network with so many layers kept in float, on the validation split.

    Attributes:
        lost: points of top-1 below float's. agreement: percent that keep float's class.
    """

    float_layers: int
    top1: float
    lost: float
    agreement: float
    model: "onnx.ModelProto"


def quantize(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: an INT8 copy of a float32 ONNX file whose most sensitive layers stay float.

    Args (as plain data): as for `calibrated`, and target: the .onnx file to write.
        way, measure: see `core.deploy.quantization.sensitivity`. sensitivity_images: how many.
        confirm: how many of the most and of the least sensitive layers to leave out in turn.
        max_loss: points of validation top-1 that may be lost. min_agreement: percent.
        most_kept: percent of the layers that may stay float.
        kept_as: "float32" or "float16" (storage). threads.

    Returns: as the static job; ranking (name, value); left_out and left_out_least (by name, the gain
        in dB of leaving the layer out of all-INT8 besides those before it); kept (names); met (whether the
        budget holds); tried (kept, top1 and agreement of each step); float_top1; int8_ and mixed_ top1 and agreement;
        validation_images.

    Raises:
        EspalierError: when the file, the data or a pattern does not fit.
    """
    graph = calibrated(arguments, lambda done, text: progress(0.15 * done, text))
    started = time.monotonic()
    sensitivity = _sensitivity(graph, arguments, lambda done, text: progress(0.15 + 0.55 * done, text))
    between = time.monotonic()
    names = [name for name, _ in sensitivity["ranking"]]
    outcome, images = _judge(graph, names, arguments, progress)
    most = int(len(names) * arguments["most_kept"] / 100)
    max_loss, min_agreement = arguments["max_loss"], arguments["min_agreement"]

    def holds(tried: Outcome) -> bool:
        return tried.lost <= max_loss + 1e-9 and tried.agreement >= min_agreement - 1e-9

    tried = fewest(most, outcome, holds)
    chosen, plain, float_layers = tried[-1], tried[0], names[: tried[-1].float_layers]
    notes = []
    if arguments["kept_as"] == "float16":
        store_half(
            chosen.model,
            [layer for layer in graph.layers if layer.name in {*float_layers, *graph.float_layers}],
        )
        notes.append(
            "Layers kept in float are stored in float16 and computed in float32: halves are no faster here."
        )
    reasons = {name: f"number {place} in sensitivity" for place, name in enumerate(float_layers, start=1)}
    report = graph.write(chosen.model, "mixed", Path(arguments["target"]), reasons, notes)
    progress(1.0, "Quantized")
    return {
        **report,
        **sensitivity,
        "seconds": {
            "calibrate": graph.seconds, "sensitivity": between - started, "search": time.monotonic() - between
        },
        "kept": float_layers,
        "met": holds(chosen),
        "tried": [{"kept": each.float_layers, "top1": each.top1, "agreement": each.agreement} for each in tried],
        "float_top1": plain.top1 + plain.lost,
        "int8_top1": plain.top1,
        "mixed_top1": chosen.top1,
        "int8_agreement": plain.agreement,
        "mixed_agreement": chosen.agreement,
        "validation_images": images,
    }  # fmt: skip


def _sensitivity(
    graph: CalibratedGraph, arguments: dict[str, Any], progress: ProgressCallback
) -> dict[str, Any]:
    """The ranking of the layers, and what leaving out in turn gains: from its beginning, and from its end."""
    threads = int(arguments.get("threads", 0))
    sample = draw(graph.model, arguments, "validation", arguments["sensitivity_images"], arguments["seed"])
    blocks = list(sample.blocks())
    reference = run(graph.model, blocks, threads)
    trials = LayerTrials(graph.model, graph.layers, graph.ranges, graph.numbers, blocks, reference, threads)
    free = [layer for layer in graph.layers if layer.name not in graph.float_layers]
    ranking = sensitivities(trials, arguments["way"], arguments["measure"], free, progress)
    names = [name for name, _ in ranking]
    count = min(int(arguments.get("confirm", 0)), len(names) // 2)
    return {
        "ranking": ranking,
        "left_out": confirm(trials, names[:count]),
        "left_out_least": confirm(trials, names[: -count - 1 : -1]),
    }


def _judge(
    graph: CalibratedGraph, names: list[str], arguments: dict[str, Any], progress: ProgressCallback
) -> tuple[Callable[[int], Outcome], int]:
    """What judges a number of kept layers on the validation split, and how many images that has."""
    threads = int(arguments.get("threads", 0))
    sample = draw(graph.model, arguments, "validation", None, arguments["seed"])
    reference = run(graph.model, sample.blocks(), threads)
    float_top1 = top1(reference, sample.labels)

    @cache
    def outcome(float_layers: int) -> Outcome:
        progress(0.7, f"Searching: {float_layers} of {len(names)} layers in float")
        model, _ = graph.quantized(names[:float_layers], lambda done, text: None)
        logits = run(model, sample.blocks(), threads)
        right = top1(logits, sample.labels)
        return Outcome(float_layers, right, float_top1 - right, agreement(reference, logits), model)

    return outcome, len(sample)


def fewest(most: int, outcome: Callable[[int], Outcome], holds: Callable[[Outcome], bool]) -> list[Outcome]:
    """What was tried to find the fewest layers in 0…`most` that hold the budget; the last is the answer.

    More layers in float are taken to be better, so halving finds the fewest. Where not even
    `most` hold the budget, `most` is the answer.
    """
    tried = [outcome(0)]
    if most == 0 or holds(tried[0]):
        return tried
    tried.append(outcome(most))
    low, high = 0, most  # low does not hold, high does
    while holds(tried[1]) and high - low > 1:
        middle = (low + high) // 2
        tried.append(outcome(middle))
        low, high = (low, middle) if holds(tried[-1]) else (middle, high)
    return [*tried, outcome(high)] if tried[-1].float_layers != high else tried


def store_half(model: "onnx.ModelProto", layers: list[Layer]) -> None:
    """Store the constants of these layers as float16, with a cast back in front of the layer, in place."""
    import onnx

    nodes = {node.name: node for node in model.graph.node}
    constants = {tensor.name for tensor in model.graph.initializer}
    most = float(np.finfo(np.float16).max)
    casts = []
    for layer in layers:
        node = nodes[layer.node]
        for index, name in list(enumerate(node.input))[1:]:
            if name not in constants or array_of(model, name).dtype != np.float32:
                continue
            put_array(model, f"{name}_half", array_of(model, name).clip(-most, most).astype(np.float16))
            casts.append(onnx.helper.make_node(
                "Cast", [f"{name}_half"], [f"{name}_{layer.node}_float"], name=f"{name}_{layer.node}_cast",
                to=onnx.TensorProto.FLOAT,
            ))  # fmt: skip
            node.input[index] = casts[-1].output[0]
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    used = names_read(model)
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)
