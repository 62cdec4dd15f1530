"""A person's own network as an `ImageClassifier` (imports torch; see `python_source`).

Whatever the network does inside, it has to end in one linear layer that gives the logits. That layer
becomes the head, and all before it the body, which gives pooled features as a map of one position;
there is no Feature Enhancement Module between them.
Where the layer sits is seen by running the network, not read off a name.
"""

import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from core.common.errors import EspalierError
from core.common.paths import resolved, shown_name
from core.models.catalogue import backbone
from core.models.class_order import match_classes
from core.models.classifier import ImageClassifier
from core.models.python_source import PythonSettings, call_factory
from core.models.settings import BackboneSettings, FemSettings
from core.models.source import build_network
from core.models.weight_files import read_weights
from core.models.weights import load_weights

_SEED = 41


class PythonBody(nn.Module):
    """A network whose last linear layer was taken out.

    Attributes:
        classifier: path of that layer.
    """

    def __init__(self, network: nn.Module, classifier: str):
        super().__init__()
        self.network = network
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """[b, 3, s, s] → [b, c, 1, 1]."""
        return self.network(images)[:, :, None, None]


def build_python(
    settings: PythonSettings,
    network: BackboneSettings,
    classes: Sequence[str],
    base: Path,
    seed: int,
    image_size: int,
) -> tuple[ImageClassifier, list[str]]:
    """The network that `open_python` opened, initialised from `seed`, with its weights, and notes.

    Raises:
        EspalierError: when it is no image classifier that ends in one linear layer, or the weights do not fit.
    """
    model, _ = build_network(network, len(classes), base, seed, image_size)
    if not settings.weights_file:
        return model, []
    assert isinstance(model.body, PythonBody)
    names = ((f"{model.body.classifier}.", "head."), ("", "body.network."))
    path = resolved(settings.weights_file, base)
    chosen = replace(backbone(network.backbone), names=names)
    origin = f"The weights in {shown_name(path)}"
    file = read_weights(path, settings.averaged)
    notes = [*file.notes, *load_weights(model, file.tensors, chosen, origin, settings.fresh_head)]
    if not settings.fresh_head:
        notes += match_classes(model, file.classes, classes, image_size, shown_name(path))
    return model, notes


def python_network(settings: BackboneSettings, classes: int, image_size: int, name: str) -> ImageClassifier:
    """The network of an opened file.

    Raises:
        EspalierError: when it is no image classifier that ends in one linear layer.
    """
    title = backbone(name).title
    network = call_factory(name, classes)
    if not isinstance(network, nn.Module):
        raise EspalierError(
            f"{title} gave {type(network).__name__}, expected a network (torch.nn.Module).",
            "Return the network from the function.",
        )
    images = torch.randn(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(_SEED))
    logits, path = _try(network, images, title)
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        received = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise EspalierError(
            f"{title} gave {received} for two images, expected logits of shape (2, {classes}).",
            "Return the logits alone, one for every class.",
        )
    if not path:
        raise EspalierError(
            f"{title} does not end in one linear layer that gives the logits, which is what it has to do.",
            "Let its forward method end with torch.nn.Linear on features [b, c], with nothing behind it.",
        )
    classifier = network.get_submodule(path)
    assert isinstance(classifier, nn.Linear)
    network.set_submodule(path, nn.Identity())
    model = ImageClassifier(PythonBody(network, path), classifier.in_features, classifier, FemSettings())
    again, _ = _try(model, images, title)
    if not torch.equal(again, logits):
        raise EspalierError(
            f"{title} gives other logits when its last layer {path} is run by itself.",
            "Use that layer once, at the end of the forward method, and draw nothing at random in evaluation.",
        )
    return model.train()


@torch.no_grad()
def _try(network: nn.Module, images: Tensor, title: str) -> tuple[Tensor, str]:
    """What the network gives, and the path of the linear layer that gave it ("" where none did)."""
    calls: list[tuple[str, Tensor, Tensor]] = []
    hooks = [
        module.register_forward_hook(
            lambda module, inputs, output, path=path: calls.append((path, inputs[0], output))
        )
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear) and path
    ]
    try:
        logits = network.eval()(images)
    except Exception as error:
        raise EspalierError(
            f"{title} stopped on two images of {images.shape[-1]} px: {type(error).__name__}: {error}.",
            "Correct the file, or choose another image size.",
            traceback.format_exc(),
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    last = [path for path, features, output in calls if output is logits and features.ndim == 2]
    once = [path for path in last if [called for called, *_ in calls].count(path) == 1]
    return logits, once[0] if once else ""
