"""LAMB: Adam whose step for each layer is as long as its weights allow.

Source: You et al. 2020, arXiv 1904.00962, algorithm 2, with bias-corrected moments; the ratio of weights to step is not bounded, as in timm.
timm's own needs torchvision, which this package stands below.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_BETAS, _EPSILON = (0.9, 0.999), 1e-6


class Lamb(torch.optim.Optimizer):
    """Args as of `torch.optim.AdamW`."""

    def __init__(self, parameters: Iterable[Any], lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """One step from the gradients that are there."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group["lr"], group["weight_decay"])

    def _move(self, weight: Tensor, rate: float, decay: float) -> None:
        state, gradient = self.state[weight], weight.grad
        assert gradient is not None
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
        state["step"] += 1
        mean, square = state["mean"], state["square"]
        mean.lerp_(gradient, 1 - _BETAS[0])
        square.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
        first, second = (1 - beta ** state["step"] for beta in _BETAS)
        move = (mean / first) / ((square / second).sqrt() + _EPSILON) + decay * weight
        long, far = weight.norm(), move.norm()
        ratio = torch.where(
            (long > 0) & (far > 0), long / far, torch.ones_like(long)
        )  # no wait for the device
        weight.sub_(move * (rate * ratio))
