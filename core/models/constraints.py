"""What training has to keep of a network's weights: zeros that stay zero, values that stay shared.

`ImageClassifier.constraints` names the parameters. The pattern itself is read off the weights when
a training begins, so that surgery between two trainings cannot put it out of step:

- "sparse": entries that are zero stay zero.
- "shared": entries that are equal stay equal, and zeros stay zero.

Source of the shared gradient: Han et al. 2016, arXiv 1510.00149, section 3.3. They sum the
gradients of the entries that share a value; we take the mean, which is the gradient's projection
onto weights that are tied, so that a learning rate means the same as without sharing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

Kind = Literal["sparse", "shared"]


class Pattern(Protocol):
    """The pattern of one parameter."""

    def tie_gradient(self, gradient: Tensor) -> None:
        """Make a step along the gradient keep the pattern; in place."""

    def tie_values(self, values: Tensor) -> None:
        """Put the pattern back into the parameter's values; in place."""


class SparsePattern:
    """Entries of `values` that are zero stay zero."""

    def __init__(self, values: Tensor):
        self._zeros = values.detach() == 0

    def tie_gradient(self, gradient: Tensor) -> None:
        gradient.masked_fill_(self._zeros, 0)

    def tie_values(self, values: Tensor) -> None:
        values.masked_fill_(self._zeros, 0)


class SharedPattern:
    """Entries of `values` that are equal stay equal, and zeros stay zero.

    `_group` [n] numbers the groups of equal entries, `_first` [groups] is a member of each.
    """

    def __init__(self, values: Tensor):
        flat = values.detach().reshape(-1)
        values, self._group, self._count = torch.unique(flat, return_inverse=True, return_counts=True)
        self._first = self._group.argsort(stable=True)[self._count.cumsum(0) - self._count]
        self._zero = values == 0

    def tie_gradient(self, gradient: Tensor) -> None:
        flat = gradient.reshape(-1).double()
        totals = torch.zeros(len(self._count), dtype=flat.dtype, device=flat.device)
        means = totals.index_add_(0, self._group, flat) / self._count
        self._spread(means, gradient)

    def tie_values(self, values: Tensor) -> None:
        self._spread(values.reshape(-1)[self._first], values)

    def _spread(self, of_groups: Tensor, target: Tensor) -> None:
        of_groups = of_groups.masked_fill(self._zero, 0).to(target.dtype)
        target.copy_(of_groups[self._group].view(target.shape))


@dataclass(frozen=True, slots=True)
class ConstraintKeeper:
    """Keeps the patterns of a network's parameters; its methods are hooks of the training loop."""

    patterns: list[tuple[nn.Parameter, Pattern]]

    def after_backward(self, model: nn.Module) -> None:
        """Before the optimiser sees the gradients: momentum never collects what may not change."""
        for parameter, pattern in self.patterns:
            if parameter.grad is not None:
                pattern.tie_gradient(parameter.grad)

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        """After each optimiser step: rounding and weight decay cannot break a pattern either."""
        for parameter, pattern in self.patterns:
            pattern.tie_values(parameter)


def constraint_keeper(model: nn.Module) -> ConstraintKeeper | None:
    """Keeps `model`'s constraints as its weights show them now; None where it has none.

    Names of parameters that surgery has taken away are forgotten.
    """
    constraints: dict[str, str] = getattr(model, "constraints", {})
    parameters = dict(model.named_parameters())
    for name in constraints.keys() - parameters.keys():
        del constraints[name]
    kinds: dict[str, type[SparsePattern] | type[SharedPattern]] = {
        "sparse": SparsePattern,
        "shared": SharedPattern,
    }
    patterns: list[tuple[nn.Parameter, Pattern]] = [
        (parameters[name], kinds[kind](parameters[name])) for name, kind in constraints.items()
    ]
    return ConstraintKeeper(patterns) if patterns else None


def constrain(model: nn.Module, names: Iterable[str], kind: Kind) -> None:
    """From now on keep this of the parameters `names`; "shared" already keeps zeros and stays."""
    for name in names:
        if kind == "shared" or model.constraints.get(name) != "shared":
            model.constraints[name] = kind
