"""Two techniques that Espalier does not have, as somebody would add them: `test_new_stage` registers them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.common.params import Params, param
from core.records.reports import Fix
from core.stages.base import DeploymentStage, ModelStage
from core.stages.context import DeployContext, StageContext
from core.stages.fine_tune import run_training
from core.stages.result import DeployedFile, DeployResult, StageResult
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import nn


class RoundWeightsParams(Params):
    levels: int = param(
        8, "Levels", "Each layer's weights are multiples of its largest / this.", ge=1, le=128, step=1
    )
    exact: str = param("", "Exact layers", "Names of layers that are not rounded, between commas.")
    training: TrainingSettings = param(
        TrainingSettings(epochs=1), "Training", "Before the weights are rounded."
    )


class RoundWeights(ModelStage[RoundWeightsParams]):
    id = "round-weights"
    title = "Round weights"
    group = "Rounding"
    help = "Rounds every weight to a coarse grid."
    Settings = RoundWeightsParams
    overrides = {"quantize": "exact"}
    causes = ("mask-not-cut",)

    def epochs(self, settings: RoundWeightsParams) -> float:
        return settings.training.epochs

    def run(self, model: "nn.Module", settings: RoundWeightsParams, context: StageContext) -> StageResult:
        import torch
        from torch import nn

        result = StageResult(model)
        result.add_training(run_training(model, settings.training, context))
        exact = {name.strip() for name in settings.exact.split(",")}
        with torch.no_grad():
            for path, layer in model.named_modules():
                if isinstance(layer, nn.Conv2d | nn.Linear) and path not in exact:
                    grid = layer.weight.abs().max() / settings.levels
                    layer.weight.copy_((layer.weight / grid).round() * grid)
        result.facts["levels"] = settings.levels
        result.notes.append(f"Weights take {2 * settings.levels + 1} values a layer.")
        return result

    def remark(self, facts: Mapping[str, Any]) -> str:
        return f"{facts['levels']} levels" if "levels" in facts else ""

    def fix(self, cause: str, settings: Mapping[str, Any], figures: Mapping[str, Any], id: str) -> Fix | None:
        return Fix(words="Round less", stage=id, settings={"levels": 64})


class NameFileParams(Params):
    text: str = param("named", "Text", "What the file says of itself.", min_length=1, max_length=20)


class NameFile(DeploymentStage[NameFileParams]):
    id = "name-file"
    title = "Name the file"
    group = "Rounding"
    help = "Writes a text into the exported file."
    Settings = NameFileParams

    def deploy(self, source: Path, settings: NameFileParams, context: DeployContext) -> DeployResult:
        import onnx

        context.phase("name", "Naming the file")
        model = onnx.load(source)
        model.doc_string = settings.text
        onnx.save(model, context.target)
        return DeployResult(
            DeployedFile(context.target, "named", "ONNX, named"), notes=["The file is named."]
        )
