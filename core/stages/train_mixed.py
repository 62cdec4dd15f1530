"""Mixed-precision training: bfloat16 where the GPU or processor has it, float16 with gradient scaling on older GPUs.

Source: Micikevicius et al. 2018, arXiv 1710.03740; Hamza et al.'s second stage.
Where we depart from Hamza et al.: their table shows the FP16 model's latency and memory; a network trained
in mixed precision keeps float32 weights, and exported as float32 it is neither smaller nor
faster. So a float16 file stands beside the float32 one, and every figure says which it is of.

What it does badly: it compresses nothing by itself, and on a processor without bfloat16 it saves no time either.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from core.common.params import Params, param
from core.stages.base import ModelStage
from core.stages.context import StageContext
from core.stages.coverage_case import CoverageCase
from core.stages.fine_tune import run_training
from core.stages.result import StageResult
from core.training.settings import TrainingSettings, with_precision

if TYPE_CHECKING:
    from torch import nn


class TrainMixedParams(Params):
    training: TrainingSettings = param(
        TrainingSettings(),
        "Training",
        "How the weights are trained; its own precision counts for nothing here.",
    )
    precision: Literal["auto", "mixed", "float32"] = param(
        "auto",
        "Precision",
        "Number format of the forward and backward pass; weights stay float32.",
        choices={
            "auto": "Mixed where it is faster: always on CUDA; on a processor with bfloat16 a short trial decides (the stage says what it found).",
            "mixed": "bfloat16 on GPUs and processors that have it even where it is slower, float16 with gradient scaling on older GPUs, float32 elsewhere.",
            "float32": "Full precision; the float16 file is added all the same.",
        },
    )


class TrainMixed(ModelStage[TrainMixedParams]):
    id = "train-mixed"
    title = "Train in mixed precision"
    group = "Training"
    icon = "train"
    keeps_shape = True
    causes = ("exported-as-float32",)
    help = "Trains on in float16 (CUDA) or bfloat16 (processors that have it) and adds a float16 file of half the size."
    Settings = TrainMixedParams
    half_artefact = True

    def epochs(self, settings: TrainMixedParams) -> float:
        return settings.training.epochs

    def precision(self, settings: TrainMixedParams) -> str:
        return settings.precision if settings.training.epochs else ""

    def in_precision(self, settings: TrainMixedParams, precision: str) -> TrainMixedParams:
        return settings.model_copy(update={"precision": precision})

    def leaves_weights(self, settings: TrainMixedParams) -> bool:
        return settings.training.epochs == 0

    def remark(self, facts: Mapping[str, Any]) -> str:
        return "trained in float32" if facts.get("trained_in") == "float32" else ""

    def computes_in(self, facts: Mapping[str, Any]) -> str:
        return str(facts.get("trained_in", "float32"))

    def coverage(self) -> tuple[CoverageCase, ...]:
        return (CoverageCase("mixed-training", "Mixed-precision training"),)

    def run(self, model: "nn.Module", settings: TrainMixedParams, context: StageContext) -> StageResult:
        result = StageResult(model)
        result.add_training(
            run_training(model, with_precision(settings.training, settings.precision), context)
        )
        result.notes.append(
            "Mixed precision is a matter of training speed; the weights stay float32. Exported as float32 the model "
            "cannot be smaller or faster than before. The float16 file beside it is half the size; "
            "whether it is faster depends on the device, and its own row says so."
        )
        return result
