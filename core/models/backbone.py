"""What is known of a backbone without building it: sizes, names of weights, and its factory."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.common.errors import EspalierError
from core.data.preprocess import IMAGENET, Normalisation
from core.models.settings import BackboneSettings

if TYPE_CHECKING:
    from core.models.classifier import ImageClassifier

OWN = "python:"  # before the hash of a person's own network


@dataclass(frozen=True, slots=True)
class Backbone:
    """One backbone.

    Attributes:
        factory: "module:function" under `core.models`, and its arguments.
        image_size: the side the network is made for, in pixels.
        smallest: the smallest side that its strides leave something of.
        multiple: sides are a multiple of this (patches of a vision transformer).
        normalisation: (mean, std) that its published weights want.
        names: published names' prefixes and ours; the first that fits is taken.
        classifier: our prefix of what starts fresh for another set of classes.
        imagenet: where there are ImageNet weights: torchvision's enum member, or timm's
            repository on Hugging Face (with a slash).
        package: file inside an installed Python package that holds the ImageNet weights.
        heads: the choices of `BackboneSettings.head` that it has.
        blocks: class names of its residual blocks.
    """

    id: str
    title: str
    help: str
    factory: str
    arguments: dict[str, Any]
    image_size: int
    smallest: int
    names: tuple[tuple[str, str], ...]
    classifier: str = "head."
    multiple: int = 1
    normalisation: Normalisation = IMAGENET
    imagenet: str = ""
    package: str = ""
    heads: tuple[str, ...] = ("linear",)
    blocks: tuple[str, ...] = field(default=())

    def build(
        self, settings: BackboneSettings, classes: int, image_size: int | None = None
    ) -> "ImageClassifier":
        """A freshly initialised network for `classes` classes.

        Args:
            image_size: side of its images in pixels, which position embeddings have to fit; None
                takes the backbone's own.
        """
        module, function = self.factory.split(":")
        make: Callable[..., ImageClassifier] = getattr(
            importlib.import_module(f"core.models.{module}"), function
        )
        from core.models.fem import widen_head

        model = make(settings, classes, image_size or self.image_size, **self.arguments)
        if settings.head == "wide":
            widen_head(model, settings.fem)
        if settings.norm_momentum is not None:
            for module in model.modules():
                if hasattr(module, "running_mean"):
                    module.momentum = settings.norm_momentum
        return model

    def check_size(self, size: int) -> None:
        """See that the network can take images of `size` px.

        Raises:
            EspalierError: when its strides would leave nothing of them, or its patches do not fit.
        """
        if size < self.smallest:
            raise EspalierError(
                f"{self.title} needs images of at least {self.smallest} px, the data gives {size}.",
                f"Set data.image_size to {self.smallest} or more.",
            )
        if size % self.multiple:
            raise EspalierError(
                f"{self.title} needs an image size that is a multiple of {self.multiple} px, the data gives {size}.",
                f"Set data.image_size to {size // self.multiple * self.multiple} or another multiple.",
            )
