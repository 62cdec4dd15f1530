"""Mixed precision by sensitivity: the layers that integers hurt most stay float, or each layer gets 4, 8 or all bits in a size.

Source: Aswathy (IJERT 15(5), 2026): sensitive layers stay FP16, the others go INT8. How a layer's sensitivity is
measured is not published; ours, and where we depart, is in `core.deploy.quantization.mixed`. Under a size budget: HAWQ-V3, Yao et al.
2021, arXiv 2011.10680, in `core.deploy.quantization.bit_widths`.

What it does badly: 4 bits are how weights are stored, they compute in 8, so that a smaller file is no faster. Errors of layers are taken to add up, which holds as long
as they are small: the notes say what the sum was and what came of it. Depthwise layers have few weights and lose much at 4 bits, so that they
mostly stay at 8.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from core.common.errors import Problem
from core.common.params import param
from core.models.forecast import Forecast, StageForecast
from core.models.network_facts import NetworkFacts
from core.records.reports import Fix
from core.stages.base import DeploymentStage
from core.stages.context import DeployContext
from core.stages.coverage_case import CoverageCase
from core.stages.forecast import ForecastContext
from core.stages.quantize_static import CALIBRATED, IntegerParams, add_report, integer_fix, nothing_left
from core.stages.result import DeployedFile, DeployResult

_CONFIRMED = 5
_BY_ACCURACY = ("max_loss", "min_agreement", "most_kept", "kept_as", "way", "measure", "sensitivity_images")


class QuantizeMixedParams(IntegerParams):
    budget: Literal["accuracy", "size"] = param(
        "accuracy",
        "Budget",
        "What is given, and what is made the best of.",
        choices={
            "accuracy": "The accuracy that may be lost: as few layers as that allows stay float, the others get 8 bits.",
            "size": "The size of the file: each layer gets 4 bits (stored), 8, or stays float, so that the answers stay nearest to float's.",
        },
        added=True,
    )
    size: float = param(
        20.0,
        "Size",
        "The file takes at most this share of the float32 file.",
        unit="%",
        ge=10,
        le=100,
        step=1,
        when="budget=size",
        added=True,
    )
    max_loss: float = param(
        0.5,
        "Accuracy budget",
        "At most this much validation accuracy may be lost against float.",
        unit="points",
        ge=0,
        le=100,
        step=0.1,
        when="budget=accuracy",
    )
    min_agreement: float = param(
        98.0,
        "Agreement",
        "At least this share of the validation images keeps the class that float gives; 0 asks for none.",
        unit="%",
        ge=0,
        le=100,
        step=0.5,
        when="budget=accuracy",
    )
    most_kept: float = param(
        50.0,
        "Most layers kept",
        "At most this share of the layers stays float, even where the budget is then missed; the most sensitive ones.",
        unit="%",
        ge=0,
        le=100,
        step=5,
    )
    kept_as: Literal["float16", "float32"] = param(
        "float16",
        "Kept layers",
        "How the weights of kept layers are stored.",
        choices={
            "float16": "Two bytes a weight (Aswathy); computed in float32, as halves are no faster on processors.",
            "float32": "Four bytes a weight, exactly as they are.",
        },
    )
    way: Literal["alone", "left-out"] = param(
        "alone",
        "Sensitivity",
        "What is compared with float for each layer.",
        choices={
            "alone": "A network in which only this layer is quantized.",
            "left-out": "A network in which all layers but this one are; the others' noise can hide a layer's.",
        },
        advanced=True,
        when="budget=accuracy",
    )
    measure: Literal["sqnr", "divergence", "agreement"] = param(
        "sqnr",
        "Measure",
        "How the answers are compared.",
        choices={
            "sqnr": "Signal to quantization noise of the logits, in decibels.",
            "divergence": "Mean Kullback-Leibler divergence of the class probabilities.",
            "agreement": "Share of the images that keep their class; coarse with few images.",
        },
        advanced=True,
        when="budget=accuracy",
    )
    sensitivity_images: int = param(
        128,
        "Sensitivity images",
        "Validation images, drawn evenly over the classes, on which each layer is judged.",
        unit="images",
        ge=8,
        le=10_000,
        step=64,
        advanced=True,
    )


class QuantizeMixed(DeploymentStage[QuantizeMixedParams]):
    id = "quantize-mixed"
    version = 3
    title = "Quantize (mixed by sensitivity)"
    group = "Quantization"
    help = "Static INT8, but the most sensitive layers stay float until the accuracy budget on validation holds; or 4, 8 or all bits a layer in a size."
    Settings = QuantizeMixedParams
    icon = "quantize"
    keeps_shape = True  # the file's size follows from which layers stay float
    overrides = CALIBRATED
    causes = ("signed-activations", "float-fallback")

    def fix(self, cause: str, settings: Mapping[str, Any], figures: Mapping[str, Any], id: str) -> Fix | None:
        return integer_fix(cause, settings, figures, id)

    def check(self, settings: QuantizeMixedParams, facts: NetworkFacts) -> list[Problem]:
        return nothing_left(settings.keep)

    def forecast(
        self,
        settings: QuantizeMixedParams,
        unchanged: Forecast,
        previous: StageForecast,
        context: ForecastContext,
    ) -> StageForecast:
        """Under a size budget the file takes that share of what it took; else its size is known after the run."""
        forecast = super().forecast(settings, unchanged, previous, context)
        if settings.budget != "size" or unchanged.bytes is None:
            return forecast
        return replace(
            forecast, forecast=replace(unchanged, bytes=round(unchanged.bytes * settings.size / 100))
        )

    def remark(self, facts: Mapping[str, Any]) -> str:
        counts = Counter(facts.get("widths", {}).values())
        words = {4: "4 bits (stored)", 8: "8 bits", 32: "float"}
        return ", ".join(
            f"{counts[width]} layers in {word}" for width, word in words.items() if counts[width]
        )

    def coverage(self) -> tuple[CoverageCase, ...]:
        sized = CoverageCase("mixed-size", "Mixed 4/8/float in a size", {"budget": "size"}, "bytes")
        return (CoverageCase("mixed", "Mixed precision by sensitivity", saves="bytes"), sized)

    def deploy(self, source: Path, settings: QuantizeMixedParams, context: DeployContext) -> DeployResult:
        from core.deploy.quantization import bit_widths, mixed

        context.phase("sensitivity", "Measuring each layer's sensitivity")
        sized = settings.budget == "size"
        names = ("kept_as", "most_kept", "sensitivity_images", "size") if sized else _BY_ACCURACY
        report = context.job(
            bit_widths.quantize if sized else mixed.quantize,
            {
                **context.data.as_plain(), **settings.arguments(), **{name: getattr(settings, name) for name in names},
                "source": str(source), "target": str(context.target), "seed": context.seed, "confirm": _CONFIRMED,
            },
        )  # fmt: skip
        result = DeployResult(DeployedFile(context.target, "mixed", "ONNX INT8, mixed"))
        add_report(
            result,
            report,
            *(["takes half a byte, 1 byte or what float takes, instead of 4"] if sized else []),
        )
        result.notes += _size_notes(settings.size, report) if sized else _notes(report)
        return result


def _size_notes(size: float, report: dict[str, Any]) -> list[str]:
    counts = Counter(report["widths"].values())
    lost, plain = (report["float_top1"] - report[f"{name}_top1"] for name in ("mixed", "int8"))
    notes = [
        f"{counts[4]} layers are stored in 4 bits and compute in 8, {counts[8]} have 8 bits, {counts[32]} stay float: the file takes "
        f"{report['share']:.1f} % of the float32 file. On {report['validation_images']} validation images {lost:+.2f} points are lost "
        f"({plain:+.2f} with all layers in 8 bits), and {report['mixed_agreement']:.2f} % keep their class ({report['int8_agreement']:.2f} %).",
        f"Layer by layer the errors add up to {report['predicted']:.1f} dB of signal to noise; all together leave {report['measured']:.1f} dB.",
    ]
    if not report["met"]:
        notes.append(
            f"No choice of widths is as small as {size:g} % of the float32 file; this is the smallest one."
        )
    return notes


def _notes(report: dict[str, Any]) -> list[str]:
    budget = "The budget holds" if report["met"] else "The budget is missed"
    lost = report["float_top1"] - report["mixed_top1"]
    notes = [
        f"{budget}: {len(report['kept'])} layers stay float; on {report['validation_images']} validation images "
        f"{lost:+.2f} points are lost ({report['float_top1'] - report['int8_top1']:+.2f} with none in float), and "
        f"{report['mixed_agreement']:.2f} % keep their class ({report['int8_agreement']:.2f} %)."
    ]
    if not report["kept"]:
        notes.append(
            "No layer stayed float: INT8 throughout meets the budget already, so this file is the one that static INT8 gives. "
            "Lower the accuracy budget or raise the agreement to see mixed precision at work."
        )
    if report["left_out"]:
        gains = ", ".join(f"{name} {gain:+.2f} dB" for name, gain in report["left_out"].items())
        most, least = (
            sum(report[name].values()) / len(report[name]) for name in ("left_out", "left_out_least")
        )
        notes.append(
            f"Leaving layers out of all-INT8 in turn: the {len(report['left_out'])} most sensitive gain {most:+.2f} dB "
            f"on average ({gains}), as many of the least sensitive {least:+.2f} dB."
        )
    return notes
