"""A float graph that is ready to be quantized: prepared, its layers known, its activations measured.

Static and mixed quantization both begin with one.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.deploy.onnx_export import metadata_of
from core.deploy.quantization import bias, equalise, equalise_choice, smooth
from core.deploy.quantization.calibration import Ranges, Sample, collect_ranges, draw, fewer_than_asked
from core.deploy.quantization.graph import (
    Layer,
    finish,
    layers_of,
    matching,
    parameter_count,
    prepare,
)
from core.deploy.quantization.qdq import (
    OP_TYPES,
    NumberFormat,
    counts,
    integer_parameters,
    is_quantized,
    quantized,
    resolve_activations,
)
from core.deploy.quantization.stem import packed
from core.machine.jobs import ProgressCallback

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class CalibratedGraph:
    """A prepared float graph and all that quantizing it needs.

    Attributes:
        metadata: the source's metadata. sample: the calibration images.
        float_layers: by name, the layers that a person keeps in float, and the pattern that says so.
        corrects: whether biases are corrected. notes: sentences for a person.
        seconds: time that preparing and calibrating took.
    """

    model: "onnx.ModelProto"
    metadata: dict[str, str]
    layers: list[Layer]
    sample: Sample
    ranges: Ranges
    numbers: NumberFormat
    float_layers: dict[str, str]
    corrects: bool
    notes: list[str]
    seconds: float

    def quantized(self, keep: Collection[str], progress: ProgressCallback) -> tuple["onnx.ModelProto", str]:
        """The graph with all layers quantized but `keep` and the person's own; a sentence on biases or ""."""
        model = quantized(self.model, self.layers, self.ranges, self.numbers, {*keep, *self.float_layers})
        if not self.corrects:
            return model, ""
        done = is_quantized(model, self.layers)
        return model, bias.correct(model, self.model, self.layers, done, self.sample, progress)

    def write(
        self,
        model: "onnx.ModelProto",
        precision: str,
        target: Path,
        reasons: Mapping[str, str],
        notes: Iterable[str],
    ) -> dict[str, Any]:
        """Write the graph, and say what of it computes with integers and why the rest does not.

        Args:
            reasons: by name, why a layer stayed float, beside those that a person keeps.
            notes: sentences for a person beside those from calibration; empty ones are dropped.
        """
        sentences = [*self.notes, *notes, packed(model)]
        finish(model, self.metadata, precision, target)
        done = is_quantized(model, self.layers)
        why = {name: f"kept in float by {pattern!r}" for name, pattern in self.float_layers.items()} | dict(
            reasons
        )
        skipped = [
            (layer.name, why.get(layer.name, "its tensors have no known type"))
            for layer in self.layers
            if not done[layer.name]
        ]
        integer, in_float = counts(model)
        for op, count in in_float.items():
            skipped.append(
                (f"{count} × {op}", "computed in float: integers are no faster there, or have no form")
            )
        return {
            "quantized": integer,
            "layers": len(self.layers),
            "quantized_layers": sum(done.values()),
            "parameters": parameter_count(self.model),
            "int8_parameters": integer_parameters(self.layers, done),
            "skipped": skipped,
            "activations": self.numbers.activations,
            "calibration_images": len(self.sample),
            "notes": [sentence for sentence in sentences if sentence],
        }


def calibrated(
    arguments: Mapping[str, Any], progress: ProgressCallback, prepared: "onnx.ModelProto | None" = None
) -> CalibratedGraph:
    """Prepare a file and measure its activations.

    Args (of a job, as plain data):
        source: .onnx file. data, data_cache, base: of the data set; or images: .npy of uint8 [n, h, w, c].
        preprocess: as `Preprocess.as_dict`, where the file does not say it.
        images_count, method, percentile: of the calibration, on the training split. seed.
        activations: "uint8", "int8" or "auto". seven_bits: weights in 7 of 8 bits.
        scales: of weights, for every "channel" (unless given) or the whole "tensor".
        keep: patterns of layers that stay float. equalise: whether to, or "auto": as rounds best on calibration images;
            over_relu6: also over ReLU6 and hard-swish, with a bounded error.
        smooth: SmoothQuant's α; 0, as without it, smooths nothing.
        correct_bias: "on", "off" or "auto".
        ranges: False where no activation is rounded, so that none has to be measured.
        learned: by module path, ranges that replace measured ones: {"in": [low, high], "out": [low,
            high], "rectified": whether "out" lies behind a Relu or Clip}.
    prepared: what `prepare` made of the file, where that was written otherwise already.

    Raises:
        EspalierError: when the file, the data or a pattern does not fit.
    """
    import onnx

    started = time.monotonic()
    progress(0.0, "Preparing the graph")
    source = Path(arguments["source"])
    original = onnx.load(source, load_external_data=False)
    model = prepare(source) if prepared is None else prepared
    layers = layers_of(model)
    float_layers = matching(layers, arguments.get("keep", ()))
    numbers = NumberFormat(
        resolve_activations(arguments["activations"]),
        bool(arguments.get("seven_bits")),
        arguments.get("scales", "channel"),
    )
    measures = bool(arguments.get("ranges", True))
    notes = [machine_sentence(numbers)] if measures else []
    sample = draw(model, arguments, "train", arguments["images_count"], arguments["seed"])
    notes.append(fewer_than_asked(sample, arguments["images_count"]) if measures else "")
    corrects = wants_correction(arguments.get("correct_bias", "off"), model)
    if corrects:
        model = bias.with_biases(model, layers)
    if arguments.get("equalise") == "auto":
        progress(0.0, "Trying whether equalising helps")

        def rounded(tried: "onnx.ModelProto", few: Sample) -> "onnx.ModelProto":
            seen = collect_ranges(tried, few, OP_TYPES, arguments["method"], arguments["percentile"], _silent)
            made = quantized(tried, layers, seen, numbers, set(float_layers))
            if corrects:
                bias.correct(made, tried, layers, is_quantized(made, layers), few, _silent)
            return made

        model, sentence = equalise_choice.nearest(model, layers, sample, rounded)
        notes.append(sentence)
    elif arguments.get("equalise"):
        model, sentence = equalise.equalised(model, layers, sample if arguments.get("over_relu6") else None)
        notes.append(sentence)
    if alpha := arguments.get("smooth"):
        model, sentence = smooth.smoothed(model, layers, sample, alpha)
        notes.append(sentence)
    ranges: Ranges = {}
    if measures:
        method, percentile = arguments["method"], arguments["percentile"]
        ranges = collect_ranges(model, sample, OP_TYPES, method, percentile, progress)
    notes += place_learned(layers, ranges, arguments.get("learned", {}))
    seconds = time.monotonic() - started
    return CalibratedGraph(
        model, metadata_of(original), layers, sample, ranges, numbers, float_layers, corrects, notes, seconds
    )


def _silent(done: float, text: str) -> None:
    """For work inside of work that tells how far it is."""


def wants_correction(choice: str, model: "onnx.ModelProto") -> bool:
    """What "auto" means for this graph: biases are corrected where there are depthwise convolutions."""
    if choice != "auto":
        return choice == "on"
    return any(
        entry.name == "group" and entry.i > 1
        for node in model.graph.node if node.op_type == "Conv" for entry in node.attribute
    )  # fmt: skip


def machine_sentence(numbers: NumberFormat) -> str:
    """What this processor has for 8-bit arithmetic, and what that means for the file."""
    from core.machine.fingerprint import fingerprint

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
    """Replace measured ranges by learned ones; a sentence about those that have no tensor in the file."""
    lost = set(learned) - {layer.name for layer in layers}
    for layer in layers:
        ends = learned.get(layer.name, {})
        if "in" in ends:
            ranges[layer.input] = (float(ends["in"][0]), float(ends["in"][1]))
        if "out" not in ends or layer.weight.endswith(f"_{layer.name}.weight"):
            continue  # the file merged a factor into this layer: it gives something else than the module
        if ends["rectified"] == (layer.output != layer.raw):
            ranges[layer.output] = (float(ends["out"][0]), float(ends["out"][1]))
        else:
            lost.add(layer.name)
    names = ", ".join(sorted(lost)[:4])
    return [f"Learned ranges of {len(lost)} layers have no place in the file: {names}."] if lost else []
