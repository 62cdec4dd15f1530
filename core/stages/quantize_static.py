"""Static INT8 of the exported graph: weights and activations as integers, ranges from calibration.

Sources: Jacob et al. 2018, arXiv 1712.05877; bias correction and cross-layer equalisation: Nagel et al. 2019,
arXiv 1906.04721; SmoothQuant: Xiao et al. 2023, arXiv 2211.10438; Musa et al. and Aswathy (post-training quantization). The work is in `core.deploy.quantization.static`.

Where we depart from ONNX Runtime's defaults: activations are unsigned (signed ones are 2 to 4 times slower on
x86), weights are per output channel (per tensor ruins depthwise networks), additions that convolutions
feed are integers too, and logits stay float.

*Who quantizes* sets other tools beside ours on the same file and the same images: ONNX Runtime's quantizer by its
defaults or at its best, NNCF, AIMET, Quark (`core.deploy.quantizers`). They follow their own settings; how long each
took is told. NNCF's and AIMET's files compute with signed activations or in the forms that their own runtimes are fast with,
so that a comparison of latency says something of the runtime too.

What it does badly: it is faster only where the processor has instructions for it (VNNI and its like) and the network is made of ordinary convolutions; gates and
squeeze-and-excitation stay float. Depthwise networks lose accuracy with one scale for a layer. It needs images that look like those of the use.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from core.common.errors import EspalierError, Problem
from core.common.numbers import percent
from core.common.params import OneOf, Params, param
from core.deploy.quantizers.catalogue import OWN, QUANTIZERS, choices
from core.models.network_facts import NetworkFacts
from core.records.reports import Fix
from core.stages.base import DeploymentStage, ScanKind
from core.stages.context import DeployContext
from core.stages.coverage_case import CoverageCase
from core.stages.forecast import INT8
from core.stages.result import DeployedFile, DeployResult


def keep_in_float() -> Any:
    """The setting that names layers to leave as they are; `patterns` reads it."""
    return param(
        "",
        "Keep in float",
        "Names of layers that are not quantized, separated by commas; * stands for any text (body.conv1, *.fc2).",
    )


class CalibrationParams(Params):
    """What every quantization with calibration has to know."""

    images: int = param(
        256,
        "Calibration images",
        "Training images, drawn evenly over the classes, on which the ranges of activations are measured. Inspect, Calibration, tries how many are enough.",
        unit="images",
        ge=1,
        le=10_000,
        step=64,
    )
    method: Literal["minmax", "percentile", "entropy"] = param(
        "minmax",
        "Calibration",
        "How the range of an activation follows from its values.",
        choices={
            "minmax": "From the lowest to the highest value; fast.",
            "percentile": "Without the most extreme values.",
            "entropy": "The range that loses the least information (Kullback-Leibler).",
        },
    )
    percentile: float = param(
        99.99,
        "Percentile",
        "Share of an activation's values that stays inside its range.",
        unit="%",
        ge=90,
        le=100,
        step=0.01,
        when="method=percentile",
    )
    keep: str = keep_in_float()
    activations: Literal["uint8", "int8", "auto"] = param(
        "uint8",
        "Activations",
        "Number format of the activations; weights are always signed.",
        choices={
            "uint8": "Unsigned: the fast form on x86.",
            "int8": "Signed: 2 to 4 times slower on x86, usual on Arm.",
            "auto": "Unsigned on x86, signed on Arm: right for this machine only.",
        },
        advanced=True,
    )
    seven_bits: bool = param(
        False,
        "7-bit weights",
        "Use 7 of the weights' 8 bits, so that sums cannot saturate on x86 processors without VNNI.",
        advanced=True,
    )

    def arguments(self) -> dict[str, Any]:
        """These settings as the jobs of the tool child take them."""
        return {
            "images_count": self.images,
            "method": self.method,
            "percentile": self.percentile,
            "keep": patterns(self.keep),
            "activations": self.activations,
            "seven_bits": self.seven_bits,
        }


class IntegerParams(CalibrationParams):
    """The same where biases can be corrected afterwards."""

    correct_bias: Literal["auto", "on", "off"] = param(
        "auto",
        "Bias correction",
        "Takes the mean error that quantization gives each channel out of its bias.",
        choices={
            "auto": "Where the network has depthwise convolutions: there it helps most.",
            "on": "Always; takes a pass over some calibration images for every layer.",
            "off": "Never.",
        },
    )

    def arguments(self) -> dict[str, Any]:
        return {**super().arguments(), "correct_bias": self.correct_bias}


KEPT_IN_FLOAT: Mapping[ScanKind, str] = MappingProxyType({"quantize": "keep"})
CALIBRATED: Mapping[ScanKind, str] = MappingProxyType({**KEPT_IN_FLOAT, "calibrate": "images"})


def integer_fix(cause: str, settings: Mapping[str, Any], figures: Mapping[str, Any], id: str) -> Fix | None:
    """What a quantization with calibration changes against signed activations, shared scales and layers left in float."""
    if cause == "per-tensor-depthwise" and settings.get("scales") == "tensor":
        return Fix(words="Give every channel its own scale", stage=id, settings={"scales": "channel"})
    if cause == "signed-activations" and settings.get("activations") in ("int8", "auto"):
        return Fix(words="Use unsigned activations (U8)", stage=id, settings={"activations": "uint8"})
    if cause == "float-fallback" and figures["fallback_layers"] and str(settings.get("keep", "")).strip():
        return Fix(words="Quantize the layers that are kept in float", stage=id, settings={"keep": ""})
    return None


class QuantizeStaticParams(IntegerParams):
    quantizer: Annotated[str, OneOf(choices)] = param(
        OWN,
        "Who quantizes",
        "Espalier, or another tool on the same file and the same calibration images, to hold the two side by side.",
        added=True,
    )
    equalise: bool = param(
        False,
        "Equalise layers",
        "First rescale neighbouring convolutions so that their channels span like ranges (exact; not over ReLU6).",
        advanced=True,
    )
    over_relu6: bool = param(
        False,
        "Over ReLU6 too",
        "Also equalise over ReLU6 and hard-swish, where each channel changes by at most 0.1 % of its mean square.",
        advanced=True,
        added=True,
        when="equalise",
    )
    smooth: float = param(
        0.0,
        "Smooth norms",
        "SmoothQuant: moves the largest values behind layer norms into the weights that read them, this share of the way; exact, and made for transformers. 0.5 is usual, 0 smooths nothing.",
        ge=0,
        le=1,
        step=0.05,
        advanced=True,
        added=True,
    )
    scales: Literal["channel", "tensor"] = param(
        "channel",
        "Scales of weights",
        "How many weights share a scale.",
        choices={
            "channel": "Those of one output channel.",
            "tensor": "Those of a whole layer, as some accelerators need it; ruins depthwise convolutions.",
        },
        advanced=True,
    )


class QuantizeStatic(DeploymentStage[QuantizeStaticParams]):
    id = "quantize-static"
    threaded = False
    version = 2
    title = "Quantize (static INT8)"
    group = "Quantization"
    help = (
        "Weights and activations become 8-bit integers, with ranges measured on training images. No training."
    )
    Settings = QuantizeStaticParams
    icon = "quantize"
    keeps_shape = True
    overrides = CALIBRATED
    causes = ("signed-activations", "per-tensor-depthwise", "float-fallback")

    def check(self, settings: QuantizeStaticParams, facts: NetworkFacts) -> list[Problem]:
        return nothing_left(settings.keep) + _not_by_that_tool(settings)

    def versions(self, settings: QuantizeStaticParams) -> dict[str, str]:
        tool = QUANTIZERS.get(settings.quantizer)
        return {tool.package: tool.found_version()} if tool is not None else {}

    def remark(self, facts: Mapping[str, Any]) -> str:
        if "quantizer" not in facts:
            return ""
        return f"by {facts['quantizer']} {facts['quantizer_version']}, {facts['seconds']['quantize']:.1f} s"

    def bytes_per_weight(self, settings: QuantizeStaticParams) -> tuple[int, int]:
        return INT8

    def fix(self, cause: str, settings: Mapping[str, Any], figures: Mapping[str, Any], id: str) -> Fix | None:
        return integer_fix(cause, settings, figures, id)

    def coverage(self) -> tuple[CoverageCase, ...]:
        others = (
            CoverageCase(f"static-{tool.id}", f"Static INT8 by {tool.title}", {"quantizer": tool.id}, "bytes")
            for tool in QUANTIZERS.values()
            if not tool.missing()
        )
        smoothed = CoverageCase("static-smoothed", "Static INT8, smoothed", {"smooth": 0.5}, "bytes")
        return (CoverageCase("static", "Static INT8", saves="bytes"), smoothed, *others)

    def deploy(self, source: Path, settings: QuantizeStaticParams, context: DeployContext) -> DeployResult:
        from core.deploy.quantization.static import quantize
        from core.deploy.quantizers.outside import quantize as quantize_outside

        tool = QUANTIZERS.get(settings.quantizer)
        context.phase("quantize", "Calibrating and quantizing")
        report = context.job(
            quantize if tool is None else quantize_outside,
            {
                **context.data.as_plain(), **settings.arguments(), "equalise": settings.equalise, "over_relu6": settings.over_relu6, "scales": settings.scales, "smooth": settings.smooth,
                "source": str(source), "target": str(context.target), "seed": context.seed, "quantizer": settings.quantizer,
            },
        )  # fmt: skip
        by = "static" if tool is None else tool.title
        result = DeployResult(DeployedFile(context.target, "int8", f"ONNX INT8, {by}"))
        add_report(result, report)
        return result


def _not_by_that_tool(settings: QuantizeStaticParams) -> list[Problem]:
    """The problems of another tool's quantizer: it is not there, or would pass over what a person set."""
    tool = QUANTIZERS.get(settings.quantizer)
    if tool is None:
        return []
    problems = []
    if reason := tool.missing():
        problems.append(Problem(reason, tool.remedy(), ("quantizer",)))
    changed = {
        name: getattr(settings, name)
        for name, field in type(settings).model_fields.items()
        if getattr(settings, name) != field.default
    }
    for name in tool.passed_over(changed):
        label = type(settings).model_fields[name].title
        problems.append(
            Problem(
                f"{tool.title} quantizes by its own settings and would pass over '{label}'.",
                "Put that setting back to its default, or let Espalier quantize.",
                (name,),
            )
        )
    return problems


def nothing_left(keep: str) -> list[Problem]:
    """The problem of a quantization whose settings keep every layer in float."""
    if "*" not in patterns(keep):
        return []
    message = "Every layer is kept in float by '*', so that none would become one of integers."
    return [Problem(message, "Name the layers that are to stay float, or leave it empty.", ("keep",))]


def patterns(text: str) -> list[str]:
    """Names between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def add_report(
    result: DeployResult, report: dict[str, Any], sizes: str = "takes 1 byte instead of 4"
) -> None:
    """What a quantization job reports, as the stage's result.

    Args:
        sizes: what becomes of each parameter, in words.

    Raises:
        EspalierError: when no layer became one of integers.
    """
    if not report["quantized_layers"]:
        raise _no_integers(report)
    result.notes.append(
        f"{report['quantized_layers']} of {report['layers']} layers are integers, with "
        f"{percent(report['int8_parameters'] / max(report['parameters'], 1), 1)} of the parameters. "
        f"Quantization removes no parameter; each {sizes}."
    )
    result.notes += report.get("notes", [])
    result.skipped += [(str(name), str(reason)) for name, reason in report["skipped"]]
    result.facts |= {name: value for name, value in report.items() if name not in ("notes", "skipped")}
    seconds = report["seconds"]
    result.seconds += sum(seconds.values()) if isinstance(seconds, dict) else seconds


def _no_integers(report: Mapping[str, Any]) -> EspalierError:
    """The error of a quantization that left every layer in float, with the most frequent reason."""
    reasons = Counter(str(reason) for _, reason in report["skipped"]).most_common(1)
    why = f": {reasons[0][0]}" if reasons else ", it has no layer that this stage works on"
    return EspalierError(
        f"Expected layers that become integers; all {report['layers']} of this network stay in float{why}.",
        "Keep fewer layers in float, choose a wider scope, or another kind of quantization.",
    )
