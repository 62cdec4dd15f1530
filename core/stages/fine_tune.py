"""Training inside a stage: with its data, its seed, its resume state, and the network's constraints kept."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.common.errors import EspalierError
from core.common.params import param
from core.models.memory_format import to_channels_last
from core.stages.context import StageContext
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import nn

    from core.training.hooks import Hooks
    from core.training.loop import TrainingResult
    from core.training.losses import LossFunction

_VALIDATION_BATCH = 256


def batch_norm_batches() -> Any:
    """The setting of every stage that estimates batch norms again after surgery."""
    return param(
        20,
        "Batch norm batches",
        "Batches of training images on which batch norm statistics are estimated again; 0 leaves the old ones.",
        unit="batches",
        ge=0,
        le=10_000,
        advanced=True,
    )


def run_training(
    model: "nn.Module",
    settings: TrainingSettings,
    context: StageContext,
    phase: str = "train",
    loss: "LossFunction | None" = None,
    hooks: "Hooks | None" = None,
) -> "TrainingResult":
    """Train with the stage's data, seed and resume state; `phase` keeps several trainings apart.

    What `model.constraints` names is kept as it is in the weights given here.
    """
    from core.data.batches import Batches, BatchForm, Draws
    from core.training.loop import TrainingContext, train
    from core.training.ranks import current_ranks

    ranks = current_ranks()
    part = (ranks.rank, ranks.count)
    to_channels_last(model, context.device)
    key = f"{context.key}/{phase}"
    training, validation = (
        Batches(
            context.data, split, context.preprocess, BatchForm(size, context.device, channels_last=True, part=part),
            Draws(context.seed, key, split == "train", context.balance), changes,
        )
        for split, size, changes in (
            ("train", settings.batch_size, context.augmentation),
            ("validation", _VALIDATION_BATCH, None),
        )
    )  # fmt: skip
    if settings.epochs:
        context.phase("train", "Training")
    where = TrainingContext(
        stage=context.stage,
        seed=context.seed,
        key=key,
        device=context.device,
        control=context.control,
        emit=context.emit,
        state=(context.resume or context.scratch) / f"{phase}.resume" if context.resumes else None,
        on_fraction=context.on_fraction,
        compiled=context.compiled,
    )
    if settings.group_penalty and settings.epochs:
        hooks = _with_group_penalty(hooks, model, settings, context, training.steps)
    with _branches_left_out(model, settings, context):
        return train(model, training, validation, settings, where, loss, _keeping_constraints(model, hooks))


def _with_group_penalty(
    hooks: "Hooks | None", model: "nn.Module", settings: TrainingSettings, context: StageContext, steps: int
) -> "Hooks":
    """The hooks, and a pull on the channels of the network's groups.

    Raises:
        EspalierError: when there is no such group.
    """
    import copy

    from core.models.catalogue import backbone
    from core.models.residual_blocks import outermost
    from core.surgery.group_penalty import GroupPenalty
    from core.surgery.groups import channel_groups
    from core.training.hooks import Hooks

    blocks = backbone(context.network.backbone).blocks
    scope = settings.group_scope if outermost(model, blocks) else "whole-groups"
    shape = copy.deepcopy(model).cpu()  # its shortcuts may be written otherwise
    groups, _ = channel_groups(shape, context.preprocess.size, blocks, scope)
    if not groups:
        raise EspalierError(
            "Expected channels that can be pruned, on which a group penalty could pull; this network has none in this scope.",
            "Set the group penalty to 0, or its scope to 'whole-groups'.",
        )
    penalty = GroupPenalty(model, groups, settings.group_form, settings.group_penalty, steps)
    stage_hooks = hooks or Hooks()
    return replace(
        stage_hooks,
        extra_modules=[*stage_hooks.extra_modules, penalty.to(context.device)],
        after_backward=_call_both(stage_hooks.after_backward, penalty.after_backward),
    )


def _branches_left_out(
    model: "nn.Module", settings: TrainingSettings, context: StageContext
) -> "AbstractContextManager[object]":
    """Stochastic depth, where the settings ask for it."""
    if not (settings.drop_path and settings.epochs):
        return nullcontext()
    import torch

    from core.models.catalogue import backbone
    from core.surgery.stochastic_depth import stochastic_depth

    size, channels = context.preprocess.size, context.preprocess.channels
    images = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))
    kinds = backbone(context.network.backbone).blocks
    return stochastic_depth(model, kinds, settings.drop_path, images.to(context.device))


def _keeping_constraints(model: "nn.Module", hooks: "Hooks | None") -> "Hooks | None":
    """The hooks, followed by those that keep the network's zeros and shared values as they are now."""
    from core.models.constraints import constraint_keeper
    from core.training.hooks import Hooks

    keep = constraint_keeper(model)
    if keep is None:
        return hooks
    stage_hooks = hooks or Hooks()
    return replace(
        stage_hooks,
        after_backward=_call_both(stage_hooks.after_backward, keep.after_backward),
        after_step=_call_both(stage_hooks.after_step, keep.after_step),
    )


def _call_both(
    first_hook: Callable[["nn.Module"], None] | None, second_hook: Callable[["nn.Module"], None]
) -> Callable[["nn.Module"], None]:
    def both(model: "nn.Module") -> None:
        if first_hook is not None:
            first_hook(model)
        second_hook(model)

    return both
