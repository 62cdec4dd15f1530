"""N:M patterns: of every M neighbouring weights of an output, N stay.

Source: Mishra et al. 2021, arXiv 2104.08378 (2:4, and magnitude as the criterion). Neighbours are inputs of one output, in a
convolution at the same position of the kernel, as NVIDIA's sparse tensor cores want them.
"""

from torch import Tensor, nn


def numbers_of(pattern: str) -> tuple[int, int]:
    """How many stay, and of how many: "2:4" → (2, 4)."""
    stay, of = pattern.split(":")
    return int(stay), int(of)


def by_pattern(
    layers: dict[str, nn.Conv2d | nn.Linear], pattern: str
) -> tuple[dict[str, nn.Conv2d | nn.Linear], list[tuple[str, str]]]:
    """The layers that the pattern fits, and the others with the reason."""
    _, of = numbers_of(pattern)
    fitting = {path: layer for path, layer in layers.items() if layer.weight.shape[1] % of == 0}
    skipped = [
        (path, f"{layer.weight.shape[1]} inputs for an output, no multiple of {of}")
        for path, layer in layers.items()
        if path not in fitting
    ]
    return fitting, skipped


def pattern_mask(scores: Tensor, pattern: str) -> Tensor:
    """Which weights go, bool as `scores`: of every M neighbours those with the M − N lowest scores, the first of equal ones.

    Args:
        scores: [outputs, inputs, ...], inputs a multiple of M.
    """
    stay, of = numbers_of(pattern)
    grouped = scores.movedim(1, -1)
    groups = grouped.reshape(*grouped.shape[:-1], -1, of)
    places = groups.argsort(dim=-1, stable=True).argsort(
        dim=-1, stable=True
    )  # of each weight among its neighbours
    return (places < of - stay).reshape(grouped.shape).movedim(-1, 1)
