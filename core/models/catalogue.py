"""The backbones by name, readable without importing torch. Adding one is one entry here."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.errors import EspalierError
from core.models.settings import BackboneSettings

if TYPE_CHECKING:
    from core.models.classifier import ImageClassifier

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, slots=True)
class Backbone:
    """One backbone.

    Attributes:
        factory: function in `core.models.backbones` and its arguments.
        image_size: the side the network is made for, in pixels.
        smallest: the smallest side that its strides leave something of.
        normalisation: (mean, std) that its published weights want.
        head_names: prefix of the classifier in published weights; all else is the body.
        body_names: prefix of the body in published weights.
        imagenet: torchvision's weights enum member, where there are ImageNet weights.
        heads: the choices of `BackboneSettings.head` that it has.
    """

    id: str
    title: str
    help: str
    factory: str
    arguments: dict[str, Any]
    image_size: int
    smallest: int
    head_names: str
    body_names: str = ""
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET
    imagenet: str = ""
    heads: tuple[str, ...] = ("linear",)
    blocks: tuple[str, ...] = field(default=())

    def build(self, settings: BackboneSettings, classes: int) -> "ImageClassifier":
        """A freshly initialised network for `classes` classes."""
        module = importlib.import_module("core.models.backbones")
        make: Callable[..., ImageClassifier] = getattr(module, self.factory)
        return make(settings, classes, **self.arguments)


def _cifar(depth: int) -> Backbone:
    return Backbone(
        id=f"resnet{depth}", title=f"ResNet-{depth} (CIFAR)",
        help=f"{depth} layers for small images (28–64 px), 64 features; parameter-free shortcuts.",
        factory="cifar_resnet", arguments={"depth": depth}, image_size=32, smallest=8,
        head_names="linear.", blocks=("BasicBlock",),
    )  # fmt: skip


_ALL = (
    _cifar(20), _cifar(32), _cifar(44), _cifar(56), _cifar(110),
    Backbone(
        id="resnet50", title="ResNet-50", help="The standard 50-layer residual network, 2048 features.",
        factory="torchvision_resnet", arguments={"name": "resnet50"}, image_size=224, smallest=32,
        head_names="fc.", imagenet="ResNet50_Weights.IMAGENET1K_V2", blocks=("Bottleneck",),
    ),
    Backbone(
        id="mobilenet-v3-large", title="MobileNetV3-Large",
        help="Inverted residuals with squeeze-and-excitation, 960 features; for phones.",
        factory="torchvision_mobilenet", arguments={"name": "mobilenet_v3_large"}, image_size=224, smallest=32,
        head_names="classifier.", body_names="features.", imagenet="MobileNet_V3_Large_Weights.IMAGENET1K_V2",
        heads=("linear", "original"), blocks=("InvertedResidual",),
    ),
)  # fmt: skip

BACKBONES: dict[str, Backbone] = {backbone.id: backbone for backbone in _ALL}
if len(BACKBONES) != len(_ALL):
    raise RuntimeError("two backbones share an id")


def backbone(name: str) -> Backbone:
    """The backbone called `name`.

    Raises:
        EspalierError: when there is none; the message lists those there are.
    """
    if name not in BACKBONES:
        raise EspalierError(
            f"Expected the name of a backbone, received {name!r}.",
            f"Choose one of: {', '.join(BACKBONES)}.",
        )
    return BACKBONES[name]
