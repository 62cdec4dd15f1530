"""Layer pruning as a stage: how many blocks go, which, and what it says."""

from pathlib import Path

import pytest
import torch
from small_stages import NETWORK, reloads, small_network, stage_context
from torch import nn

from core.common.errors import EspalierError
from core.data.image_data import ImageData
from core.models.network_facts import NetworkFacts
from core.models.settings import BackboneSettings
from core.stages.prune_layers import PruneLayers, PruneLayersParams
from core.stages.result import StageResult
from core.surgery.meta_copy import count
from core.training.settings import TrainingSettings


def run(data: ImageData, scratch: Path, model: nn.Module | None = None, **changes: object) -> StageResult:
    settings = PruneLayersParams.parse({"training": {"epochs": 0}} | changes)
    return PruneLayers().run(model or small_network(), settings, stage_context(data, scratch))


def dropped(result: StageResult) -> list[str]:
    return [block["path"] for block in result.facts["blocks"] if block["dropped"]]


def test_the_blocks_of_the_smallest_weights_go(data, tmp_path):
    model = small_network()
    factors = {"layer1.1": 0.2, "layer2.2": 0.1, "layer3.1": 0.5, "layer3.2": 0.6}
    for path, factor in factors.items():
        for name in ("conv1", "conv2"):
            model.body.get_submodule(path).get_submodule(name).weight.data *= factor
    before = count(model, 16)
    result = run(data, tmp_path, model, amount_as="count", count=3, compare="network")
    # by hand: Kaiming's standard deviation is √(2 / 9c), the mean magnitude √(2/π) of it
    importance = {b["path"]: b["importance"] for b in result.facts["blocks"] if b["importance"] is not None}
    assert importance["body.layer1.0"] == pytest.approx(
        (2 / (9 * 16)) ** 0.5 * (2 / torch.pi) ** 0.5, rel=0.05
    )
    assert sorted(importance, key=importance.get)[:3] == ["body.layer2.2", "body.layer1.1", "body.layer3.1"]
    assert dropped(result) == ["body.layer1.1", "body.layer2.2", "body.layer3.1"]
    assert type(result.model.body.layer3[1]) is nn.Identity
    after = count(result.model, 16)
    # a block of width c holds 2 · 9c² weights and 4c of batch norm
    assert before.params - after.params == sum(18 * c * c + 4 * c for c in (16, 32, 64))
    # and computes its convolutions' weights once per position
    assert before.macs - after.macs == sum(
        18 * c * c * side * side for c, side in ((16, 16), (32, 8), (64, 4))
    )
    assert result.skipped == [
        ("body.layer2.0", "changes the shape from 16×16×16 to 32×8×8"),
        ("body.layer3.0", "changes the shape from 32×8×8 to 64×4×4"),
    ]
    assert result.notes == ["3 of 9 residual blocks dropped: body.layer2.2, body.layer1.1, body.layer3.1."]


def test_a_budget_of_macs_is_met_as_nearly_as_whole_blocks_can(data, tmp_path):
    """In ResNet-20 every block costs the same, about 0.11 of the network: 0.7 is three of them, 0.8 two."""
    whole = count(small_network(), 16).macs
    for budget, blocks in ((0.7, 3), (0.8, 2), (0.99, 1)):
        result = run(data, tmp_path, amount_as="macs", budget=budget)
        assert len(dropped(result)) == blocks
        assert abs(count(result.model, 16).macs / whole - budget) < 0.06 or blocks == 1


def test_without_a_bench_macs_stand_for_the_latency(data, tmp_path):
    """A rehearsal times nothing; a run settles the number of blocks before the stage begins."""
    asked = run(data, tmp_path, amount_as="latency", latency=0.7)
    assert dropped(asked) == dropped(run(data, tmp_path, amount_as="macs", budget=0.7))


def test_a_latency_ranks_the_blocks_as_the_stage_does(data, tmp_path):
    settings = PruneLayersParams(amount_as="latency", latency=0.6, compare="network")
    target = PruneLayers().latency_target(settings)
    assert target is not None and target.share == 0.6
    order = target.order(small_network(), stage_context(data, tmp_path))
    counted = target.settled(3).model_copy(update={"training": TrainingSettings(epochs=0)})
    result = PruneLayers().run(small_network(), counted, stage_context(data, tmp_path))
    assert sorted(order[:3]) == sorted(dropped(result))
    assert PruneLayers().latency_target(PruneLayersParams()) is None
    assert "latency" not in PruneLayersParams().for_key()  # what was cached before stays known


def test_within_stages_the_width_does_not_decide(data, tmp_path):
    """Over the network the widest stage's smaller weights would go first."""
    network = run(data, tmp_path, amount_as="count", count=2, compare="network")
    assert all(path.startswith("body.layer3") for path in dropped(network))
    result = run(data, tmp_path)
    stages: dict[int, list[float]] = {}
    for block in result.facts["blocks"]:
        if block["importance"] is not None:
            stages.setdefault(block["stage"], []).append(block["importance"])
    assert [sum(values) / len(values) for values in stages.values()] == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(("share", "expected"), [(0.01, 1), (0.3, 2), (0.5, 4), (0.8, 6), (1.0, 6)])
def test_a_share_of_the_droppable_blocks_goes(data, tmp_path, share, expected):
    """Of 9 blocks 7 can go; the first stage keeps one of them."""
    result = run(data, tmp_path, share=share)
    assert len(dropped(result)) == expected
    assert any(type(block) is not nn.Identity for block in result.model.body.layer1)


def test_a_stage_may_lose_all_its_blocks_when_asked_to(data, tmp_path):
    result = run(data, tmp_path, share=1.0, keep_one=False)
    assert len(dropped(result)) == 7
    assert all(type(block) is nn.Identity for block in result.model.body.layer1)
    assert result.model(torch.zeros(2, 3, 16, 16)).shape == (2, 10)


@pytest.mark.parametrize("importance", ["weight-magnitude", "feature-map-rank", "input-similarity"])
def test_what_is_left_can_be_saved_trained_and_reloaded(data, tmp_path, importance):
    training = {"epochs": 1, "batch_size": 50, "learning_rate": 0.01}
    result = run(data, tmp_path, importance=importance, share=0.5, training=training)
    assert len(result.history) == 1
    assert reloads(result, data, tmp_path)


def test_a_block_that_does_nothing_goes_first_by_what_it_changes(data, tmp_path):
    model = small_network()
    for parameter in model.body.layer2[1].parameters():
        parameter.data.zero_()
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    before = model(images).detach()
    result = run(
        data, tmp_path, model, importance="input-similarity", amount_as="count", count=1, batch_norm_batches=0
    )
    assert dropped(result) == ["body.layer2.1"]
    torch.testing.assert_close(result.model(images), before)


def test_batch_norm_is_estimated_anew(data, tmp_path):
    before = small_network().body.bn1.running_mean
    kept, seen = (run(data, tmp_path, batch_norm_batches=count).model.body.bn1 for count in (0, 2))
    assert torch.equal(kept.running_mean, before)
    assert float((seen.running_mean - before).abs().min()) > 0


def test_more_blocks_than_can_go_are_refused(data, tmp_path):
    with pytest.raises(EspalierError) as caught:
        run(data, tmp_path, amount_as="count", count=7)
    assert caught.value.message == (
        "Expected at most 6 blocks to drop, received 7: of 9 residual blocks 7 have an identity shortcut, "
        "and one stays in every stage."
    )
    assert caught.value.advice == "Lower the count, or let stages lose all their blocks."


def test_a_network_without_droppable_blocks_is_refused_and_the_structure_named(data, tmp_path):
    model = small_network()
    for stage in (model.body.layer1, model.body.layer2, model.body.layer3):
        for index in range(1, 3):
            stage[index] = nn.Identity()
    with pytest.raises(EspalierError) as caught:
        run(data, tmp_path, model)
    assert caught.value.message == (
        "None of the network's 3 residual blocks can be dropped: changes the shape from 16×16×16 to 32×8×8; "
        "changes the shape from 32×8×8 to 64×4×4."
    )


def test_a_plain_network_is_refused_before_it_runs():
    plain = BackboneSettings(backbone="plain-cnn-tiny")
    [problem] = PruneLayers().check(PruneLayersParams(), NetworkFacts(plain))
    assert problem.message == (
        "Plain CNN, tiny has no residual blocks, and without a shortcut nothing can take a dropped layer's place."
    )
    assert PruneLayers().check(PruneLayersParams(), NetworkFacts(NETWORK)) == []
