"""Structured channel pruning: the least important channels go, then fine-tuning.

Source: Li et al. 2017, arXiv 1608.08710, for pruning filters and fine-tuning; coupled layers are
found by torch-pruning's dependency graph (Fang et al. 2023, arXiv 2301.12900); Hamza et al.'s third stage
(doi 10.3390/bdcc10050131), Aswathy's and Sadaqa and Liu's channels. Where the importances, rankings and the
re-estimated batch norms come from stands with them: `core.surgery.importance`, `.budget`, `.batch_norm`.

Scope *block-internal*: only channels that live inside one residual or inverted-residual block go,
and the residual stream keeps its width. *One per block* cuts one width of each block; with the FEM's
hidden widths and 30 % this leaves 24.66 M parameters of Hamza et al.'s ResNet-50 and 3.57 M of its MobileNetV3,
the paper's counts, which does not say how it chose. *Whole groups* also cuts channels that several
blocks share; the same ratio then removes about three times as much.

Where we depart from Hamza et al. and from Li et al. unless told otherwise: channel counts are rounded to
multiples (8 by default), because kernels are built for them and an odd count can be slower than none
removed; batch norms are estimated again before fine-tuning; the importance 'l1' counts norms and the
layers that read a channel too ('filter-l1' is theirs). The classifier's outputs are never touched.

What it does badly: fewer MACs are not as much less latency, depthwise and narrow layers gain
least; in the residual stream of ConvNeXt and of vision transformers a layer norm takes its mean
over the channels, so that removing some disturbs all others; attention keeps its heads; one-shot
pruning beyond about half of the channels wants long fine-tuning or several steps.

Ratios are fractions of a layer's channels, budgets of the network that the stage is given;
a megabyte is 10⁶ bytes, four a parameter. A latency is settled before the stage runs
(`core.engine.latency_search`): the stage is then given the ratio of every layer, as found by measuring.
"""

from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from core.common.errors import EspalierError, Problem
from core.common.numbers import percent, signed_percent
from core.common.params import Params, param
from core.models.forecast import Forecast, StageForecast
from core.models.network_facts import NetworkFacts
from core.records.reports import Fix
from core.stages import prune_channels_theirs as theirs
from core.stages.base import ModelStage
from core.stages.context import StageContext
from core.stages.coverage_case import CoverageCase
from core.stages.fine_tune import batch_norm_batches, run_training
from core.stages.forecast import ForecastContext
from core.stages.latency_target import LatencyTarget
from core.stages.prune_channels_forecast import forecast_pruning
from core.stages.result import StageResult
from core.surgery.prunable_groups import (
    Cost,
    OriginalSize,
    PrunableGroups,
    find_prunable_groups,
    no_removable_channels,
    own_ratios,
)
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import nn

    from core.models.classifier import ImageClassifier
    from core.surgery.budget import Plan
    from core.surgery.channel_group import ChannelGroup

_MULTIPLE = 8  # of channels, that kernels are built for
_LAYER_NORM_BLOCKS = ("CNBlock", "ConvNeXtBlock", "Block")


class PruneChannelsParams(Params):
    pruner: Literal["espalier", "torch-pruning"] = param(
        "espalier",
        "Who prunes",
        "Whose pruner cuts the channels; fine-tuning and measuring are the same.",
        choices={
            "espalier": "Espalier's own.",
            "torch-pruning": "torch-pruning's, with the scope 'whole-groups', to be held beside ours: many small steps, ranked anew at each, "
            "until the budget is kept.",
        },
        advanced=True,
        added=True,
    )
    target: Literal["ratio", "macs", "parameters", "size", "latency"] = param(
        "ratio",
        "Target",
        "What says how much goes.",
        choices={
            "ratio": "The ratio: a share of the channels.",
            "macs": "The budget: a share of the network's MACs stays.",
            "parameters": "The budget: a share of the network's parameters stays.",
            "size": "The size: megabytes of float32 weights.",
            "latency": "The latency: a share of the time on this machine stays; found by measuring.",
        },
    )
    ratio: float = param(
        0.3,
        "Ratio",
        "Share of the channels in scope that goes, before rounding; used with the target 'ratio'.",
        gt=0,
        lt=1,
        step=0.05,
        when="target=ratio",
    )
    budget: float = param(
        0.5,
        "Budget",
        "Share of the MACs or parameters that stays; used with the targets 'macs' and 'parameters'.",
        gt=0,
        lt=1,
        step=0.05,
        when="target=macs|parameters",
    )
    size_mb: float = param(
        5.0,
        "Size",
        "Float32 weights of the pruned network, 4 bytes a parameter; used with the target 'size'.",
        unit="MB",
        gt=0,
        le=100_000,
        step=0.5,
        when="target=size",
    )
    latency: float = param(
        0.5,
        "Latency",
        "Share of the latency that stays: the exported float32 file in ONNX Runtime on this machine, one image, "
        "one thread; used with the target 'latency'. Another machine may find other widths.",
        gt=0,
        lt=1,
        step=0.05,
        when="target=latency",
    )
    scope: Literal["block-internal", "one-per-block", "whole-groups"] = param(
        "block-internal",
        "Scope",
        "Which channels may go.",
        choices={
            "block-internal": "All those inside a residual or inverted-residual block.",
            "one-per-block": "One width of each block, its widest (the nearest reading of Hamza et al.'s counts).",
            "whole-groups": "Every group of coupled layers, the residual stream too.",
        },
    )
    importance: Literal[
        "l1",
        "filter-l1",
        "l2",
        "lamp",
        "fpgm",
        "batch-norm",
        "taylor",
        "hessian",
        "feature-map-rank",
        "random",
    ] = param(
        "l1",
        "Importance",
        "Which channels matter least.",
        choices={
            "l1": "Sum of the absolute weights that write, scale or read the channel.",
            "filter-l1": "Sum of the absolute weights of the filter alone (Hamza et al.).",
            "l2": "Euclidean norm of the weights.",
            "lamp": "Squared norm relative to that of the layer's larger ones; made for ranking across layers.",
            "fpgm": "Distance to the layer's other filters: what others can replace goes.",
            "batch-norm": "Scale of the batch norm behind the channel.",
            "taylor": "First-order change of the loss, on training images.",
            "hessian": "Second-order change of the loss, on training images; one backward pass per image.",
            "feature-map-rank": "Mean rank of the feature maps, on training images (Sadaqa and Liu, HRank); slow on large maps.",
            "random": "Chance: what every other importance has to beat.",
        },
    )
    ranking: Literal["uniform", "global", "isomorphic"] = param(
        "uniform",
        "Ranking",
        "How the loss is shared among the layers.",
        choices={
            "uniform": "Every layer loses the same share.",
            "global": "All channels are ranked together; importances are divided by their layer's mean.",
            "isomorphic": "Layers of the same build are ranked together; every kind loses the same share.",
        },
    )
    largest_share: float = param(
        0.8,
        "Largest share",
        "At most this share of one layer goes when layers are ranked together, so that none collapses.",
        gt=0,
        lt=1,
        step=0.05,
        advanced=True,
        when="ranking=global|isomorphic",
    )
    own_ratios: str = param(
        "",
        "Own ratios",
        "Ratios of single layers, between commas: 'body.layer1.*=0.2, body.conv1=0' (0 protects). Names are those of leading layers in the report.",
        advanced=True,
    )
    round_to: int = param(
        8,
        "Round to",
        "Kept channels are a multiple of this; 1 switches rounding off. Odd counts can be slower than none removed.",
        unit="channels",
        ge=1,
        le=64,
        step=1,
    )
    prune_fem: bool = param(
        False,
        "Prune the FEM",
        "Also cut the hidden widths of the Feature Enhancement Module.",
    )
    steps: int = param(
        1, "Prunings", "1 prunes all at once; more take equal parts, with training after each.", ge=1, le=100
    )
    step_epochs: int = param(
        1,
        "Epochs between",
        "Training after each pruning but the last, which the fine-tuning follows.",
        unit="epochs",
        ge=1,
        le=1000,
        advanced=True,
        when="steps>1",
    )
    importance_batches: int = param(
        4,
        "Importance batches",
        "Batches of training images that an importance on images looks at.",
        unit="batches",
        ge=1,
        le=1000,
        advanced=True,
        when="importance=taylor|hessian|feature-map-rank",
    )
    batch_norm_batches: int = batch_norm_batches()
    training: TrainingSettings = param(
        TrainingSettings(weight_decay=1e-3), "Fine-tuning", "How the pruned network is trained afterwards."
    )


class PruneChannels(ModelStage[PruneChannelsParams]):
    id = "prune-channels"
    version = 2
    title = "Prune channels"
    group = "Pruning"
    icon = "prune"
    effect = "structure"
    help = "Removes the channels that matter least, so that the network really gets narrower, and fine-tunes."
    Settings = PruneChannelsParams
    overrides = MappingProxyType({"prune": "own_ratios"})
    causes = ("odd-channels",)

    def epochs(self, settings: PruneChannelsParams) -> float:
        return (settings.steps - 1) * settings.step_epochs + settings.training.epochs

    def step_cost(self, settings: PruneChannelsParams) -> float:
        stays = 1 - settings.ratio
        shares = {
            "macs": settings.budget,
            "parameters": settings.budget,
            "latency": settings.latency,
            "size": 1.0,
        }
        return shares.get(settings.target, stays**2 if settings.scope == "whole-groups" else stays)

    def check(self, settings: PruneChannelsParams, facts: NetworkFacts) -> list[Problem]:
        from core.models.catalogue import BACKBONES

        problems = theirs.problems(settings) if settings.pruner == theirs.NAME else []
        try:
            own_ratios(settings.own_ratios)
        except EspalierError as error:
            problems.append(Problem(error.message, error.advice, ("own_ratios",)))
        structure = facts.structure()
        if settings.scope != "whole-groups" and structure is not None and not structure[1]:
            problems.append(Problem(
                f"{structure[0]} has no residual blocks to prune inside of.",
                "Choose the scope 'whole-groups'.", ("scope",),
            ))  # fmt: skip
        if facts.network is None or facts.network.backbone not in BACKBONES:
            return problems
        chosen = BACKBONES[facts.network.backbone]
        if settings.importance == "batch-norm" and set(chosen.blocks) & set(_LAYER_NORM_BLOCKS):
            problems.append(Problem(
                f"{chosen.title} has layer norms and no batch norms, whose scales the importance 'batch-norm' ranks by.",
                "Choose another importance, such as 'l1'.", ("importance",),
            ))  # fmt: skip
        return problems

    def versions(self, settings: PruneChannelsParams) -> dict[str, str]:
        return {theirs.NAME: version(theirs.NAME)} if settings.pruner == theirs.NAME else {}

    def forecast(
        self,
        settings: PruneChannelsParams,
        unchanged: Forecast,
        previous: StageForecast,
        context: ForecastContext,
    ) -> StageForecast:
        return forecast_pruning(settings, unchanged, previous, context)

    def latency_target(self, settings: PruneChannelsParams) -> LatencyTarget | None:
        """With the target 'latency'; the search replaces it by a ratio for every layer."""
        if settings.pruner == theirs.NAME or settings.target != "latency":
            return None

        def plan(prunable: PrunableGroups, share: float, cost: Cost) -> "Plan":
            return prunable.plan(settings.model_copy(update={"latency": share}), latency=cost)

        def cut(
            shape: "ImageClassifier", size: int, blocks: tuple[str, ...], kept: Mapping[str, int]
        ) -> "ImageClassifier":
            from core.surgery.shapes import cut

            return cut(shape, size, blocks, settings.scope, settings.prune_fem, kept)

        def settled(ratios: Mapping[str, float]) -> PruneChannelsParams:
            own_ratios = ", ".join(f"{path}={ratio:.6f}" for path, ratio in ratios.items())
            return settings.model_copy(update={"target": "ratio", "own_ratios": own_ratios})

        return LatencyTarget(
            settings.latency, lambda model, run: prunable_in_run(model, settings, run), plan, cut, settled
        )

    def fix(self, cause: str, settings: Mapping[str, Any], figures: Mapping[str, Any], id: str) -> Fix | None:
        if not settings.get("round_to", _MULTIPLE) % _MULTIPLE:
            return None
        words = f"Round the channels to multiples of {_MULTIPLE}"
        return Fix(words=words, stage=id, settings={"round_to": _MULTIPLE})

    def coverage(self) -> tuple[CoverageCase, ...]:
        inside, whole = ({"ratio": 0.3, "scope": scope} for scope in ("block-internal", "whole-groups"))
        return (
            CoverageCase("channels", "Channel pruning, inside blocks", inside, "params"),
            CoverageCase("channels-all", "Channel pruning, whole groups", whole, "params"),
        )

    def run(self, model: "nn.Module", settings: PruneChannelsParams, context: StageContext) -> StageResult:
        if settings.pruner == theirs.NAME:
            return theirs.run(model, settings, context)
        result = StageResult(model)
        total, start = max(self.epochs(settings), 1), None
        share = settings.step_epochs / total
        training_between = settings.training.model_copy(update={"epochs": settings.step_epochs})
        for step in range(1, settings.steps):
            start = _prune(model, settings, context, step, start)[0].start
            part = context.part((step - 1) * share, share)
            result.add_training(run_training(model, training_between, part, phase=f"step-{step}"))
            if result.cut_at is not None:  # a person wants the result now
                break
        _report(result, settings, *_prune(model, settings, context, settings.steps, start))
        if result.cut_at is None:
            part = context.part((settings.steps - 1) * share, settings.training.epochs / total)
            result.add_training(run_training(model, settings.training, part, phase="fine-tune"))
        return result


def _prune(
    model: Any, settings: PruneChannelsParams, context: StageContext, step: int, start: OriginalSize | None
) -> "tuple[PrunableGroups, Plan]":
    """Cut what pruning `step` has to, and estimate batch norms again."""
    from core.surgery.batch_norm import recalibrate
    from core.surgery.budget import apply
    from core.surgery.trial_cuts import not_removable_units

    context.phase("prune", "Pruning channels")
    prunable = prunable_in_run(model, settings, context, step, start)
    plan = prunable.plan(settings, step / settings.steps)
    size = context.preprocess.size
    while whole := not_removable_units(model, size, prunable.groups, plan.removed_units):
        prunable = prunable.without(whole)
        plan = prunable.plan(settings, step / settings.steps)
    apply(prunable.groups, plan)
    recalibrate(model, context, settings.batch_norm_batches, settings.training.batch_size)
    return prunable, plan


def prunable_in_run(
    model: "ImageClassifier",
    settings: PruneChannelsParams,
    context: StageContext,
    step: int = 1,
    start: OriginalSize | None = None,
) -> PrunableGroups:
    """As `find_prunable_groups`, for a network of a run, on its device and with its training images."""
    from core.models.catalogue import backbone
    from core.surgery.samples import training_batches

    model.to(context.device)
    batches = training_batches(
        context, f"importance-{step}", settings.importance_batches, settings.training.batch_size
    )
    blocks = backbone(context.network.backbone).blocks
    return find_prunable_groups(
        model, context.preprocess.size, settings, blocks, context.seed, batches, start
    )


def _report(
    result: StageResult, settings: PruneChannelsParams, prunable: PrunableGroups, chosen: "Plan"
) -> None:
    """Facts and sentences about all prunings together."""
    from core.surgery.budget import TOLERANCE

    start = prunable.start
    rows = [_row(group, prunable, chosen) for group in prunable.groups]
    cut = [row for row in rows if row["after"] < row["before"]]
    result.skipped = prunable.skipped + [
        (row["path"], _why_whole(row, settings)) for row in rows if row["after"] == row["before"]
    ]
    if not cut:
        raise no_removable_channels(result.skipped)
    result.facts |= {
        "layers": cut,
        "importance": settings.importance,
        "params_before": start.counts.params, "params": chosen.params,
        "macs_before": start.counts.macs, "macs": chosen.macs,
        "budget_missed_by": chosen.deviation,
    }  # fmt: skip
    before, after = (sum(row[name] for row in cut) for name in ("before", "after"))
    result.notes += [
        f"{before - after} of {before} channels removed in {len(cut)} layer groups; {len(result.skipped)} left alone.",
        f"{percent(chosen.params / start.counts.params, 1)} of the parameters and "
        f"{percent(chosen.macs / start.counts.macs, 1)} of the MACs are left.",
    ]
    if abs(chosen.deviation) > TOLERANCE:
        result.notes.append(
            f"The budget was missed by {signed_percent(chosen.deviation, 1)} of the network: with multiples of "
            f"{settings.round_to} no single layer brings it closer."
        )


def _row(group: "ChannelGroup", prunable: PrunableGroups, chosen: "Plan") -> dict[str, Any]:
    """One group for the report; importances are of the last pruning, relative to the group's mean."""
    scores = prunable.scores[group.path].tolist()
    gone = set(chosen.removed_units[group.path])
    left = [score for unit, score in enumerate(scores) if unit not in gone]
    return {
        "path": group.path, "before": prunable.start.channels[group.path], "after": chosen.kept_channels[group.path],
        "importance_gone": sum(scores[unit] for unit in gone) / len(gone) if gone else None,
        "importance_left": sum(left) / len(left),
        "members": list(group.members),
    }  # fmt: skip


def _why_whole(row: Mapping[str, Any], settings: PruneChannelsParams) -> str:
    if settings.target == "ratio" and settings.ranking == "uniform" and not settings.own_ratios:
        if settings.round_to == 1:
            return f"{row['before']} channels that go together only, or too few for the ratio"
        return f"{row['before']} channels: rounded to a multiple of {settings.round_to}, none would go"
    return "keeps all channels: others matter less, its own ratio protects it, or rounding leaves none to go"
