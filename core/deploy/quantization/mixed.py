"""Mixed precision: the layers that integers hurt most stay float, until the accuracy budget holds.

Every layer's sensitivity is measured on validation images and ranked; the smallest number of most
sensitive layers whose return to float meets the budget on the validation split is found by halving.
Test images are never seen.

Source: R4 (Aswathy, IJERT 15(5), 2026: sensitive layers stay FP16, the others go INT8); HAWQ (Dong et
al. 2019, arXiv 1905.03696) for ranking by sensitivity. Where we depart from them: sensitivity is the
measured change of the answers, not the Hessian; and kept layers may be *stored* in float16, but compute in
float32, because ONNX Runtime has no fast half precision on processors. A job of the tool child.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.child_server import ProgressCallback
from core.deploy.export import metadata_of
from core.deploy.quantization import bias
from core.deploy.quantization.calibration import collect_ranges, draw
from core.deploy.quantization.graph import Layer, array_of, finish, layers_of, matching, prepare, put_array
from core.deploy.quantization.qdq import OP_TYPES, Numbers, is_quantized, quantized
from core.deploy.quantization.sensitivity import Bench, confirm, sensitivities
from core.deploy.quantization.sessions import agreement, run, top1
from core.deploy.quantization.static import machine_sentence, report, resolve_activations, wants_correction

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class Outcome:
    """A network with so many layers kept in float, on the validation split."""

    kept: int
    top1: float
    agreement: float
    model: "onnx.ModelProto"


def quantize(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: an INT8 copy of a float32 ONNX file whose most sensitive layers stay float.

    Args (as plain data): as for the static job without `learned` and `equalise`, and
        way, measure: see `core.deploy.quantization.sensitivity`. sensitivity_images: how many.
        max_loss: points of validation top-1 that may be lost. min_agreement: percent.
        most_kept: percent of the layers that may stay float.
        kept_as: "float32" or "float16" (storage). confirm: how many to leave out one by one.

    Returns: as the static job, and ranking (name, value), left_out (by name, gain in dB), kept (names),
        met, tried (kept, top1 and agreement of each step), float_top1, int8_top1, mixed_top1,
        int8_agreement, mixed_agreement, validation_images.

    Raises:
        EspalierError: when the file, the data or a pattern does not fit.
    """
    import onnx

    seconds: dict[str, float] = {}
    started = time.monotonic()
    source, threads = Path(arguments["source"]), int(arguments.get("threads", 0))
    progress(0.0, "Preparing the graph")
    original, prepared = onnx.load(source), prepare(source)
    layers = layers_of(prepared, original)
    always = matching(layers, arguments.get("keep", ()))
    corrects = wants_correction(arguments.get("correct_bias", "off"), prepared)
    prepared = bias.with_biases(prepared, layers) if corrects else prepared
    sample = draw(prepared, arguments, "train", arguments["images_count"], arguments["seed"])
    numbers = Numbers(resolve_activations(arguments["activations"]), bool(arguments.get("seven_bits")))
    ranges = collect_ranges(
        prepared, sample, OP_TYPES, arguments["method"], arguments["percentile"],
        lambda done, text: progress(0.15 * done, text),
    )  # fmt: skip
    seconds["calibrate"], started = time.monotonic() - started, time.monotonic()
    subset = list(
        draw(prepared, arguments, "validation", arguments["sensitivity_images"], arguments["seed"]).blocks()
    )
    bench = Bench(prepared, layers, ranges, numbers, subset, run(prepared, subset, threads), threads)
    free = [layer for layer in layers if layer.name not in always]
    ranking = sensitivities(
        bench,
        arguments["way"],
        arguments["measure"],
        free,
        lambda done, text: progress(0.15 + 0.45 * done, text),
    )
    gains = confirm(bench, ranking, arguments.get("confirm", 0))
    seconds["sensitivity"], started = time.monotonic() - started, time.monotonic()

    validation = draw(prepared, arguments, "validation", None, arguments["seed"])
    reference = run(prepared, validation.blocks(), threads)
    names = [name for name, _ in ranking]

    @cache
    def outcome(kept: int) -> Outcome:
        progress(0.7, f"Searching: {kept} of {len(names)} layers in float")
        model = quantized(prepared, layers, ranges, numbers, {*names[:kept], *always})
        if corrects:
            bias.correct(
                model, prepared, layers, is_quantized(model, layers), sample, lambda done, text: None
            )
        logits = run(model, validation.blocks(), threads)
        return Outcome(kept, top1(logits, validation.labels), agreement(reference, logits), model)

    float_top1 = top1(reference, validation.labels)

    def holds(found: Outcome) -> bool:
        lost = float_top1 - found.top1
        return lost <= arguments["max_loss"] + 1e-9 and found.agreement >= arguments["min_agreement"] - 1e-9

    most = int(len(names) * arguments["most_kept"] / 100)
    tried = fewest(most, outcome, holds)
    chosen, plain = tried[-1], tried[0]
    seconds["search"], started = time.monotonic() - started, time.monotonic()
    kept = names[: chosen.kept]
    model = chosen.model
    notes = [machine_sentence(numbers)]
    if arguments["kept_as"] == "float16":
        store_half(model, [layer for layer in layers if layer.name in {*kept, *always}])
        notes.append(
            "Layers kept in float are stored in float16 and computed in float32: halves are no faster here."
        )
    reasons = {name: f"kept in float by {pattern!r}" for name, pattern in always.items()}
    reasons |= {name: f"number {index + 1} in sensitivity" for index, name in enumerate(kept)}
    told = report(model, prepared, layers, reasons)
    finish(model, metadata_of(original), "mixed", Path(arguments["target"]))
    seconds["write"] = time.monotonic() - started
    progress(1.0, "Quantized")
    return {
        **told,
        "activations": numbers.activations,
        "notes": notes,
        "calibration_images": len(sample),
        "seconds": seconds,
        "ranking": ranking,
        "left_out": gains,
        "kept": kept,
        "met": holds(chosen),
        "tried": [{"kept": each.kept, "top1": each.top1, "agreement": each.agreement} for each in tried],
        "float_top1": float_top1,
        "int8_top1": plain.top1,
        "mixed_top1": chosen.top1,
        "int8_agreement": plain.agreement,
        "mixed_agreement": chosen.agreement,
        "validation_images": len(validation),
    }


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
    return [*tried, outcome(high)] if tried[-1].kept != high else tried


def store_half(model: "onnx.ModelProto", layers: list[Layer]) -> None:
    """Store the constants of these layers as float16, with a cast back in front of the layer, in place."""
    import onnx

    nodes = {node.name: node for node in model.graph.node}
    constants = {tensor.name for tensor in model.graph.initializer}
    limits: Mapping[str, float] = {
        "min": float(np.finfo(np.float16).min),
        "max": float(np.finfo(np.float16).max),
    }
    casts = []
    for layer in layers:
        node = nodes[layer.node]
        for index, name in list(enumerate(node.input))[1:]:
            if name not in constants or array_of(model, name).dtype != np.float32:
                continue
            put_array(model, f"{name}_half", array_of(model, name).clip(**limits).astype(np.float16))
            casts.append(onnx.helper.make_node(
                "Cast", [f"{name}_half"], [f"{name}_{layer.node}_float"], name=f"{name}_{layer.node}_cast",
                to=onnx.TensorProto.FLOAT,
            ))  # fmt: skip
            node.input[index] = casts[-1].output[0]
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)
