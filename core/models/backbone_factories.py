"""How this project's and torchvision's backbones become an `ImageClassifier` (imports torch; see `catalogue`).

Every factory takes the settings, the number of classes and the side of the images, which these
networks do not depend on.
"""

from collections import OrderedDict

from torch import nn

from core.models.cifar_resnet import cifar_resnet_body
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings
from core.models.torchvision_shim import import_torchvision


def cifar_resnet(settings: BackboneSettings, classes: int, image_size: int, depth: int) -> ImageClassifier:
    """ResNet-`depth` for small images with 64 pooled features."""
    return ImageClassifier(cifar_resnet_body(depth), 64, nn.Linear(64, classes), settings.fem)


def torchvision_resnet(
    settings: BackboneSettings, classes: int, image_size: int, name: str
) -> ImageClassifier:
    """torchvision's ResNet `name` with its own layer names under `body`."""
    network = import_torchvision().models.get_model(name, weights=None)
    names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    body = nn.Sequential(OrderedDict((name, getattr(network, name)) for name in names))
    channels = network.fc.in_features
    return ImageClassifier(body, channels, nn.Linear(channels, classes), settings.fem)


def torchvision_mobilenet(
    settings: BackboneSettings, classes: int, image_size: int, name: str
) -> ImageClassifier:
    """torchvision's MobileNet `name`; the head is one linear layer or the network's own.

    MobileNetV2's own is one linear layer behind a dropout of 0.2, which we leave out.
    """
    network = import_torchvision().models.get_model(name, weights=None, num_classes=classes)
    [channels, *more] = [layer.in_features for layer in network.classifier if isinstance(layer, nn.Linear)]
    original = settings.head == "original" and more
    head = network.classifier if original else nn.Linear(channels, classes)
    return ImageClassifier(network.features, channels, head, settings.fem)


def torchvision_convnext(
    settings: BackboneSettings, classes: int, image_size: int, name: str
) -> ImageClassifier:
    """torchvision's ConvNeXt `name`; the layer norm behind its pooling is the head's first layer.

    torchvision normalises pooled maps [b, c, 1, 1] over c, we pooled features [b, c]: the same numbers.
    """
    network = import_torchvision().models.get_model(name, weights=None, num_classes=classes)
    norm, _, linear = network.classifier
    return ImageClassifier(
        network.features, linear.in_features, normalised_head(norm.eps, linear), settings.fem
    )


def normalised_head(eps: float, linear: nn.Linear) -> nn.Sequential:
    """Layer norm, then `linear`: pooled features [b, c] → logits [b, classes]."""
    return nn.Sequential(OrderedDict(norm=nn.LayerNorm(linear.in_features, eps=eps), linear=linear))
