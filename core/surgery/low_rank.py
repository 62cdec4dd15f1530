"""Writing a layer's weight as a product of smaller ones: the maths of low-rank factorisation.

- *Two factors*, for linear layers and for convolutions as k×1 then 1×k (Jaderberg, Vedaldi,
  Zisserman 2014, arXiv 1405.3866, scheme 2; for 1×1 convolutions that is the plain matrix
  product). The best pair of a rank is the truncated SVD, so the squared error is the sum of the
  squared singular values left out (Eckart and Young 1936).
- *Tucker-2* (Kim et al. 2016, arXiv 1511.06530): 1×1, k×k between fewer channels, 1×1. Bases of the
  two channel modes are the singular vectors of the weight's two unfoldings (HOSVD).

Shapes: `o` output and `i` input channels, `y, x` positions in the kernel, `r` ranks.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

Ranks = tuple[int, ...]
Padding = str | tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Places:
    """At how many places a layer is computed for one image: its input's and output's (height, width).

    A linear layer's places are (1, rows).
    """

    input: tuple[int, int]
    output: tuple[int, int]


class Factorisation(Protocol):
    """A layer's weight, taken apart, before its ranks are chosen.

    Attributes:
        energy: for each rank the share of the squares that the first 1, 2, … components hold, float64,
            rising to 1.
    """

    energy: tuple[Tensor, ...]

    def factors(self, ranks: Ranks) -> nn.Sequential:
        """The layers that stand for the layer, at these ranks; the bias is the last one's."""

    def costs(self, ranks: Ranks, places: Places) -> tuple[int, int]:
        """Parameters, with the bias, and MACs of the factors."""


class TwoFactors:
    """Linear: i → r → o. Convolution: k×1 (i → r), then 1×k (r → o)."""

    def __init__(self, layer: nn.Conv2d | nn.Linear):
        self.layer = layer
        weight = layer.weight.detach().double()
        if isinstance(layer, nn.Conv2d):
            weight = weight.permute(1, 2, 3, 0).reshape(weight.shape[1] * weight.shape[2], -1)  # [i·y, x·o]
        else:
            weight = weight.t()  # [i, o]
        left, values, right = torch.linalg.svd(weight, full_matrices=False)
        self.energy = (_shares(values.square()),)
        self._left, self._right = left * values.sqrt(), values.sqrt()[:, None] * right

    def factors(self, ranks: Ranks) -> nn.Sequential:
        """See `Factorisation`. Both factors carry the root of the singular values, to be trained alike."""
        (rank,) = ranks
        first, second = self._left[:, :rank], self._right[:rank]
        layer = self.layer
        if isinstance(layer, nn.Linear):
            return nn.Sequential(_linear(first.t(), None), _linear(second.t(), layer.bias))
        outputs, inputs, height, width = layer.weight.shape
        vertical = first.reshape(inputs, height, 1, rank).permute(3, 0, 1, 2)
        horizontal = second.reshape(rank, 1, width, outputs).permute(3, 0, 1, 2)
        first_pads, second_pads = _split_padding(padding_of(layer), width)
        if width > 1:
            strides: tuple[tuple[int, ...], ...] = ((layer.stride[0], 1), (1, layer.stride[1]))
        else:  # the second factor only mixes channels
            strides = (layer.stride, (1, 1))
        return nn.Sequential(
            _convolution(vertical, None, strides[0], first_pads, (layer.dilation[0], 1)),
            _convolution(horizontal, layer.bias, strides[1], second_pads, (1, layer.dilation[1])),
        )

    def costs(self, ranks: Ranks, places: Places) -> tuple[int, int]:
        """See `Factorisation`."""
        (rank,) = ranks
        first, second = rank * self._left.shape[0], rank * self._right.shape[1]
        one_by_one = isinstance(self.layer, nn.Linear) or self.layer.kernel_size[1] == 1
        between = (places.output[0], places.output[1] if one_by_one else places.input[1])
        macs = first * math.prod(between) + second * math.prod(places.output)
        return first + second + _size(self.layer.bias), macs


class Tucker:
    """Convolution: 1×1 (i → r1), k×k (r1 → r2), 1×1 (r2 → o); a mode of full rank needs no 1×1."""

    def __init__(self, layer: nn.Conv2d):
        self.layer = layer
        self._weight = layer.weight.detach().double()
        self._inputs, inner = _basis(self._weight.transpose(0, 1).flatten(1))  # [i, i], of [i, o·y·x]
        self._outputs, outer = _basis(self._weight.flatten(1))  # [o, o], of [o, i·y·x]
        self.energy = (_shares(inner), _shares(outer))

    def factors(self, ranks: Ranks) -> nn.Sequential:
        """See `Factorisation`."""
        layer, core = self.layer, self._weight
        before, after = (rank < len(energy) for rank, energy in zip(ranks, self.energy, strict=True))
        inputs, outputs = self._inputs[:, : ranks[0]], self._outputs[:, : ranks[1]]
        factors = nn.Sequential()
        if before:
            core = torch.einsum("oiyx,ir->oryx", core, inputs)
            factors.append(_convolution(inputs.t()[:, :, None, None], None))
        if after:
            core = torch.einsum("oiyx,or->riyx", core, outputs)
        bias = None if after else layer.bias
        factors.append(_convolution(core, bias, layer.stride, padding_of(layer), layer.dilation))
        if after:
            factors.append(_convolution(outputs[:, :, None, None], layer.bias))
        return factors

    def costs(self, ranks: Ranks, places: Places) -> tuple[int, int]:
        """See `Factorisation`."""
        outputs, inputs, *kernel = self.layer.weight.shape
        before = inputs * ranks[0] if ranks[0] < inputs else 0
        after = outputs * ranks[1] if ranks[1] < outputs else 0
        core = math.prod((*ranks, *kernel))
        macs = before * math.prod(places.input) + (core + after) * math.prod(places.output)
        return before + core + after + _size(self.layer.bias), macs


def costs_of(layer: nn.Conv2d | nn.Linear, places: Places) -> tuple[int, int]:
    """Parameters, with the bias, and MACs of a layer as it is."""
    weights = layer.weight.numel()
    return weights + _size(layer.bias), weights * math.prod(places.output)


def reason_against(layer: nn.Conv2d | nn.Linear) -> str:
    """What prevents factors that compute the same, or ""."""
    if isinstance(layer, nn.Linear):
        return (
            ""
            if type(layer) is nn.Linear
            else f"a {type(layer).__name__}, which other code reads as one layer"
        )
    if layer.groups > 1:
        kind = "depthwise" if layer.groups == layer.in_channels else "grouped"
        return f"{kind}: its channels are not mixed, so there is no product to split"
    if layer.padding_mode != "zeros":
        return f"its padding mode {layer.padding_mode!r} is not that of its factors"
    if type(layer) is not nn.Conv2d and padding_of(layer) is None:
        return (
            f"a {type(layer).__name__} that pads by the image's size and on one side only, "
            "which plain convolutions cannot"
        )
    return ""


def padding_of(layer: nn.Conv2d) -> Padding:
    """The padding as a plain convolution has it; None where there is none such.

    timm's `Conv2dSame` pads as TensorFlow does: evenly with stride 1 and an odd kernel, not at all
    with a 1×1 kernel, else by the image's size and on one side more than on the other.
    """
    if type(layer) is nn.Conv2d:
        return layer.padding if isinstance(layer.padding, str) else (layer.padding[0], layer.padding[1])
    if type(layer).__name__ != "Conv2dSame":
        return None
    reach = [step * (size - 1) for step, size in zip(layer.dilation, layer.kernel_size, strict=True)]
    if all(
        each == 0 or (each % 2 == 0 and stride == 1) for each, stride in zip(reach, layer.stride, strict=True)
    ):
        return reach[0] // 2, reach[1] // 2
    return None


def rank_for(energy: Tensor, share: float, multiple: int) -> int:
    """The smallest rank that keeps `share` of the squares, up to a multiple, at most all."""
    smallest = int(torch.searchsorted(energy, share * (1 - 1e-12))) + 1
    return min(multiple * math.ceil(smallest / multiple), len(energy))


def find_places(model: nn.Module, paths: list[str], size: int) -> dict[str, Places]:
    """Where the layers `paths` are computed for one image of `size` pixels a side.

    A layer that is used several times counts as the first time; one that is not used has none.
    """
    places: dict[str, list[Places]] = {path: [] for path in paths}

    def note(path: str, inputs: Tensor, output: Tensor) -> None:
        if inputs.dim() == 4 and isinstance(model.get_submodule(path), nn.Conv2d):
            places[path].append(Places(tuple(inputs.shape[2:]), tuple(output.shape[2:])))
        else:
            rows = (1, output.numel() // output.shape[-1])
            places[path].append(Places(rows, rows))

    hooks = [
        model.get_submodule(path).register_forward_hook(
            lambda module, inputs, output, path=path: note(path, inputs[0], output)
        )
        for path in paths
    ]
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, 3, size, size))
    finally:
        for hook in hooks:
            hook.remove()
    return {path: uses[0] for path, uses in places.items() if uses}


def _split_padding(padding: Padding, width: int) -> tuple[Padding, Padding]:
    """The padding of k×1 and of 1×k."""
    if isinstance(padding, str) or padding is None:
        return padding, padding
    return ((padding[0], 0), (0, padding[1])) if width > 1 else (padding, (0, 0))


def _shares(squares: Tensor) -> Tensor:
    sums = squares.cumsum(0)
    return sums / sums[-1].clamp(min=1e-300)


def _basis(unfolding: Tensor) -> tuple[Tensor, Tensor]:
    """Left singular vectors of [n, m], as columns [n, n], and the squared singular values [n], falling."""
    squares, vectors = torch.linalg.eigh(unfolding @ unfolding.t())
    return vectors.flip(1), squares.flip(0).clamp(min=0)


def _size(bias: Tensor | None) -> int:
    return 0 if bias is None else bias.numel()


def _filled(layer: nn.Conv2d | nn.Linear, weight: Tensor, bias: Tensor | None) -> None:
    with torch.no_grad():
        layer.weight.copy_(weight)
        if layer.bias is not None and bias is not None:
            layer.bias.copy_(bias)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    _filled(layer, weight, bias)
    return layer


def _convolution(
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...] = (1, 1),
    padding: Padding = (0, 0),
    dilation: tuple[int, ...] = (1, 1),
) -> nn.Conv2d:
    outputs, inputs, height, width = weight.shape
    assert padding is not None  # `reason_against` has refused such layers
    layer = nn.Conv2d(
        inputs, outputs, (height, width), (stride[0], stride[1]), padding, (dilation[0], dilation[1]),
        bias=bias is not None,
    )  # fmt: skip
    _filled(layer, weight, bias)
    return layer
