"""Measures an ONNX file as it is: the baseline of a pipeline that starts from one."""

from pathlib import Path

from core.common.files import copy_file
from core.common.params import Params
from core.models.forecast import Forecast, StageForecast
from core.stages.base import DeploymentStage
from core.stages.context import DeployContext
from core.stages.coverage_case import CoverageCase
from core.stages.forecast import ForecastContext
from core.stages.result import DeployedFile, DeployResult


class AsGivenParams(Params):
    """Nothing to choose."""


class AsGiven(DeploymentStage[AsGivenParams]):
    id = "as-given"
    threaded = False
    title = "As given"
    group = "Deployment"
    effect = "as-given"
    help = "Leaves the ONNX file as it is, so that it stands in the table and others are compared with it."
    Settings = AsGivenParams
    icon = "export"
    keeps_shape = True

    def forecast(
        self, settings: AsGivenParams, unchanged: Forecast, previous: StageForecast, context: ForecastContext
    ) -> StageForecast:
        return StageForecast(unchanged, previous.key, layers=previous.layers)

    def coverage(self) -> tuple[CoverageCase, ...]:
        return ()  # it compresses nothing

    def deploy(self, source: Path, settings: AsGivenParams, context: DeployContext) -> DeployResult:
        context.phase("copy", "Taking the file as it is")
        copy_file(source, context.target)
        return DeployResult(DeployedFile(context.target, "given", "ONNX as given"))
