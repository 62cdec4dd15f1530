"""timm's networks as `ImageClassifier`s: EfficientNet-Lite, ConvNeXt, and any classifier by name.

Nearly every timm classifier is a feature extractor, pooling with or without a norm, and one linear layer.
For the two named families the parts are taken over one by one. For any other network, its
features up to the linear layer are the body: as a map where its pooling is the plain mean (our
pooling then does the same), else as what its linear layer reads, [b, c, 1, 1]. Both compute what
timm's network computes with the same weights. The few that end otherwise (two classifiers, a
convolution) stay whole (`core.models.adapt_network`).

timm imports torchvision, so the shim comes first.
"""

import difflib
import importlib
from collections import OrderedDict
from functools import lru_cache
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from core.common.errors import EspalierError
from core.models.adapt_network import take_apart
from core.models.backbone import Backbone
from core.models.backbone_factories import normalised_head
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings
from core.models.torchvision_shim import import_torchvision

Layout = Literal["map", "channels-last", "pooled"]

IMAGENET_CLASSES = 1000
_SMALLEST = 32  # px; timm does not say for most of its networks, and nearly all have stride 32
_BLOCKS = (
    "BasicBlock", "Bottleneck", "PreActBasic", "PreActBottleneck", "NormFreeBlock", "DarkBlock", "EdgeBlock",
    "InvertedResidual", "DepthwiseSeparableConv", "EdgeResidual", "UniversalInvertedResidual", "MobileAttention",
    "ConvNeXtBlock", "MetaNeXtBlock", "MetaFormerBlock", "RepVggBlock", "RepMixerBlock", "ConvMixer",
    "Block", "ResPostBlock", "LayerScaleBlock", "EvaBlock", "SwinTransformerBlock", "SwinTransformerV2Block",
    "MixerBlock", "SpatialGatingBlock", "ResBlock", "ParallelScalingBlock",
)  # fmt: skip


def import_timm() -> ModuleType:
    """timm, which finds a torchvision that can be imported."""
    import_torchvision()
    return importlib.import_module("timm")


def imagenet_synsets() -> tuple[str, ...]:
    """The names of ImageNet's thousand classes (n01440764, …), in the order of published networks' answers."""
    import_timm()
    names = importlib.import_module("timm.data").ImageNetInfo().label_names()
    return tuple(str(name) for name in names)


def timm_efficientnet(
    settings: BackboneSettings, classes: int, image_size: int, name: str
) -> ImageClassifier:
    """timm's EfficientNet `name`: stem, blocks and last convolution are the body."""
    network = import_timm().create_model(name, pretrained=False, num_classes=classes)
    names = ("conv_stem", "bn1", "blocks", "conv_head", "bn2")
    body = nn.Sequential(OrderedDict((name, getattr(network, name)) for name in names))
    return ImageClassifier(body, network.classifier.in_features, network.classifier, settings.fem)


def timm_convnext(settings: BackboneSettings, classes: int, image_size: int, name: str) -> ImageClassifier:
    """timm's ConvNeXt `name`; the layer norm behind its pooling is the head's first layer."""
    network = import_timm().create_model(name, pretrained=False, num_classes=classes)
    body = nn.Sequential(OrderedDict(stem=network.stem, stages=network.stages))
    linear = network.head.fc
    return ImageClassifier(
        body, linear.in_features, normalised_head(network.head.norm.eps, linear), settings.fem
    )


def timm_network(settings: BackboneSettings, classes: int, image_size: int, name: str) -> ImageClassifier:
    """Any classifier of timm.

    Raises:
        EspalierError: when it cannot be made for this image size, or has a Feature Enhancement Module and does
            not end in one linear layer.
    """
    network, features = _create(name, classes, image_size)
    classifier = network.get_classifier()
    if not isinstance(classifier, nn.Linear) or not hasattr(network, "forward_head"):
        if settings.fem.place != "none":
            raise EspalierError(
                f"timm's {name} ends in {_ending(classifier)}: there are no features for a Feature Enhancement Module.",
                "Choose a network that ends in one linear layer, or switch the Feature Enhancement off.",
            )
        return take_apart(network, f"timm's {name}", classes, image_size)
    body = TimmBody(network, _layout(network, features))
    network.set_submodule(_classifier_path(network, classifier), nn.Identity())
    return ImageClassifier(body, classifier.in_features, classifier, settings.fem)


class TimmBody(nn.Module):
    """A timm network up to its classifier.

    Args:
        layout: of what `forward_features` gives: "map" [b, c, h, w], "channels-last" [b, h, w, c], or
            "pooled" for everything that the network has to pool and normalise itself.
    """

    def __init__(self, network: nn.Module, layout: Layout):
        super().__init__()
        self.network = network
        self.layout = layout

    def forward(self, images: Tensor) -> Tensor:
        """[b, 3, s, s] → [b, c, h, w], or [b, c, 1, 1] where the network pools."""
        features = self.network.forward_features(images)
        if self.layout == "map":
            return features
        if self.layout == "channels-last":
            return features.permute(0, 3, 1, 2)
        return self.network.forward_head(features, pre_logits=True)[:, :, None, None]


@lru_cache
def describe(name: str) -> Backbone:
    """The entry of timm's classifier `name`, which may carry a tag of weights (`resnet50.a1_in1k`).

    Raises:
        EspalierError: when timm has no such model, with the nearest names.
    """
    timm = import_timm()
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=5, cutoff=0.5)
        raise EspalierError(
            f"timm has no model called {name!r}.",
            f"Did you mean {', '.join(near)}?" if near else "Its documentation lists those there are.",
        )
    try:
        config = timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as error:
        architecture = name.split(".")[0]
        tags = timm.list_models(f"{architecture}.*", pretrained=True)
        raise EspalierError(
            f"timm has no weights called {name!r}.",
            f"It has {', '.join(tags) or 'none'} for {architecture}.",
        ) from error
    classifier = (config.classifier,) if isinstance(config.classifier, str) else config.classifier
    return Backbone(
        id=f"timm:{name}",
        title=f"{name} (timm)",
        help="A classifier of the timm library. Starts from random weights"
        + (" or timm's ImageNet weights." if config.hf_hub_id else "; timm has no others."),
        factory="timm_networks:timm_network",
        arguments={"name": name.split(".")[0]},
        image_size=config.input_size[-1],
        smallest=config.min_input_size[-1] if config.min_input_size else _SMALLEST,
        names=(*((f"{layer}.", "head.") for layer in classifier), ("", "body.network.")),
        normalisation=(tuple(config.mean), tuple(config.std)),
        imagenet=config.hf_hub_id or "",
        blocks=_BLOCKS,
    )


def _create(name: str, classes: int, image_size: int) -> tuple[nn.Module, Tensor]:
    """The network for this image size, and its features of one image of noise."""
    timm = import_timm()
    made_for = timm.get_pretrained_cfg(name).input_size[-1]
    arguments: dict[str, Any] = {"pretrained": False, "num_classes": classes}
    if timm.get_pretrained_cfg(name).fixed_input_size:
        arguments["img_size"] = image_size
    noise = torch.randn(1, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    try:
        network = timm.create_model(name, **arguments)
        with torch.no_grad():
            features = network.eval().forward_features(noise)
    except Exception as error:  # whatever a network says to an image size that does not fit
        raise EspalierError(
            f"timm's {name} cannot be made for images of {image_size} px.",
            f"Choose another image size; it was made for {made_for} px.",
            repr(error),
        ) from error
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", 1)
    side = patch if isinstance(patch, int) else patch[0]
    if image_size % side:  # timm would leave a border of the images out
        raise EspalierError(
            f"timm's {name} needs an image size that is a multiple of {side} px, received {image_size}.",
            f"Choose {image_size // side * side or side} or another multiple; it was made for {made_for} px.",
        )
    return network.train(), features


@torch.no_grad()
def _layout(network: nn.Module, features: Tensor) -> Layout:
    """What the features are, seen from what the network's own pooling makes of them."""
    network.eval()
    pooled = network.forward_head(features, pre_logits=True)
    network.train()
    if isinstance(features, Tensor) and features.ndim == 4:  # CoaT and CrossViT give a list
        layouts: tuple[tuple[Layout, tuple[int, int]], ...] = (("map", (2, 3)), ("channels-last", (1, 2)))
        for layout, positions in layouts:
            mean = features.mean(positions)
            if mean.shape == pooled.shape and torch.allclose(mean, pooled, rtol=1e-4, atol=1e-6):
                return layout
    return "pooled"


def _classifier_path(network: nn.Module, classifier: nn.Module) -> str:
    return next(path for path, module in network.named_modules() if module is classifier)


def _ending(classifier: object) -> str:
    if isinstance(classifier, (tuple, list)):
        return f"{len(classifier)} classifiers"
    return f"a layer of type {type(classifier).__name__}"
