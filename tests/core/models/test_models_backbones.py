"""Every backbone computes what its library's network computes with the same weights."""

import subprocess
import sys

import pytest
import torch

from core.common.errors import EspalierError
from core.models.backbone import Backbone
from core.models.catalogue import BACKBONES, backbone, is_backbone
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings
from core.models.timm_networks import import_timm
from core.models.torchvision_shim import import_torchvision
from core.models.weights import load_weights

HEAVY = (
    "large",
    "base",
    "small",
    "resnet34",
    "lite1",
    "lite2",
    "lite3",
    "lite4",
)  # of a family with a lighter one

# Ours, the library's, the image side in px.
TORCHVISION = [
    ("resnet18", "resnet18", 32), ("resnet34", "resnet34", 32), ("resnet50", "resnet50", 32),
    ("mobilenet-v2", "mobilenet_v2", 32), ("mobilenet-v3-small", "mobilenet_v3_small", 32),
    ("mobilenet-v3-large", "mobilenet_v3_large", 32), ("convnext-tiny", "convnext_tiny", 32),
]  # fmt: skip
TIMM = [
    ("efficientnet-lite0", "tf_efficientnet_lite0", 32), ("efficientnet-lite2", "tf_efficientnet_lite2", 40),
    ("timm-convnext-atto", "convnext_atto", 32), ("timm-convnext-tiny", "convnext_tiny", 32),
    ("vit-tiny", "vit_tiny_patch16_224", 48),
    ("timm:resnet10t", "resnet10t", 32),  # a map, pooled plainly
    ("timm:mobilenetv3_small_050", "mobilenetv3_small_050", 32),  # a convolution behind its pooling
    ("timm:convnext_atto.d2_in1k", "convnext_atto", 32),  # a norm behind its pooling
    ("timm:vit_tiny_patch16_224", "vit_tiny_patch16_224", 32),  # tokens
    ("timm:swin_tiny_patch4_window7_224", "swin_tiny_patch4_window7_224", 56),  # channels last
    ("timm:mixer_s32_224", "mixer_s32_224", 64),
]  # fmt: skip


def light(item: Backbone) -> object:
    heavy = item.id.endswith(HEAVY) and item.id not in ("mobilenet-v3-large", "mobilenet-v3-small")
    return pytest.param(item, marks=[pytest.mark.slow] if heavy else [], id=item.id)


def make(name: str, classes: int = 5, size: int | None = None, **settings: object) -> ImageClassifier:
    torch.manual_seed(2)
    return backbone(name).build(BackboneSettings(backbone=name, **settings), classes, size)


def fixed_size(name: str, size: int) -> dict[str, int]:
    """timm's argument for networks that are made for one image size."""
    return {"img_size": size} if import_timm().get_pretrained_cfg(name).fixed_input_size else {}


def assert_same(name: str, theirs: torch.nn.Module, images: torch.Tensor, **settings: object) -> None:
    """The library's state loads strictly into ours and gives its logits, bit for bit."""
    size = images.shape[-1]
    ours = make(name, size=size, **settings).eval()
    notes = load_weights(ours, theirs.state_dict(), backbone(name), "They", fresh_head=False)
    with torch.no_grad():
        expected = theirs(images)
        assert expected.abs().max() > 1e-3 and not torch.equal(expected[0], expected[1])
        assert torch.equal(ours(images), expected)
    assert notes == []


@pytest.mark.parametrize(("name", "theirs", "size"), TORCHVISION)
def test_torchvisions_logits(name, theirs, size, as_trained, noise):
    network = import_torchvision().models.get_model(theirs, weights=None, num_classes=5)
    head = "original" if "mobilenet-v3" in name else "linear"
    assert_same(name, as_trained(network), noise(size), head=head)


@pytest.mark.parametrize(("name", "theirs", "size"), TIMM)
def test_timms_logits(name, theirs, size, as_trained, noise):
    network = import_timm().create_model(theirs, num_classes=5, **fixed_size(theirs, size))
    if "mixer" in name:
        network.head.weight.data.normal_(0, 0.1)  # it starts at zero
    assert_same(name, as_trained(network), noise(size))


@pytest.mark.parametrize("item", [light(item) for item in BACKBONES.values()])
def test_the_smallest_image_leaves_something(item, noise):
    model = make(item.id, size=item.smallest).eval()
    with torch.no_grad():
        feature = model.body(noise(item.smallest))
        assert feature.ndim == 4 and min(feature.shape) >= 1
        assert model(noise(item.smallest)).shape == (2, 5)
    assert item.smallest % item.multiple == 0 and item.smallest <= item.image_size
    item.check_size(item.smallest)
    classes = {type(module).__name__ for module in model.modules()}
    assert set(item.blocks) <= classes, "its residual blocks have other names"


@pytest.mark.parametrize(
    "name", ["resnet18", "convnext-tiny", "timm-convnext-atto", "vit-tiny", "timm:resnet10t"]
)
@pytest.mark.parametrize("place", ["pooled", "map"])
def test_feature_enhancement_fits_every_family(name, place, noise):
    model = make(name, size=32, fem={"place": place}).eval()
    enhanced = model.fem if place == "pooled" else model.map_fem
    places = []
    enhanced.register_forward_hook(
        lambda module, inputs, output: places.append((inputs[0].shape, output.shape))
    )
    with torch.no_grad():
        assert model(noise(32)).shape == (2, 5)
    [(given, made)] = places
    assert given == made and len(given) == (2 if place == "pooled" else 4)


def test_the_norm_behind_the_pooling_is_the_heads(noise):
    for name in ("convnext-tiny", "timm-convnext-atto"):
        head = make(name).head
        assert [type(layer).__name__ for layer in head] == ["LayerNorm", "Linear"]
        assert head.norm.eps == 1e-6


@pytest.mark.parametrize("name", ["timm:resnet10t", "timm:swin_tiny_patch4_window7_224"])
def test_maps_of_any_timm_network_are_maps(name, noise):
    body = make(name, size=64).eval().body
    with torch.no_grad():
        feature = body(noise(64))
    assert feature.shape == (2, 512 if "resnet" in name else 768, 2, 2)


@pytest.mark.parametrize(
    ("item", "size", "message"),
    [
        ("convnext-tiny", 28, "ConvNeXt-Tiny needs images of at least 32 px, the data gives 28."),
        ("vit-tiny", 40, "ViT-Tiny/16 needs an image size that is a multiple of 16 px, the data gives 40."),
    ],
)
def test_sizes_that_do_not_fit_are_refused(item, size, message):
    with pytest.raises(EspalierError) as caught:
        backbone(item).check_size(size)
    assert caught.value.message == message
    assert caught.value.advice == "Set data.image_size to 32 or " + (
        "more." if size == 28 else "another multiple."
    )


@pytest.mark.parametrize(
    ("name", "size", "message", "advice"),
    [
        (
            "convnext_atto", 16, "timm's convnext_atto cannot be made for images of 16 px.",
            "Choose another image size; it was made for 224 px.",
        ),
        (
            "vit_tiny_patch16_224", 40,
            "timm's vit_tiny_patch16_224 needs an image size that is a multiple of 16 px, received 40.",
            "Choose 32 or another multiple; it was made for 224 px.",
        ),
    ],
)  # fmt: skip
def test_a_timm_network_that_cannot_take_the_size_says_so(name, size, message, advice):
    with pytest.raises(EspalierError) as caught:
        make(f"timm:{name}", size=size)
    assert (caught.value.message, caught.value.advice) == (message, advice)


def test_a_timm_network_that_ends_in_several_layers_stays_whole():
    model = make("timm:deit_tiny_distilled_patch16_224", size=32)
    assert model.body.whole and model.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
    with pytest.raises(EspalierError) as caught:
        make("timm:deit_tiny_distilled_patch16_224", size=32, fem={"place": "pooled"})
    assert caught.value.message == (
        "timm's deit_tiny_distilled_patch16_224 ends in 2 classifiers: there are no features for a Feature Enhancement Module."
    )


def test_a_timm_network_whose_features_are_a_list_pools_them_itself():
    model = make("timm:coat_tiny", size=64)
    assert model.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 5)


def test_names_that_there_are_not_bring_the_nearest():
    with pytest.raises(EspalierError) as caught:
        backbone("timm:resnt50")
    assert caught.value.message == "timm has no model called 'resnt50'."
    assert caught.value.advice.startswith("Did you mean resnet50")
    with pytest.raises(EspalierError) as caught:
        backbone("timm:resnet10t.mine")
    assert str(caught.value) == (
        "timm has no weights called 'resnet10t.mine'. It has resnet10t.c3_in1k for resnet10t."
    )
    with pytest.raises(
        EspalierError, match=r"^Expected the name of a backbone, received 'resnt50'\. Choose one of: "
    ):
        backbone("resnt50")


def test_what_timm_says_of_a_network_is_taken_over():
    described = backbone("timm:tf_efficientnet_lite4")
    assert (described.image_size, described.normalisation) == (380, ((0.5,) * 3, (0.5,) * 3))
    assert described.imagenet == "timm/tf_efficientnet_lite4.in1k"
    assert "InvertedResidual" in described.blocks
    assert described.title == "tf_efficientnet_lite4 (timm)"
    assert backbone("timm:mixer_s16_224").help.endswith("timm has no others.")


def test_names_are_checked_without_torch():
    code = (
        "import sys; from core.models.catalogue import is_backbone as b\n"
        "print(b('resnet20'), b('timm:resnet50'), b('timm:a.b_c'), b('timm:'), b('timm:a b'), b('resnet21'))\n"
        "print('torch' in sys.modules or 'timm' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["True", "True", "True", "False", "False", "False", "False"]
    assert is_backbone("vit-small")


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        ("large", {1: 52_769_057, 2: 52_770_082, 3: 52_771_107}),
        ("tiny", {1: 126_561, 2: 126_594, 3: 126_627}),
    ],
)
def test_the_plain_networks_are_as_large_as_the_papers(size, counts):
    paper = {"large": 52_768_432, "tiny": 126_569}[size]
    for classes, count in counts.items():
        parameters = sum(p.numel() for p in make(f"plain-cnn-{size}", classes).parameters())
        assert parameters == count and parameters == pytest.approx(paper, rel=5e-4)


def test_the_plain_networks_have_no_shortcuts():
    """Every layer feeds the next and nothing else: run one by one they give the same logits."""
    model = make("plain-cnn-tiny").eval()
    images = torch.randn(2, 3, 32, 32)
    feature = images
    for stage in model.body:
        for layer in [stage] if not isinstance(stage, torch.nn.Sequential) else stage:
            feature = layer(feature)
    feature = feature.mean((2, 3))
    for layer in model.head:
        feature = layer(feature)
    torch.testing.assert_close(model(images), feature)
    assert backbone("plain-cnn-tiny").blocks == ()
