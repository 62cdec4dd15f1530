"""A person's Python code without lasting effects on the process that runs it.

Scripts set things for themselves that would go on to hold for everything after them: the type of new numbers, whether
gradients are computed, the current folder. They also read the command line and ask questions, neither of which is theirs here.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def process_settings_kept(file: Path | str) -> Iterator[None]:
    """While a person's code runs: no arguments, nothing to read from a terminal, and settings of its own.

    Args:
        file: what stands for the program in its arguments.
    """
    import torch

    settings = (
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.is_grad_enabled, torch.set_grad_enabled),
        (torch.get_num_threads, torch.set_num_threads),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
        (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    )
    before = [(ask, settle, ask()) for ask, settle in settings]
    device, folder = torch.get_default_device(), Path.cwd()
    arguments, terminal = sys.argv, sys.stdin
    sys.argv, sys.stdin = [str(file)], io.StringIO()
    try:
        yield
    finally:
        sys.argv, sys.stdin = arguments, terminal
        os.chdir(folder)
        for ask, settle, value in before:
            if ask() != value:
                settle(value)
        if torch.get_default_device() != device:
            torch.set_default_device(None)
