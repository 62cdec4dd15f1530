"""A moving average of the weights, which is what is judged and kept.

Source: Polyak and Juditsky 1992; as timm's `ModelEma`, with its rising decay, so that the first steps are forgotten soon. Numbers that are no
floats (counters) are taken as they are.
"""

import torch
from torch import Tensor, nn


class Average:
    """The averaged state of a network, beside the one that is trained.

    Args:
        decay: share of the average that stays at a step, in the long run.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take the weights after optimiser step `step`, from 0."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.state[name].lerp_(tensor.detach(), 1 - decay)
            else:
                self.state[name].copy_(tensor)

    def exchange(self, model: nn.Module) -> None:
        """Put the average into the network, and the network's own state here; again puts both back."""
        own = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        model.load_state_dict(self.state)
        self.state = own

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a state that was kept."""
        for name, tensor in state.items():
            self.state[name].copy_(tensor)
