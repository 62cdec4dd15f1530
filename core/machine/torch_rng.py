"""PyTorch's running stream of draws, lent to one piece of work at a time.

New layers and dropout draw from one generator that all threads share. While a run trains, the window builds
networks to count them: without a lock each would take draws that the other counts on, and the same seed
would no longer give the same weights.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LOCK = threading.RLock()


@contextmanager
def dice(seed: int | None = None) -> Iterator[None]:
    """The stream for this thread alone, started from `seed`; afterwards it goes on as if nothing was drawn.

    Without `seed` the draws do not matter. GPU streams are seeded as well, and not put back.
    """
    with _LOCK, torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        yield
