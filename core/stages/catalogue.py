"""The stages by id, in the order of the palette. Registering a technique is one line here."""

from collections.abc import Mapping
from typing import Any

from core.stages.as_given import AsGiven
from core.stages.base import Stage
from core.stages.distil import Distil
from core.stages.factorise import Factorise
from core.stages.half_precision import HalfPrecision
from core.stages.merge_tokens import MergeTokens
from core.stages.only_train_once import OnlyTrainOnce
from core.stages.prune_channels import PruneChannels
from core.stages.prune_layers import PruneLayers
from core.stages.prune_weights import PruneWeights
from core.stages.quantize_dynamic import QuantizeDynamic
from core.stages.quantize_four_bits import QuantizeFourBits
from core.stages.quantize_mixed import QuantizeMixed
from core.stages.quantize_reconstructed import QuantizeReconstructed
from core.stages.quantize_static import QuantizeStatic
from core.stages.scale_down import ScaleDown
from core.stages.share_weights import ShareWeights
from core.stages.train import Train
from core.stages.train_mixed import TrainMixed
from core.stages.train_quantized import TrainQuantized

_ALL: tuple[Stage, ...] = (
    Train(),
    TrainMixed(),
    PruneChannels(),
    PruneLayers(),
    ScaleDown(),
    OnlyTrainOnce(),
    MergeTokens(),
    PruneWeights(),
    ShareWeights(),
    Factorise(),
    Distil(),
    TrainQuantized(),
    QuantizeStatic(),
    QuantizeReconstructed(),
    QuantizeMixed(),
    QuantizeFourBits(),
    QuantizeDynamic(),
    HalfPrecision(),
    AsGiven(),
)

STAGES: dict[str, Stage] = {stage.id: stage for stage in _ALL}
if len(STAGES) != len(_ALL):
    raise RuntimeError("two stages share an id")


def remark_on(kind: str, facts: Mapping[str, Any]) -> str:
    """The remark beside a stage's name in tables, from its report's facts; "" for an unknown kind."""
    return STAGES[kind].remark(facts) if kind in STAGES else ""
