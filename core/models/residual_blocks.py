"""Residual blocks of a network, by the names of their classes."""

from collections.abc import Collection

from torch import nn


def outermost(model: nn.Module, kinds: Collection[str]) -> dict[str, nn.Module]:
    """By path the modules whose class is named in `kinds`, none that lies in another one.

    Args:
        kinds: class names, as in `Backbone.blocks`.
    """
    blocks: dict[str, nn.Module] = {}
    for path, module in model.named_modules():
        nested = any(path.startswith(f"{outer}.") for outer in blocks)
        if path and type(module).__name__ in kinds and not nested:
            blocks[path] = module
    return blocks
