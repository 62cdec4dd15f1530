"""Only-Train-Once: training that ends with channels at exactly zero, and the slim network without them.

Source: Francy and Singh (arXiv 2409.02134) by OTOv3, Chen et al., arXiv 2312.09411; zero-invariant groups from
OTO, arXiv 2107.07467; the optimiser DHSPG from OTOv2, arXiv 2303.06862. `core.surgery.zero_groups`
says what the groups are and `core.surgery.dhspg` how they go to zero and where we depart there.

One training, from scratch or from trained weights, in three phases: warm-up, projection, and the
rest, in which the slim network trains on inside the full one. Only epochs of the rest may be kept
as the best. Then the zero channels are taken out. The full network with its zeros and the slim one
are the same function, which is checked here on images: their accuracies are equal by construction.

Where we depart from Francy and Singh: the numbers of channels that stay are multiples (8 by default), settled when
the redundant groups are chosen. A group norm or layer norm over channels rules their groups out.
Any optimiser of the training settings takes the base steps.

Sparsities are shares of groups (channels); phases are shares of all training steps.

What it does badly: the share is chosen before a whole training, and another share is another training. Groups that a norm over
channels reads stay, which leaves less to take in transformers and ConvNeXt.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from core.common.errors import EspalierError, Problem
from core.common.numbers import percent
from core.common.params import Params, param
from core.models.forecast import Forecast, StageForecast
from core.models.network_facts import NetworkFacts
from core.stages.base import ModelStage
from core.stages.context import StageContext
from core.stages.coverage_case import CoverageCase
from core.stages.fine_tune import run_training
from core.stages.forecast import ForecastContext, unknown
from core.stages.result import StageResult
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.surgery.channel_group import ChannelGroup
    from core.surgery.dhspg import DHSPG

_COMPARED = 8  # images on which the full and the slim network are compared
_TOLERANCE = 1e-4  # of the largest logit
_LONGEST = 0.9  # share of training that warm-up and projection may take together


class OnlyTrainOnceParams(Params):
    target_group_sparsity: float = param(
        0.5,
        "Group sparsity",
        "Share of all prunable channels that become zero and go.",
        gt=0,
        lt=1,
        step=0.05,
    )
    warm_up: float = param(
        0.1,
        "Warm-up",
        "Share of training before the redundant channels are chosen; from trained weights 0 will do.",
        ge=0,
        le=0.8,
        step=0.05,
    )
    projection: float = param(
        0.4,
        "Projection",
        "Share of training in which the redundant channels go to zero; the rest trains the slim network.",
        gt=0,
        le=0.9,
        step=0.05,
    )
    scope: Literal["whole-groups", "block-internal"] = param(
        "whole-groups",
        "Scope",
        "Which channels may go.",
        choices={
            "whole-groups": "Every width with zero-invariant groups, the residual stream too where it can be.",
            "block-internal": "Only widths inside one residual block.",
        },
    )
    round_to: int = param(
        8,
        "Round to",
        "Channels that stay are a multiple of this in every layer; 1 meets the group sparsity exactly.",
        unit="channels",
        ge=1,
        le=64,
        step=1,
    )
    compare: Literal["layer", "network"] = param(
        "layer",
        "Compare within",
        "What a channel's magnitude is measured against when the redundant ones are chosen.",
        choices={
            "layer": "The mean of its layer: all layers lose similar shares.",
            "network": "All channels as they are, as OTO does: layers of small weights lose most.",
        },
        advanced=True,
    )
    epsilon: float = param(
        0.0,
        "Half-space ε",
        "Higher puts redundant channels at zero sooner, before they have shrunk.",
        ge=0,
        lt=1,
        step=0.1,
        advanced=True,
    )
    training: TrainingSettings = param(
        TrainingSettings(optimiser="adamw", learning_rate=1e-3, weight_decay=1e-2),
        "Training",
        "The one training; its optimiser takes the base steps.",
    )


class OnlyTrainOnce(ModelStage[OnlyTrainOnceParams]):
    id = "only-train-once"
    title = "Only train once"
    group = "Pruning"
    icon = "prune"
    effect = "structure"
    help = "Trains and prunes at once: channels go to zero while the rest learns, and the slim network needs no fine-tuning."
    Settings = OnlyTrainOnceParams

    def epochs(self, settings: OnlyTrainOnceParams) -> float:
        return settings.training.epochs

    def forecast(
        self,
        settings: OnlyTrainOnceParams,
        unchanged: Forecast,
        previous: StageForecast,
        context: ForecastContext,
    ) -> StageForecast:
        if not settings.training.epochs:
            return replace(previous, forecast=unchanged)
        share = percent(settings.target_group_sparsity)
        return unknown(
            unchanged, f"About {share} of the channels go; which layers lose them, training decides."
        )

    def coverage(self) -> tuple[CoverageCase, ...]:
        settings = {"target_group_sparsity": 0.3, "warm_up": 0.0}
        return (CoverageCase("only-train-once", "Only-Train-Once", settings, "params"),)

    def check(self, settings: OnlyTrainOnceParams, facts: NetworkFacts) -> list[Problem]:
        problems = []
        if settings.warm_up + settings.projection > _LONGEST:
            problems.append(Problem(
                f"Expected warm-up and projection to take at most {_LONGEST:g} of the training together, "
                f"received {settings.warm_up:g} and {settings.projection:g}.",
                "Lower one of them: the slim network needs the rest to train.", ("projection",),
            ))  # fmt: skip
        if settings.training.layer_decay != 1:
            problems.append(Problem(
                "This stage sets the steps of each layer itself, so that there is no place for layer decay.",
                "Set the layer decay to 1.", ("training", "layer_decay"),
            ))  # fmt: skip
        if settings.training.averaging:
            problems.append(Problem(
                "This stage waits until weights are exactly zero, which their average never is.",
                "Set the weight averaging to 0.", ("training", "averaging"),
            ))  # fmt: skip
        return problems

    def run(self, model: "nn.Module", settings: OnlyTrainOnceParams, context: StageContext) -> StageResult:
        from core.surgery.meta_copy import count
        from core.surgery.zero_groups import remove_zero_channels

        if settings.training.epochs == 0:
            return StageResult(model, notes=["With 0 epochs nothing goes to zero, so nothing was taken out."])
        context.phase("groups", "Finding zero-invariant groups")
        groups, skipped = _groups(model, settings, context)
        result = StageResult(model, skipped=skipped)
        optimiser = _train(result, groups, settings, context)
        context.phase("prune", "Taking zero channels out")
        images = _images(context)
        full, before = _logits(model, images), count(model, context.preprocess.size)
        zeros = remove_zero_channels(model, groups)
        difference = _largest_difference(full, _logits(model, images))
        model.to(context.device)
        layers = [_row(group, channels) for group, channels in zip(groups, zeros, strict=True)]
        channels, zero_count = (
            sum(group.units for group in groups),
            sum(len(channels_at_zero) for channels_at_zero in zeros),
        )
        result.facts |= {
            "layers": layers, "groups": channels, "zero_groups": zero_count, "group_sparsity": zero_count / channels,
            "max_logit_difference": difference, "full_params": before.params, "full_macs": before.macs,
            "steps_to_target": optimiser.end,
        }  # fmt: skip
        result.notes.append(
            f"{zero_count} of {channels} channels went to zero ({percent(zero_count / channels, 1)}, asked for "
            f"{percent(settings.target_group_sparsity, 1)}) and were taken out; full and slim network differ by "
            f"at most {difference:.1g} in a logit."
        )
        return result


def _groups(
    model: "nn.Module", settings: OnlyTrainOnceParams, context: StageContext
) -> "tuple[list[ChannelGroup], list[tuple[str, str]]]":
    """The widths with zero-invariant groups, and the others with the reason.

    Raises:
        EspalierError: when none can go; the message names why.
    """
    import torch

    from core.models.catalogue import backbone
    from core.surgery.dhspg import choose_redundant
    from core.surgery.groups import channel_groups
    from core.surgery.zero_groups import zero_invariant

    size = context.preprocess.size
    blocks = backbone(context.network.backbone).blocks
    candidate_groups, skipped = channel_groups(model, size, blocks, settings.scope)
    groups, rejected = zero_invariant(model, size, candidate_groups)
    skipped += rejected
    if not groups:
        reasons = "; ".join(sorted({reason for _, reason in skipped})) or "it has no hidden channels"
        raise EspalierError(
            f"This network has no channels that can go without a trace: {reasons}.",
            "Choose another scope, or prune channels by their norm instead.",
        )
    equal_scores = [torch.zeros(group.units) for group in groups]
    sparsity, round_to = settings.target_group_sparsity, settings.round_to
    if not any(bool(mask.any()) for mask in choose_redundant(equal_scores, sparsity, round_to)):
        widest = max(group.units for group in groups)
        raise EspalierError(
            f"A group sparsity of {sparsity:g} takes no channel out of {sum(len(scores) for scores in equal_scores)} "
            f"(the widest layer has {widest}) when multiples of {round_to} stay.",
            "Raise the group sparsity, or lower 'Round to'.",
        )
    return groups, skipped


def _train(
    result: StageResult, groups: "list[ChannelGroup]", settings: OnlyTrainOnceParams, context: StageContext
) -> "DHSPG":
    """Train until the redundant groups are zero, and to the end; the optimiser holds which they are."""
    from core.surgery.dhspg import DHSPG
    from core.surgery.zero_groups import layer_groups
    from core.training.hooks import Hooks
    from core.training.optimisers import make_optimiser

    model, optimisers = result.model, list["DHSPG"]()
    total = settings.training.epochs * _steps(settings, context)
    start = round(settings.warm_up * total)
    end = max(start + 1, round((settings.warm_up + settings.projection) * total))

    def optimiser(parameters: "list[nn.Parameter]", training: TrainingSettings) -> "DHSPG":
        layers = [layer_groups(model, group) for group in groups]
        optimisers.append(DHSPG(
            make_optimiser(parameters, training), layers, settings.target_group_sparsity, range(start, end),
            settings.round_to, settings.epsilon, settings.compare == "layer",
        ))  # fmt: skip
        return optimisers[-1]

    hooks = Hooks(optimiser=optimiser, eligible=lambda: optimisers[-1].reached)
    result.add_training(run_training(model, settings.training, context, hooks=hooks))
    if not optimisers[-1].reached:
        optimisers[-1].finish()
        result.notes.append(
            "Training ended before all redundant channels had reached zero; the rest were put there at once."
        )
    return optimisers[-1]


def _steps(settings: OnlyTrainOnceParams, context: StageContext) -> int:
    """Optimiser steps in an epoch, as `run_training` takes them."""
    from core.data.batches import Batches, BatchForm, Draws

    form = BatchForm(settings.training.batch_size, context.device)
    draws = Draws(context.seed, context.key, shuffle=True, balance=context.balance)
    return Batches(context.data, "train", context.preprocess, form, draws, context.augmentation).steps


def _images(context: StageContext) -> "Tensor":
    """Validation images, on the processor: its arithmetic is float32 throughout."""
    from core.data.batches import Batches, BatchForm, Draws

    draws = Draws(context.seed, context.key)
    batches = Batches(context.data, "validation", context.preprocess, BatchForm(_COMPARED), draws)
    return next(batches.epoch(0))[0]


def _logits(model: "nn.Module", images: "Tensor") -> "Tensor":
    import torch

    with torch.no_grad():
        return model.cpu().eval()(images)


def _largest_difference(full: "Tensor", slim: "Tensor") -> float:
    """The largest difference of a logit.

    Raises:
        EspalierError: when it is more than rounding explains.
    """
    difference = float((full - slim).abs().max())
    if not difference <= _TOLERANCE * max(1.0, float(full.abs().max())):
        raise EspalierError(
            f"The slim network gives other answers than the full one with its zeros (largest difference {difference:.2g}).",
            "Choose the scope 'block-internal', and please report this network.",
        )
    return difference


def _row(group: "ChannelGroup", zeros: list[int]) -> dict[str, Any]:
    return {
        "path": group.path, "before": group.units, "after": group.units - len(zeros),
        "members": list(group.members),
    }  # fmt: skip
