"""Groups of channels: by hand on a small network, and exactly on every kind of backbone."""

import copy

import pytest
import torch
from torch import Tensor, nn

from core.common.errors import EspalierError
from core.models.catalogue import BACKBONES
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings, FemSettings
from core.surgery.channel_group import ChannelGroup
from core.surgery.groups import channel_groups, unfold_shortcuts
from core.surgery.meta_copy import count

STREAM = "shared by several blocks (residual stream), outside the scope 'block-internal'"


def network(name: str, **settings: object) -> ImageClassifier:
    """A backbone with 10 classes whose norms and layer scales are not at their start."""
    torch.manual_seed(5)
    return lively(BACKBONES[name].build(BackboneSettings(backbone=name, **settings), 10, 64))


def lively(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    for name, parameter in model.named_parameters():
        if name.endswith(("layer_scale", "gamma")):
            parameter.data.uniform_(0.5, 1)
    return model.eval()


def classifier(body: nn.Module, channels: int) -> ImageClassifier:
    torch.manual_seed(5)
    return lively(ImageClassifier(body, channels, nn.Linear(channels, 10), FemSettings()))


def small() -> ImageClassifier:
    """3 → 4 → 6 channels on 8×8 maps; always the same numbers."""
    torch.manual_seed(4)
    body = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 1), nn.ReLU()
    )
    return classifier(body, 6)


def images(size: int = 64) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(6))


def zero(model: nn.Module, group: ChannelGroup, units: list[int], roles: tuple[str, ...]) -> None:
    """Put these units' weights in these roles to zero."""
    for part in group.slices:
        if part.role in roles:
            picked = torch.isin(part.channels, torch.tensor(units))
            model.get_parameter(part.name).data.index_fill_(part.axis, part.positions[picked], 0)


def test_counts_by_hand():
    counts = count(small(), 8)
    assert counts.params == 3 * 4 * 9 + 2 * 4 + 4 * 6 + 6 + 6 * 10 + 10
    assert counts.macs == 64 * (3 * 4 * 9 + 4 * 6) + 6 * 10


def test_groups_by_hand():
    model = small()
    groups, skipped = channel_groups(model, 8, ())
    assert skipped == [] and [(group.path, group.channels) for group in groups] == [
        ("body.0", 4),
        ("body.3", 6),
    ]
    first, second = groups
    assert first.members == ("body.0", "body.1", "body.3")
    assert [(part.name, part.role, part.axis, part.uses) for part in first.slices] == [
        ("body.0.weight", "writes", 0, 64),
        ("body.1.weight", "scales", 0, 0),
        ("body.1.bias", "shifts", 0, 0),
        ("body.3.weight", "reads", 1, 64),
    ]
    for part in first.slices:
        assert part.positions.tolist() == part.channels.tolist() == [0, 1, 2, 3]
    assert (first.params, first.macs) == (27 + 1 + 1 + 6, 64 * (27 + 6))
    assert (second.params, second.macs) == (4 + 1 + 10, 64 * 4 + 10)


def test_pruning_takes_exactly_these_channels():
    old, new = small(), small()
    first, second = channel_groups(new, 8, ())[0]
    first.prune([1, 3])
    second.prune([0])
    assert torch.equal(new.body[0].weight, old.body[0].weight[[0, 2]])
    assert torch.equal(new.body[1].running_var, old.body[1].running_var[[0, 2]])
    assert torch.equal(new.body[3].weight, old.body[3].weight[1:, [0, 2]])
    assert torch.equal(new.body[3].bias, old.body[3].bias[1:])
    assert torch.equal(new.head.weight, old.head.weight[:, 1:])
    assert (new.body[0].out_channels, new.body[3].in_channels, new.head.in_features) == (2, 2, 5)


def test_frozen_weights_are_followed_and_nothing_else_changes():
    model = small().requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    assert len(channel_groups(model, 8, ())[0]) == 2
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


QUICK = (
    ("resnet20", {"fem": {"place": "pooled"}}),
    ("mobilenet-v2", {}),
    ("mobilenet-v3-small", {"head": "original", "fem": {"place": "map"}}),
    ("efficientnet-lite0", {}),
    ("plain-cnn-tiny", {}),
)
LARGE = (("resnet18", {}), ("resnet50", {}), ("mobilenet-v3-large", {}))
LAYER_NORM = ("timm-convnext-atto", "convnext-tiny", "timm-convnext-tiny", "vit-tiny")


@pytest.mark.parametrize(
    ("name", "settings", "scope"),
    [(*case, scope) for case in QUICK for scope in ("block-internal", "whole-groups")]
    + [
        pytest.param(*case, scope, marks=pytest.mark.slow)
        for case in LARGE
        for scope in ("block-internal", "whole-groups")
    ]
    + [
        pytest.param(name, {}, "block-internal", marks=[] if name.endswith("atto") else pytest.mark.slow)
        for name in LAYER_NORM
    ],
)
def test_a_pruned_network_is_the_original_with_these_channels_at_zero(name, settings, scope):
    model = network(name, **settings)
    groups, _ = channel_groups(model, 64, BACKBONES[name].blocks, scope)
    assert groups or (scope == "block-internal" and not BACKBONES[name].blocks)
    unread, unwritten = copy.deepcopy(model), copy.deepcopy(model)
    for group in groups:
        gone = list(range(1, group.units, 2))
        zero(unread, group, gone, ("reads",))
        zero(unwritten, group, gone, ("writes", "scales", "shifts"))
        group.prune(gone)
    logits = model(images())
    torch.testing.assert_close(logits, unread(images()), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logits, unwritten(images()), rtol=1e-4, atol=1e-5)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in LAYER_NORM])
def test_a_stream_with_layer_norms_loses_its_channels_everywhere(name):
    model = network(name)
    before = count(model, 64)
    groups, _ = channel_groups(model, 64, BACKBONES[name].blocks)
    for group in groups:
        group.prune(range(group.units // 2))
    model(images()).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert count(model, 64).params < 0.55 * before.params
    assert model.get_submodule(groups[0].path).out_channels == groups[0].channels // 2


def test_the_stream_is_named_after_the_first_layer_that_writes_it():
    model = network("resnet20", fem={"place": "pooled"})
    groups, skipped = channel_groups(model, 32, ("BasicBlock",), "block-internal", prune_fem=False)
    reasons = dict(skipped)
    assert reasons["body.conv1"] == STREAM and list(reasons.values()).count(STREAM) == 1
    assert sum("Feature Enhancement Module" in reason for reason in reasons.values()) == 4
    assert [group.path for group in groups] == [
        f"body.layer{layer}.{block}.conv1" for layer in (1, 2, 3) for block in range(3)
    ]
    whole, skipped = channel_groups(model, 32, ("BasicBlock",), "whole-groups", prune_fem=True)
    assert skipped == [] and whole[0].path == "body.conv1"
    assert {"body.layer1.2.conv2", "body.layer2.0.shortcut"} <= set(whole[0].members)


def test_one_width_of_each_block():
    """The widest inside of a block, of equals the last: a bottleneck's 3×3, not what its gates squeeze to."""
    model = network("mobilenet-v3-small", fem={"place": "pooled"})
    blocks = BACKBONES["mobilenet-v3-small"].blocks
    groups, skipped = channel_groups(model, 64, blocks, "one-per-block", prune_fem=True)
    paths = [group.path for group in groups]
    inside, _ = channel_groups(model, 64, blocks, "block-internal", prune_fem=True)
    assert set(paths) < {group.path for group in inside}
    assert len([path for path in paths if path.startswith("body")]) == 11
    assert [path for path in paths if "fc1" in path] == [
        "body.1.block.1.fc1"
    ]  # this block has no other width
    reason = "not its block's widest inner layers, outside the scope 'one-per-block'"
    assert [path for path, why in skipped if why == reason] == [
        group.path for group in inside if group.path not in paths
    ]
    bottlenecks, _ = channel_groups(network("resnet50"), 64, ("Bottleneck",), "one-per-block")
    assert [group.path.rpartition(".")[2] for group in bottlenecks] == ["conv2"] * 16


def test_shortcuts_as_convolutions_are_the_same_function():
    model = network("resnet20")
    before = model(images())
    unfold_shortcuts(model)
    assert isinstance(model.body.layer2[0].shortcut, nn.Conv2d)
    assert torch.equal(model(images()), before)


class Grouped(nn.Module):
    """8 → 16 channels in four groups of two and four."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 1)
        self.second = nn.Conv2d(8, 16, 3, padding=1, groups=4)
        self.last = nn.Conv2d(16, 5, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.last(self.second(self.first(features).relu()).relu())


def test_channels_of_grouped_convolutions_go_in_step():
    model = classifier(Grouped(), 5)
    first, second, last = channel_groups(model, 64, ())[0]
    assert [(group.bundle, group.units) for group in (first, second, last)] == [(4, 2), (4, 4), (1, 5)]
    unread = copy.deepcopy(model)
    for group, gone in ((first, [0]), (second, [1, 2])):
        zero(unread, group, gone, ("reads",))
        group.prune(gone)
    assert (model.body.second.in_channels, model.body.second.out_channels) == (4, 8)
    assert model.body.second.groups == 4 and model.body.second.weight.shape == (8, 1, 3, 3)
    torch.testing.assert_close(model(images()), unread(images()))


def test_group_norms_keep_their_groups():
    model = classifier(nn.Sequential(nn.Conv2d(3, 8, 1), nn.GroupNorm(2, 8), nn.ReLU()), 8)
    before = model.body[0].weight
    [group] = channel_groups(model, 64, ())[0]
    assert (group.bundle, group.units) == (2, 4)
    group.prune([3])
    assert torch.equal(model.body[0].weight, before[[0, 1, 2, 4, 5, 6]])
    assert (model.body[1].num_channels, model.body[1].num_groups) == (6, 2)
    assert model(images()).shape == (2, 10)


class Attention(nn.Module):
    """One head of self-attention over positions."""

    def __init__(self, channels: int):
        super().__init__()
        self.mix = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        tokens = features.flatten(2).transpose(1, 2)  # [b, c, h, w] -> [b, h·w, c]
        query, key, value = self.mix(tokens).reshape(len(features), -1, 3, features.shape[1]).unbind(2)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return features + self.out(mixed).transpose(1, 2).reshape(features.shape)


def test_attention_is_left_alone_and_named():
    model = classifier(nn.Sequential(nn.Conv2d(3, 8, 8, 8), Attention(8)), 8)
    _, skipped = channel_groups(model, 64, (), "whole-groups")
    assert (
        "body.1.mix", "inside the attention layer body.1, whose channels are split into heads"
    ) in skipped  # fmt: skip
    assert model(images()).shape == (2, 10)


def test_a_width_that_is_written_into_the_network_is_found_by_trying():
    body = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 12), nn.Unflatten(1, (12, 1, 1))
    )  # fmt: skip
    model = classifier(body, 12)
    groups, skipped = channel_groups(model, 64, ())
    assert [group.path for group in groups] == ["body.0"]
    reason = "the network does not run with fewer of these channels: body.5, a Unflatten, cannot take them"
    assert skipped == [("body.4", reason)]


def test_flattened_maps_take_all_their_positions_along():
    body = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(16), nn.Flatten())
    head = nn.Sequential(nn.Linear(6 * 16, 7), nn.ReLU(), nn.Linear(7, 10))
    model = classifier(nn.Sequential(body, head, nn.Unflatten(1, (10, 1, 1))), 10)
    [group] = [group for group in channel_groups(model, 64, ())[0] if group.path == "body.0.0"]
    reads = group.slices[-1]
    assert reads.name == "body.1.0.weight" and len(reads.positions) == 96
    assert reads.channels[reads.positions.argsort()].tolist() == [c for c in range(6) for _ in range(16)]
    unread = copy.deepcopy(model)
    zero(unread, group, [2, 5], ("reads",))
    group.prune([2, 5])
    torch.testing.assert_close(model(images()), unread(images()))


class Untraceable(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 1)

    def forward(self, features: Tensor) -> Tensor:
        output = self.convolution(features)
        return output if float(output.detach().sum()) > 0 else -output


def test_what_cannot_be_traced_is_refused_in_our_words():
    with pytest.raises(EspalierError) as caught:
        channel_groups(classifier(Untraceable(), 4), 16, ())
    assert caught.value.message == (
        "Expected a network whose channels can be followed from layer to layer; this one could not be traced."
    )
    assert "Prune single weights" in caught.value.advice and caught.value.details


class SharedConvolution(nn.Module):
    """Two places with the same weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding=1)
        self.again = self.twice

    def forward(self, features: Tensor) -> Tensor:
        return self.again(self.twice(self.first(features)).relu()).relu()


def test_layers_that_share_their_weights_stay_whole_and_are_named():
    groups, skipped = channel_groups(classifier(SharedConvolution(), 8), 64, ())
    assert groups == []
    assert [reason for _, reason in skipped] == [
        "body.twice.weight is also body.again.weight: the layers share their weights"
    ]


class Chunked(nn.Module):
    """Channels that are split into two halves, of which the second is joined in twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.last = nn.Conv2d(3, 16, 3), nn.Conv2d(8, 8, 1), nn.Conv2d(24, 12, 1)

    def forward(self, features: Tensor) -> Tensor:
        one, other = self.stem(features).relu().chunk(2, 1)
        return self.last(torch.cat((self.one(one).relu(), other, other), 1)).relu()


@pytest.mark.parametrize("share", [0.2, 0.45, 0.7])
def test_what_is_offered_can_go_in_any_number_and_the_rest_is_as_before(share):
    """A unit's readers at zero give what cutting it gives."""
    old = classifier(Chunked(), 12)
    new = copy.deepcopy(old)
    masked, groups = channel_groups(old, 64, ())[0], channel_groups(new, 64, ())[0]
    assert groups
    for group in groups:
        gone = torch.randperm(group.units)[: round(share * group.units)].tolist()
        zero(old, next(one for one in masked if one.path == group.path), gone, ("reads",))
        group.prune(gone)
    with torch.no_grad():
        assert torch.allclose(new(images()), old(images()), atol=1e-5)


def test_the_classes_stay_where_the_network_has_no_head():
    body = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    )
    model = lively(ImageClassifier(body, 10, nn.Identity(), FemSettings()))
    groups, skipped = channel_groups(model, 64, ())
    assert [group.path for group in groups] == ["body.0"]
    assert skipped == [("body.2", "it writes the classes")]
