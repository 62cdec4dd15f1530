"""A pull towards zero on channels that can only go together, strongest on those that matter least: sparse training before pruning.

Sources: DepGraph's group regulariser, Fang et al. 2023, arXiv 2301.12900: each channel k of a group is pulled by
2^(4·(I_max − I_k) / (I_max − I_min)), where I is the squared norm of all weights that go with it; growing regularisation, GReg, Wang et al. 2021,
arXiv 2012.09243, in the form of torch-pruning's `GrowingRegPruner`: the pull on a channel begins at nothing and grows each epoch by how
little it matters, so that what is unimportant shrinks ever faster and what the loss holds on to stays.

Where we depart: importances are taken at the beginning of each epoch, not at every step; GReg pushes a fixed set of channels up to a ceiling
and prunes them by itself, here no set is fixed, the learning goes on to its last epoch, and a pruning stage decides. The pull is a gradient of the weights that
write, scale and read a channel (not of shifts), beside the loss: it is in no curve.

Shapes: `u` channels of a group (or bundles of them, where they go in step).
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from core.surgery.channel_group import ChannelGroup, Slice

Form = Literal["importance", "growing"]

_STEEPEST = 4.0  # α of DepGraph: 2^4 = 16 times the pull on the least important channel


class GroupPenalty(nn.Module):
    """The pulls on all groups of a network; a hook of the training loop, saved and restored with its state.

    Args:
        groups: of the network or of a copy; parts that the network itself lacks are passed over.
        strength: the pull on the most important channel ("importance"), or what is added an epoch on the least ("growing").
        steps: of an epoch.
    """

    def __init__(
        self, model: nn.Module, groups: Sequence[ChannelGroup], form: Form, strength: float, steps: int
    ):
        super().__init__()
        self._form, self._strength, self._steps = form, strength, steps
        known = {name for name, _ in model.named_parameters()}
        self._parts = [
            [part for part in group.slices if part.role != "shifts" and part.name in known]
            for group in groups
        ]
        self.register_buffer("done", torch.zeros((), dtype=torch.long))
        for number, group in enumerate(groups):
            self.register_buffer(f"pull{number}", torch.zeros(group.units))
        self._at = 0  # as `done`, without waiting for the device

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._at = int(self.done)

    @torch.no_grad()
    def after_backward(self, model: nn.Module) -> None:
        """Add the pulls to the gradients."""
        parameters = dict(model.named_parameters())
        if self._at % self._steps == 0:
            self._begin_epoch(parameters)
        self._at += 1
        self.done += 1
        for number, parts in enumerate(self._parts):
            pull = self._pull(number)
            for part in parts:
                weight = parameters[part.name]
                if weight.grad is not None:
                    positions, channels = (t.to(weight.device) for t in (part.positions, part.channels))
                    shape = [-1 if axis == part.axis else 1 for axis in range(weight.dim())]
                    pulled = weight.index_select(part.axis, positions) * pull[channels].view(shape)
                    weight.grad.index_add_(part.axis, positions, pulled)

    def _begin_epoch(self, parameters: dict[str, nn.Parameter]) -> None:
        for number, parts in enumerate(self._parts):
            pull = self._pull(number)
            unimportant = unimportance(parameters, parts, len(pull))
            if self._form == "growing":
                pull += self._strength * unimportant
            else:
                pull.copy_(self._strength * 2 ** (_STEEPEST * unimportant))

    def _pull(self, number: int) -> Tensor:
        pull: Tensor = getattr(self, f"pull{number}")
        return pull


def unimportance(parameters: dict[str, nn.Parameter], parts: Sequence[Slice], units: int) -> Tensor:
    """(I_max − I_k) / (I_max − I_min) for every channel k of a group: 0 for the most important, 1 for the least; [u]."""
    squares: Tensor | None = None
    for part in parts:
        weight = parameters[part.name].detach()
        along = weight.movedim(part.axis, 0).reshape(weight.shape[part.axis], -1)
        rows = along[part.positions.to(weight.device)].square().sum(1)
        squares = weight.new_zeros(units) if squares is None else squares
        squares.index_add_(0, part.channels.to(weight.device), rows)
    if squares is None:
        return torch.zeros(units)
    span = squares.max() - squares.min()
    return (squares.max() - squares) / torch.where(span > 0, span, torch.ones_like(span))
