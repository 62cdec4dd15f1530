"""What can go from a network: its groups of channels, how much each matters, and plans for them.

Found once, then asked for plans, which cost milliseconds. Everywhere here `settings` are the
`PruneChannelsParams` of channel pruning, a module that may import this one but not the other way round; like that one, this file is
readable without torch.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.common.errors import EspalierError

if TYPE_CHECKING:
    from torch import Tensor

    from core.models.classifier import ImageClassifier
    from core.surgery.budget import Budget, CostModel, Plan
    from core.surgery.channel_group import ChannelGroup
    from core.surgery.importance import Batch
    from core.surgery.meta_copy import Counts

_PAIR = re.compile(r"([^\s=,]+)\s*=\s*(0(?:\.\d+)?|\.\d+)")
_BYTES, _MB = 4, 1e6
Cost = Callable[[dict[str, int]], float]
Milliseconds = Callable[[dict[str, tuple[int, ...]]], float]


def own_ratios(text: str) -> list[tuple[str, float]]:
    """(pattern, ratio) of "body.layer1.*=0.2, body.conv1=0".

    Raises:
        EspalierError: when the text is not of this form.
    """
    matches = [_PAIR.fullmatch(part.strip()) for part in text.split(",") if part.strip()]
    if not all(matches):
        raise EspalierError(
            f"Expected layers with their own ratios between commas, received {text!r}.",
            "Write pairs such as body.layer1.*=0.2, each ratio from 0 to below 1.",
        )
    return [(pair[1], float(pair[2])) for pair in matches if pair]


@dataclass(frozen=True, slots=True)
class OriginalSize:
    """The network before its first pruning.

    Attributes:
        counts: its parameters and MACs.
        channels: of each group, by path.
    """

    counts: "Counts"
    channels: dict[str, int]


@dataclass(frozen=True, slots=True)
class PrunableGroups:
    """What can go from a network: found once, then asked for plans, which cost milliseconds.

    Attributes:
        skipped: groups left alone, each with the reason.
        scores: importance of every unit of every group, by path, comparable across groups.
    """

    groups: "list[ChannelGroup]"
    skipped: list[tuple[str, str]]
    scores: "dict[str, Tensor]"
    costs: "CostModel"
    start: OriginalSize

    def plan(self, settings: Any, done: float = 1.0, latency: "Cost | None" = None) -> "Plan":
        """What goes by these settings; only scope, FEM and importance have to be those of `find_prunable_groups`.

        Args:
            done: the part of the whole way that this pruning is to reach.
            latency: with so many channels in each group, as a share of the latency before. The target
                'latency' needs it; where there is none (a rehearsal) MACs stand for it.

        Raises:
            EspalierError: when a budget is out of reach or an own ratio names no layer.
        """
        from core.surgery.budget import Request, own_shares, plan

        shares = own_shares(own_ratios(settings.own_ratios), self.groups, [path for path, _ in self.skipped])
        request = Request(
            goal=settings.ratio * done
            if settings.target == "ratio"
            else self._budget(settings, done, latency),
            ranking=settings.ranking,
            round_to=settings.round_to,
            most=settings.largest_share,
            own_shares={path: share * done for path, share in shares.items()},
            original=self.start.channels,
        )
        return plan(self.groups, self.scores, self.costs, request)

    def without(self, whole: Mapping[str, str]) -> "PrunableGroups":
        """The same with some groups left whole: by path, why.

        Raises:
            EspalierError: when none is left.
        """
        skipped = [*self.skipped, *whole.items()]
        groups = [group for group in self.groups if group.path not in whole]
        if not groups:
            raise no_removable_channels(skipped)
        return replace(self, groups=groups, skipped=skipped)

    def latency_share(self, predicted: Milliseconds) -> "Cost":
        """The latency that a model of this machine predicts, as a share of that before the first pruning.

        Args:
            predicted: milliseconds of one image from the shapes of the layers' weights, by path.
        """
        before = predicted(self.costs.layers(self.start.channels))
        return lambda channels: predicted(self.costs.layers(channels)) / before

    def _budget(self, settings: Any, done: float, latency: "Cost | None") -> "Budget":
        from core.surgery.budget import Budget

        if latency is not None and settings.target == "latency":
            return Budget("latency", 1 - (1 - settings.latency) * done, 1.0, latency)
        counts = self.start.counts
        label, whole, target = {
            "macs": ("MACs", counts.macs, settings.budget * counts.macs),
            "parameters": ("parameters", counts.params, settings.budget * counts.params),
            "size": ("size", counts.params, settings.size_mb * _MB / _BYTES),
            "latency": ("MACs", counts.macs, settings.latency * counts.macs),
        }[settings.target]

        def measure(channels: dict[str, int]) -> float:
            now = self.costs.count(channels)
            return now.macs if label == "MACs" else now.params

        return Budget(label, whole - (whole - target) * done, whole, measure)


def find_prunable_groups(
    model: "ImageClassifier",
    size: int,
    settings: Any,
    blocks: tuple[str, ...],
    seed: int = 0,
    batches: "Iterable[Batch]" = (),
    start: OriginalSize | None = None,
) -> PrunableGroups:
    """What can go from a network, and how much each channel matters.

    Args:
        model: under 'whole-groups' its parameter-free shortcuts are written as convolutions.
        size: side of the input images in pixels.
        blocks: class names of the backbone's residual blocks.
        batches: images and labels on the model's device, for importances that look at data.
        start: the network before an earlier pruning; None if this is the first.

    Raises:
        EspalierError: when no channels can go; the message says why.
    """
    from core.surgery.budget import CostModel
    from core.surgery.groups import channel_groups
    from core.surgery.importance import comparable, importances
    from core.surgery.meta_copy import count

    counts = count(model, size)
    groups, skipped = channel_groups(model, size, blocks, settings.scope, settings.prune_fem)
    scores, missing = importances(model, groups, settings.importance, seed, batches)
    skipped += missing.items()
    groups = [group for group in groups if group.path in scores]
    if not groups:
        raise no_removable_channels(skipped)
    return PrunableGroups(
        groups, skipped, comparable(scores, settings.importance), CostModel(model, groups, size),
        start or OriginalSize(counts, {group.path: group.channels for group in groups}),
    )  # fmt: skip


def no_removable_channels(skipped: list[tuple[str, str]]) -> EspalierError:
    """The error of a pruning that would remove no channel, with the most frequent reason."""
    [(reason, count)] = Counter(reason for _, reason in skipped).most_common(1) or [("it has none", 0)]
    return EspalierError(
        f"Expected channels that can go; of {len(skipped)} groups none can, {count} because: {reason}.",
        "Choose another scope, importance or rounding, or a larger ratio.",
    )
