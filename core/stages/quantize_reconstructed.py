"""Static INT8 whose rounding is learned: each layer's weights, bias and range so that it answers as in float.

Sources: AdaRound, Nagel et al. 2020, arXiv 2004.10568 (rounding up or down by gradient descent); LSQ, Esser et al. 2020, arXiv
1902.08153 (ranges of activations learned with it); QDrop, Wei et al. 2022, arXiv 2203.05740 (inputs left unrounded at random); BRECQ, Li et al. 2021, arXiv
2102.05426 (residual blocks learned as wholes, after their layers: *objective*). The work is in `core.deploy.quantization.reconstruct`, `.rounding` and `.block_rounding`.

Where we depart from them: layers see a sample of patches instead of whole maps; blocks are judged by the plain squared error; the bias is
set in closed form; and before anything is learned, neighbouring layers are equalised where that helps
(`core.deploy.quantization.equalise_choice`), over ReLU6 and hard-swish with a bounded error, because rounding alone cannot give back
channels that one scale leaves no level.

What it does badly: it takes minutes where static INT8 takes seconds, and gains little where scales per channel and 8 bits lose nothing
(ResNets). It needs images that look like those of the use: too few of them are learned by heart.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from core.common.errors import Problem
from core.common.params import param
from core.models.network_facts import NetworkFacts
from core.records.reports import Fix
from core.stages.base import DeploymentStage
from core.stages.context import DeployContext
from core.stages.coverage_case import CoverageCase
from core.stages.forecast import INT8
from core.stages.quantize_static import (
    CALIBRATED,
    CalibrationParams,
    add_report,
    integer_fix,
    nothing_left,
)
from core.stages.result import DeployedFile, DeployResult


class QuantizeReconstructedParams(CalibrationParams):
    learn_images: int = param(
        128,
        "Learning images",
        "Of the calibration images, those that layers learn from; more take longer.",
        unit="images",
        ge=8,
        le=10_000,
        step=32,
    )
    steps: int = param(
        500,
        "Steps",
        "Steps of gradient descent for each layer. 0 only equalises and corrects biases.",
        unit="steps",
        ge=0,
        le=100_000,
        step=100,
    )
    objective: Literal["layer", "block"] = param(
        "layer",
        "Learn",
        "What has to answer as in float.",
        choices={
            "layer": "Each layer.",
            "block": "Each layer, and then each residual block as a whole, whose layers make good each other's errors (BRECQ); takes several times as long.",
        },
        added=True,
    )
    learn_ranges: bool = param(
        True,
        "Learn ranges",
        "Also learn the range of each layer's answers, beginning with the measured one.",
    )
    drop: float = param(
        0.5,
        "Unrounded inputs",
        "Share of a layer's inputs that are left unrounded in a step, at random, so that it does not learn its inputs' noise by heart.",
        ge=0,
        le=1,
        step=0.1,
        advanced=True,
    )
    equalise: Literal["auto", "bounded", "exact", "no"] = param(
        "auto",
        "Equalise layers",
        "First rescale neighbouring convolutions so that their channels span like ranges.",
        choices={
            "auto": "As comes nearest to float on calibration images.",
            "bounded": "Also over ReLU6 and hard-swish, where each channel changes by at most 0.1 % of its mean square.",
            "exact": "Where it changes nothing: with ReLU or nothing in between.",
            "no": "Not at all.",
        },
    )
    scales: Literal["channel", "tensor"] = param(
        "channel",
        "Scales of weights",
        "How many weights share a scale.",
        choices={
            "channel": "Those of one output channel.",
            "tensor": "Those of a whole layer, as some accelerators need it.",
        },
        advanced=True,
    )


class QuantizeReconstructed(DeploymentStage[QuantizeReconstructedParams]):
    id = "quantize-reconstructed"
    title = "Quantize (learned rounding)"
    group = "Quantization"
    help = (
        "Static INT8 in which each layer learns how to round its weights and activations; minutes, no labels."
    )
    Settings = QuantizeReconstructedParams
    icon = "quantize"
    keeps_shape = True
    overrides = CALIBRATED
    causes = ("signed-activations", "per-tensor-depthwise", "float-fallback")

    def check(self, settings: QuantizeReconstructedParams, facts: NetworkFacts) -> list[Problem]:
        return nothing_left(settings.keep)

    def bytes_per_weight(self, settings: QuantizeReconstructedParams) -> tuple[int, int]:
        return INT8

    def fix(self, cause: str, settings: Mapping[str, Any], figures: Mapping[str, Any], id: str) -> Fix | None:
        return integer_fix(cause, settings, figures, id)

    def coverage(self) -> tuple[CoverageCase, ...]:
        settings = {"learn_images": 16, "steps": 20}
        return (
            CoverageCase("reconstructed", "Static INT8, learned rounding", settings, "bytes"),
            CoverageCase(
                "reconstructed-blocks",
                "Static INT8, blocks learned",
                settings | {"objective": "block"},
                "bytes",
            ),
        )

    def deploy(
        self, source: Path, settings: QuantizeReconstructedParams, context: DeployContext
    ) -> DeployResult:
        from core.deploy.quantization.reconstruct import quantize

        context.phase("quantize", "Calibrating and learning to round")
        names = ("learn_images", "steps", "objective", "learn_ranges", "drop", "scales")
        report = context.job(
            quantize,
            {
                **context.data.as_plain(), **settings.arguments(), **{name: getattr(settings, name) for name in names},
                "equalise": settings.equalise if settings.equalise == "auto" else settings.equalise != "no",
                "over_relu6": settings.equalise == "bounded",
                "source": str(source), "target": str(context.target), "seed": context.seed,
            },
        )  # fmt: skip
        result = DeployResult(DeployedFile(context.target, "int8", "ONNX INT8, learned rounding"))
        add_report(result, report)
        return result
