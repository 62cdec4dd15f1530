"""Shapes on the meta device without the arithmetic that leaves them as they are."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_ACTIVATIONS = {
    functional.relu, functional.relu6, functional.hardtanh, functional.leaky_relu, functional.silu, functional.gelu, functional.mish,
    functional.softplus, functional.hardswish, functional.hardsigmoid, torch.relu, torch.sigmoid, torch.tanh,
}  # fmt: skip
_NORMS = {  # what they are given after the image
    functional.batch_norm: ("running_mean", "running_var", "weight", "bias"),
    functional.layer_norm: ("normalized_shape", "weight", "bias"),
    functional.group_norm: ("num_groups", "weight", "bias"),
}


class QuickShapes(TorchFunctionMode):
    """Norms and activations only pass on what they get: its shape is theirs.

    The meta device computes each of them in Python, up to forty times as long as a convolution.
    """

    def __torch_function__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        named = named or {}
        if function in _ACTIVATIONS:
            return given[0] if given else named["input"]
        if function in _NORMS:
            names = ("input", *_NORMS[function])
            all_given = dict(zip(names, given, strict=False)) | named
            return _normed(function, **{name: all_given.get(name) for name in names})
        return function(*given, **named)


def _normed(function: Any, input: Tensor, weight: Tensor | None, bias: Tensor | None, **of: Any) -> Tensor:
    """What a norm does to shapes, with a node of its own in autograd's graph.

    Raises:
        ValueError: for another number of channels than its own.
    """
    shape = tuple(of["normalized_shape"]) if "normalized_shape" in of else (input.shape[1],)
    ends = tuple(input.shape[-len(shape) :]) if "normalized_shape" in of else shape
    holders = [t for t in (weight, bias, of.get("running_mean"), of.get("running_var")) if t is not None]
    if ends != shape or any(tuple(tensor.shape) != shape for tensor in holders):
        raise ValueError(f"{function.__name__} of {shape} channels received {tuple(input.shape)}")
    if shape[0] % (of.get("num_groups") or 1):
        raise ValueError(f"{shape[0]} channels cannot be normed in {of['num_groups']} groups")
    return _Same.apply(input, *(tensor for tensor in (weight, bias) if tensor is not None))


class _Same(torch.autograd.Function):
    """The identity of the first, visible to torch-pruning, which follows autograd's graph."""

    @staticmethod
    def forward(context: Any, image: Tensor, *parameters: Tensor) -> Tensor:
        return torch.empty_like(image)
