"""Measures an ONNX file as it is: the baseline of a pipeline that starts from one."""

import shutil
from pathlib import Path

from core.common.params import Params
from core.stages.base import DeployContext, DeployedFile, DeploymentStage, DeployResult


class AsGivenParams(Params):
    """Nothing to choose."""


class AsGiven(DeploymentStage[AsGivenParams]):
    id = "as-given"
    title = "As given"
    group = "Deployment"
    effect = "as-given"
    help = "Leaves the ONNX file as it is, so that it stands in the table and others are compared with it."
    Settings = AsGivenParams

    def deploy(self, source: Path, settings: AsGivenParams, context: DeployContext) -> DeployResult:
        context.phase("copy", "Taking the file as it is")
        shutil.copyfile(source, context.target)
        return DeployResult(DeployedFile(context.target, "given", "ONNX as given"))
