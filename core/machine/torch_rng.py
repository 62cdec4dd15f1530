"""PyTorch's global random generator, locked while one thread uses it and restored afterwards.

New layers and dropout draw from one generator that all threads share. While a run trains, the window builds
networks to count them: without a lock the draws of both would mix, and the same seed would no longer give the
same weights.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LOCK = threading.RLock()


@contextmanager
def isolated_rng(seed: int | None = None) -> Iterator[None]:
    """Holds the generator for this thread, seeded with `seed`, and restores its state afterwards.

    Without `seed` the draws do not matter. GPU generators are seeded as well, and not restored.
    """
    with _LOCK, torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        yield
