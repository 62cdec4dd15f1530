"""A latency that decides how many channels stay: the stage says what it asks, the engine measures.

`core.engine.latency_search` looks for the widths before the stage runs; what it finds takes the target's
place in the stage's settings, and so enters its cache key. Readable without torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.common.params import Params
from core.stages.context import StageContext
from core.surgery.prunable_groups import Cost, PrunableGroups

if TYPE_CHECKING:
    from core.models.classifier import ImageClassifier
    from core.surgery.budget import Plan


@dataclass(frozen=True, slots=True)
class LatencyTarget:
    """What a stage with these settings asks.

    Attributes:
        share: of the latency before that is to stay.
        look: what can go from a network of a run, which it may change.
        plan: what goes from it, so that another share is left of a cost.
        cut: a network without numbers, the side of its images in pixels, the class names of its residual
            blocks and the channels that each group keeps → the network with so many.
        settled: the stage's settings with the ratio that goes, by the leading layer of each group.
    """

    share: float
    look: "Callable[[ImageClassifier, StageContext], PrunableGroups]"
    plan: "Callable[[PrunableGroups, float, Cost], Plan]"
    cut: "Callable[[ImageClassifier, int, tuple[str, ...], Mapping[str, int]], ImageClassifier]"
    settled: Callable[[Mapping[str, float]], Params]
