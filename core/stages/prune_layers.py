"""Layer pruning: whole residual blocks go, then fine-tuning.

Source: Sadaqa and Liu, arXiv 2509.08714: one-shot removal of layers by WeightMagnitude or
FeatureMapRank. What we have of it is a summary, so the usual definitions are taken: HRank's mean rank of
the feature maps over a few batches (Lin et al. 2020, arXiv 2002.10179), of what a block adds to its
input; a layer's importance is the mean over its block.

A block can go where its shortcut is the identity: its input then passes through unchanged
(`core.surgery.blocks` tries it on the network). The statistics of batch norm are estimated anew
before fine-tuning, because the remaining layers see other activations.

Whole blocks go, never single layers inside one, because only a block's removal leaves shapes that
agree; whether Sadaqa and Liu do so their summary does not say. Importances are compared within their stage by
default, because the weights of wide layers are smaller by nature and one stage would lose everything;
the similarity of a block's input and output is offered as a third criterion.

A latency is settled before the stage runs (`core.engine.latency_search`): the stage is then given the number of blocks, as
found by measuring. An importance on images draws them anew for the stage, so that other blocks of the same number may go.

What it does badly: blocks come whole, so that a budget is met coarsely. Networks without identity shortcuts have nothing that can go.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from core.common.errors import EspalierError, Problem
from core.common.keys import make_key
from core.common.numbers import grouped
from core.common.params import Params, param
from core.models.forecast import Forecast, StageForecast
from core.models.network_facts import NetworkFacts
from core.stages.base import ModelStage
from core.stages.context import StageContext
from core.stages.coverage_case import CoverageCase
from core.stages.fine_tune import batch_norm_batches, run_training
from core.stages.forecast import ForecastContext, network_of, unknown
from core.stages.latency_target import BlocksTarget
from core.stages.result import StageResult
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import nn

    from core.surgery.blocks import Block

BATCH = 32  # images at once that an importance on images looks at

CRITERIA = {
    "weight-magnitude": "Mean absolute weight of the block's layers (Sadaqa and Liu).",
    "feature-map-rank": "Mean rank of the maps that the block adds to its input, on training images (Sadaqa and Liu, HRank).",
    "input-similarity": "How much the block changes what passes through it: 1 − cosine of input and output.",
}


def importance_batches(when: str) -> Any:
    """The setting of every stage that ranks blocks; `when` it matters."""
    return param(
        2,
        "Importance batches",
        f"Batches of {BATCH} training images that an importance on images looks at.",
        unit="batches",
        ge=1,
        le=1000,
        advanced=True,
        when=when,
    )


class PruneLayersParams(Params):
    amount_as: Literal["share", "count", "macs", "latency"] = param(
        "share",
        "Amount as",
        "How the number of dropped blocks is given.",
        choices={
            "share": "A share of the blocks that can be dropped.",
            "count": "A number of blocks.",
            "macs": "A share of the network's MACs that stays, as nearly as whole blocks can meet it.",
            "latency": "A share of the time on this machine that stays, as nearly as whole blocks can meet it; found by measuring.",
        },
    )
    share: float = param(
        0.3,
        "Share",
        "Share of the droppable blocks that go; used with 'share'.",
        gt=0,
        le=1,
        step=0.05,
        when="amount_as=share",
    )
    count: int = param(
        2,
        "Count",
        "How many blocks go; used with 'count'.",
        unit="blocks",
        ge=1,
        le=1000,
        step=1,
        when="amount_as=count",
    )
    budget: float = param(
        0.7,
        "Budget",
        "Share of the network's MACs that stays; used with 'macs'.",
        gt=0,
        lt=1,
        step=0.05,
        when="amount_as=macs",
        added=True,
    )
    latency: float = param(
        0.7,
        "Latency",
        "Share of the latency that stays: the exported float32 file in ONNX Runtime on this machine, one image, "
        "one thread; used with 'latency'. Another machine may find another number of blocks.",
        gt=0,
        lt=1,
        step=0.05,
        when="amount_as=latency",
        added=True,
    )
    importance: Literal["weight-magnitude", "feature-map-rank", "input-similarity"] = param(
        "weight-magnitude", "Importance", "Which blocks matter least.", choices=CRITERIA
    )
    compare: Literal["stage", "network"] = param(
        "stage",
        "Compare within",
        "What a block's importance is measured against.",
        choices={
            "stage": "Each importance is divided by the mean of its stage (blocks of one resolution and width).",
            "network": "All blocks as they are.",
        },
        advanced=True,
    )
    keep_one: bool = param(True, "Keep one per stage", "At least one block of every stage stays.")
    importance_batches: int = importance_batches("importance=feature-map-rank|input-similarity")
    batch_norm_batches: int = batch_norm_batches()
    training: TrainingSettings = param(
        TrainingSettings(), "Fine-tuning", "How the shallower network is trained afterwards."
    )


class PruneLayers(ModelStage[PruneLayersParams]):
    id = "prune-layers"
    version = 2
    title = "Prune layers"
    group = "Pruning"
    icon = "prune"
    effect = "structure"
    help = "Drops the residual blocks that matter least, so that the network gets shallower, and fine-tunes."
    Settings = PruneLayersParams

    def epochs(self, settings: PruneLayersParams) -> float:
        return settings.training.epochs

    def step_cost(self, settings: PruneLayersParams) -> float:
        return {"share": 1 - settings.share, "macs": settings.budget}.get(settings.amount_as, 1.0)

    def check(self, settings: PruneLayersParams, facts: NetworkFacts) -> list[Problem]:
        return blocks_missing(facts)

    def run(self, model: "nn.Module", settings: PruneLayersParams, context: StageContext) -> StageResult:
        from core.surgery.batch_norm import recalibrate
        from core.surgery.blocks import drop_blocks

        context.phase("prune", "Ranking residual blocks")
        blocks, order, importance = rank_blocks(
            model,
            context,
            settings.importance,
            settings.compare,
            settings.importance_batches,
            settings.keep_one,
        )
        size = context.preprocess.size
        dropped = order[: self.dropped(settings, blocks, order, lambda: macs_left(model, order, size))]
        drop_blocks(model, dropped)
        result = StageResult(
            model,
            skipped=[(block.path, block.reason) for block in blocks if block.reason],
            facts={"blocks": block_rows(blocks, importance, dropped)},
        )
        result.notes.append(f"{len(dropped)} of {len(blocks)} residual blocks dropped: {', '.join(dropped)}.")
        recalibrate(model, context, settings.batch_norm_batches)
        result.add_training(run_training(model, settings.training, context, phase="fine-tune"))
        return result

    def latency_target(self, settings: PruneLayersParams) -> BlocksTarget | None:
        """With 'latency'; the search replaces it by a number of blocks."""
        if settings.amount_as != "latency":
            return None

        def order(model: "nn.Module", context: StageContext) -> list[str]:
            return rank_blocks(
                model, context, settings.importance, settings.compare, settings.importance_batches, settings.keep_one
            )[1]  # fmt: skip

        def settled(count: int) -> PruneLayersParams:
            return settings.model_copy(update={"amount_as": "count", "count": count})

        return BlocksTarget(settings.latency, order, settled)

    def coverage(self) -> tuple[CoverageCase, ...]:
        return (CoverageCase("layers", "Layer pruning", {"share": 0.3}, "params"),)

    def forecast(
        self,
        settings: PruneLayersParams,
        unchanged: Forecast,
        previous: StageForecast,
        context: ForecastContext,
    ) -> StageForecast:
        """Blocks of one stage of the network are often alike: then the counts are known beforehand."""
        from core.surgery.blocks import drop_blocks, find_blocks, removal_order
        from core.surgery.budget import layer_shapes
        from core.surgery.meta_copy import count
        from core.surgery.shapes import filled, float32_bytes

        if settings.amount_as == "latency":
            return unknown(unchanged, "How many blocks go, the run finds out by measuring.")
        shape = network_of(previous)
        blocks = context.recent.get(
            f"blocks {previous.key}", lambda: find_blocks(filled(shape.model), shape.blocks, shape.size)
        )
        sizes = {
            block.path: float(sum(p.numel() for p in shape.model.get_submodule(block.path).parameters()))
            for block in blocks
        }
        smallest = removal_order(blocks, sizes, settings.keep_one)
        largest = removal_order(blocks, {path: -size for path, size in sizes.items()}, settings.keep_one)
        outcomes = []
        for order in (smallest, largest):
            model = copy.deepcopy(shape.model)
            dropped = self.dropped(settings, blocks, order, partial(macs_left, model, order, shape.size))
            drop_blocks(model, order[:dropped])
            outcomes.append((count(model, shape.size), model))
        (most, model), (least, _) = outcomes
        words = f"{dropped} of {len(blocks)} residual blocks go"
        if most != least:
            remark = f"{words}; which ones, training decides: {grouped(least.params)} to {grouped(most.params)} parameters are left."
            return unknown(unchanged, remark)
        key = make_key({"before": previous.key, "dropped": smallest[:dropped]})
        forecast = replace(
            unchanged, params=most.params, macs=most.macs, bytes=float32_bytes(model), remark=f"{words}."
        )
        after = replace(shape, model=model, weights=None)
        return StageForecast(forecast, key, False, lambda: after, layers=lambda: layer_shapes(model))

    def dropped(
        self,
        settings: PruneLayersParams,
        blocks: "list[Block]",
        order: list[str],
        macs: Callable[[], list[int]],
    ) -> int:
        """How many blocks go, of those that can in this order; `macs` as `macs_left` gives them.

        Raises:
            EspalierError: when fewer can go than are asked for.
        """
        droppable = sum(not block.reason for block in blocks)
        if settings.amount_as == "share":
            return min(len(order), max(1, round(droppable * settings.share)))
        if settings.amount_as in ("macs", "latency"):  # a rehearsal times nothing: MACs stand for the latency
            left, share = macs(), settings.budget if settings.amount_as == "macs" else settings.latency
            return min(range(1, len(left)), key=lambda number: abs(left[number] - share * left[0]))
        if settings.count > len(order):
            raise EspalierError(
                f"Expected at most {len(order)} blocks to drop, received {settings.count}: "
                f"of {len(blocks)} residual blocks {droppable} have an identity shortcut"
                + (", and one stays in every stage." if settings.keep_one else "."),
                "Lower the count, or let stages lose all their blocks." if settings.keep_one else "Lower the count.",
            )  # fmt: skip
        return settings.count


def macs_left(model: "nn.Module", order: list[str], size: int) -> list[int]:
    """The network's MACs without the first 0, 1, 2, … blocks of `order`."""
    from core.surgery.blocks import drop_blocks
    from core.surgery.meta_copy import count

    shallower = copy.deepcopy(model)
    left = [count(shallower, size).macs]
    for path in order:
        drop_blocks(shallower, [path])
        left.append(count(shallower, size).macs)
    return left


def blocks_missing(facts: NetworkFacts) -> list[Problem]:
    """The problem of a network without residual blocks, if it has none."""
    structure = facts.structure()
    if structure is None or structure[1]:
        return []
    qualifier = " that are known by name" if facts.blocks is not None else ""
    own_file = facts.network is None  # a person's file, whose blocks they name
    return [Problem(
        f"{structure[0]} has no residual blocks{qualifier}, and without a shortcut nothing can take a dropped layer's place.",
        "Name their classes under 'Residual blocks' in its source, or prune channels instead."
        if own_file else "Prune its channels instead, or choose a residual backbone.",
    )]  # fmt: skip


def rank_blocks(
    model: "nn.Module",
    context: StageContext,
    criterion: Literal["weight-magnitude", "feature-map-rank", "input-similarity"],
    compare: str,
    batches: int,
    keep_one: bool,
) -> "tuple[list[Block], list[str], dict[str, float]]":
    """All residual blocks; of those that can go the paths, least important first, and importances.

    Raises:
        EspalierError: when none can go; the message names the structure.
    """
    from core.models.catalogue import backbone
    from core.surgery.blocks import block_importance, find_blocks, relative_to_stage, removal_order
    from core.surgery.samples import training_batches

    model.to(context.device)
    blocks = find_blocks(model, backbone(context.network.backbone).blocks, context.preprocess.size)
    if not blocks:
        raise EspalierError(
            f"Expected a network of residual blocks, received {backbone(context.network.backbone).title} "
            "as it is now, in which none is left or known.",
            "Remove this stage, or prune channels instead.",
        )
    droppable = [block for block in blocks if not block.reason]
    images = (batch_images for batch_images, _ in training_batches(context, "blocks", batches, BATCH))
    importance = block_importance(model, droppable, criterion, images)
    if compare == "stage":
        importance = relative_to_stage(droppable, importance)
    order = removal_order(blocks, importance, keep_one)
    if not order:
        reasons = sorted({block.reason for block in blocks if block.reason}) or [
            "every stage is down to one block"
        ]
        raise EspalierError(
            f"None of the network's {len(blocks)} residual blocks can be dropped: {'; '.join(reasons)}.",
            "Remove this stage, or prune channels instead.",
        )
    return blocks, order, importance


def block_rows(
    blocks: "list[Block]", importance: dict[str, float], dropped: list[str]
) -> list[dict[str, Any]]:
    """The blocks as plain data, for reports."""
    return [
        {
            "path": block.path, "kind": block.kind, "stage": block.stage,
            "importance": importance.get(block.path), "dropped": block.path in dropped,
        }
        for block in blocks
    ]  # fmt: skip
