"""A latency that decides how much of a network stays: the stage declares the target, the engine measures.

`core.engine.latency_search` searches the widths, the number of blocks, or the MACs before the stage runs; they replace the
target in the stage's settings, and so enter its cache key. Readable without torch.
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
    """The target of a stage with these settings, and the functions that the search for it needs.

    Attributes:
        share: of the latency before that is to stay.
        prunable: what can go from a network of a run, which it may change.
        plan: what goes from it, so that another share is left of a cost.
        cut: a network without numbers, the side of its images in pixels, the class names of its residual
            blocks and the channels that each group keeps → the network with so many.
        settled: the stage's settings with the ratio that goes, by the leading layer of each group.
    """

    share: float
    prunable: "Callable[[ImageClassifier, StageContext], PrunableGroups]"
    plan: "Callable[[PrunableGroups, float, Cost], Plan]"
    cut: "Callable[[ImageClassifier, int, tuple[str, ...], Mapping[str, int]], ImageClassifier]"
    settled: Callable[[Mapping[str, float]], Params]


@dataclass(frozen=True, slots=True)
class BlocksTarget:
    """The target of a stage that drops whole blocks.

    Attributes:
        share: of the latency before that is to stay.
        order: the paths of the blocks of a network that can go, in the order in which they go; it may move the network
            to another device.
        settled: the stage's settings with the number of blocks that go.
    """

    share: float
    order: "Callable[[ImageClassifier, StageContext], list[str]]"
    settled: Callable[[int], Params]


@dataclass(frozen=True, slots=True)
class MacsTarget:
    """The target of a stage that makes a network smaller until a share of its MACs is left.

    Attributes:
        share: of the latency before that is to stay.
        smaller: a network of a run, which it may change → a function from the share of MACs that stays to the network
            that is left then, which it makes anew each time; an EspalierError where the share cannot be met.
        settled: the stage's settings with the share of MACs that stays.
    """

    share: float
    smaller: "Callable[[ImageClassifier, StageContext], Callable[[float], ImageClassifier]]"
    settled: Callable[[float], Params]
