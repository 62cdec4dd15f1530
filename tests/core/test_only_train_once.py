"""Only-Train-Once from end to end on a few images: the sparsity, the slim network, resuming."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from core.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from core.control import RunControl
from core.data.image_data import ImageData
from core.data.preprocess import make_preprocess
from core.data.settings import Augmentation, DataSettings
from core.data.store import open_data
from core.errors import EspalierError, Stopped
from core.events import EpochDone, Event
from core.models.catalogue import BACKBONES
from core.models.settings import BackboneSettings
from core.stages.base import Input, StageContext
from core.stages.only_train_once import OnlyTrainOnce, OnlyTrainOnceParams
from core.surgery.groups import count

SETTINGS = DataSettings(image_size=16, train_images=200, validation_images=100, test_images=100)
NETWORK = BackboneSettings(backbone="resnet20")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return open_data(SETTINGS, tmp_path_factory.mktemp("data"))


def build() -> nn.Module:
    torch.manual_seed(4)
    return BACKBONES["resnet20"].build(NETWORK, 10)


def context(data: ImageData, scratch: Path, events: list[Event] | None = None) -> StageContext:
    return StageContext(
        stage="s", seed=1, key="k", device="cpu", network=NETWORK, data=data,
        preprocess=make_preprocess(SETTINGS, data), augmentation=Augmentation(), scratch=scratch,
        control=RunControl(), emit=(events if events is not None else []).append, reference=lambda name: build(),
    )  # fmt: skip


def settings(**changes: object) -> OnlyTrainOnceParams:
    training = {"epochs": 4, "batch_size": 50, "learning_rate": 0.005}  # 4 steps an epoch
    return OnlyTrainOnceParams.parse({"round_to": 1, "training": training} | changes)


def test_the_share_asked_for_goes_and_the_slim_network_is_the_full_one(data, tmp_path):
    result = OnlyTrainOnce().run(build(), settings(), context(data, tmp_path))
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
    assert f"{224} of {448} channels went to zero (50.0%, asked for 50.0%)" in result.notes[-1]


def test_it_can_be_saved_and_reloaded(data, tmp_path):
    chosen = settings(target_group_sparsity=0.3)
    result = OnlyTrainOnce().run(build(), chosen, context(data, tmp_path))
    made = result.model.eval().to(memory_format=torch.contiguous_format)
    save_checkpoint(
        tmp_path / "c", Checkpoint(made, NETWORK, make_preprocess(SETTINGS, data), data.classes, result.facts)
    )
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(load_checkpoint(tmp_path / "c").model(images), made(images))


def test_counts_that_stay_are_multiples(data, tmp_path):
    result = OnlyTrainOnce().run(build(), settings(round_to=8), context(data, tmp_path))
    assert all(row["after"] % 8 == 0 and row["after"] > 0 for row in result.facts["layers"])
    assert result.facts["zero_groups"] == 224  # 448 / 2 is a multiple of 8


def test_inside_blocks_the_stream_keeps_its_width(data, tmp_path):
    result = OnlyTrainOnce().run(build(), settings(scope="block-internal"), context(data, tmp_path))
    assert {row["path"].rpartition(".")[2] for row in result.facts["layers"]} == {"conv1"}
    assert [block.conv2.out_channels for block in result.model.body.layer3] == [64] * 3
    assert "shared by several blocks" in str(result.skipped)


def test_only_epochs_with_all_zeros_may_be_the_best(data, tmp_path):
    events: list[Event] = []
    chosen = settings(warm_up=0.25, projection=0.5)  # reached at step 12 of 16, with epoch 3
    result = OnlyTrainOnce().run(build(), chosen, context(data, tmp_path, events))
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
def test_resumed_it_ends_with_the_same_weights(batches, data, tmp_path):
    whole = OnlyTrainOnce().run(build(), settings(), context(data, tmp_path)).model
    (tmp_path / "cut").mkdir()
    first, model = context(data, tmp_path / "cut"), build()
    stop_after(model, first.control, batches)
    with pytest.raises(Stopped):
        OnlyTrainOnce().run(model, settings(), first)
    resumed = OnlyTrainOnce().run(build(), settings(), replace(first, control=RunControl())).model
    expected = whole.state_dict()
    assert resumed.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


def test_finished_by_hand_before_the_target_it_is_slim_all_the_same(data, tmp_path):
    given = context(data, tmp_path)
    given.control.finish_stage()
    result = OnlyTrainOnce().run(build(), settings(), given)
    assert result.facts["zero_groups"] == 224 and result.cut_at == 1
    assert any("Training ended before" in note for note in result.notes)


def test_without_epochs_it_says_that_nothing_happened(data, tmp_path):
    chosen = settings(training={"epochs": 0})
    model = build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = OnlyTrainOnce().run(model, chosen, context(data, tmp_path))
    assert result.notes == ["With 0 epochs nothing goes to zero, so nothing was taken out."]
    assert all(torch.equal(value, before[name]) for name, value in result.model.state_dict().items())


def test_a_share_below_one_multiple_is_refused(data, tmp_path):
    with pytest.raises(EspalierError) as caught:
        OnlyTrainOnce().run(
            build(), settings(target_group_sparsity=0.01, round_to=16), context(data, tmp_path)
        )
    assert caught.value.message == (
        "A group sparsity of 0.01 takes no channel out of 448 (the widest layer has 64) when multiples of 16 stay."
    )


def test_phases_that_leave_no_training_are_refused():
    [problem] = OnlyTrainOnce().check(settings(warm_up=0.5, projection=0.6), Input(NETWORK))
    assert problem.message == (
        "Expected warm-up and projection to take at most 0.9 of the training together, received 0.5 and 0.6."
    )
    assert problem.place == ("projection",)
    assert OnlyTrainOnce().check(settings(warm_up=0.5, projection=0.4), Input(NETWORK)) == []
