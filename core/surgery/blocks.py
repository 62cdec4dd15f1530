"""Residual blocks that can be dropped: finding them, ranking them, taking them out.

A block can go when it is the identity plus something: with all its own weights at zero it must
give back exactly what it was given. That is tried on the network's own activations, not read off
a name, so it holds for a linear bottleneck (x + inner) and for a post-activation block
(relu(inner + x), whose x is already ≥ 0) alike, and it fails for a block that changes the shape
or whose shortcut computes something. A dropped block becomes `nn.Identity`.

Shapes: images [b, 3, s, s]; a block's input and output [b, c, h, w], or tokens [b, n, d].
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from core.models.residual_blocks import outermost

Criterion = Literal["weight-magnitude", "feature-map-rank", "input-similarity"]

_PROBE_SEED = 17


@dataclass(frozen=True, slots=True)
class Block:
    """A residual block as the network runs it.

    Attributes:
        stage: counts up whenever the output's shape changes from one block to the next.
        shape: of the output for one image.
        reason: "" where the block can be dropped, else why not.
    """

    path: str
    kind: str
    stage: int
    shape: tuple[int, ...]
    reason: str = ""


@torch.no_grad()
def find_blocks(model: nn.Module, kinds: tuple[str, ...], size: int) -> list[Block]:
    """The outermost modules whose class is named in `kinds`, in the order in which they run.

    Args:
        kinds: class names, as in `Backbone.blocks`.
        size: side of the input images in pixels.
    """
    modules = outermost(model, kinds)
    calls: list[tuple[str, tuple[Tensor, ...], Tensor]] = []
    hooks = [
        module.register_forward_hook(
            lambda module, inputs, output, path=path: calls.append(
                (path, tuple(value.clone() for value in inputs), output.clone())
            )
        )
        for path, module in modules.items()
    ]
    training = model.training
    try:
        noise = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(_PROBE_SEED))
        model.eval()(noise.to(next(model.parameters()).device))
        for hook in hooks:
            hook.remove()
        return _described(modules, calls)
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)


def _described(
    modules: dict[str, nn.Module], calls: list[tuple[str, tuple[Tensor, ...], Tensor]]
) -> list[Block]:
    blocks: list[Block] = []
    stage = -1
    for path, inputs, output in calls:
        shape = tuple(output.shape[1:])
        if not blocks or blocks[-1].shape != shape:
            stage += 1
        reason = _reason_to_keep(modules[path], inputs, output)
        blocks.append(Block(path, type(modules[path]).__name__, stage, shape, reason))
    return blocks


def _reason_to_keep(block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> str:
    if len(inputs) != 1:
        return f"takes {len(inputs)} inputs"
    [block_input] = inputs
    if block_input.shape != output.shape:
        return f"changes the shape from {_spelled(block_input)} to {_spelled(output)}"
    zeros = {name: torch.zeros_like(parameter) for name, parameter in block.named_parameters()}
    if not zeros or not torch.equal(functional_call(block, zeros, (block_input,)), block_input):
        return "has no identity shortcut: with its weights at zero it does not give back its input"
    return ""


def _spelled(value: Tensor) -> str:
    return "×".join(str(side) for side in value.shape[1:])


@torch.no_grad()
def block_importance(
    model: nn.Module, blocks: list[Block], criterion: Criterion, batches: Iterable[Tensor]
) -> dict[str, float]:
    """How much each block matters, by path; higher matters more.

    * weight-magnitude: mean absolute weight of the block's convolutions and linear layers
      (biases and norms left out). Sadaqa and Liu's WeightMagnitude.
    * feature-map-rank: mean over images and channels of the rank of the maps that the block adds to
      its input (its branch before the addition; after it a block that adds nothing would rank as
      high as its shortcut), each divided by the highest rank that a map of its size can have, so
      that stages with different sizes compare. After HRank, Lin et al. 2020, arXiv 2002.10179.
    * input-similarity: 1 − the cosine between the block's input and output, mean over images:
      how much it changes what passes through. Men et al. 2024 (ShortGPT), arXiv 2403.03853.

    What we have of Sadaqa and Liu (arXiv 2509.08714) is a summary: for a layer we take the mean over its block, the
    usual definition.

    Args:
        blocks: for the similarity only such as keep the shape.
        batches: images on the model's device; not looked at for the weights' magnitude.
    """
    modules = {block.path: model.get_submodule(block.path) for block in blocks}
    if criterion == "weight-magnitude":
        return {path: _mean_magnitude(module) for path, module in modules.items()}
    sums = dict.fromkeys(modules, 0.0)
    training, images = model.training, 0
    with ExitStack() as watched:
        for path, module in modules.items():
            watched.enter_context(_watch(path, module, criterion, sums))
        try:
            model.eval()
            for batch in batches:
                model(batch)
                images += len(batch)
        finally:
            model.train(training)
    return {path: total / max(images, 1) for path, total in sums.items()}


@contextmanager
def _watch(path: str, block: nn.Module, criterion: Criterion, sums: dict[str, float]) -> Iterator[None]:
    """Add the criterion of every batch that runs through the block to `sums[path]`."""
    additions: list[_Additions] = []

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        additions.append(_Additions(inputs[0]))
        additions[-1].__enter__()

    def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        addition = additions.pop()
        addition.__exit__(None, None, None)
        if criterion == "feature-map-rank":
            sums[path] += _relative_rank(addition.branch(output).float())
        else:
            sums[path] += _change(addition.block_input.float(), output.float())

    hooks = block.register_forward_pre_hook(before), block.register_forward_hook(after)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for addition in additions:  # the block ended in an error
            addition.__exit__(None, None, None)


class _Additions(TorchDispatchMode):
    """Sees what is added to a block's input while the block runs.

    Attributes:
        block_input: a copy of it (a block may change it in place).
    """

    def __init__(self, block_input: Tensor):
        super().__init__()
        self.block_input = block_input.clone()
        self._input = block_input
        self._added: list[Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (torch.ops.aten.add.Tensor, torch.ops.aten.add_.Tensor) and not kwargs:
            for this, other in (args[:2], args[1::-1]):
                if isinstance(other, Tensor) and self._is_input(this) and other.shape == this.shape:
                    self._added.append(other.clone())
        return func(*args, **(kwargs or {}))

    def _is_input(self, value: Any) -> bool:
        return (
            isinstance(value, Tensor)
            and value.shape == self._input.shape
            and value.data_ptr() == self._input.data_ptr()
        )

    def branch(self, output: Tensor) -> Tensor:
        """What the block adds to its input: seen where one addition makes the output, else the difference.

        A block that changes the shape has no such branch: its output stands for it.
        """
        if output.shape != self.block_input.shape:
            return output
        for added in self._added:
            whole = self.block_input + added
            if torch.equal(output, whole) or torch.equal(output, whole.relu()):
                return added
        return output - self.block_input


def _mean_magnitude(module: nn.Module) -> float:
    weights = [
        layer.weight.detach() for layer in module.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    return float(sum(weight.abs().sum() for weight in weights)) / sum(weight.numel() for weight in weights)


def _relative_rank(maps: Tensor) -> float:
    """Sum over images of the mean rank of the maps, as a share of the highest possible."""
    ranks = torch.linalg.matrix_rank(maps).float().view(len(maps), -1)  # [b, c]; tokens: [b, 1]
    return float(ranks.mean(1).sum()) / min(maps.shape[-2:])


def _change(block_input: Tensor, output: Tensor) -> float:
    """Sum over images of 1 − cosine."""
    return float((1 - functional.cosine_similarity(block_input.flatten(1), output.flatten(1))).sum())


def relative_to_stage(blocks: list[Block], importance: dict[str, float]) -> dict[str, float]:
    """The importances divided by the mean of their stage: weights of wide layers are smaller by nature."""
    stages: dict[int, list[float]] = {}
    for block in blocks:
        stages.setdefault(block.stage, []).append(importance[block.path])
    means = {stage: sum(values) / len(values) for stage, values in stages.items()}
    return {block.path: importance[block.path] / (means[block.stage] or 1.0) for block in blocks}


def removal_order(blocks: list[Block], importance: dict[str, float], keep_one: bool) -> list[str]:
    """The blocks that can be dropped, least important first.

    Args:
        keep_one: of every stage at least one block stays (blocks that cannot be dropped count).
    """
    remaining: dict[int, int] = {}
    for block in blocks:
        remaining[block.stage] = remaining.get(block.stage, 0) + 1
    order = []
    for block in sorted((b for b in blocks if not b.reason), key=lambda b: importance[b.path]):
        if keep_one and remaining[block.stage] == 1:
            continue
        remaining[block.stage] -= 1
        order.append(block.path)
    return order


def drop_blocks(model: nn.Module, paths: Iterable[str]) -> None:
    """Put `nn.Identity` in the place of these blocks."""
    for path in paths:
        parent, _, name = path.rpartition(".")
        model.get_submodule(parent).register_module(name, nn.Identity())
