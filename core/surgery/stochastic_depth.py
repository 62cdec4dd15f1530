"""Stochastic depth: in training, a residual block's branch is left out for some images, later blocks' more often.

Source: Huang et al. 2016, arXiv 1603.09382; in timm's form (`DropPath`), which is what is here for its networks: each image on its own, the
branches that stay divided by their share, so that evaluation needs no change; shares rise linearly from 0 in the first block to the setting's in
the last.

Where we depart: only blocks with an identity shortcut take part, as nothing else would be left of the others. Where the branch of a block ends is
found by running the network once: the last module inside of the block whose output is added to what came into it (a ViT's block has two).

Shapes: images [b, c, s, s]; branches [b, ...].
"""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from core.common.errors import EspalierError
from core.models.residual_blocks import outermost

_ADDITIONS = (torch.ops.aten.add.Tensor, torch.ops.aten.add_.Tensor)


@contextmanager
def stochastic_depth(
    model: nn.Module, kinds: Collection[str], share: float, images: Tensor
) -> Iterator[list[list[str]]]:
    """Meanwhile branches are left out whenever the network is in training mode.

    Args:
        kinds: class names of its residual blocks.
        share: of the images, in the last block.
        images: a batch as the network takes it, to find the branches with.

    Yields: for every block that takes part the paths of the modules that end its branches.

    Raises:
        EspalierError: when there is no such block.
    """
    blocks = branch_ends(model, kinds, images)
    if not blocks:
        raise EspalierError(
            "Expected residual blocks with identity shortcuts, which stochastic depth leaves out; none is known in this network.",
            "Set the stochastic depth to 0.",
        )
    with ExitStack() as hooked:
        for place, ends in enumerate(blocks):
            dropped = share * (place / (len(blocks) - 1) if len(blocks) > 1 else 1.0)
            for path in ends if dropped else ():
                handle = model.get_submodule(path).register_forward_hook(_Dropping(model, dropped))
                hooked.callback(handle.remove)
        yield blocks


class _Dropping:
    """A hook that leaves a module's output out for this share of the images."""

    def __init__(self, model: nn.Module, share: float):
        self._model, self._share = model, share

    def __call__(self, module: nn.Module, given: Any, output: Tensor) -> Tensor:
        return dropped(output, self._share) if self._model.training else output


def dropped(branch: Tensor, share: float) -> Tensor:
    """Zero for this share of the images, the others divided by what stays; from torch's own generator, which the step seeds."""
    stays = torch.rand(len(branch), *[1] * (branch.dim() - 1), device=branch.device) >= share
    return branch * (stays / (1 - share)).to(branch.dtype)


@torch.no_grad()
def branch_ends(model: nn.Module, kinds: Collection[str], images: Tensor) -> list[list[str]]:
    """For every block with an identity shortcut the modules that end its branches, in the order in which they run."""
    found: dict[str, list[str]] = {}
    watching: list[_Additions] = []
    with ExitStack() as hooked:
        for path, block in outermost(model, kinds).items():

            def enter(module: nn.Module, given: tuple[Any, ...], path: str = path) -> None:
                watching.append(_Additions(given[0]))
                watching[-1].__enter__()

            def leave(module: nn.Module, given: Any, output: Tensor, path: str = path) -> None:
                watched = watching.pop()
                watched.__exit__(None, None, None)
                if watched.ends and watched.is_stream(output):
                    found[path] = watched.ends

            hooked.callback(block.register_forward_pre_hook(enter).remove)
            for inner, module in block.named_modules(prefix=path):
                if module is not block:
                    hooked.callback(module.register_forward_hook(_noting(inner, watching)).remove)
            hooked.callback(block.register_forward_hook(leave).remove)
        training = model.training
        try:
            model.eval()(images)
        finally:
            model.train(training)
            for watched in watching:
                watched.__exit__(None, None, None)
    return list(found.values())


def _noting(path: str, watching: "list[_Additions]") -> Any:
    def note(module: nn.Module, given: Any, output: Any) -> None:
        if watching and isinstance(output, Tensor):
            watching[-1].note(path, output)

    return note


class _Additions(TorchDispatchMode):
    """Sees what is added to a block's input, and to what came of that, while the block runs.

    Attributes:
        ends: paths of the modules whose outputs were added.
    """

    def __init__(self, given: Tensor):
        super().__init__()
        self.ends: list[str] = []
        self._stream: list[Tensor] = [given]
        self._outputs: list[tuple[str, Tensor]] = []

    def note(self, path: str, output: Tensor) -> None:
        """A module inside has given an output."""
        self._outputs.append((path, output))

    def is_stream(self, value: Any) -> bool:
        """Whether this is the block's input, what came of it by additions, or their rectified form."""
        return any(_same(value, passed) or _same_values(value, passed) for passed in self._stream)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        end = self._end_of(args) if func in _ADDITIONS and not kwargs else None
        result = func(*args, **(kwargs or {}))
        if end is not None:
            self.ends.append(end)
            self._stream.append(result)
        return result

    def _end_of(self, args: tuple[Any, ...]) -> str | None:
        """The module whose output is added to the stream; None where this is another addition."""
        for this, other in (args[:2], args[1::-1]):
            if any(_same(this, passed) for passed in self._stream) and isinstance(other, Tensor):
                ends = [path for path, output in self._outputs if _same(other, output)]
                if ends and other.shape == this.shape:
                    return ends[-1]
        return None


def _same(value: Any, other: Tensor) -> bool:
    return isinstance(value, Tensor) and value.data_ptr() == other.data_ptr() and value.shape == other.shape


def _same_values(value: Any, other: Tensor) -> bool:
    if not isinstance(value, Tensor) or value.shape != other.shape:
        return False
    return torch.equal(value, other) or torch.equal(value, other.relu())
