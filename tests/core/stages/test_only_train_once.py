"""Only-Train-Once from end to end on a few images: the sparsity, the slim network, resuming."""

from dataclasses import replace

import pytest
import torch
from small_stages import NETWORK, reloads, small_network, stage_context
from torch import nn

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.models.network_facts import NetworkFacts
from core.records.events import EpochDone, Event
from core.stages.only_train_once import OnlyTrainOnce, OnlyTrainOnceParams
from core.surgery.meta_copy import count


def settings(**changes: object) -> OnlyTrainOnceParams:
    training = {"epochs": 4, "batch_size": 50, "learning_rate": 0.005}  # 4 steps an epoch
    return OnlyTrainOnceParams.parse({"round_to": 1, "training": training} | changes)


def test_the_share_asked_for_goes_and_the_slim_network_is_the_full_one(data, tmp_path):
    result = OnlyTrainOnce().run(small_network(), settings(), stage_context(data, tmp_path))
    facts = result.facts
    # inside nine blocks 3·(16 + 32 + 64), and the three widths of the stream
    assert facts["groups"] == sum(row["before"] for row in facts["layers"]) == 448
    assert facts["zero_groups"] == 224 and facts["group_sparsity"] == 0.5
    assert sum(row["before"] - row["after"] for row in facts["layers"]) == 224
    assert 0 < facts["max_logit_difference"] < 1e-4
    for row in facts["layers"]:
        assert result.model.get_submodule(row["path"]).out_channels == row["after"] >= 1
    slim = count(result.model, 16)
    assert slim.params < 0.6 * facts["full_params"] and slim.macs < 0.6 * facts["full_macs"]
    assert facts["steps_to_target"] == 8  # a tenth and four tenths of 16 steps
    assert facts["best_epoch"] in (2, 3, 4)  # the target is reached with epoch 2
    assert "224 of 448 channels went to zero (50.0 %, asked for 50.0 %)" in result.notes[-1]


def test_it_can_be_saved_and_reloaded(data, tmp_path):
    chosen = settings(target_group_sparsity=0.3)
    result = OnlyTrainOnce().run(small_network(), chosen, stage_context(data, tmp_path))
    assert reloads(result, data, tmp_path)


def test_counts_that_stay_are_multiples(data, tmp_path):
    result = OnlyTrainOnce().run(small_network(), settings(round_to=8), stage_context(data, tmp_path))
    assert all(row["after"] % 8 == 0 and row["after"] > 0 for row in result.facts["layers"])
    assert result.facts["zero_groups"] == 224  # 448 / 2 is a multiple of 8


def test_inside_blocks_the_stream_keeps_its_width(data, tmp_path):
    result = OnlyTrainOnce().run(
        small_network(), settings(scope="block-internal"), stage_context(data, tmp_path)
    )
    assert {row["path"].rpartition(".")[2] for row in result.facts["layers"]} == {"conv1"}
    assert [block.conv2.out_channels for block in result.model.body.layer3] == [64] * 3
    assert "shared by several blocks" in str(result.skipped)


def test_only_epochs_with_all_zeros_may_be_the_best(data, tmp_path):
    events: list[Event] = []
    chosen = settings(warm_up=0.25, projection=0.5)  # reached at step 12 of 16, with epoch 3
    result = OnlyTrainOnce().run(small_network(), chosen, stage_context(data, tmp_path, emit=events.append))
    best = [event.best for event in events if isinstance(event, EpochDone)]
    assert best[:3] == [False, False, True] and result.facts["best_epoch"] in (3, 4)


def stop_after(model: nn.Module, control: RunControl, batches: int) -> None:
    seen: list[int] = []

    def hook(module: nn.Module, inputs: object) -> None:
        if module.training:
            seen.append(1)
            if len(seen) == batches:
                control.stop()

    model.body.conv1.register_forward_pre_hook(hook)


@pytest.mark.parametrize(  # in the warm-up, the projection and the rest
    "batches", [6, *(pytest.param(count, marks=pytest.mark.slow) for count in (1, 14))]
)
@pytest.mark.slow
def test_resumed_it_ends_with_the_same_weights(batches, data, tmp_path):
    whole = OnlyTrainOnce().run(small_network(), settings(), stage_context(data, tmp_path)).model
    (tmp_path / "cut").mkdir()
    first, model = stage_context(data, tmp_path / "cut"), small_network()
    stop_after(model, first.control, batches)
    with pytest.raises(Stopped):
        OnlyTrainOnce().run(model, settings(), first)
    resumed = OnlyTrainOnce().run(small_network(), settings(), replace(first, control=RunControl())).model
    expected = whole.state_dict()
    assert resumed.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


def test_finished_by_hand_before_the_target_it_is_slim_all_the_same(data, tmp_path):
    context = stage_context(data, tmp_path)
    context.control.finish_stage()
    result = OnlyTrainOnce().run(small_network(), settings(), context)
    assert result.facts["zero_groups"] == 224 and result.cut_at == 1
    assert any("Training ended before" in note for note in result.notes)


def test_without_epochs_it_says_that_nothing_happened(data, tmp_path):
    chosen = settings(training={"epochs": 0})
    model = small_network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = OnlyTrainOnce().run(model, chosen, stage_context(data, tmp_path))
    assert result.notes == ["With 0 epochs nothing goes to zero, so nothing was taken out."]
    assert all(torch.equal(value, before[name]) for name, value in result.model.state_dict().items())


def test_a_share_below_one_multiple_is_refused(data, tmp_path):
    with pytest.raises(EspalierError) as caught:
        OnlyTrainOnce().run(
            small_network(), settings(target_group_sparsity=0.01, round_to=16), stage_context(data, tmp_path)
        )
    assert caught.value.message == (
        "A group sparsity of 0.01 takes no channel out of 448 (the widest layer has 64) when multiples of 16 stay."
    )


def test_phases_that_leave_no_training_are_refused():
    [problem] = OnlyTrainOnce().check(settings(warm_up=0.5, projection=0.6), NetworkFacts(NETWORK))
    assert problem.message == (
        "Expected warm-up and projection to take at most 0.9 of the training together, received 0.5 and 0.6."
    )
    assert problem.place == ("projection",)
    assert OnlyTrainOnce().check(settings(warm_up=0.5, projection=0.4), NetworkFacts(NETWORK)) == []
