"""Zero-invariant groups: their removal changes no output, and what has none says why."""

import pytest
import torch
from torch import Tensor, nn

from core.models.catalogue import BACKBONES
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings, FemSettings
from core.models.torchvision_shim import import_torchvision
from core.surgery.channel_group import ChannelGroup
from core.surgery.groups import channel_groups
from core.surgery.meta_copy import count
from core.surgery.zero_groups import layer_groups, remove_zero_channels, zero_channels, zero_invariant

models = import_torchvision().models
SIZE = 32


def backbone(name: str) -> ImageClassifier:
    settings = BackboneSettings(backbone=name, fem={"place": "pooled"})
    return BACKBONES[name].build(settings, 10)


def classifier(body: nn.Module, channels: int) -> ImageClassifier:
    return ImageClassifier(body, channels, nn.Linear(channels, 10), FemSettings(place="none"))


def torchvision_convnext() -> ImageClassifier:
    form = models.convnext
    stages = [form.CNBlockConfig(8, 16, 2), form.CNBlockConfig(16, None, 2)]
    return classifier(form.ConvNeXt(stages, layer_scale=0.5).features, 16)


def timm_convnext() -> ImageClassifier:
    import timm

    body = timm.create_model(
        "convnext_atto", depths=(1, 1, 2, 1), dims=(8, 16, 24, 32), num_classes=0, ls_init_value=0.5
    )
    return classifier(_Features(body), 32)


class _Features(nn.Module):
    """timm's feature map, without pooling and head."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network.forward_features(images)


NETWORKS = {
    "resnet20": (lambda: backbone("resnet20"), ("BasicBlock",)),
    "resnet18": (lambda: backbone("resnet18"), ("BasicBlock",)),
    "mobilenet-v2": (lambda: backbone("mobilenet-v2"), ("InvertedResidual",)),
    "mobilenet-v3-large": (lambda: backbone("mobilenet-v3-large"), ("InvertedResidual",)),
    "convnext of torchvision": (torchvision_convnext, ("CNBlock",)),
    "convnext of timm": (timm_convnext, ("ConvNeXtBlock",)),
}


def network(name: str) -> tuple[ImageClassifier, list[ChannelGroup], dict[str, str]]:
    """Seeded, with norms and biases that are not at their start; its zero-invariant groups, and the others."""
    torch.manual_seed(3)
    make, blocks = NETWORKS[name]
    model = make().eval()
    for path, parameter in model.named_parameters():
        if path.endswith("bias"):
            parameter.data.normal_(0, 0.2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.running_mean.normal_(0, 0.2)
    found, skipped = channel_groups(model, SIZE, blocks)
    groups, others = zero_invariant(model, SIZE, found)
    return model, groups, dict(skipped + others)


def images() -> Tensor:
    return torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5))


def some(group: ChannelGroup, seed: int) -> Tensor:
    """About a third of the group's channels, but not all."""
    order = torch.randperm(group.units, generator=torch.Generator().manual_seed(seed))
    return order[: max(1, group.units // 3)]


@pytest.mark.parametrize("name", NETWORKS)
def test_zero_channels_are_removed_and_no_output_changes(name):
    model, groups, _ = network(name)
    chosen = [some(group, seed) for seed, group in enumerate(groups)]
    for group, channels in zip(groups, chosen, strict=True):
        layer_groups(model, group).zero(channels)
    before, full = count(model, SIZE), model(images()).detach()
    assert float(full.std()) > 0.01  # zeros did not silence the network
    removed = remove_zero_channels(model, groups)
    assert removed == [sorted(channels.tolist()) for channels in chosen]
    torch.testing.assert_close(model(images()), full, rtol=1e-4, atol=1e-5)
    after = count(model, SIZE)
    assert after.params < 0.9 * before.params and after.macs < 0.9 * before.macs
    for group, channels in zip(groups, removed, strict=True):
        leader = model.get_submodule(group.path)
        width = leader.out_channels if isinstance(leader, nn.Conv2d) else leader.out_features
        assert width == group.units - len(channels)


@pytest.mark.parametrize(
    ("name", "widths"),
    [("resnet20", 16), ("resnet18", 16), ("convnext of torchvision", 4), ("convnext of timm", 5)],
)
def test_the_widths_with_zero_invariant_groups(name, widths):
    """ResNets: the stream of each stage, what is inside every block, and three hidden layers of the FEM
    with its features. ConvNeXt: the hidden width of every block."""
    _, groups, others = network(name)
    assert len(groups) == widths, [group.path for group in groups]
    assert len({group.path for group in groups} & others.keys()) == 0


@pytest.mark.parametrize("name", ["convnext of torchvision", "convnext of timm"])
def test_convnexts_stream_is_left_alone_and_says_why(name):
    _, _, others = network(name)
    assert others
    for reason in others.values():
        assert reason.startswith("its channels pass ") and "Norm" in reason
        assert reason.endswith(
            "which takes its mean over them: removing a zero channel would change the others"
        )


class Lifting(nn.Module):
    """Three convolutions: behind the first a sigmoid, which lifts zero to a half; behind the second a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(a, 8, 3, padding=1) for a in (3, 8, 8))

    def forward(self, images: Tensor) -> Tensor:
        return self.third(self.second(self.first(images).sigmoid()).relu())


def test_a_channel_that_is_lifted_from_zero_is_found_out():
    model = classifier(Lifting(), 8).eval()
    found, _ = channel_groups(model, 8, ())
    groups, others = zero_invariant(model, 8, found)
    assert [group.path for group in groups] == ["body.second", "body.third"]
    assert others == [("body.first", "a channel at zero is not zero where body.second reads it")]


def test_looking_changes_nothing():
    model, groups, _ = network("resnet20")
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    zero_invariant(model, SIZE, groups)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_group_is_all_that_writes_scales_and_shifts_a_channel():
    model, groups, _ = network("resnet20")
    group = next(group for group in groups if group.path == "body.layer2.1.conv1")
    block = model.body.layer2[1]
    expected = torch.cat(
        [block.conv1.weight.flatten(1), block.bn1.weight[:, None], block.bn1.bias[:, None]], 1
    )
    layer = layer_groups(model, group)
    rows = layer.gather(layer.channels)
    assert torch.equal(rows.sort(1).values, expected.detach().sort(1).values)
    layer.scatter(layer.channels, rows * 2)
    assert torch.equal(block.conv1.weight.flatten(1), expected[:, :-2] * 2)
    assert zero_channels(model, group) == []
    block.conv1.weight.data[5], block.bn1.weight.data[5] = 0, 0
    assert zero_channels(model, group) == []  # its bias still writes
    block.bn1.bias.data[5] = 0
    assert zero_channels(model, group) == [5]


def test_of_a_group_that_is_zero_altogether_one_channel_stays():
    model, groups, _ = network("resnet20")
    group = next(group for group in groups if group.path == "body.layer1.0.conv1")
    layer_groups(model, group).zero(torch.arange(16))
    full = model(images()).detach()
    removed = remove_zero_channels(model, [group])
    assert len(removed[0]) == 15 and model.body.layer1[0].conv1.out_channels == 1
    torch.testing.assert_close(model(images()), full, rtol=1e-4, atol=1e-5)
