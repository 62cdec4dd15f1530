"""How much each channel of a group matters, by ten criteria; the least important go first.

Every criterion gives one number per unit of a `ChannelGroup` (a channel, or a bundle of them).
A group has several layers: the number is the mean over them, as in Fang et al. 2023, arXiv
2301.12900. `b` images, `c` channels, `h, w` positions; w are weights, g gradients of the
cross-entropy in evaluation mode.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.data.randomness import derive_seed
from core.surgery.channel_group import ChannelGroup, Role, Slice

Criterion = Literal[
    "l1", "filter-l1", "l2", "lamp", "fpgm", "batch-norm", "taylor", "hessian", "feature-map-rank", "random"
]
Batch = tuple[Tensor, Tensor]

_WEIGHTS: tuple[Role, ...] = ("writes", "scales", "reads")


def importances(
    model: nn.Module,
    groups: Sequence[ChannelGroup],
    criterion: Criterion,
    seed: int = 0,
    batches: Iterable[Batch] = (),
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The importance of every unit of every group.

    Args:
        seed: of "random".
        batches: images and labels on the model's device, for taylor, hessian and feature-map-rank.

    Returns: float64 [units] on the CPU by the group's path, and for groups that the criterion has
        no number for, the reason. The model's mode and gradients are left as they were found.
    """
    training = model.training
    model.eval()
    try:
        by_path = _CRITERIA[criterion](model, groups, seed, batches)
    finally:
        model.train(training)
    missing = {group.path: _MISSING[criterion] for group in groups if group.path not in by_path}
    return {path: scores.detach().double().cpu() for path, scores in by_path.items()}, missing


def comparable(scores: dict[str, Tensor], criterion: Criterion) -> dict[str, Tensor]:
    """Importances that can be ranked across groups: each divided by its group's mean.

    Wide layers have smaller weights by nature. LAMP is made to be compared and stays as it is.
    """
    if criterion == "lamp":
        return scores
    return {path: values / (float(values.mean()) or 1.0) for path, values in scores.items()}


_Scores = dict[str, Tensor]


def per_unit(part: Slice, values: Tensor, units: int) -> Tensor:
    """Sum over each unit's share of `values`, which has the shape of the slice's parameter: [units]."""
    others = [axis for axis in range(values.dim()) if axis != part.axis]
    line = values.sum(others) if others else values
    picked = line[part.positions.to(line.device)]
    return line.new_zeros(units).index_add_(0, part.channels.to(line.device), picked)


def _magnitude(
    elementwise: Callable[[Tensor], Tensor],
    finish: Callable[[Tensor], Tensor],
    roles: tuple[Role, ...] = _WEIGHTS,
) -> Callable[..., _Scores]:
    def criterion(model: nn.Module, groups: Sequence[ChannelGroup], *_: object) -> _Scores:
        return {
            group.path: _mean(
                finish(per_unit(part, elementwise(model.get_parameter(part.name).detach()), group.units))
                for part in group.slices
                if part.role in roles
            )
            for group in groups
        }

    return criterion


def _mean(parts: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(parts)).mean(0)


l1 = _magnitude(torch.abs, lambda sums: sums)
"""Σ|w| of the weights that write, scale or read the channel. Li et al. 2017, arXiv 1608.08710: where
nothing but the filters differs it ranks as they do."""

filter_l1 = _magnitude(torch.abs, lambda sums: sums, ("writes",))
"""Σ|w| of the filters that write the channel and of nothing else: the plain norm of Li et al. 2017,
arXiv 1608.08710, section 3.1, and Hamza et al.'s. Mean over the layers where several write the channel."""

l2 = _magnitude(torch.square, torch.sqrt)
"""√Σw², likewise. He et al. 2018 (soft filter pruning), arXiv 1808.06866."""


def lamp(model: nn.Module, groups: Sequence[ChannelGroup], *_: object) -> _Scores:
    """n² / Σ of the n² that are not smaller, n² being the channel's mean Σw².

    Lee et al. 2021, arXiv 2010.07611, for single weights; we take whole channels. Within one
    layer it ranks by n²; across layers it needs no other normalisation.
    """
    squares = _magnitude(torch.square, lambda sums: sums)(model, groups)
    return {path: _lamp(values) for path, values in squares.items()}


def _lamp(squares: Tensor) -> Tensor:
    order = squares.argsort()
    left = squares[order].flip(0).cumsum(0).flip(0)  # the sum of this one and all larger ones
    return torch.empty_like(squares).index_copy_(0, order, squares[order] / left.clamp_min(1e-30))


def fpgm(model: nn.Module, groups: Sequence[ChannelGroup], *_: object) -> _Scores:
    """Sum of the distances to all other filters of the layer: filters near the geometric median
    can be replaced by others. He et al. 2019, arXiv 1811.00250; mean over the layers that write.
    """
    scores = {}
    for group in groups:
        rows = [_filters(model, part, group.units) for part in group.slices if part.role == "writes"]
        scores[group.path] = _mean(torch.cdist(row, row).sum(1) for row in rows)
    return scores


def _filters(model: nn.Module, part: Slice, units: int) -> Tensor:
    """The weights that write each unit: [units, weights]."""
    weight = model.get_parameter(part.name).detach()
    order = part.positions[part.channels.argsort(stable=True)].to(weight.device)
    return weight.index_select(part.axis, order).reshape(units, -1)


def batch_norm(model: nn.Module, groups: Sequence[ChannelGroup], *_: object) -> _Scores:
    """|γ| of the batch norms behind the channel. Liu et al. 2017 (network slimming), arXiv 1708.06519,
    who train with an L1 penalty on γ first; without it γ says less."""
    scores = {}
    for group in groups:
        scales = [
            per_unit(part, model.get_parameter(part.name).detach().abs(), group.units)
            for part in group.slices
            if part.role == "scales" and isinstance(model.get_submodule(part.layer), _BATCH_NORM)
        ]
        if scales:
            scores[group.path] = _mean(scales)
    return scores


_BATCH_NORM = nn.modules.batchnorm._BatchNorm


def random(model: nn.Module, groups: Sequence[ChannelGroup], seed: int, *_: object) -> _Scores:
    """Seeded noise in 0…1: what every criterion has to beat."""
    return {
        group.path: torch.rand(
            group.units, generator=torch.Generator().manual_seed(derive_seed(seed, "random", group.path))
        )
        for group in groups
    }


def taylor(model: nn.Module, groups: Sequence[ChannelGroup], seed: int, batches: Iterable[Batch]) -> _Scores:
    """(Σ w·g)² of a layer's weights and biases in the channel, mean over layers and batches: the
    squared first-order change of the loss when it goes. Molchanov et al. 2019, arXiv 1906.10771,
    equation 8 for a gate behind the layer; they train between the batches, we do not.
    """
    sums = _zeros(groups)
    count = 0
    for images, labels in batches:
        gradients = _gradients(model, groups, images, labels)
        products = {name: model.get_parameter(name).detach() * g for name, g in gradients.items()}
        for group in groups:
            sums[group.path] += _layer_sums(group, products).square().mean(0)
        count += 1
    return {path: total / max(count, 1) for path, total in sums.items()}


def hessian(model: nn.Module, groups: Sequence[ChannelGroup], seed: int, batches: Iterable[Batch]) -> _Scores:
    """½ Σ w²·E[g²] of a layer's weights and biases in the channel, mean over layers; g is the
    gradient of a single image. LeCun et al. 1989 (optimal brain damage) with the second derivative
    taken as the Fisher information, Theis et al. 2018, arXiv 1801.05787. One backward pass per image.
    """
    squares: dict[str, Tensor] = {}
    count = 0
    for images, labels in batches:
        for image, label in zip(images.split(1), labels.split(1), strict=True):
            for name, gradient in _gradients(model, groups, image, label).items():
                squares[name] = squares.get(name, 0) + gradient.square()
            count += 1
    saliency = {name: model.get_parameter(name).detach() ** 2 * g / 2 for name, g in squares.items()}
    return {group.path: _layer_sums(group, saliency).mean(0) / max(count, 1) for group in groups}


def feature_map_rank(
    model: nn.Module, groups: Sequence[ChannelGroup], seed: int, batches: Iterable[Batch]
) -> _Scores:
    """Mean rank of the channel's feature maps [h, w], as the layers that read it get them, over
    images and these layers. HRank, Lin et al. 2020, arXiv 2002.10179; Sadaqa and Liu's FeatureMapRank.

    Channels that nothing reads as a map of more than one position have none.
    """
    sums: dict[tuple[str, str], Tensor] = {}
    images_seen = 0

    def add(group: ChannelGroup, part: Slice, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        maps = _maps(module, inputs[0])
        if maps is None or maps.shape[-2:].numel() == 1:
            return
        ranks = torch.linalg.matrix_rank(maps.float()).sum(0).double()  # [b, c] -> [c]
        key = (group.path, part.layer)
        sums[key] = sums.get(key, 0) + _ranks_per_unit(part, ranks, group.units)

    hooks = [
        model.get_submodule(part.layer).register_forward_pre_hook(
            lambda module, inputs, group=group, part=part: add(group, part, module, inputs)
        )
        for group in groups
        for part in group.slices
        if part.role == "reads"
    ]
    try:
        with torch.no_grad():
            for images, _ in batches:
                model(images)
                images_seen += len(images)
    finally:
        for hook in hooks:
            hook.remove()
    by_path: dict[str, list[Tensor]] = {}
    for (path, _), ranks in sums.items():
        by_path.setdefault(path, []).append(ranks / max(images_seen, 1))
    return {path: _mean(ranks) for path, ranks in by_path.items()}


def _maps(module: nn.Module, layer_input: Tensor) -> Tensor | None:
    """What a layer reads as feature maps [b, c, h, w], or None."""
    if layer_input.dim() != 4:
        return None
    return layer_input.permute(0, 3, 1, 2) if isinstance(module, nn.Linear) else layer_input


def _ranks_per_unit(part: Slice, ranks: Tensor, units: int) -> Tensor:
    """Mean over a unit's maps: [maps] -> [units]."""
    if len(ranks) != len(part.positions):
        return ranks.reshape(-1, units).mean(0)  # a grouped convolution reads its bundles in step
    line = ranks[part.positions.to(ranks.device)]
    channels = part.channels.to(ranks.device)
    sums = ranks.new_zeros(units).index_add_(0, channels, line)
    return sums / channels.bincount(minlength=units)


def _zeros(groups: Sequence[ChannelGroup]) -> _Scores:
    return {group.path: torch.zeros(group.units, dtype=torch.float64) for group in groups}


def _gradients(
    model: nn.Module, groups: Sequence[ChannelGroup], images: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """Of the mean cross-entropy, by the names of the groups' parameters."""
    names = sorted({part.name for group in groups for part in group.slices})
    parameters = [model.get_parameter(name) for name in names]
    with torch.enable_grad():
        loss = functional.cross_entropy(model(images).float(), labels)
        gradients = torch.autograd.grad(loss, parameters)
    return dict(zip(names, gradients, strict=True))


def _layer_sums(group: ChannelGroup, values: dict[str, Tensor]) -> Tensor:
    """Per layer the sum of `values` over its weights and biases in each unit: float64 [layers, units]."""
    sums: dict[tuple[str, bool], Tensor] = {}
    for part in group.slices:
        key = (part.layer, part.role == "reads")
        sums[key] = sums.get(key, 0) + per_unit(part, values[part.name].double(), group.units).cpu()
    return torch.stack(list(sums.values()))


_CRITERIA: dict[Criterion, Callable[..., _Scores]] = {
    "l1": l1,
    "filter-l1": filter_l1,
    "l2": l2,
    "lamp": lamp,
    "fpgm": fpgm,
    "batch-norm": batch_norm,
    "taylor": taylor,
    "hessian": hessian,
    "feature-map-rank": feature_map_rank,
    "random": random,
}

_MISSING: dict[Criterion, str] = {
    "batch-norm": "no batch norm scales these channels, which the importance 'batch-norm' ranks by",
    "feature-map-rank": "no layer reads these channels as feature maps, whose rank is their importance",
}
