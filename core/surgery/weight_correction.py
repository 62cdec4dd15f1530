"""The weights that stay after pruning, corrected so that each layer's answers change least.

Source: the update of the remaining weights of Optimal Brain Surgeon, as Optimal Brain Compression (Frantar and Alistarh 2022, arXiv
2208.11580) and SparseGPT (Frantar and Alistarh 2023, arXiv 2301.00774) apply it to single layers. For an output with weights w, of
which S stay and R went, and the second moments H of the layer's inputs,

    w'_S = w_S + H_SS⁻¹ · H_SR · w_R

makes E[(w'x − wx)²] smallest.

Where we depart: they choose weights one by one and correct after each; we take the choice as given and solve for what
stays once, which is the exact optimum for that choice. Layers are corrected in the order in which they compute, each on inputs that come
through the layers corrected before it. 1 % of H's mean diagonal is added to it, as SparseGPT does. Of large maps evenly spread positions are
looked at.

Shapes: `o` outputs, `g` groups of a convolution, `d` inputs of an output (channels × kernel, and 1 for the bias), `n` samples.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

DAMPING = 0.01  # of the mean of H's diagonal
_POSITIONS = 256  # of a map, at most, that are looked at
_MOST_INPUTS = 8192  # of an output: half a gigabyte of moments


class _SeenEnoughError(Exception):
    """The layer has its inputs; what comes behind it need not be computed."""


@torch.no_grad()
def correct(
    model: nn.Module,
    layers: Mapping[str, nn.Conv2d | nn.Linear],
    before: Mapping[str, Tensor],
    images: Callable[[], Iterable[Tensor]],
) -> tuple[list[dict[str, object]], list[tuple[str, str]]]:
    """Correct the weights of pruned layers, in place. Zeros stay zero.

    Args:
        model: in evaluation mode, on the device of the images.
        before: the layers' weights before they were pruned.
        images: gives the same batches [b, c, h, w] each time, a pass for each layer.

    Returns: for each layer its path and the mean square change of its answers over their mean square, `uncorrected` and
        `corrected`; and layers that stay as they are, with the reason.
    """
    rows: list[dict[str, object]] = []
    skipped: list[tuple[str, str]] = []
    reached = _in_turn(model, layers, next(iter(images())))
    skipped += [
        (path, "not corrected: the network uses its weights without calling it")
        for path in layers
        if path not in reached
    ]
    for path in reached:
        layer = layers[path]
        inputs = layer.weight[0].numel() + (layer.bias is not None)
        if inputs > _MOST_INPUTS:
            skipped.append((path, f"not corrected: {inputs} inputs for an output, more than {_MOST_INPUTS}"))
            continue
        moments = second_moments(model, layer, images())
        if moments is None:
            skipped.append((path, "not corrected: it computes otherwise than its kind does"))
            continue
        device = layer.weight.device
        dense = _matrix(before[path].to(device), layer).to(moments.device)
        pruned = _matrix(layer.weight, layer).to(moments.device)
        solved = (
            remaining(dense, pruned != 0, moments)
            if layer.bias is None
            else _with_bias(dense, pruned, moments)
        )
        _write(layer, solved)
        rows.append({
            "path": path, "uncorrected": _error(pruned - dense, dense, moments),
            "corrected": _error(solved - dense, dense, moments),
        })  # fmt: skip
    return rows, skipped


def remaining(weights: Tensor, kept: Tensor, moments: Tensor) -> Tensor:
    """The best weights of which only the kept ones differ from zero: float64 [o, d].

    Args:
        weights: float64 [o, d] before pruning. kept: bool [o, d]. moments: float64 [g, d, d]; output number k belongs to group k // (o / g).
    """
    solved = torch.where(kept, weights, 0.0)
    outputs = len(weights) // len(moments)
    for number in range(len(weights)):
        damped = _damped(moments[number // outputs])
        stay, gone = kept[number].nonzero()[:, 0], (~kept[number]).nonzero()[:, 0]
        if not len(stay) or not len(gone) or damped is None:
            continue
        factor = torch.linalg.cholesky(damped[stay][:, stay])
        missing = damped[stay][:, gone] @ weights[number, gone]
        solved[number, stay] += torch.cholesky_solve(missing[:, None], factor)[:, 0]
    return solved


def second_moments(
    model: nn.Module, layer: nn.Conv2d | nn.Linear, batches: Iterable[Tensor]
) -> Tensor | None:
    """E[x·xᵀ] of what each output of the layer reads: float64 [g, d, d], with a 1 behind the inputs where it has a bias.

    None where the layer's answers are not what its weights give for these inputs (a class derived from it computes otherwise).
    """
    total: Tensor | None = None
    count, plain = 0, True

    def see(module: nn.Module, given: tuple[Tensor, ...], answers: Tensor) -> None:
        nonlocal total, count, plain
        samples, right = _samples(layer, given[0], answers)
        plain = plain and right
        if not right:
            raise _SeenEnoughError
        gram = samples @ samples.transpose(1, 2)
        total = gram if total is None else total + gram
        count += samples.shape[2]
        raise _SeenEnoughError

    with _hooked(layer, see):
        for images in batches:
            try:
                model(images)
            except _SeenEnoughError:
                continue
    return total / count if plain and total is not None else None


def _samples(layer: nn.Conv2d | nn.Linear, given: Tensor, answers: Tensor) -> tuple[Tensor, bool]:
    """What the outputs read, float64 [g, d, n], and whether the answers come of it by the weights."""
    if isinstance(layer, nn.Linear):
        rows, expected = given.reshape(-1, given.shape[-1]).T[None], answers.reshape(-1, answers.shape[-1])
        expected = expected.T[None]
        step = _step(rows.shape[2] // len(given), 1)
        rows, expected = rows[:, :, ::step], expected[:, :, ::step]
    else:
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        padded = functional.pad(given, layer._reversed_padding_repeated_twice, mode)
        patches = functional.unfold(padded, layer.kernel_size, layer.dilation, 0, layer.stride)
        if patches.shape[2] != answers.shape[2] * answers.shape[3]:
            return given, False
        step = _step(patches.shape[2], answers.shape[3])
        rows = patches[:, :, ::step].unflatten(1, (layer.groups, -1)).permute(1, 2, 0, 3).flatten(2)
        expected = answers.flatten(2)[:, :, ::step].unflatten(1, (layer.groups, -1))
        expected = expected.permute(1, 2, 0, 3).flatten(2)
    rows = rows.cpu().double() if rows.device.type == "mps" else rows.double()
    if layer.bias is not None:
        rows = torch.cat([rows, torch.ones_like(rows[:, :1])], 1)
    weights = _matrix(layer.weight, layer).to(rows.device).unflatten(0, (len(rows), -1))
    difference = (weights @ rows - expected.to(rows.device)).abs().max()
    return rows, bool(difference <= 1e-2 * expected.abs().max().to(rows.device) + 1e-6)


def _step(positions: int, width: int) -> int:
    """Every how many positions one is looked at: spread over rows and columns of the map."""
    step = max(1, math.ceil(positions / _POSITIONS))
    while step > 1 and math.gcd(step, width) > 1:
        step += 1
    return step


def _matrix(weight: Tensor, layer: nn.Conv2d | nn.Linear) -> Tensor:
    """The weights of each output, with its bias behind them where there is one: float64 [o, d]."""
    rows = weight.detach().reshape(len(weight), -1)
    if layer.bias is not None:
        rows = torch.cat([rows, layer.bias.detach()[:, None]], 1)
    return rows.cpu().double() if rows.device.type == "mps" else rows.double()


def _with_bias(dense: Tensor, pruned: Tensor, moments: Tensor) -> Tensor:
    kept = pruned != 0
    kept[:, -1] = True
    return remaining(dense, kept, moments)


def _write(layer: nn.Conv2d | nn.Linear, solved: Tensor) -> None:
    count = layer.weight[0].numel()
    layer.weight.copy_(solved[:, :count].reshape(layer.weight.shape))
    if layer.bias is not None:
        layer.bias.copy_(solved[:, -1])


def _damped(moments: Tensor) -> Tensor | None:
    """H with a little on its diagonal; None where all inputs are zero."""
    mean = moments.diagonal().mean()
    return (
        moments + torch.eye(len(moments), dtype=moments.dtype, device=moments.device) * (DAMPING * mean)
        if mean > 0
        else None
    )


def _error(change: Tensor, dense: Tensor, moments: Tensor) -> float:
    """Mean square of the change of the answers over that of the answers."""

    def power(rows: Tensor) -> Tensor:
        grouped = rows.unflatten(0, (len(moments), -1))
        return torch.einsum("god,gde,goe->", grouped, moments, grouped)

    return float(power(change) / power(dense).clamp(min=1e-300))


def _in_turn(model: nn.Module, layers: Mapping[str, nn.Module], images: Tensor) -> list[str]:
    """The layers' paths in the order in which they compute first."""
    order: dict[str, None] = {}
    handles = [
        layer.register_forward_hook(lambda *_, path=path: order.setdefault(path))
        for path, layer in layers.items()
    ]
    try:
        model(images[:2])
    finally:
        for handle in handles:
            handle.remove()
    return list(order)


@contextmanager
def _hooked(layer: nn.Module, hook: Callable[..., None]) -> Iterator[None]:
    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
