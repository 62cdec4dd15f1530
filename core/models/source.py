"""From the declaration of a backbone to a network with its weights."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.common.command_lines import command_line
from core.common.errors import EspalierError
from core.common.paths import resolved, shown_name
from core.data.class_names import matched
from core.machine.torch_rng import isolated_rng
from core.models.backbone import Backbone
from core.models.catalogue import backbone
from core.models.class_order import match_classes
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings
from core.models.timm_networks import IMAGENET_CLASSES, imagenet_synsets
from core.models.weight_files import read_weights
from core.models.weights import has_classifier, imagenet_file, load_weights

if TYPE_CHECKING:
    from torch import nn


def weights_file(settings: BackboneSettings, base: Path) -> Path | None:
    """The file that the network's weights come from, or None for random weights.

    Raises:
        EspalierError: when no file is given, or ImageNet weights are asked for and are not on this machine.
    """
    if settings.weights == "file":
        if not settings.weights_file:
            raise EspalierError("No weights file is given.", "Pick one, or choose other weights.")
        return resolved(settings.weights_file, base)
    if settings.weights == "imagenet":
        path = imagenet_file(backbone(settings.backbone))
        if not path.is_file():
            raise EspalierError(
                f"The ImageNet weights of {backbone(settings.backbone).title} are not on this machine.",
                f"Download them (in the window: Settings, Downloads), or choose 'file' and pick a copy, or put {path.name} "
                f"into {path.parent}.",
                command=command_line("weights", settings.backbone),
            )
        return path
    return None


def blocks_of(settings: BackboneSettings, image_size: int) -> tuple[str, ...]:
    """Class names of the residual blocks that the network really has, of those that its backbone may have."""
    chosen = backbone(settings.backbone)
    with isolated_rng():
        modules = chosen.build(settings, 2, image_size).modules()
    return tuple({type(module).__name__ for module in modules} & set(chosen.blocks))


def build_network(
    settings: BackboneSettings,
    classes: int,
    base: Path,
    seed: int,
    image_size: int | None = None,
    names: Sequence[str] = (),
) -> tuple[ImageClassifier, list[str]]:
    """The network, initialised from `seed`, with its weights loaded, and notes for the report.

    Args:
        image_size: side of its images in pixels; None takes the backbone's own.
        names: of the data set's classes, whose order the answers get where the weights file names its own.
    """
    chosen: Backbone = backbone(settings.backbone)
    with isolated_rng(seed):
        model = chosen.build(settings, classes, image_size)
    path = weights_file(settings, base)
    notes = list(getattr(model.body, "notes", ()))
    if path is None:
        return model, notes
    file = read_weights(path, settings.averaged and settings.weights == "file")
    chosen, classes_there = with_names(chosen, model.body), file.classes
    fresh_head = settings.fresh_head
    if settings.weights == "imagenet":
        classes_there = imagenet_synsets() if len(names) == IMAGENET_CLASSES else ()
        known = bool(classes_there) and matched(classes_there, names) is not None
        fresh_head = not (known and has_classifier(model, file.tensors, chosen))
    loaded = load_weights(model, file.tensors, chosen, f"The weights in {shown_name(path)}", fresh_head)
    if settings.weights == "imagenet" and not fresh_head:
        loaded.append("The data set has ImageNet's classes: the classifier is the published one.")
    if names and image_size and not fresh_head:
        loaded += match_classes(model, classes_there, names, image_size, shown_name(path))
    return model, [*notes, *file.notes, *loaded]


def with_names(chosen: Backbone, body: "nn.Module") -> Backbone:
    """The entry with the names of a network's tensors and of its classifier, where taking it apart decided on them."""
    from core.models.adapt_network import NetworkBody

    if not isinstance(body, NetworkBody):
        return chosen
    if body.whole:
        names: tuple[tuple[str, str], ...] = (("", "body.network."),)
        return replace(chosen, names=names, classifier=f"body.network.{body.classifier}.")
    return replace(chosen, names=((f"{body.classifier}.", "head."), ("", "body.network.")))
