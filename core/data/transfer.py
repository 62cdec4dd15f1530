"""Tensors on their way to a device, without the processor and the GPU waiting for each other."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import torch
    from torch import Tensor

FETCHING = {"cuda"}  # kinds of devices that fetch from pinned memory while the processor goes on
_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def to_device(tensor: "Tensor", device: "torch.device | str", dtype: "torch.dtype | None" = None) -> "Tensor":
    """A copy on the device: from pinned memory to a GPU, for a copy from any other memory waits for all work before it."""
    import torch

    place = torch.device(device)
    if dtype is not None:
        tensor = tensor.to(dtype)
    if tensor.device.type == "cpu" and place.type in FETCHING:
        tensor = tensor.pin_memory()
    return tensor.to(place, non_blocking=True)


def made_ahead(
    make: "Callable[[_Item], _Made]", items: "Iterable[_Item]", ahead: int, threads: int = 1
) -> Iterator[_Made]:
    """What `make` makes of each item, in their order; so many are made on threads of their own before they are asked for.

    Args:
        ahead: 0 makes each when it is asked for, on the caller's thread.
        threads: how many are made at the same time.
    """
    if ahead < 1:
        yield from map(make, items)
        return
    with ThreadPoolExecutor(threads, "batches") as pool:
        waiting: list[Future[_Made]] = []
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                if len(waiting) > ahead:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
