"""Channel pruning from end to end: which channels go, budgets, several prunings, messages."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_stages import small_network, stage_context
from torch import nn

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.common.numbers import percent, signed_percent
from core.data.image_data import ImageData
from core.models.network_facts import NetworkFacts
from core.models.settings import BackboneSettings
from core.records.events import EpochDone, Event
from core.stages.context import StageContext
from core.stages.prune_channels import PruneChannels, PruneChannelsParams, find_prunable_groups, own_ratios
from core.surgery.batch_norm import recalibrate
from core.surgery.budget import Plan, apply
from core.surgery.groups import channel_groups
from core.surgery.meta_copy import count

NETWORK = BackboneSettings(backbone="resnet20", fem={"place": "pooled"})
STREAM = "shared by several blocks (residual stream), outside the scope 'block-internal'"


@pytest.fixture
def context(data: ImageData, tmp_path: Path) -> StageContext:
    return stage_context(data, tmp_path)


def network(settings: BackboneSettings = NETWORK) -> nn.Module:
    """A small network with the Feature Enhancement Module unless others are asked for."""
    return small_network(4, settings)


def settings(epochs: int = 0, **changes: object) -> PruneChannelsParams:
    """50 images a batch, 4 steps an epoch."""
    training = {"epochs": epochs, "batch_size": 50, "learning_rate": 0.005, "patience": 0}
    return PruneChannelsParams.parse({"ratio": 0.5, "training": training} | changes)


def prune(model: nn.Module, size: int = 16, **changes: object) -> tuple[Plan, dict[str, str]]:
    """Cut without training; the plan, and why groups stay."""
    pruning = settings(**changes)
    prunable = find_prunable_groups(model, size, pruning, ("BasicBlock", "InvertedResidual"))
    chosen = prunable.plan(pruning)
    apply(prunable.groups, chosen)
    return chosen, dict(prunable.skipped)


def blocks_of(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, module) for name, module in model.named_modules() if type(module).__name__ == "BasicBlock"]


def weakest(block: nn.Module, count: int) -> list[int]:
    """The `count` inner channels with the smallest L1 norm, summed over the layers that go together:
    the filter, its batch norm's scale, and the weights that read the channel."""
    score = (
        block.conv1.weight.detach().abs().sum((1, 2, 3))
        + block.bn1.weight.detach().abs()
        + block.conv2.weight.detach().abs().sum((0, 2, 3))
    )
    return sorted(np.argsort(score.numpy())[:count].tolist())


def test_the_channels_with_the_smallest_norm_go_and_no_others():
    original, pruned = network(), network()
    chosen, _ = prune(pruned)
    assert list(chosen.kept_channels) == [f"{name}.conv1" for name, _ in blocks_of(original)]
    for (name, old), (_, new) in zip(blocks_of(original), blocks_of(pruned), strict=True):
        channels = old.conv1.out_channels
        gone = weakest(old, channels // 2)
        kept = [index for index in range(channels) if index not in gone]
        assert torch.equal(new.conv1.weight, old.conv1.weight[kept]), name
        assert torch.equal(new.bn1.running_var, old.bn1.running_var[kept]), name
        assert torch.equal(new.conv2.weight, old.conv2.weight[:, kept]), name
        assert torch.equal(new.bn2.weight, old.bn2.weight), name


def test_filters_alone_decide_where_all_else_is_equal():
    """Li et al.: the L1 norm of the filters."""
    original = network()
    for _, block in blocks_of(original):
        block.bn1.weight.data.fill_(1.0)
        block.conv2.weight.data.fill_(0.01)
    pruned = copy.deepcopy(original)
    prune(pruned, ratio=0.25, round_to=4)
    for (name, old), (_, new) in zip(blocks_of(original), blocks_of(pruned), strict=True):
        norms = old.conv1.weight.detach().abs().sum((1, 2, 3)).numpy()
        kept = np.sort(np.argsort(norms)[len(norms) // 4 :])
        assert torch.equal(new.conv1.weight, old.conv1.weight[kept]), name


def test_a_pruned_network_is_the_original_with_these_channels_at_zero():
    original, pruned = network(), network()
    prune(pruned)
    for _, block in blocks_of(original):
        gone = weakest(block, block.conv1.out_channels // 2)
        block.bn1.weight.data[gone] = 0
        block.bn1.bias.data[gone] = 0
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        torch.testing.assert_close(pruned(images), original(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "head"), [("resnet20", "linear"), ("mobilenet-v3-small", "original")])
def test_the_heads_answers_are_never_pruned(name, head):
    model = network(BackboneSettings(backbone=name, head=head, fem={"place": "pooled"}))
    widths = {group.path: group.channels for group in channel_groups(copy.deepcopy(model), 32, ())[0]}
    chosen, skipped = prune(model, 32, ratio=0.7, scope="whole-groups", round_to=1, prune_fem=True)
    assert skipped == {} and chosen.kept_channels.keys() == widths.keys()
    last = [module for module in model.head.modules() if isinstance(module, nn.Linear)][-1]
    assert last.out_features == 10
    assert [path for path in chosen.kept_channels if path.startswith("head")] == (
        ["head.0"] if head == "original" else []
    )
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    for path, kept in chosen.kept_channels.items():
        leader = model.get_submodule(path)
        width = leader.out_channels if isinstance(leader, nn.Conv2d) else leader.out_features
        assert width == kept == max(1, int(widths[path] * 0.3 + 0.5))


def test_inside_blocks_the_residual_stream_keeps_its_width_and_says_so():
    model = network()
    chosen, skipped = prune(model)
    assert skipped["body.conv1"] == STREAM and list(skipped.values()).count(STREAM) == 1
    assert sum("Feature Enhancement Module" in reason for reason in skipped.values()) == 4
    assert [block.conv2.out_channels for _, block in blocks_of(model)] == [16] * 3 + [32] * 3 + [64] * 3
    assert not chosen.kept_channels.keys() & skipped.keys()


def test_the_fem_is_pruned_when_asked_for():
    model = network()
    chosen, _ = prune(model, prune_fem=True)
    assert model.fem.deep[0].out_features == chosen.kept_channels["fem.deep.0"] == 16  # of 32
    assert model.fem.deep[-1].out_features == 64


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("body.layer1.*=0.2, body.conv1=0", [("body.layer1.*", 0.2), ("body.conv1", 0.0)]),
        (" body.[12].0 = .75 ,", [("body.[12].0", 0.75)]),
    ],
)
def test_own_ratios_are_read(text, pairs):
    assert own_ratios(text) == pairs
    assert settings(own_ratios=text).own_ratios == text


@pytest.mark.parametrize(
    "text", ["body.conv1", "body.conv1=1", "body.conv1=-0.1", "body.conv1=a", "=0.2", "a=0.1 b=0.2"]
)
def test_own_ratios_that_cannot_be_read_are_refused(text):
    [problem] = PruneChannels().check(settings(own_ratios=text), NetworkFacts(None))
    assert problem.message == f"Expected layers with their own ratios between commas, received {text!r}."
    assert problem.advice == "Write pairs such as body.layer1.*=0.2, each ratio from 0 to below 1."
    assert problem.place == ("own_ratios",)
    with pytest.raises(EspalierError, match="Expected layers with their own ratios"):
        own_ratios(text)


def test_what_a_backbone_cannot_do_is_said_before_the_run():
    def messages(name: str, **changes: object) -> list[tuple[str, tuple]]:
        found = PruneChannels().check(settings(**changes), NetworkFacts(BackboneSettings(backbone=name)))
        return [(problem.message, problem.place) for problem in found]

    assert messages("resnet20", importance="batch-norm") == []
    assert messages("plain-cnn-tiny", scope="whole-groups") == []
    assert messages("plain-cnn-tiny") == [
        ("Plain CNN, tiny has no residual blocks to prune inside of.", ("scope",))
    ]
    for name in ("convnext-tiny", "timm-convnext-tiny", "vit-tiny"):
        [(message, place)] = messages(name, importance="batch-norm")
        assert message.endswith(
            "has layer norms and no batch norms, whose scales the importance 'batch-norm' ranks by."
        )
        assert place == ("importance",)


def test_a_run_reports_what_is_left(context):
    result = PruneChannels().run(small_network(), settings(ratio=0.25), context)
    left, before = count(result.model, 16), count(small_network(), 16)
    facts = result.facts
    assert (facts["params"], facts["macs"]) == (left.params, left.macs)
    assert (facts["params_before"], facts["macs_before"]) == (before.params, before.macs)
    assert facts["importance"] == "l1" and facts["budget_missed_by"] == 0
    assert [row["path"] for row in facts["layers"]] == [
        f"body.layer{layer}.{block}.conv1" for layer in (2, 3) for block in range(3)
    ]
    for row in facts["layers"]:
        assert row["after"] == row["before"] * 3 // 4 == result.model.get_submodule(row["path"]).out_channels
        assert 0 < row["importance_gone"] < 1 < row["importance_left"]
        assert row["members"][0] == row["path"]
    assert dict(result.skipped) == {"body.conv1": STREAM} | {
        f"body.layer1.{block}.conv1": "16 channels: rounded to a multiple of 8, none would go"
        for block in range(3)
    }
    assert result.notes == [
        "72 of 288 channels removed in 6 layer groups; 4 left alone.",
        f"{percent(left.params / before.params, 1)} of the parameters and {percent(left.macs / before.macs, 1)} of the MACs are left.",
    ]


def test_batch_norms_are_estimated_again_unless_switched_off(context):
    kept = PruneChannels().run(small_network(), settings(batch_norm_batches=0), context).model
    fresh = PruneChannels().run(small_network(), settings(batch_norm_batches=3), context).model
    assert torch.equal(kept.body.bn1.running_mean, small_network().body.bn1.running_mean)
    assert not torch.equal(fresh.body.bn1.running_mean, kept.body.bn1.running_mean)
    recalibrate(kept, context, 3, 50)
    for name, value in fresh.state_dict().items():
        torch.testing.assert_close(kept.state_dict()[name], value, msg=name)


@pytest.mark.parametrize("ranking", ["uniform", "global"])
@pytest.mark.parametrize(("target", "fact"), [("macs", "macs"), ("parameters", "params"), ("size", "params")])
def test_budgets_are_shares_of_the_network_as_given(context, target, fact, ranking):
    """Shortcuts are written as convolutions on the way; they count against the budget."""
    before = count(small_network(), 16)
    pruning = settings(
        target=target, budget=0.4, size_mb=0.4 * before.params * 4 / 1e6, scope="whole-groups", ranking=ranking
    )  # fmt: skip
    result = PruneChannels().run(small_network(), pruning, context)
    left = getattr(count(result.model, 16), fact) / getattr(before, fact)
    assert left == pytest.approx(0.4, abs=0.01)
    assert result.facts["budget_missed_by"] == pytest.approx(left - 0.4)
    assert not any("missed" in note for note in result.notes)


def test_a_budget_that_rounding_misses_is_said(context):
    pruning = settings(target="macs", budget=0.95, round_to=16, own_ratios="body.layer[23]*=0")
    with pytest.raises(EspalierError) as caught:
        PruneChannels().run(small_network(), pruning, context)
    assert caught.value.message.startswith(
        "Expected a budget of MACs that these settings can reach, received 95.0 %"
    )
    pruning = settings(target="parameters", budget=0.9, round_to=16)
    result = PruneChannels().run(small_network(), pruning, context)
    off = result.facts["budget_missed_by"]
    assert 0.01 < abs(off) < 0.03
    assert f"The budget was missed by {signed_percent(off, 1)} of the network:" in result.notes[-1]


def test_own_ratios_protect_and_override(context):
    pruning = settings(own_ratios="body.layer1.*=0, body.layer3.2.conv1=0.75")
    result = PruneChannels().run(small_network(), pruning, context)
    after = {row["path"]: row["after"] for row in result.facts["layers"]}
    assert not any(path.startswith("body.layer1") for path in after)
    assert after["body.layer3.2.conv1"] == 16 and after["body.layer3.1.conv1"] == 32
    reason = dict(result.skipped)["body.layer1.0.conv1"]
    assert (
        reason
        == "keeps all channels: others matter less, its own ratio protects it, or rounding leaves none to go"
    )
    with pytest.raises(EspalierError, match="received 'layer1', which fits none"):
        PruneChannels().run(small_network(), settings(own_ratios="layer1=0.1"), context)


@pytest.mark.slow
@pytest.mark.parametrize("importance", ["taylor", "hessian", "feature-map-rank", "lamp", "fpgm", "random"])
def test_every_importance_is_repeatable_and_its_own(context, importance):
    pruning = settings(importance=importance, importance_batches=1)
    first, again = (PruneChannels().run(small_network(), pruning, context).model for _ in range(2))
    magnitude = PruneChannels().run(small_network(), settings(), context).model
    weights = [model.body.layer3[0].conv1.weight for model in (first, again, magnitude)]
    assert torch.equal(weights[0], weights[1])
    assert weights[0].shape == weights[2].shape and not torch.equal(weights[0], weights[2])


def test_what_an_importance_has_no_number_for_stays_and_is_named(data, tmp_path):
    where = replace(stage_context(data, tmp_path), network=NETWORK)
    result = PruneChannels().run(network(), settings(importance="batch-norm", prune_fem=True), where)
    reason = "no batch norm scales these channels, which the importance 'batch-norm' ranks by"
    assert list(dict(result.skipped).values()).count(reason) == 4
    assert len(result.facts["layers"]) == 9


@pytest.mark.slow
def test_several_prunings_end_where_one_does_and_train_between(data, tmp_path):
    events: list[Event] = []
    fractions: list[float] = []
    where = replace(stage_context(data, tmp_path), emit=events.append, on_fraction=fractions.append)
    pruning = settings(epochs=2, steps=3, step_epochs=1)
    result = PruneChannels().run(small_network(), pruning, where)
    at_once = PruneChannels().run(small_network(), settings(), where)
    assert [(row["before"], row["after"]) for row in result.facts["layers"]] == [
        (row["before"], row["after"]) for row in at_once.facts["layers"]
    ]
    assert result.facts["params"] == at_once.facts["params"]
    assert len(result.history) == sum(isinstance(event, EpochDone) for event in events) == 4
    assert PruneChannels().epochs(pruning) == 4
    assert fractions == sorted(fractions) and fractions[-1] <= 1


@pytest.mark.parametrize("ranking", ["uniform", "global"])
def test_several_prunings_meet_the_budget_of_the_first_network(context, ranking):
    pruning = settings(
        target="macs", budget=0.5, steps=2, step_epochs=1, scope="whole-groups", ranking=ranking
    )
    result = PruneChannels().run(small_network(), pruning, context)
    assert count(result.model, 16).macs / count(small_network(), 16).macs == pytest.approx(0.5, abs=0.01)


def test_finished_by_hand_between_prunings_it_is_pruned_to_the_end(data, tmp_path):
    control = RunControl()
    where = replace(stage_context(data, tmp_path, control), emit=lambda event: control.finish_stage())
    result = PruneChannels().run(small_network(), settings(epochs=3, steps=3), where)
    assert result.cut_at is not None and len(result.history) == 1
    assert all(row["after"] == row["before"] // 2 for row in result.facts["layers"])


def test_a_run_in_which_nothing_can_go_is_refused(context):
    with pytest.raises(EspalierError) as caught:
        PruneChannels().run(small_network(), settings(ratio=0.1, round_to=64), context)
    assert caught.value.message.startswith(
        "Expected channels that can go; of 10 groups none can, 3 because: "
    )
    assert caught.value.advice == "Choose another scope, importance or rounding, or a larger ratio."


@pytest.mark.slow
def test_a_run_that_is_stopped_and_resumed_ends_with_the_same_network(data, tmp_path):
    """Stopped in the second training, after two of three prunings."""
    pruning = settings(epochs=1, steps=3, importance="taylor", importance_batches=1, ranking="global")
    (tmp_path / "whole").mkdir()
    whole = PruneChannels().run(small_network(), pruning, stage_context(data, tmp_path / "whole"))
    control, done = RunControl(), []

    def stop(event: Event) -> None:
        done.append(isinstance(event, EpochDone))
        if sum(done) == 1 and not isinstance(event, EpochDone):  # the second training has begun
            control.stop()

    (tmp_path / "cut").mkdir()
    with pytest.raises(Stopped):
        PruneChannels().run(
            small_network(), pruning, replace(stage_context(data, tmp_path / "cut", control), emit=stop)
        )
    assert sum(done) == 1
    resumed = PruneChannels().run(small_network(), pruning, stage_context(data, tmp_path / "cut"))
    assert (
        resumed.facts["layers"] == whole.facts["layers"] and len(resumed.history) == len(whole.history) == 3
    )
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name
