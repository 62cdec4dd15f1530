"""The part of PyTorch that it loads late, loaded whole.

`torch._dynamo` and `torch._inductor` import one another in circles. PyTorch enters the circle with the first optimiser
or the first tensor without data, at `torch._dynamo`; torchvision and the switch to deterministic algorithms enter it
elsewhere. Threads do these things at the same time here, because the window counts what a pipeline would leave while it
checks it, and two threads that enter the circle at different places find modules half made ("cannot import name …
from partially initialized module"). So whatever enters elsewhere loads it from the front before.
"""

import importlib


def load_late_part() -> None:
    """Load `torch._dynamo`, or wait until the thread that is loading it is done."""
    importlib.import_module("torch._dynamo")
