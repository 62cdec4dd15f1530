"""One training on several processes, its ranks: each takes its part of every batch, and all take the same steps.

Gradients are added up over the ranks, weighted by the images behind them, before they are clipped; batch norms see the whole
batch; what depends on time or on a person is decided by the first rank. So all ranks hold the same weights to the bit, and nearly
those of one process: sums are added in another order. Where a loss looks at pairs of images it sees those of its rank.

The processes are started by `torchrun` (`core.engine.rank_process`); elsewhere there is one rank, and nothing here costs anything.

Shapes: `n` ranks, `k` channels of a batch norm.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.data.batches import bounds_of

_BATCH_NORM = inspect.signature(functional.batch_norm)


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of a training; this one is `rank` of `count`."""

    rank: int = 0
    count: int = 1

    def agreed(self, number: int) -> int:
        """The first rank's number."""
        if self.count == 1:
            return number
        told = torch.tensor([number])
        distributed.broadcast(told, 0)
        return int(told)

    def summed(self, numbers: Sequence[float]) -> list[float]:
        """Each number, added up over the ranks."""
        if self.count == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(sums)
        return [float(one) for one in sums.tolist()]

    def hold(self, control: RunControl) -> None:
        """Wait while a person has paused; that is asked of the first rank.

        Raises:
            Stopped: on all ranks, when a person asked to stop.
        """
        stopped = False
        if self.rank == 0:
            try:
                control.checkpoint()
            except Stopped:
                stopped = True
        if self.agreed(int(stopped)):
            raise Stopped

    @contextmanager
    def first_one_first(self) -> Iterator[None]:
        """The first rank goes through this before the others."""
        if self.rank:
            self.agreed(0)
        yield
        if not self.rank:
            self.agreed(0)

    def whole(self, part: Tensor, images: int) -> Tensor:
        """The parts of all ranks, one behind the other.

        Args:
            part: [b, …], this rank's. images: of the whole batch.
        """
        if self.count == 1:
            return part
        longest = -(-images // self.count)
        padded = part.new_zeros(longest, *part.shape[1:])
        padded[: len(part)] = part
        every = [torch.empty_like(padded) for _ in range(self.count)]
        distributed.all_gather(every, padded)
        lengths = [
            high - low for low, high in (bounds_of(images, (rank, self.count)) for rank in range(self.count))
        ]
        return torch.cat([one[:length] for one, length in zip(every, lengths, strict=True)])

    def own(self, whole: Tensor) -> Tensor:
        """This rank's part of [b, …]."""
        low, high = bounds_of(len(whole), (self.rank, self.count))
        return whole[low:high]

    def add_gradients(self, parameters: Sequence[nn.Parameter], check: bool) -> None:
        """Add the gradients up over the ranks, in place.

        Args:
            check: look whether all ranks have gradients for the same weights.

        Raises:
            EspalierError: when they have not.
        """
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if check:
            own = [float(len(gradients)), float(sum(gradient.numel() for gradient in gradients))]
            if self.summed(own) != [self.count * number for number in own]:
                raise EspalierError(
                    "The processes of this training do not train the same weights: the network chooses among its layers by chance.",
                    "Train it in one process.",
                )
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        pieces = flat.split([gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view(gradient.shape))

    def same(self, module: nn.Module) -> None:
        """Give all ranks the first one's weights and buffers."""
        if self.count > 1:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, 0)

    def norms(self) -> AbstractContextManager[Any]:
        """Inside, batch norms that are trained take the statistics of the whole batch."""
        return nullcontext() if self.count == 1 else _WholeBatchNorms(self)


def current_ranks() -> Ranks:
    """The ranks of this process's training."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Ranks()
    return Ranks(distributed.get_rank(), distributed.get_world_size())


class _WholeBatchNorms(TorchFunctionMode):
    """Takes the place of every call of `batch_norm`, whatever class of module makes it.

    PyTorch's own module for this (`SyncBatchNorm`) computes on GPUs only, and has another class in the place of the network's.
    """

    def __init__(self, ranks: Ranks):
        super().__init__()
        self._ranks = ranks

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not functional.batch_norm:
            return func(*args, **(kwargs or {}))
        given = _BATCH_NORM.bind(*args, **(kwargs or {}))
        given.apply_defaults()
        if not given.arguments["training"]:
            return func(*given.args)
        return self._batch_norm(**given.arguments)

    def _batch_norm(self, input: Tensor, momentum: float, eps: float, **given: Any) -> Tensor:
        """As PyTorch's, by the names of its arguments."""
        values = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        mean, variance, count = self._statistics(values)
        running, running_variance = given["running_mean"], given["running_var"]
        if running is not None and running_variance is not None:
            with torch.no_grad():
                running.lerp_(mean.to(running.dtype), momentum)
                running_variance.lerp_((variance * count / (count - 1)).to(running.dtype), momentum)
        shape = (1, -1, *(1 for _ in range(input.dim() - 2)))
        scale = torch.rsqrt(variance + eps)
        if given["weight"] is not None:
            scale = scale * given["weight"]
        result = (values - mean.view(shape)) * scale.view(shape)
        if given["bias"] is not None:
            result = result + given["bias"].view(shape)
        return result.to(input.dtype)

    def _statistics(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance over the whole batch, and what they are over: [k], [k], []."""
        axes = [0, *range(2, values.dim())]
        variance, mean = torch.var_mean(values, axes, correction=0)
        own = mean.new_full((1,), values.numel() // values.shape[1])
        every = _Gathered.apply(torch.cat([mean, variance, own]), self._ranks)
        channels = values.shape[1]
        means, variances, counts = every[:, :channels], every[:, channels : 2 * channels], every[:, -1:]
        total = counts.sum().detach()
        whole = (counts * means).sum(0) / total
        spread = (counts * (variances + (means - whole) ** 2)).sum(0) / total
        return whole, spread, total


class _Gathered(torch.autograd.Function):
    """[d] of every rank as [n, d]; the gradient of each is what all ranks have of it."""

    @staticmethod
    def forward(context: Any, own: Tensor, ranks: Ranks) -> Tensor:
        context.rank = ranks.rank
        every = [torch.empty_like(own) for _ in range(ranks.count)]
        distributed.all_gather(every, own.contiguous())
        return torch.stack(every)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        whole = gradient.contiguous()
        distributed.all_reduce(whole)
        return whole[context.rank], None
