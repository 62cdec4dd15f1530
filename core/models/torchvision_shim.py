"""Importing torchvision beside a CPU-only torch.

torchvision's wheel is built against the CUDA torch; beside a CPU build its compiled operators
cannot load and the import stops at `operator torchvision::nms does not exist`. The models and
transforms need none of them, so the two schemas are declared, once, and the import is tried
again. (`torchvision.io` stays unusable then; images are decoded with Pillow.)
"""

import importlib
import sys
import threading
from types import ModuleType

import torch

from core.machine.torch_import import load_late_part

_declared: list[torch.library.Library] = []  # a library's declarations live as long as the object
_one_at_a_time = threading.Lock()


def import_torchvision() -> ModuleType:
    """Import torchvision, declaring its missing operators when they are what stops it.

    Every import of torchvision (or of a library that imports it) goes through here first.
    """
    with _one_at_a_time:
        load_late_part()
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            if "torchvision::nms" not in str(error) or _declared:
                raise
        for name in [name for name in list(sys.modules) if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)
        return importlib.import_module("torchvision")
