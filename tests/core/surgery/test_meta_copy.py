"""The copy without numbers: cuts that are put back, torch-pruning's groups found faster, shapes found faster."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.models.classifier import ImageClassifier
from core.models.settings import FemSettings
from core.surgery import patched_torch_pruning
from core.surgery.groups import channel_groups
from core.surgery.meta_copy import MetaCopy, count
from core.surgery.patched_torch_pruning import torch_pruning_patched
from core.surgery.quick_shapes import QuickShapes


class Joined(nn.Module):
    """Channels that are split, scaled by a parameter, joined and normed."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.last = nn.Conv2d(3, 16, 3), nn.Conv2d(8, 8, 1), nn.Conv2d(24, 12, 1)
        self.scale, self.norm = nn.Parameter(torch.ones(8, 1, 1)), nn.BatchNorm2d(12)

    def forward(self, features: Tensor) -> Tensor:
        one, other = self.stem(features).relu().chunk(2, 1)
        return self.norm(self.last(torch.cat((self.one(one).relu() * self.scale, other, other), 1))).relu()


def classifier(body: nn.Module, channels: int) -> ImageClassifier:
    torch.manual_seed(5)
    return ImageClassifier(body, channels, nn.Linear(channels, 10), FemSettings()).eval()


def steps(meta_copy: MetaCopy) -> dict[str, list[tuple[str, str | None, list[int], list[int]]]]:
    """Every width's group: what is cut where."""
    found: dict[str, list[tuple[str, str | None, list[int], list[int]]]] = {}
    for path, cut in meta_copy.widths():
        for item in cut:
            dep, indices = item
            found.setdefault(path, []).append(
                (dep.handler.__name__, meta_copy.paths.get(dep.layer), indices, item.root_idxs)
            )
    return found


def test_what_is_cut_on_trial_is_put_back():
    meta_copy = MetaCopy(classifier(Joined(), 12), 16)
    shapes = {name: tuple(parameter.shape) for name, parameter in meta_copy.model.named_parameters()}
    before = steps(meta_copy)
    for _ in range(2):
        with meta_copy.whole_again():
            meta_copy.cut("body.last", [0, 3])
            meta_copy.cut("body.one", [2])
            assert meta_copy.model.body.last.weight.shape == (10, 23, 1, 1)
            assert meta_copy.model.body.norm.num_features == 10 and len(meta_copy.model.body.scale) == 7
        assert {n: tuple(p.shape) for n, p in meta_copy.model.named_parameters()} == shapes
        assert steps(meta_copy) == before


def test_groups_are_the_ones_that_torch_pruning_finds():
    tp = torch_pruning_patched()
    quick = tp.dependency.graph.Group
    assert len(steps(MetaCopy(classifier(Joined(), 12), 16))) == 2
    tp.dependency.graph.Group = quick.__mro__[1]
    try:
        theirs = steps(MetaCopy(classifier(Joined(), 12), 16))
    finally:
        tp.dependency.graph.Group = quick
    assert steps(MetaCopy(classifier(Joined(), 12), 16)) == theirs


@pytest.mark.parametrize(
    "layer",
    [nn.BatchNorm2d(6), nn.GroupNorm(3, 6), nn.LayerNorm([6, 5, 5]), nn.LayerNorm(5, bias=False), nn.GELU(), nn.ReLU6(),
     nn.Hardswish(), nn.Hardsigmoid(), nn.Sigmoid(), nn.Mish(), nn.SiLU(inplace=True), nn.InstanceNorm2d(6), nn.Softmax(1)],
    ids=repr,
)  # fmt: skip
def test_shapes_without_arithmetic_are_those_with(layer):
    maps = torch.empty(2, 6, 5, 5, device="meta")
    layer = layer.to("meta").eval()
    with QuickShapes():
        quick = layer(maps)
    assert quick.shape == layer(maps).shape and quick.dtype == torch.float32


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(4), nn.GroupNorm(1, 4), nn.LayerNorm([4, 5, 5])], ids=repr)
def test_a_norm_of_other_channels_stops(layer):
    with QuickShapes(), pytest.raises((ValueError, RuntimeError)):
        layer.to("meta").eval()(torch.empty(1, 6, 5, 5, device="meta"))


class Standardised(nn.Conv2d):
    """A convolution with standardised weights and a gain for each output (Brock et al. 2021, arXiv 2101.08692)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.gain = nn.Parameter(torch.rand(outputs, 1, 1, 1) + 0.5)

    def forward(self, features: Tensor) -> Tensor:
        rows = self.weight.reshape(1, self.out_channels, -1)
        weight = functional.batch_norm(rows, None, None, self.gain.view(-1), training=True, eps=1e-6)
        return functional.conv2d(features, weight.reshape_as(self.weight), self.bias, padding=1)


def test_gains_of_standardised_weights_go_with_their_channels():
    body = nn.Sequential(Standardised(3, 8), nn.ReLU(), Standardised(8, 6), nn.ReLU())
    model = classifier(body, 6)
    gains, before = [body[place].gain.detach().clone() for place in (0, 2)], count(model, 16).params
    groups, skipped = channel_groups(model, 16, ())
    assert [group.path for group in groups] == ["body.0", "body.2"] and not skipped
    assert groups[0].params == 3 * 9 + 1 + 1 + 6 * 9  # weights, bias and gain of one, and what reads it
    groups[0].prune([1, 5])
    groups[1].prune([0])
    assert torch.equal(body[0].gain, gains[0][[0, 2, 3, 4, 6, 7]]) and torch.equal(body[2].gain, gains[1][1:])
    assert count(model, 16).params == before - 2 * groups[0].params - (6 * 9 + 1 + 1 + 10)
    assert model(torch.zeros(1, 3, 16, 16)).shape == (1, 10)


class Crossed(nn.Module):
    """Half of the channels pass a residual block and are joined with the others (cross-stage partial networks)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 6, 1)
        self.inner, self.outer = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)

    def forward(self, image: Tensor) -> Tensor:
        one, other = self.stem(image).relu().split(8, 1)
        one = self.outer(self.inner(one).relu()).relu() + one
        return self.last(torch.cat((one, other), 1)).relu()


def test_what_can_be_followed_is_offered_beside_joined_channels_that_cannot():
    groups, skipped = channel_groups(classifier(Crossed(), 6), 16, ())
    assert [group.path for group in groups] == ["body.inner", "body.last"]
    assert [path for path, _ in skipped] == ["body.stem"]


def test_a_group_whose_indices_grow_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch):
    ends = (nn.Flatten(), nn.Linear(8 * 14 * 14, 12), nn.Unflatten(1, (12, 1, 1)), nn.Conv2d(12, 12, 1))
    body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), *ends)
    groups, _ = channel_groups(classifier(body, 12), 16, ())
    assert groups[0].path == "body.0"
    monkeypatch.setattr(patched_torch_pruning, "_MOST_INDICES", 1_000)  # the flattened maps have 1 568
    others, skipped = channel_groups(classifier(body, 12), 16, ())
    assert [group.path for group in others] == [group.path for group in groups[1:]]
    assert skipped[0] == ("body.0", "its channels cannot be followed through the network")
