"""The switches of PyTorch that a run's results depend on: threads, deterministic kernels, cuDNN's search for the fastest one."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reproducible(threads: int, deterministic: bool = True) -> Iterator[None]:
    """Deterministic backends, unless otherwise asked, and a fixed number of threads while a run goes on."""
    import os

    import torch

    from core.machine.torch_import import load_late_part

    load_late_part()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
    )
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = not deterministic
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1], warn_only=True)
        torch.backends.cudnn.benchmark = before[2]
