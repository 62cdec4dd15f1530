"""Compound scaling down: fewer residual blocks and narrower layers together, then fine-tuning.

Source: Sadaqa and Liu, arXiv 2509.08714, which scales a trained network *down* in depth and width
as EfficientNet's compound scaling (Tan and Le 2019, arXiv 1905.11946, equation 3) scales one up,
one-shot. Our source is a summary; this is our reading of it:

* One coefficient φ ≥ 0 gives depth d = α^(−φ) and width w = β^(−φ), with EfficientNet's α = 1.2 and
  β = 1.1. The resolution is the data's and stays.
* Of B residual blocks round(B·(1 − d)) are dropped, the least important first, as far as they can be
  (`core.stages.prune_layers`). Every group of channels in scope keeps the share w, rounded.
* φ is searched: the largest whose MACs are not below the budget. Blocks come whole, so the
  width then closes what is left (`core.surgery.budget`), and the budget is met within about 1 %.

A latency instead of MACs is settled before the stage runs (`core.engine.latency_search`): the stage is then given the MACs
whose network was measured to take it.

Channels and blocks are ranked by the same importance, WeightMagnitude or FeatureMapRank.
Where we depart from EfficientNet: its d·w² law is not used, the MACs of every candidate are counted.

The budget is a share of the MACs of the network given; d and w are shares of blocks and channels.

What it does badly: one share of width holds for all groups, sensitive ones too, which pruning by a ranking over the network does not do; blocks come whole; the
choice is made at once, from the trained weights.
"""

import copy
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from core.common.errors import Problem
from core.common.numbers import percent, signed_percent
from core.common.params import Params, param
from core.models.forecast import Forecast, StageForecast
from core.models.network_facts import NetworkFacts
from core.stages.base import ModelStage
from core.stages.context import StageContext
from core.stages.coverage_case import CoverageCase
from core.stages.fine_tune import batch_norm_batches, run_training
from core.stages.forecast import ForecastContext, unknown
from core.stages.latency_target import MacsTarget
from core.stages.prune_channels import PruneChannelsParams
from core.stages.prune_layers import BATCH, block_rows, blocks_missing, importance_batches, rank_blocks
from core.stages.result import StageResult
from core.surgery.prunable_groups import OriginalSize, PrunableGroups, find_prunable_groups
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import nn

    from core.models.classifier import ImageClassifier
    from core.surgery.blocks import Block
    from core.surgery.budget import Plan

_NARROWEST = 1e-3  # no width below this share is searched


class ScaleDownParams(Params):
    target: Literal["macs", "latency"] = param(
        "macs",
        "Target",
        "What decides how much stays.",
        choices={
            "macs": "A share of the network's MACs.",
            "latency": "A share of the time on this machine, found by measuring.",
        },
        added=True,
    )
    budget: float = param(
        0.5,
        "Budget",
        "Share of the network's MACs that stays; used with 'macs'.",
        gt=0,
        lt=1,
        step=0.05,
        when="target=macs",
    )
    latency: float = param(
        0.5,
        "Latency",
        "Share of the latency that stays: the exported float32 file in ONNX Runtime on this machine, one image, "
        "one thread; used with 'latency'. Another machine may find another network.",
        gt=0,
        lt=1,
        step=0.05,
        when="target=latency",
        added=True,
    )
    depth_base: float = param(
        1.2,
        "Depth base α",
        "How fast the depth falls with the compound coefficient; 1 keeps all blocks.",
        ge=1,
        le=4,
        step=0.05,
    )
    width_base: float = param(
        1.1,
        "Width base β",
        "How fast the width falls with the compound coefficient.",
        gt=1,
        le=4,
        step=0.05,
    )
    importance: Literal["weight-magnitude", "feature-map-rank"] = param(
        "weight-magnitude",
        "Importance",
        "Which blocks and channels matter least.",
        choices={
            "weight-magnitude": "Mean absolute weight of a block, sum of a channel's absolute weights.",
            "feature-map-rank": "Mean rank of the feature maps on training images (HRank).",
        },
    )
    scope: Literal["block-internal", "whole-groups"] = param(
        "block-internal",
        "Scope",
        "Which channels may go.",
        choices={
            "block-internal": "Only those inside a residual or inverted-residual block.",
            "whole-groups": "Every group of coupled layers, the residual stream too, as EfficientNet scales.",
        },
    )
    round_to: int = param(
        8,
        "Round to",
        "Kept channels are a multiple of this; 1 switches rounding off.",
        unit="channels",
        ge=1,
        le=64,
        step=1,
    )
    keep_one: bool = param(True, "Keep one per stage", "At least one block of every stage stays.")
    importance_batches: int = importance_batches("importance=feature-map-rank")
    batch_norm_batches: int = batch_norm_batches()
    training: TrainingSettings = param(
        TrainingSettings(), "Fine-tuning", "How the smaller network is trained afterwards."
    )


class ScaleDown(ModelStage[ScaleDownParams]):
    id = "scale-down"
    version = 2
    title = "Scale down"
    group = "Pruning"
    icon = "prune"
    effect = "structure"
    help = "Makes the network shallower and narrower together until it meets a budget of MACs or a latency, and fine-tunes."
    Settings = ScaleDownParams

    def epochs(self, settings: ScaleDownParams) -> float:
        return settings.training.epochs

    def step_cost(self, settings: ScaleDownParams) -> float:
        return settings.budget if settings.target == "macs" else settings.latency

    def check(self, settings: ScaleDownParams, facts: NetworkFacts) -> list[Problem]:
        return blocks_missing(facts)

    def forecast(
        self,
        settings: ScaleDownParams,
        unchanged: Forecast,
        previous: StageForecast,
        context: ForecastContext,
    ) -> StageForecast:
        if settings.target == "latency":
            return unknown(unchanged, "How many MACs stay, the run finds out by measuring.")
        macs = round(settings.budget * (unchanged.macs or 0))
        remark = "The budget of MACs is met within about 1 %; the parameters depend on which blocks go."
        return StageForecast(Forecast(unchanged.id, unchanged.before, None, macs, None, "about", remark))

    def coverage(self) -> tuple[CoverageCase, ...]:
        return (CoverageCase("scale-down", "Scaling down depth and width", {"budget": 0.6}, "params"),)

    def run(self, model: "nn.Module", settings: ScaleDownParams, context: StageContext) -> StageResult:
        from core.surgery.batch_norm import recalibrate
        from core.surgery.blocks import drop_blocks
        from core.surgery.budget import apply
        from core.surgery.meta_copy import count

        if settings.target == "latency":  # a rehearsal times nothing: MACs stand for the latency
            settings = settings.model_copy(update={"target": "macs", "budget": settings.latency})
        context.phase("prune", "Searching depth and width")
        blocks, order, importance = _ranked(model, settings, context)
        start = OriginalSize(count(model, context.preprocess.size), {})
        candidates = _ScaledNetworks(model, len(blocks), order, start, settings, context)
        phi = candidates.phi(settings.budget)
        dropped = order[: candidates.dropped(phi)]
        drop_blocks(model, dropped)
        recalibrate(model, context, settings.batch_norm_batches)  # importances on images want it
        prunable, plan = _narrow(model, start, settings, context)
        apply(prunable.groups, plan)
        recalibrate(model, context, settings.batch_norm_batches)
        result = StageResult(model, skipped=[(block.path, block.reason) for block in blocks if block.reason])
        result.skipped += prunable.skipped
        result.facts |= {"blocks": block_rows(blocks, importance, dropped)}
        _report(result, phi, prunable, plan, settings)
        result.add_training(run_training(model, settings.training, context, phase="fine-tune"))
        return result

    def latency_target(self, settings: ScaleDownParams) -> MacsTarget | None:
        """With 'latency'; the search replaces it by a share of MACs."""
        if settings.target != "latency":
            return None

        def smaller(model: "ImageClassifier", context: StageContext) -> "Callable[[float], ImageClassifier]":
            from core.surgery.meta_copy import count

            blocks, order, _ = _ranked(model, settings, context)
            start = OriginalSize(count(model, context.preprocess.size), {})
            return _ScaledNetworks(model, len(blocks), order, start, settings, context).within

        def settled(macs: float) -> ScaleDownParams:
            return settings.model_copy(update={"target": "macs", "budget": macs})

        return MacsTarget(settings.latency, smaller, settled)


def _ranked(
    model: "nn.Module", settings: ScaleDownParams, context: StageContext
) -> "tuple[list[Block], list[str], dict[str, float]]":
    """The blocks, as `rank_blocks` gives them."""
    return rank_blocks(
        model, context, settings.importance, "stage", settings.importance_batches, settings.keep_one
    )


def scaled(phi: float, settings: ScaleDownParams) -> tuple[float, float]:
    """Depth and width for a compound coefficient, as shares that stay."""
    return settings.depth_base**-phi, settings.width_base**-phi


def largest_phi(macs: Callable[[float], float], target: float, width_base: float) -> float:
    """The largest coefficient whose MACs are not below `target`; `macs` falls as it rises."""
    low, high = 0.0, math.log(1 / _NARROWEST) / math.log(width_base)
    if macs(high) >= target:
        return high
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if macs(middle) >= target else (low, middle)
    return low


class _ScaledNetworks:
    """Counts networks of any coefficient; the network itself stays as it is."""

    def __init__(
        self,
        model: "ImageClassifier",
        blocks: int,
        order: list[str],
        start: OriginalSize,
        settings: ScaleDownParams,
        context: StageContext,
    ):
        self._model, self._blocks, self._order, self._start = model, blocks, order, start
        self._settings, self._context = settings, context
        self._prunable: dict[int, PrunableGroups] = {}

    def phi(self, budget: float) -> float:
        """The largest coefficient that leaves this share of the MACs, or more."""
        return largest_phi(self.macs, budget * self._start.counts.macs, self._settings.width_base)

    def within(self, budget: float) -> "ImageClassifier":
        """A network that this share of the MACs is left of; which channels go makes no difference to its shape.

        Raises:
            EspalierError: when the budget is out of reach.
        """
        from core.surgery.budget import apply

        channels = _channels(self._settings.model_copy(update={"budget": budget}), "l1")
        model, prunable = self._shallower(self.dropped(self.phi(budget)), channels)
        apply(prunable.groups, prunable.plan(channels))
        return model

    def dropped(self, phi: float) -> int:
        """Blocks that go."""
        depth, _ = scaled(phi, self._settings)
        return min(len(self._order), round(self._blocks * (1 - depth)))

    def macs(self, phi: float) -> int:
        """MACs for one image."""
        from core.surgery.budget import kept_units

        self._context.control.checkpoint()
        _, width = scaled(phi, self._settings)
        prunable = self._prunable_after(self.dropped(phi))
        kept_channels = {
            group.path: kept_units(group.units, group.units * width, self._settings.round_to) * group.bundle
            for group in prunable.groups
        }
        return prunable.costs.count(kept_channels).macs

    def _prunable_after(self, blocks: int) -> PrunableGroups:
        if blocks not in self._prunable:
            self._prunable[blocks] = self._shallower(blocks, _channels(self._settings, "l1"))[1]
        return self._prunable[blocks]

    def _shallower(
        self, blocks: int, channels: PruneChannelsParams
    ) -> "tuple[ImageClassifier, PrunableGroups]":
        """A copy without so many blocks, and what can go from it."""
        from core.models.catalogue import backbone
        from core.surgery.blocks import drop_blocks

        model = copy.deepcopy(self._model)
        drop_blocks(model, self._order[:blocks])
        kinds, size = backbone(self._context.network.backbone).blocks, self._context.preprocess.size
        return model, find_prunable_groups(model, size, channels, kinds, start=self._start)


def _channels(settings: ScaleDownParams, importance: str) -> PruneChannelsParams:
    """The settings of the channel pruning that this stage does."""
    return PruneChannelsParams.parse({
        "target": "macs", "budget": settings.budget, "scope": settings.scope, "round_to": settings.round_to,
        "importance": importance,
    })  # fmt: skip


def _narrow(
    model: Any, start: OriginalSize, settings: ScaleDownParams, context: StageContext
) -> "tuple[PrunableGroups, Plan]":
    """What goes from the shallower network so that the budget is met."""
    from core.models.catalogue import backbone
    from core.surgery.samples import training_batches

    channels = _channels(settings, "l1" if settings.importance == "weight-magnitude" else settings.importance)
    images = training_batches(context, "channels", settings.importance_batches, BATCH)
    kinds = backbone(context.network.backbone).blocks
    prunable = find_prunable_groups(
        model, context.preprocess.size, channels, kinds, context.seed, images, start
    )
    return prunable, prunable.plan(channels)


def _report(
    result: StageResult, phi: float, prunable: PrunableGroups, plan: "Plan", settings: ScaleDownParams
) -> None:
    from core.surgery.budget import TOLERANCE

    depth, width = scaled(phi, settings)
    counts = prunable.start.counts
    layers = [
        {"path": group.path, "before": group.channels, "after": plan.kept_channels[group.path], "members": list(group.members)}
        for group in prunable.groups
    ]  # fmt: skip
    before, after = sum(group.channels for group in prunable.groups), sum(plan.kept_channels.values())
    blocks = result.facts["blocks"]
    gone = sum(block["dropped"] for block in blocks)
    result.facts |= {
        "phi": phi, "depth": depth, "width": width, "layers": layers,
        "params_before": counts.params, "params": plan.params,
        "macs_before": counts.macs, "macs": plan.macs, "budget_missed_by": plan.deviation,
    }  # fmt: skip
    result.notes.append(
        f"Compound coefficient {phi:.2f}: depth {depth:.2f}, width {width:.2f}. {gone} of {len(blocks)} residual blocks "
        f"and {before - after} of {before} channels removed; {percent(plan.macs / counts.macs, 1)} of the MACs and "
        f"{percent(plan.params / counts.params, 1)} of the parameters are left."
    )
    if abs(plan.deviation) > TOLERANCE:
        result.notes.append(
            f"The budget of {percent(settings.budget, 1)} is missed by {signed_percent(plan.deviation, 1)} of the MACs, because channels go "
            f"in multiples of {settings.round_to}."
        )
