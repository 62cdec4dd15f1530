"""A network's answers in another order of its classes.

`b` images, `k` classes, `s` pixels a side.
"""

from collections.abc import Sequence

import torch
from torch import nn

from core.common.errors import EspalierError
from core.data.class_names import matched
from core.models.classifier import ImageClassifier

_PROBE_SEED = 20_261_128


def match_classes(
    model: ImageClassifier, names: Sequence[str], classes: Sequence[str], size: int, origin: str
) -> list[str]:
    """Bring the answers of a network into the data set's order, by the names of its classes; a sentence on it.

    Args:
        names: of its answers, in their order; empty where they are not known.
        classes: of the data set.
        origin: the file that says the names.

    Raises:
        EspalierError: the order differs and cannot be changed.
    """
    if len(names) != len(classes) or list(names) == list(classes):
        return []
    first = ", ".join(names[:4])
    order = matched(names, classes)
    if order is None:
        if all(name.isdigit() for name in names):  # places, not names
            return []
        return [
            f"{origin} names other classes ({first}, …) than the data set has; the data set's order is taken."
        ]
    if order == list(range(len(order))):
        return []
    reorder_classes(model, order, size)
    return [
        f"{origin} has its classes in another order ({first}, …) than the data set; they are matched by name."
    ]


def reorder_classes(model: ImageClassifier, order: Sequence[int], size: int) -> None:
    """Make answer i of the network what answer `order[i]` was, by exchanging rows of its last layer.

    Args:
        order: the present place of each class, a permutation of 0…k−1.
        size: s of the images that it takes.

    Raises:
        EspalierError: its answers are not the rows of its last layer.
    """
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(_PROBE_SEED))
    model.eval()
    layer = _last_layer(model, len(order))
    if layer is not None:
        with torch.no_grad():
            expected = model(images)[:, list(order)]
            for tensor in (layer.weight, layer.bias):
                if tensor is not None:
                    tensor.copy_(tensor[list(order)].clone())
            if torch.allclose(model(images), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max())):
                return
    raise EspalierError(
        "The network's classes are in another order than the data set's, and it has no last layer whose rows are its "
        "answers, so these cannot be exchanged.",
        "Set Class order in the data settings so that the data set has the network's order.",
    )


def _last_layer(model: ImageClassifier, classes: int) -> nn.Linear | nn.Conv2d | None:
    kinds = (nn.Linear, nn.Conv2d)
    layers = [module for module in model.head.modules() if isinstance(module, kinds)]
    if not layers:  # the network stayed whole (`core.models.adapt_network`)
        layers = [
            module
            for module in model.modules()
            if isinstance(module, kinds) and len(module.weight) == classes
        ]
    return layers[-1] if layers and layers[-1].weight.shape[0] == classes else None
