"""How each family of backbones becomes an `ImageClassifier` (imports torch; see `catalogue`)."""

from collections import OrderedDict

from torch import nn

from core.models.cifar_resnet import cifar_resnet_body
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings
from core.models.torchvision_shim import import_torchvision


def cifar_resnet(settings: BackboneSettings, classes: int, depth: int) -> ImageClassifier:
    """ResNet-`depth` for small images with 64 pooled features."""
    return ImageClassifier(cifar_resnet_body(depth), 64, nn.Linear(64, classes), settings.fem)


def torchvision_resnet(settings: BackboneSettings, classes: int, name: str) -> ImageClassifier:
    """torchvision's ResNet `name` with its own layer names under `body`."""
    network = import_torchvision().models.get_model(name, weights=None)
    names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    body = nn.Sequential(OrderedDict((name, getattr(network, name)) for name in names))
    channels = network.fc.in_features
    return ImageClassifier(body, channels, nn.Linear(channels, classes), settings.fem)


def torchvision_mobilenet(settings: BackboneSettings, classes: int, name: str) -> ImageClassifier:
    """torchvision's MobileNetV3 `name`; the head is one linear layer or the network's own."""
    network = import_torchvision().models.get_model(name, weights=None, num_classes=classes)
    channels = network.classifier[0].in_features
    head = network.classifier if settings.head == "original" else nn.Linear(channels, classes)
    return ImageClassifier(network.features, channels, head, settings.fem)
