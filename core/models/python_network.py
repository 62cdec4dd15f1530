"""A person's own network as an `ImageClassifier` (imports torch; see `trusted_python`).

What it gives and where it ends is seen by running it (`core.models.adapt_network`); there is no Feature
Enhancement Module.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from core.common.errors import EspalierError
from core.common.paths import resolved, shown_name
from core.models.adapt_network import Agreed, NetworkBody, take_apart
from core.models.catalogue import backbone
from core.models.class_order import match_classes
from core.models.classifier import ImageClassifier
from core.models.plain_network import copied, plain_network
from core.models.settings import BackboneSettings
from core.models.source import build_network, with_names
from core.models.trusted_python import PythonSettings, call_factory, cuts_softmax
from core.models.weight_files import read_weights
from core.models.weights import load_weights


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
        EspalierError: when it is no image classifier, or the weights do not fit.
    """
    model, notes = build_network(network, len(classes), base, seed, image_size)
    if not settings.weights_file:
        return model, notes
    assert isinstance(model.body, NetworkBody)
    path = resolved(settings.weights_file, base)
    file = read_weights(path, settings.averaged)
    state = _plain_state(file.tensors, network.backbone, len(classes), model.body)
    chosen = with_names(backbone(network.backbone), model.body)
    origin = f"The weights in {shown_name(path)}"
    notes += [*file.notes, *load_weights(model, state, chosen, origin, settings.fresh_head)]
    if not settings.fresh_head:
        notes += match_classes(model, file.classes, classes, image_size, shown_name(path))
    return model, notes


def _plain_state(state: dict[str, Tensor], name: str, classes: int, body: NetworkBody) -> dict[str, Tensor]:
    """A file's tensors as they are called in the network that was taken apart.

    Parametrised weights become plain ones, names in wrapped modules those of the modules; what only served auxiliary outputs is left out.
    """
    given: nn.Module = call_factory(name, classes)
    if set(given.state_dict()) == set(state):
        shapes = {key: tensor.shape for key, tensor in given.state_dict().items()}
        fitting = {key: tensor for key, tensor in state.items() if tensor.shape == shapes[key]}
        given = copied(given, backbone(name).title)
        given.load_state_dict(fitting, strict=False)
        others = {
            key: tensor for key, tensor in state.items() if key not in fitting
        }  # named where they are loaded
        given, _ = plain_network(given, backbone(name).title)
        if set(given.state_dict()) != set(state):
            state = {**given.state_dict(), **others}
    dropped = tuple(f"{path}." for path in body.dropped)
    return {key: tensor for key, tensor in state.items() if not dropped or not key.startswith(dropped)}


def python_network(settings: BackboneSettings, classes: int, image_size: int, name: str) -> ImageClassifier:
    """The network of an opened file.

    Raises:
        EspalierError: when it is no image classifier.
    """
    title = backbone(name).title
    network = call_factory(name, classes)
    if not isinstance(network, nn.Module):
        raise EspalierError(
            f"{title} gave {type(network).__name__}, expected a network (torch.nn.Module).",
            "Return the network from the function.",
        )
    agreed = Agreed(
        cuts_softmax(name),
        "Switch on 'Cut the softmax' in the network's settings, or return the logits without it.",
    )
    return take_apart(network, title, classes, image_size, agreed)
