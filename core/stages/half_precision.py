"""A half precision copy of the exported graph: float16 weights and arithmetic.

Source: Hamza et al.'s second stage deploys in FP16. Where we depart: Hamza et al. measure it on a GPU; on processors ONNX Runtime
computes most of float16 in float32, so the file is half as large and usually no faster.
The work is in `core.deploy.quantization.half_precision`.

What it does badly: on a processor it is usually no faster and may need more memory. Numbers beyond ±65504 do not exist in it.
"""

import time
from pathlib import Path

from core.common.errors import EspalierError
from core.common.params import Params
from core.stages.base import DeploymentStage
from core.stages.context import DeployContext
from core.stages.coverage_case import CoverageCase
from core.stages.forecast import FLOAT16
from core.stages.result import DeployedFile, DeployResult


class HalfPrecisionParams(Params):
    """Nothing to choose."""


class HalfPrecision(DeploymentStage[HalfPrecisionParams]):
    id = "half-precision"
    threaded = False
    title = "Half precision"
    group = "Quantization"
    help = "Stores and computes in float16: half the size; on processors usually no faster."
    Settings = HalfPrecisionParams
    icon = "quantize"
    keeps_shape = True

    def bytes_per_weight(self, settings: HalfPrecisionParams) -> tuple[int, int]:
        return FLOAT16

    def coverage(self) -> tuple[CoverageCase, ...]:
        return (CoverageCase("half", "FP16", saves="bytes"),)

    def deploy(self, source: Path, settings: HalfPrecisionParams, context: DeployContext) -> DeployResult:
        context.phase("convert", "Converting to half precision")
        started = time.monotonic()
        result = DeployResult(DeployedFile(context.target, "float16", "ONNX float16"))
        result.notes.append(
            "float16 halves the file; ONNX Runtime is usually no faster with it on a processor."
        )
        try:
            finite = self._make(source, context, cautious=False)
        except EspalierError as error:
            if "ended unexpectedly" not in error.message:
                raise
            result.notes.append(
                "ONNX Runtime crashed on the first copy; another keeps some operators in float32."
            )
            finite = self._make(source, context, cautious=True, result=result)
        if not finite:
            raise EspalierError(
                "Half precision gives answers that are not finite numbers: values exceed 65504.",
                "Keep float32, or quantize to INT8 instead.",
            )
        result.seconds = time.monotonic() - started
        return result

    def _make(
        self, source: Path, context: DeployContext, cautious: bool, result: DeployResult | None = None
    ) -> bool:
        """Convert and open the copy; whether its answers are finite."""
        from core.deploy.quantization.half_precision import answers, convert

        files = {"source": str(source), "target": str(context.target), "cautious": cautious}
        kept_operators = context.job(convert, files)["kept"]
        if result is not None:
            result.facts["kept"] = kept_operators
            result.skipped += [(f"{count} × {op}", "kept in float32") for op, count in kept_operators.items()]
        arguments = {**context.data.as_plain(), "path": str(context.target)}
        return bool(context.job(answers, arguments)["finite"])
