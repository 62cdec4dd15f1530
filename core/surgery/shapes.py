"""What can be known of a network from its shapes alone: no numbers are read, and few are held.

A *shape* is a network on the meta device. Where a criterion has to see numbers to say which layers it
is about, zeros do; where a network's answers are compared, random weights do.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from core.models.classifier import ImageClassifier
from core.surgery.channel_group import ChannelGroup
from core.surgery.groups import Scope, channel_groups

_GRAPH = 1200  # bytes of the file for each layer's place in the graph


def float32_bytes(model: ImageClassifier) -> int:
    """About the bytes of the float32 file: norms are folded into the convolutions before them."""
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d) and module.affine]
    folded = sum(norm.num_features for norm in norms)  # scale and shift go, one bias comes
    return 4 * (sum(p.numel() for p in model.parameters()) - folded) + _GRAPH * len(layers)


def weights_in(model: ImageClassifier) -> tuple[int, int]:
    """Weights of all convolutions, and of all linear layers."""
    sizes = {nn.Conv2d: 0, nn.Linear: 0}
    for module in model.modules():
        for kind in sizes:
            if isinstance(module, kind):
                sizes[kind] += module.weight.numel()
    return sizes[nn.Conv2d], sizes[nn.Linear]


def four_bit_bytes(model: ImageClassifier, block: int, pointwise: bool, other: float) -> int:
    """Bytes saved by 4 bits, and a float32 scale for every `block` inputs, in place of the weights of linear layers.

    Args:
        pointwise: 1×1 convolutions of stride 1 count as linear layers. other: bytes of the other layers' weights, at least 1 in the first.
    """
    saved, first = 0, True
    for module in model.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        weights, outputs = module.weight.numel(), len(module.weight)
        if isinstance(module, nn.Linear) or (pointwise and is_linear(module)):
            scales = outputs * -(-(weights // outputs) // block)
            saved += 4 * weights - (weights + 1) // 2 - 4 * scales
        else:
            saved += int((4 - (max(other, 1) if first else other)) * weights)
        first = False
    return saved


def is_linear(layer: nn.Conv2d) -> bool:
    """Whether a convolution is a linear layer over the channels."""
    plain = {layer.kernel_size, layer.stride} == {(1, 1)} and layer.groups == 1
    return plain and layer.padding in ((0, 0), "valid", "same")


def zeros_of(layers: Iterable[nn.Module], convolutions: float, linear: float, together: bool) -> int:
    """Weights that become zero when these shares of the layers go, of each or of all of a kind together."""
    zeros, layers = 0, list(layers)
    for kind, amount in ((nn.Conv2d, convolutions), (nn.Linear, linear)):
        sizes = [layer.weight.numel() for layer in layers if isinstance(layer, kind)]
        zeros += sum(round(amount * size) for size in ([sum(sizes)] if together else sizes))
    return zeros


def shared_bytes(layers: Iterable[nn.Module], convolutions: int, linear: int) -> tuple[int, int]:
    """Bytes saved by indices of so many bits in place of weights, and the weights that share values."""
    saved = sharing = 0
    for layer in layers:
        bits = linear if isinstance(layer, nn.Linear) else convolutions
        weights = int(layer.weight.numel())
        if weights > 2**bits:
            sharing += weights
            saved += 4 * weights - 4 * 2**bits - (weights if bits > 4 else weights // 2)
    return saved, sharing


def even_scores(groups: Sequence[ChannelGroup]) -> dict[str, Tensor]:
    """Importances that say nothing about any layer: every group's units spread alike."""
    return {
        group.path: torch.linspace(0.5, 1.5, group.units, dtype=torch.float64)
        if group.units > 1
        else torch.ones(1, dtype=torch.float64)
        for group in groups
    }


def cut(
    shape: ImageClassifier,
    size: int,
    blocks: tuple[str, ...],
    scope: Scope,
    fem: bool,
    kept_channels: Mapping[str, int],
) -> ImageClassifier:
    """A copy with `kept_channels` in each group; which ones go makes no difference to the shape.

    Args: size, blocks, scope, fem: as in `channel_groups`.
    """
    network = copy.deepcopy(shape)
    groups, _ = channel_groups(network, size, blocks, scope, fem)
    for group in groups:
        gone = group.units - kept_channels.get(group.path, group.channels) // group.bundle
        if gone:
            group.prune(range(gone))
    return network


def blank_images(size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """One image for an importance that has to see feature maps to say which groups have any."""
    yield torch.zeros(1, 3, size, size), torch.zeros(1, dtype=torch.long)


def zeroed(model: ImageClassifier) -> ImageClassifier:
    """A copy with zeros for numbers: enough to ask which groups a criterion ranks."""
    network = copy.deepcopy(model).to_empty(device="cpu")
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data.zero_()
    return network.eval()


def filled(model: ImageClassifier) -> ImageClassifier:
    """A copy with random weights, and batch norm statistics as they are at the start."""
    network = zeroed(model)
    numbers = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data.normal_(0.0, 0.1, generator=numbers)
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.fill_(1.0)
    return network
