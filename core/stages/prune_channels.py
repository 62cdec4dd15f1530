"""Structured channel pruning by L1 norm, then fine-tuning.

Source: Li et al. 2017, arXiv 1608.08710 (L1 norm of filters); coupled layers are found by
torch-pruning's dependency graph (Fang et al. 2023, arXiv 2301.12900); R1's third stage.

Scope *block-internal* is R1's: only channels that live inside one residual or
inverted-residual block go, and the residual stream keeps its width. *Whole groups* also cuts
channels that several blocks share; the same ratio then removes about three times as much.

The importance of a channel is the group norm of torch-pruning: the mean, over all coupled layers,
of the L1 norms of the weights that write the channel, scale it (batch norm) or read it. Where
nothing is coupled it ranks as Li et al. do.

Where we depart from R1: channel counts are rounded to multiples (8 by default), because kernels
are built for them and an odd count can be slower than none removed. The classifier's outputs
are never touched.

Ratios are fractions of a layer's channels.
"""

import math
from typing import TYPE_CHECKING, Any, Literal

from core.params import Params, param
from core.stages.base import Input, ModelStage, Problem, StageContext, StageResult, run_training
from core.training_settings import TrainingSettings

if TYPE_CHECKING:
    from torch import nn


class PruneChannelsParams(Params):
    ratio: float = param(
        0.3,
        "Ratio",
        "Share of the channels that go from every layer in scope, before rounding.",
        gt=0,
        lt=1,
        step=0.05,
    )
    scope: Literal["block-internal", "whole-groups"] = param(
        "block-internal",
        "Scope",
        "Which channels may go.",
        choices={
            "block-internal": "Only those inside a residual or inverted-residual block (R1).",
            "whole-groups": "Every group of coupled layers, the residual stream too.",
        },
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
        "Also cut the hidden widths of the Feature Enhancement Module; R1 prunes the blocks only.",
    )
    training: TrainingSettings = param(
        TrainingSettings(weight_decay=1e-3), "Fine-tuning", "How the pruned network is trained afterwards."
    )


def kept_channels(channels: int, ratio: float, round_to: int) -> int:
    """Channels that stay: the nearest multiple of `round_to` (halves up), at least one multiple."""
    wanted = channels * (1 - ratio)
    return min(channels, max(round_to, round_to * math.floor(wanted / round_to + 0.5)))


class PruneChannels(ModelStage[PruneChannelsParams]):
    id = "prune-channels"
    title = "Prune channels"
    group = "Pruning"
    help = "Removes the channels with the smallest L1 norm, so that the network really gets narrower, and fine-tunes."
    Settings = PruneChannelsParams

    def epochs(self, settings: PruneChannelsParams) -> float:
        return settings.training.epochs

    def check(self, settings: PruneChannelsParams, given: Input) -> list[Problem]:
        from core.models.catalogue import BACKBONES

        if given.network is None or given.network.backbone not in BACKBONES:
            return []
        if settings.scope == "block-internal" and not BACKBONES[given.network.backbone].blocks:
            return [Problem(
                f"{BACKBONES[given.network.backbone].title} has no residual blocks to prune inside of.",
                "Choose the scope 'whole-groups'.", ("scope",),
            )]  # fmt: skip
        return []

    def run(self, model: "nn.Module", settings: PruneChannelsParams, context: StageContext) -> StageResult:
        from core.models.catalogue import BACKBONES

        context.phase("prune", "Pruning channels")
        blocks = BACKBONES[context.network.backbone].blocks
        layers, skipped = prune_network(model, context.preprocess.size, settings, blocks)
        result = StageResult(model, skipped=skipped, facts={"layers": layers})
        before, after = sum(layer["before"] for layer in layers), sum(layer["after"] for layer in layers)
        result.notes.append(
            f"{before - after} of {before} channels removed in {len(layers)} layer groups; {len(skipped)} left alone."
        )
        result.add_training(run_training(model, settings.training, context, phase="fine-tune"))
        return result


def prune_network(
    model: "nn.Module", size: int, settings: PruneChannelsParams, blocks: tuple[str, ...]
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Cut channels out of `model` in place.

    Args:
        size: side of the input images in pixels.
        blocks: class names of the backbone's residual blocks.

    Returns:
        Groups cut (`path` of the leading layer, channels `before` and `after`, `members`), and
        groups left alone with the reason.
    """
    import torch
    from torch import nn

    from core.models.fem import FeatureEnhancement
    from core.models.torchvision_shim import import_torchvision

    import_torchvision()
    import torch_pruning

    model.cpu().eval()
    if settings.scope == "whole-groups":
        _unfold_shortcuts(model)
    paths = {module: path for path, module in model.named_modules()}
    fusions = [module.fusion for module in model.modules() if isinstance(module, FeatureEnhancement)]
    graph = torch_pruning.DependencyGraph().build_dependency(
        model, torch.zeros(1, 3, size, size), ignored_params=fusions, verbose=False
    )
    importance = torch_pruning.importance.MagnitudeImportance(p=1)
    head = [module for module in model.head.modules() if isinstance(module, nn.Linear)]
    layers, skipped = [], []
    for group in list(graph.get_all_groups(ignored_layers=head, root_module_types=[nn.Conv2d, nn.Linear])):
        leader = group[0].dep.target.module
        members = sorted({paths[dep.target.module] for dep, _ in group if dep.target.module in paths})
        before = graph.get_out_channels(leader)
        kept = kept_channels(before, settings.ratio, settings.round_to)
        reason = _reason_to_skip(model, members, before, kept, settings, blocks)
        if reason:
            skipped.append((paths[leader], reason))
            continue
        weakest = importance(group).argsort()[: before - kept].tolist()
        graph.get_pruning_group(leader, group[0].dep.handler, weakest).prune()
        layers.append({"path": paths[leader], "before": before, "after": kept, "members": members})
    return layers, skipped


def _reason_to_skip(
    model: "nn.Module",
    members: list[str],
    before: int,
    kept: int,
    settings: PruneChannelsParams,
    blocks: tuple[str, ...],
) -> str:
    """Why this group stays as it is, or ""."""
    homes = {_home(model, path, blocks) for path in members}
    inside_fem = any("fem" in home.split(".")[0] for home in homes) and len(homes) == 1
    if inside_fem and not settings.prune_fem:
        return "inside the Feature Enhancement Module, which is not pruned by these settings"
    if settings.scope == "block-internal" and not inside_fem and (len(homes) > 1 or "" in homes):
        return "shared by several blocks (residual stream), outside the scope 'block-internal'"
    if kept >= before:
        return f"{before} channels: rounded to a multiple of {settings.round_to}, none would go"
    return ""


def _home(model: "nn.Module", path: str, blocks: tuple[str, ...]) -> str:
    """Path of the residual block or FEM that encloses `path`; "" outside of any."""
    parts = path.split(".")
    for end in range(1, len(parts)):
        enclosing = ".".join(parts[:end])
        if type(model.get_submodule(enclosing)).__name__ in (*blocks, "FeatureEnhancement"):
            return enclosing
    return ""


def _unfold_shortcuts(model: "nn.Module") -> None:
    """Write parameter-free shortcuts as the 1×1 convolutions that they are, so that channels can be followed."""
    from core.models.cifar_resnet import PadShortcut

    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, PadShortcut):
                module.register_module(name, child.as_convolution())
