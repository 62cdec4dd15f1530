"""Dynamic INT8 of the exported graph: integer weights; activations find their ranges while it runs.

Source: Francy and Singh (arXiv 2409.02134) quantize linear layers dynamically. Their "95 % fewer parameters and MACs" is a
counting artefact: the packed integer layers were not counted. Here integers count as parameters.
The work is in `core.deploy.quantization.dynamic`.

What it does badly: every activation's range is found anew at each run, which costs time. With convolutions as integers ResNet-56 takes 2.8 times
as long as float; that is for small files, not for speed.
"""

from pathlib import Path
from typing import Literal

from core.common.errors import Problem
from core.common.params import Params, param
from core.models.network_facts import NetworkFacts
from core.stages.base import DeploymentStage
from core.stages.context import DeployContext
from core.stages.coverage_case import CoverageCase
from core.stages.forecast import FLOAT32, INT8
from core.stages.quantize_static import KEPT_IN_FLOAT, add_report, keep_in_float, nothing_left, patterns
from core.stages.result import DeployedFile, DeployResult


class QuantizeDynamicParams(Params):
    scope: Literal["linear", "all"] = param(
        "linear",
        "Scope",
        "Which layers become integers.",
        choices={
            "linear": "Linear layers only, as in Francy and Singh: fast for ConvNeXt and transformers.",
            "all": "Convolutions too: a quarter of the size, but slower than float on most processors.",
        },
    )
    keep: str = keep_in_float()


class QuantizeDynamic(DeploymentStage[QuantizeDynamicParams]):
    id = "quantize-dynamic"
    threaded = False
    title = "Quantize (dynamic INT8)"
    group = "Quantization"
    help = "Weights become 8-bit integers; activations are quantized while the network runs. Needs no images."
    Settings = QuantizeDynamicParams
    icon = "quantize"
    keeps_shape = True
    overrides = KEPT_IN_FLOAT
    causes = ("signed-activations",)

    def bytes_per_weight(self, settings: QuantizeDynamicParams) -> tuple[int, int]:
        return (FLOAT32[0], INT8[1]) if settings.scope == "linear" else INT8

    def check(self, settings: QuantizeDynamicParams, facts: NetworkFacts) -> list[Problem]:
        return nothing_left(settings.keep)

    def coverage(self) -> tuple[CoverageCase, ...]:
        return (
            CoverageCase("dynamic", "Dynamic INT8, linear layers", {"scope": "linear"}, "bytes"),
            CoverageCase("dynamic-all", "Dynamic INT8, all layers", {"scope": "all"}, "bytes"),
        )

    def deploy(self, source: Path, settings: QuantizeDynamicParams, context: DeployContext) -> DeployResult:
        from core.deploy.quantization.dynamic import quantize

        context.phase("quantize", "Quantizing")
        report = context.job(
            quantize,
            {
                "source": str(source), "target": str(context.target), "scope": settings.scope,
                "keep": patterns(settings.keep),
            },
        )  # fmt: skip
        result = DeployResult(DeployedFile(context.target, "int8", "ONNX INT8, dynamic"))
        add_report(result, report)
        result.notes.append(
            "Integers count as parameters here. Francy and Singh's 95 % fewer parameters after this step is a counting artefact."
        )
        return result
