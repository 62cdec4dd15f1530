"""Weights that a file stores in parts, as one tensor each: PyTorch's pruning masks and weight normalisation (imports torch)."""

from collections.abc import Collection

import torch
from torch import Tensor

_ORIGINAL, _MASK = "_orig", "_mask"  # torch.nn.utils.prune
_LENGTH, _DIRECTION = "_g", "_v"  # torch.nn.utils.weight_norm
_PARAMETRISED = "parametrizations."  # torch.nn.utils.parametrizations.weight_norm


def join_parts(state: dict[str, Tensor], expected: Collection[str]) -> list[str]:
    """Put parts together where the network wants the whole, in place; a sentence where there were some.

    Args:
        expected: names of the network's own tensors.
    """
    joined = []
    for name in sorted(name for name in expected if name not in state):
        made = _masked(state, name)
        made = made if made is not None else _normalised(state, name)
        if made is not None:
            state[name] = made
            joined.append(name)
    if not joined:
        return []
    shown = ", ".join(joined[:3]) + (", …" if len(joined) > 3 else "")
    return [
        f"{len(joined)} weights are stored in parts (a mask, or length and direction) and were put together: {shown}."
    ]


def _masked(state: dict[str, Tensor], name: str) -> Tensor | None:
    original, mask = state.get(name + _ORIGINAL), state.get(name + _MASK)
    if original is None or mask is None or original.shape != mask.shape:
        return None
    del state[name + _ORIGINAL], state[name + _MASK]
    return original * mask


def _normalised(state: dict[str, Tensor], name: str) -> Tensor | None:
    """Of length and direction; the length has a side of 1 along the axes that the norm is taken over."""
    layer, _, leaf = name.rpartition(".")
    inner = f"{layer}.{_PARAMETRISED}{leaf}.original" if layer else f"{_PARAMETRISED}{leaf}.original"
    for first, second in ((name + _LENGTH, name + _DIRECTION), (f"{inner}0", f"{inner}1")):
        length, direction = state.get(first), state.get(second)
        if length is None or direction is None or length.ndim != direction.ndim:
            continue
        axes = [axis for axis, side in enumerate(length.shape) if side == 1]
        if not axes or not length.is_floating_point():
            continue
        del state[first], state[second]
        return direction * (length / torch.linalg.vector_norm(direction, dim=axes, keepdim=True))
    return None
