"""What can be done with images or a model of one's own: chains of stages to begin with, sized for what was found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.data.place_contents import SIZES, FoundImages
from core.data.settings import DataSettings
from core.document.from_model import from_file
from core.document.pipeline import Pipeline
from core.models.catalogue import BACKBONES
from core.stages.as_given import AsGiven
from core.stages.distil import Distil
from core.stages.half_precision import HalfPrecision
from core.stages.prune_channels import PruneChannels
from core.stages.quantize_dynamic import QuantizeDynamic
from core.stages.quantize_mixed import QuantizeMixed
from core.stages.quantize_static import QuantizeStatic
from core.stages.train import Train

_SMALL = 64  # pixels, up to which a network for small images is proposed, and training from random weights is quick
_FEW_IMAGES = 5000  # of training, below which epochs are so short that more of them are needed
_FOR_LARGE = ("mobilenet-v3-large", "resnet18", "mobilenet-v2", "efficientnet-lite0", "resnet50")


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a template.

    Attributes:
        settings: of the stage, besides its training.
        share: part of the first training's epochs that it trains for; None where it does not train.
    """

    id: str
    kind: str
    name: str
    settings: Mapping[str, Any]
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A chain of stages."""

    id: str
    title: str
    help: str
    steps: tuple[Step, ...]


_TRAINED = Step("trained", Train.id, "Trained", {}, 1.0)
_PRUNED = Step("pruned", PruneChannels.id, "Pruned by half", {"ratio": 0.5}, 1 / 3)
_TAUGHT = Step("taught", Distil.id, "Taught by the first", {"teacher": "trained"}, 1 / 2)
_INT8 = Step("int8", QuantizeStatic.id, "INT8", {})
_GIVEN = Step("given", AsGiven.id, "As given", {})

FOR_IMAGES: tuple[Template, ...] = (
    Template(
        "prune-int8", "Train, prune, INT8",
        "Trains the network, takes half of its inner channels away and trains it again, then makes the file INT8.",
        (_TRAINED, _PRUNED, _INT8),
    ),
    Template(
        "int8", "Train, INT8",
        "Trains the network, then makes the file INT8: smaller and faster with the same layers.",
        (_TRAINED, _INT8),
    ),
    Template(
        "prune-distil-int8", "Train, prune, distil, INT8",
        "As the first, and the pruned network learns from the whole one before it becomes INT8. Takes longest.",
        (_TRAINED, _PRUNED, _TAUGHT, _INT8),
    ),
    Template("train", "Train only", "Trains the network, exports and measures it.", (_TRAINED,)),
)  # fmt: skip
FOR_MODELS: tuple[Template, ...] = (
    Template(
        "int8", "Measure, INT8",
        "Measures the file as it is, then makes it INT8 with ranges found on some of the images.",
        (_GIVEN, _INT8),
    ),
    Template(
        "mixed", "Measure, INT8 where it costs little",
        "Measures the file as it is, tries every layer in INT8, and leaves those in float that lose most.",
        (_GIVEN, Step("mixed", QuantizeMixed.id, "Mixed by sensitivity", {})),
    ),
    Template(
        "weights-int8", "Measure, INT8 weights",
        "Measures the file as it is, then stores its weights in 8 bits; activations stay float.",
        (_GIVEN, Step("dynamic", QuantizeDynamic.id, "INT8 weights", {})),
    ),
    Template(
        "half", "Measure, half precision",
        "Measures the file as it is, then stores it in 16 bits: half the size, for GPUs and other accelerators.",
        (_GIVEN, Step("half", HalfPrecision.id, "Half precision", {})),
    ),
    Template("measure", "Measure only", "Measures the file as it is.", (_GIVEN,)),
)  # fmt: skip


def sizes_for(found: FoundImages) -> list[int]:
    """Sides in pixels that can be chosen, none larger than the images."""
    largest = max(found.sides[1], SIZES[0])
    own = {found.own_size} if found.own_size else set()
    return sorted({size for size in SIZES if size <= largest} | own)


def proposed_network(found: FoundImages, pretrained: frozenset[str]) -> str:
    """A backbone that fits these images.

    Args:
        pretrained: backbones whose ImageNet weights are on this machine.
    """
    if found.sides[0] > _SMALL:
        here = [id for id in _FOR_LARGE if id in pretrained]
        if here:
            return here[0]
    return "resnet20"


def proposed_size(found: FoundImages, backbone: str, pretrained: frozenset[str]) -> int:
    """A side in pixels: small where training starts from random weights, which takes long on large images."""
    most = SIZES[-1] if backbone in pretrained else _SMALL
    fitting = [size for size in sizes_for(found) if size <= most]
    fitting = [size for size in fitting if size >= BACKBONES[backbone].smallest] or sizes_for(found)[-1:]
    return found.own_size if found.own_size in fitting else fitting[-1]


def images_pipeline(
    found: FoundImages, template: Template, backbone: str, image_size: int, pretrained: bool
) -> Pipeline:
    """The template over these images and this network.

    Args:
        pretrained: start from the backbone's ImageNet weights instead of random ones.
    """
    data: dict[str, Any] = dict(found.data)
    if image_size != found.own_size:
        data["image_size"] = image_size
    settings: dict[str, Any] = {"backbone": backbone}
    if pretrained:
        settings["weights"] = "imagenet"
    training = _training(found.training, pretrained)
    return from_file(
        found.path,
        {"id": "network", "settings": settings},
        [_stage(step, training) for step in template.steps],
        DataSettings.parse(data),
    )


def model_stages(template: Template) -> list[dict[str, Any]]:
    """The stages of a template that trains nothing, as plain content."""
    return [_stage(step, {}) for step in template.steps]


def _stage(step: Step, training: Mapping[str, Any]) -> dict[str, Any]:
    settings = dict(step.settings)
    if step.share is not None:
        rate = training["learning_rate"] * (1 if step.share == 1 else 0.5)
        epochs = max(1, round(training["epochs"] * step.share))
        settings["training"] = {**training, "epochs": epochs, "learning_rate": rate}
    return {
        "id": step.id, "kind": step.kind, "name": step.name, **({"settings": settings} if settings else {}),
    }  # fmt: skip


def _training(images: int, pretrained: bool) -> dict[str, Any]:
    """Epochs, batches and steps for so many training images."""
    few = images < _FEW_IMAGES
    epochs = (15 if few else 10) if pretrained else (60 if few else 30)
    return {
        "epochs": epochs,
        "batch_size": 32 if few else 128,
        "learning_rate": 0.0005 if pretrained else 0.005,
    }
