"""A network whose training passes run through `torch.compile`, which fuses their operations on a GPU.

Results differ in the last digits from those without, and the first steps take a minute or so. What PyTorch cannot compile of a
network it runs as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_BACKEND = "inductor"


@contextmanager
def compiled(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Inside, the network's passes are compiled, where that is wanted; its layers, weights and names stay what they are."""
    if not wanted:
        yield
        return
    before = torch._dynamo.config.suppress_errors
    torch._dynamo.config.suppress_errors = True
    model.compile(backend=_BACKEND)
    try:
        yield
    finally:
        model._compiled_call_impl = None
        torch._dynamo.config.suppress_errors = before
