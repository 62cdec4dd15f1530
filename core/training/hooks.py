"""Where techniques plug into the training loop."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from core.training.settings import TrainingSettings


@dataclass(slots=True)
class Hooks:
    """What a technique adds to a training.

    Attributes:
        optimiser: makes the optimiser from (parameters, settings); None takes the settings' own.
        extra_modules: trained beside the network and saved with the state (adapters).
        after_backward: called with the network when gradients are there, before the step.
        after_step: called with the network after each optimiser step (masks, projections).
        set_mode: puts the network into training (True) or evaluation mode; None calls `.train`.
        eligible: asked at the end of an epoch whether the network as it is may be kept as the best
            (false while it is not yet what is wanted); where no epoch is, the last one is kept.
    """

    optimiser: Callable[[list[nn.Parameter], TrainingSettings], torch.optim.Optimizer] | None = None
    extra_modules: list[nn.Module] = field(default_factory=list)
    after_backward: Callable[[nn.Module], None] | None = None
    after_step: Callable[[nn.Module], None] | None = None
    set_mode: Callable[[nn.Module, bool], None] | None = None
    eligible: Callable[[], bool] | None = None
