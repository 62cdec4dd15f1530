"""What stays of each group: counting, ratios, rankings, budgets and their messages."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from core.common.errors import EspalierError
from core.models.catalogue import BACKBONES
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings, FemSettings
from core.surgery.budget import (
    Budget,
    CostModel,
    KeptChannels,
    Plan,
    Request,
    apply,
    kept_units,
    own_shares,
    plan,
)
from core.surgery.channel_group import ChannelGroup
from core.surgery.groups import channel_groups
from core.surgery.meta_copy import count

SIZE = 32


def chain(*widths: int) -> ImageClassifier:
    """3×3 convolutions of these widths, each with a batch norm; the last width belongs to the head."""
    torch.manual_seed(1)
    layers: list[nn.Module] = []
    for inputs, outputs in zip((3, *widths), widths, strict=False):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return ImageClassifier(nn.Sequential(*layers), widths[-1], nn.Linear(widths[-1], 10), FemSettings())


def backbone(name: str) -> ImageClassifier:
    torch.manual_seed(1)
    return BACKBONES[name].build(BackboneSettings(backbone=name), 10)


def ascending(groups: list[ChannelGroup], factor: float = 1.0) -> dict[str, Tensor]:
    """Importances 1, 2, 3, … times `factor` for each further group."""
    return {
        group.path: torch.arange(1.0, group.units + 1) * factor**index for index, group in enumerate(groups)
    }


def planned(
    model: ImageClassifier, request: Request, scores: dict[str, Tensor] | None = None
) -> tuple[list[ChannelGroup], Plan]:
    groups, _ = channel_groups(model, SIZE, ())
    return groups, plan(groups, scores or ascending(groups), CostModel(model, groups, SIZE), request)


def macs(costs: CostModel, channels: KeptChannels) -> float:
    return costs.count(channels).macs


def macs_budget(model: ImageClassifier, costs: CostModel, share: float) -> Budget:
    baseline = count(model, SIZE).macs
    return Budget("MACs", share * baseline, baseline, partial(macs, costs))


@pytest.mark.parametrize(
    ("units", "ratio", "multiple", "kept"),
    [
        (64, 0.3, 8, 48),  # 44.8: 48 is nearer than 40
        (64, 0.5, 8, 32), (16, 0.5, 8, 8),
        (24, 0.5, 8, 16),  # 12: halfway, up
        (16, 0.9, 8, 8),  # at least one multiple
        (16, 0.1, 8, 16),  # 14.4: 16, none goes
        (10, 0.3, 1, 7), (10, 0.99, 1, 1), (3, 0.5, 8, 3),
        (12, 0.1, 8, 12), (12, 0.25, 8, 8),  # all is a choice besides the multiples
    ],
)  # fmt: skip
def test_kept_units_by_hand(units, ratio, multiple, kept):
    assert kept_units(units, units * (1 - ratio), multiple) == kept


@pytest.mark.parametrize(
    "name", ["resnet20", "mobilenet-v3-small", "efficientnet-lite0", "timm-convnext-atto"]
)
def test_what_is_predicted_is_what_is_left(name):
    model = backbone(name)
    groups, _ = channel_groups(model, SIZE, BACKBONES[name].blocks)
    costs = CostModel(model, groups, SIZE)
    chosen = plan(groups, ascending(groups), costs, Request(0.4, round_to=3))
    assert costs.count({}) == costs.base == count(model, SIZE)
    apply(groups, chosen)
    left = count(model, SIZE)
    assert (chosen.params, chosen.macs) == (left.params, left.macs)
    assert left.params == sum(parameter.numel() for parameter in model.parameters()) < costs.base.params


def test_uniform_takes_the_same_share_and_the_least_important():
    model = chain(16, 32, 64)
    groups, chosen = planned(model, Request(0.5, round_to=8))
    assert list(chosen.kept_channels.values()) == [8, 16, 32] and chosen.deviation == 0
    assert chosen.removed_units["body.0"] == list(range(8))
    reverse = {group.path: torch.arange(group.units, 0.0, -1) for group in groups}
    _, chosen = planned(model, Request(0.5, round_to=8), reverse)
    assert chosen.removed_units["body.0"] == list(range(8, 16))


def test_global_ranks_all_channels_together():
    model = chain(4, 8)
    scores = {"body.0": torch.tensor([5.0, 1, 6, 7]), "body.3": torch.tensor([2.0, 9, 3, 9, 9, 4, 9, 9])}
    _, chosen = planned(model, Request(1 / 3, "global"), scores)  # 4 of 12: 1, 2, 3, 4
    assert chosen.removed_units == {"body.0": [1], "body.3": [0, 2, 5]}


def test_global_never_takes_more_than_the_largest_share():
    model = chain(8, 8)
    scores = {"body.0": torch.arange(8.0), "body.3": torch.arange(8.0) + 100}
    assert planned(model, Request(0.5, "global"), scores)[1].kept_channels == {"body.0": 1, "body.3": 7}
    assert planned(model, Request(0.5, "global", most=0.5), scores)[1].kept_channels == {
        "body.0": 4,
        "body.3": 4,
    }


def test_isomorphic_ranks_within_a_kind_of_structure():
    """The chain's inner width is read by a convolution, its last one by the classifier."""
    model = chain(8, 8, 8)
    scores = {
        name: torch.arange(8.0) + offset for name, offset in (("body.0", 0), ("body.3", 100), ("body.6", 200))
    }
    _, chosen = planned(model, Request(0.25, "isomorphic", most=0.9), scores)
    assert chosen.kept_channels == {"body.0": 4, "body.3": 8, "body.6": 6}
    _, chosen = planned(model, Request(0.25, "global", most=0.9), scores)
    assert chosen.kept_channels == {"body.0": 2, "body.3": 8, "body.6": 8}


def test_own_shares_hold_whatever_the_others_lose():
    model = chain(16, 16, 16)
    groups, _ = channel_groups(model, SIZE, ())
    own = own_shares([("body.*", 0.25), ("body.3", 0.0)], groups)
    assert own == {"body.0": 0.25, "body.3": 0.0, "body.6": 0.25}
    for ranking in ("uniform", "global"):
        _, chosen = planned(model, Request(0.5, ranking, own_shares={"body.0": 0.25, "body.3": 0.0}))
        assert chosen.kept_channels == {"body.0": 12, "body.3": 16, "body.6": 8}


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        ("body.4*", "That layer's channels go with those of body.3: name that one."),
        ("body.30", "The closest is body.3."),
    ],
)
def test_a_pattern_that_fits_nothing_is_refused(pattern, advice):
    groups, _ = channel_groups(chain(16, 16), SIZE, ())
    with pytest.raises(EspalierError) as caught:
        own_shares([(pattern, 0.1)], groups)
    assert caught.value.message == (
        f"Expected the leading layer of a group of channels, received {pattern!r}, which fits none."
    )
    assert caught.value.advice == advice
    assert own_shares([(pattern, 0.1)], groups, skipped=[pattern]) == {}


@pytest.mark.parametrize("ranking", ["uniform", "global", "isomorphic"])
@pytest.mark.parametrize("share", [0.8, 0.5, 0.3])
@pytest.mark.parametrize("name", ["resnet20", pytest.param("mobilenet-v2", marks=pytest.mark.slow)])
def test_a_budget_is_met_within_one_percent(name, share, ranking):
    model = backbone(name)
    baseline = count(model, SIZE)
    groups, _ = channel_groups(model, SIZE, BACKBONES[name].blocks)
    costs = CostModel(model, groups, SIZE)
    budget = Budget("MACs", share * baseline.macs, baseline.macs, partial(macs, costs))
    chosen = plan(groups, ascending(groups, 0.97), costs, Request(budget, ranking, round_to=8, most=0.9))
    assert abs(chosen.macs / baseline.macs - share) < 0.01
    assert chosen.deviation == pytest.approx(chosen.macs / baseline.macs - share)
    assert all(
        kept % 8 == 0 or kept == group.channels
        for group, kept in zip(groups, chosen.kept_channels.values(), strict=True)
    )


def test_single_groups_close_what_rounding_leaves_open():
    """Uniform shares of equal widths jump from 64 to 32; the closest has groups of both."""
    model = chain(64, 64, 64)
    groups, _ = channel_groups(model, SIZE, ())
    costs = CostModel(model, groups, SIZE)
    candidates = [dict(zip(("body.0", "body.3", "body.6"), widths, strict=True))
                  for widths in ((a, b, c) for a in (32, 64) for b in (32, 64) for c in (32, 64))]  # fmt: skip
    budget = macs_budget(model, costs, 0.745)
    chosen = plan(groups, ascending(groups), costs, Request(budget, round_to=32))
    best = min(candidates, key=lambda kept: abs(costs.count(kept).macs - budget.target))
    assert chosen.kept_channels == best and len(set(best.values())) == 2
    assert chosen.deviation == pytest.approx((costs.count(best).macs - budget.target) / budget.baseline)


@pytest.mark.parametrize(
    ("share", "message", "advice"),
    [
        (0.001, "received 0.1 % of the baseline; the network cannot go lower than 7.9 %.", "Ask for more,"),
        (
            1.5,
            "received 150.0 % of the baseline; the network is below it already, at 100.0 %.",
            "Ask for less.",
        ),
    ],
)
def test_a_budget_out_of_reach_is_refused(share, message, advice):
    model = chain(32, 32)
    groups, _ = channel_groups(model, SIZE, ())
    costs = CostModel(model, groups, SIZE)
    with pytest.raises(EspalierError) as caught:
        plan(groups, ascending(groups), costs, Request(macs_budget(model, costs, share), round_to=8))
    assert caught.value.message == f"Expected a budget of MACs that these settings can reach, {message}"
    assert caught.value.advice.startswith(advice)


@pytest.mark.parametrize("ranking", ["uniform", "global"])
def test_shares_are_of_the_first_network_when_some_went_before(ranking):
    model = chain(32, 32)
    groups, chosen = planned(model, Request(0.25, ranking))
    original = {group.path: group.channels for group in groups}
    apply(groups, chosen)
    assert sum(chosen.kept_channels.values()) == 48
    _, again = planned(model, Request(0.5, ranking, original=original))
    assert sum(again.kept_channels.values()) == 32


def test_a_plan_for_a_large_network_takes_far_less_than_a_second():
    import time

    model = backbone("resnet50")
    groups, _ = channel_groups(model, 64, BACKBONES["resnet50"].blocks)
    costs = CostModel(model, groups, 64)
    baseline = costs.base.macs
    started = time.perf_counter()
    plan(
        groups, ascending(groups), costs,
        Request(Budget("MACs", 0.5 * baseline, baseline, partial(macs, costs)), "global", 8, 0.9),
    )  # fmt: skip
    assert time.perf_counter() - started < 1
