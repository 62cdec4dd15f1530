"""Static INT8: weights and activations are integers, with ranges fixed on calibration images.

Sources: Jacob et al. 2018, arXiv 1712.05877 (integer arithmetic); Krishnamoorthi 2018, arXiv
1806.08342 (per-channel weights); ONNX Runtime's quantization. A job of the tool child.
"""

import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.child_server import ProgressCallback
from core.deploy.export import metadata_of
from core.deploy.quantization import bias, equalise
from core.deploy.quantization.calibration import Ranges, collect_ranges, draw
from core.deploy.quantization.graph import (
    Layer,
    finish,
    layers_of,
    matching,
    other_float_nodes,
    parameter_count,
    prepare,
)
from core.deploy.quantization.qdq import (
    OP_TYPES,
    Numbers,
    counts,
    integer_parameters,
    is_quantized,
    quantized,
)

if TYPE_CHECKING:
    import onnx


def quantize(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: a static INT8 copy of a float32 ONNX file.

    Args (as plain data):
        source, target: .onnx files.
        data, data_cache, base: of the data set; or images: .npy of uint8 [n, h, w, c].
        preprocess: as `Preprocess.as_dict`, where the file does not say it.
        images_count, method, percentile: of the calibration. seed.
        activations: "uint8", "int8" or "auto". seven_bits: weights in 7 of 8 bits.
        keep: patterns of layers that stay float.
        equalise: whether to. correct_bias: "on", "off" or "auto".
        learned: by module path, {"in": [low, high], "out": [low, high]} (either may be missing),
            ranges that replace measured ones.

    Returns: quantized (nodes by type), layers, quantized_layers, parameters, int8_parameters,
        skipped (name and reason), activations, notes, calibration_images, seconds (by phase).

    Raises:
        EspalierError: when the file, the data or a pattern does not fit.
    """
    import onnx

    started = time.monotonic()
    progress(0.0, "Preparing the graph")
    source = Path(arguments["source"])
    original, prepared = onnx.load(source), prepare(source)
    layers = layers_of(prepared, original)
    kept = matching(layers, arguments.get("keep", ()))
    sample = draw(prepared, arguments, "train", arguments["images_count"], arguments["seed"])
    notes: list[str] = []
    if arguments.get("equalise"):
        prepared, said = equalise.equalised(prepared, layers)
        notes.append(said)
    seconds = {"prepare": time.monotonic() - started}
    started = time.monotonic()
    ranges = collect_ranges(
        prepared, sample, OP_TYPES, arguments["method"], arguments["percentile"],
        lambda done, text: progress(0.1 + 0.6 * done, text),
    )  # fmt: skip
    notes += place_learned(layers, ranges, arguments.get("learned", {}))
    seconds["calibrate"] = time.monotonic() - started
    started = time.monotonic()
    progress(0.7, "Quantizing")
    numbers = Numbers(resolve_activations(arguments["activations"]), bool(arguments.get("seven_bits")))
    corrects = wants_correction(arguments.get("correct_bias", "off"), prepared)
    if corrects:
        prepared = bias.with_biases(prepared, layers)
    made = quantized(prepared, layers, ranges, numbers, keep=kept)
    if corrects:
        notes.append(bias.correct(
            made, prepared, layers, is_quantized(made, layers), sample, lambda done, text: progress(0.7 + 0.25 * done, text)
        ))  # fmt: skip
    finish(made, metadata_of(original), "int8", Path(arguments["target"]))
    seconds["quantize"] = time.monotonic() - started
    progress(1.0, "Quantized")
    return {
        **report(
            made, prepared, layers, {name: f"kept in float by {pattern!r}" for name, pattern in kept.items()}
        ),
        "activations": numbers.activations,
        "notes": [machine_sentence(numbers), *notes],
        "calibration_images": len(sample),
        "seconds": seconds,
    }


def resolve_activations(choice: str) -> str:
    """What "auto" means here: unsigned on x86, signed on Arm."""
    if choice != "auto":
        return choice
    return "int8" if platform.machine().lower() in ("arm64", "aarch64") else "uint8"


def wants_correction(choice: str, model: "onnx.ModelProto") -> bool:
    """What "auto" means for this graph: biases are corrected where there are depthwise convolutions."""
    if choice != "auto":
        return choice == "on"
    return any(
        entry.name == "group" and entry.i > 1
        for node in model.graph.node if node.op_type == "Conv" for entry in node.attribute
    )  # fmt: skip


def machine_sentence(numbers: Numbers) -> str:
    """What this processor has for 8-bit arithmetic, and what that means for the file."""
    from core.profiling.machine import fingerprint

    has = set(fingerprint()["instructions"])
    form = f"activations are {'unsigned' if numbers.activations == 'uint8' else 'signed'} 8-bit"
    if has & {"avx512_vnni", "avx_vnni", "amx_int8"}:
        slow = "" if numbers.activations == "uint8" else "; signed ones were 2 to 4 times slower here"
        return f"This processor has instructions for 8-bit products (VNNI); {form}{slow}."
    if has & {"asimddp", "i8mm"}:
        return f"This processor has Arm's 8-bit dot products; {form}."
    if numbers.seven_bits:
        return f"This processor has no VNNI; {form}, weights use 7 bits so that sums cannot saturate."
    return (
        f"This processor has no instructions for 8-bit products; {form}. Sums may saturate in rare cases; "
        "weights of 7 bits rule that out."
    )


def place_learned(layers: list[Layer], ranges: Ranges, learned: dict[str, dict[str, Any]]) -> list[str]:
    """Replace measured ranges by learned ones; a sentence about those that found no tensor."""
    placed = set()
    for layer in layers:
        ends = learned.get(layer.name, {})
        for end, tensor in (("in", layer.input), ("out", layer.output)):
            if end in ends:
                ranges[tensor] = (float(ends[end][0]), float(ends[end][1]))
                placed.add(layer.name)
    lost = sorted(set(learned) - placed)
    return (
        [f"Learned ranges of {len(lost)} layers have no place in the file: {', '.join(lost[:4])}."]
        if lost
        else []
    )


def report(
    made: "onnx.ModelProto", prepared: "onnx.ModelProto", layers: list[Layer], reasons: dict[str, str]
) -> dict[str, Any]:
    """What of the graph computes with integers, and why the rest does not."""
    done = is_quantized(made, layers)
    skipped = [
        (layer.name, reasons.get(layer.name, "its tensors have no known type or shape"))
        for layer in layers
        if not done[layer.name]
    ]
    given = {name for node in made.graph.node if node.op_type == "QuantizeLinear" for name in node.input}
    for op, count in other_float_nodes(made, given).items():
        skipped.append(
            (f"{count} × {op}", "computed in float: integers are no faster there, or have no form")
        )
    return {
        "quantized": counts(made, layers),
        "layers": len(layers),
        "quantized_layers": sum(done.values()),
        "parameters": parameter_count(prepared),
        "int8_parameters": integer_parameters(layers, done),
        "skipped": skipped,
    }
