"""Training in float32: the baseline of a pipeline.

Source of the defaults: Hamza et al. (doi 10.3390/bdcc10050131): Adamax, cosine annealing, label
smoothing, gradient clipping, early stopping on validation accuracy, best epoch kept.

What it does badly: trained longer, a baseline itself gets better. What later stages gain by training on is the training's, unless a control trains as long.
"""

from typing import TYPE_CHECKING

from core.common.params import Params, param
from core.stages.base import ModelStage
from core.stages.context import StageContext
from core.stages.coverage_case import CoverageCase
from core.stages.fine_tune import run_training
from core.stages.result import StageResult
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import nn


class TrainParams(Params):
    training: TrainingSettings = param(TrainingSettings(), "Training", "How the weights are trained.")


class Train(ModelStage[TrainParams]):
    id = "train"
    title = "Train"
    group = "Training"
    icon = "train"
    keeps_shape = True
    help = "Trains the network, by default in float32. With 0 epochs it is measured as it is."
    Settings = TrainParams

    def epochs(self, settings: TrainParams) -> float:
        return settings.training.epochs

    def leaves_weights(self, settings: TrainParams) -> bool:
        return settings.training.epochs == 0

    def coverage(self) -> tuple[CoverageCase, ...]:
        """As it is it stands before every other in the table; these are its options that depend on the network."""
        return (
            CoverageCase("stochastic-depth", "Stochastic depth", {"training": {"drop_path": 0.1}}),
            CoverageCase("group-penalty", "Group penalty", {"training": {"group_penalty": 1e-4}}),
        )

    def run(self, model: "nn.Module", settings: TrainParams, context: StageContext) -> StageResult:
        result = StageResult(model)
        result.add_training(run_training(model, settings.training, context))
        return result
