"""Weights of 4 bits for linear layers, as ONNX Runtime computes with them; activations stay float.

Source: GPTQ, Frantar et al. 2023, arXiv 2210.17323: the weights still to come take up the error of those that are rounded. The work is in
`core.deploy.quantization.four_bits` and `.blocks`, where we say how we depart from it.

The paper is about language models, whose speed is that of reading weights. An image classifier reads each weight for many
pixels, so that 4 bits make the file smaller and not the network faster.

What it does badly: on a processor it saves no time (measured, AVX-512 VNNI, one thread: products of ConvNeXt-atto and ViT-tiny
take 0.9 to 1.2 of float's). Networks of narrow layers, and those whose 1×1 convolutions follow depthwise ones (MobileNets), lose
more than ConvNeXt and transformers. It needs images that look like those of the use.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from core.common.errors import Problem
from core.common.params import Params, param
from core.models.forecast import Forecast, StageForecast
from core.models.network_facts import NetworkFacts
from core.stages.base import DeploymentStage
from core.stages.context import DeployContext
from core.stages.coverage_case import CoverageCase
from core.stages.forecast import FLOAT32, INT8, ForecastContext, network_of
from core.stages.quantize_static import KEPT_IN_FLOAT, add_report, keep_in_float, nothing_left, patterns
from core.stages.result import DeployedFile, DeployResult


class QuantizeFourBitsParams(Params):
    block: Literal["32", "64", "128"] = param(
        "32",
        "Block",
        "How many inputs of an output share a scale.",
        choices={
            "32": "5 bits a weight with the scale: the least error.",
            "64": "4.5 bits a weight.",
            "128": "4.25 bits a weight: the smallest file.",
        },
    )
    rounding: Literal["compensated", "nearest"] = param(
        "compensated",
        "Rounding",
        "Which level of its scale a weight goes to.",
        choices={
            "compensated": "Later weights take up the error of earlier ones (GPTQ), on training images.",
            "nearest": "The nearest one; takes seconds.",
        },
    )
    images: int = param(
        128,
        "Calibration images",
        "Training images, drawn evenly over the classes, on which the layers' inputs are measured.",
        unit="images",
        ge=1,
        le=10_000,
        step=32,
    )
    pointwise: bool = param(
        True,
        "1×1 convolutions too",
        "Write 1×1 convolutions as linear layers (exact): ConvNeXt's smaller networks hold their linear layers so.",
    )
    convolutions: Literal["float32", "int8", "int4"] = param(
        "float32",
        "Other layers",
        "What becomes of the layers that have no 4-bit form.",
        choices={
            "float32": "They stay as they are.",
            "int8": "Weights and activations of 8 bits, as static INT8 gives them.",
            "int4": "The same with weights that the file stores in 4 bits (not of the first layer), always compensated; they compute in 8 bits.",
        },
    )
    keep: str = keep_in_float()


class QuantizeFourBits(DeploymentStage[QuantizeFourBitsParams]):
    id = "quantize-4-bits"
    title = "Quantize (4-bit weights)"
    group = "Quantization"
    help = "Linear layers get weights of 4 bits with a scale for every few dozen, compensated on training images. No training."
    Settings = QuantizeFourBitsParams
    icon = "quantize"
    keeps_shape = True
    overrides = KEPT_IN_FLOAT

    def check(self, settings: QuantizeFourBitsParams, facts: NetworkFacts) -> list[Problem]:
        return nothing_left(settings.keep)

    def bytes_per_weight(self, settings: QuantizeFourBitsParams) -> None:
        return None  # 1×1 convolutions differ from others: see `forecast`

    def forecast(
        self,
        settings: QuantizeFourBitsParams,
        unchanged: Forecast,
        previous: StageForecast,
        context: ForecastContext,
    ) -> StageForecast:
        """The same network, its linear layers in 4 bits and a scale for every block."""
        if previous.network is None or unchanged.bytes is None:
            return super().forecast(settings, unchanged, previous, context)
        from core.surgery.shapes import four_bit_bytes

        other = {"float32": FLOAT32[0], "int8": INT8[0], "int4": 0.5}[settings.convolutions]
        saved = four_bit_bytes(network_of(previous).model, int(settings.block), settings.pointwise, other)
        return StageForecast(replace(unchanged, bytes=unchanged.bytes - saved), previous.key)

    def remark(self, facts: Mapping[str, Any]) -> str:
        if "four_bit_layers" not in facts:
            return ""
        stored = (
            f", {facts['stored_layers']} stored in 4 and computed in 8" if facts.get("stored_layers") else ""
        )
        return f"{facts['four_bit_layers']} layers of 4 bits{stored}"

    def coverage(self) -> tuple[CoverageCase, ...]:
        settings = {"images": 16}
        return (
            CoverageCase("four-bits", "4-bit linear layers", settings, "bytes"),
            CoverageCase(
                "four-bits-stored",
                "4 bits, convolutions as stored",
                settings | {"convolutions": "int4"},
                "bytes",
            ),
            CoverageCase(
                "four-bits-int8",
                "4-bit linear layers, INT8 else",
                settings | {"convolutions": "int8"},
                "bytes",
            ),
        )

    def deploy(self, source: Path, settings: QuantizeFourBitsParams, context: DeployContext) -> DeployResult:
        from core.deploy.quantization.four_bits import quantize

        context.phase("quantize", "Rounding to 4 bits")
        report = context.job(
            quantize,
            {
                **context.data.as_plain(), "images_count": settings.images, "keep": patterns(settings.keep),
                "block": int(settings.block), "rounding": settings.rounding, "pointwise": settings.pointwise,
                "convolutions": settings.convolutions, "source": str(source), "target": str(context.target), "seed": context.seed,
            },
        )  # fmt: skip
        result = DeployResult(DeployedFile(context.target, "int4", "ONNX, 4-bit weights"))
        add_report(
            result, report, "takes half a byte and a share of its block's scale, or 1 byte, instead of 4"
        )
        if report["stored_layers"]:
            result.notes.append(
                f"{report['stored_layers']} convolutions are stored in 4 bits; ONNX Runtime writes them out and computes them in 8, so that "
                "they are no faster than INT8."
            )
        share = 100 * report["four_bit_parameters"] / max(report["parameters"], 1)
        result.notes.append(
            f"{share:.1f} % of the parameters are weights of 4 bits. ONNX Runtime computes {report['four_bit_layers']} layers with them, and "
            "rounds their activations to 8 bits as it goes."
        )
        return result
