"""The pull on groups of channels: by hand, its growth, what it does to a network, and exact on resume."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_stages import small_data, small_network, stage_context
from torch import nn

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.data.image_data import ImageData
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings, FemSettings
from core.records.events import EpochDone
from core.stages.fine_tune import run_training
from core.surgery.group_penalty import Form, GroupPenalty, unimportance
from core.surgery.groups import channel_groups
from core.training.settings import TrainingSettings


def small() -> ImageClassifier:
    """3 → 4 → 6 channels; the four channels are written, scaled and read."""
    torch.manual_seed(4)
    body = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 1), nn.ReLU()
    )
    model = ImageClassifier(body, 6, nn.Linear(6, 10), FemSettings())
    nn.init.uniform_(body[1].weight, 0.5, 1.5)
    return model


def squares(model: ImageClassifier) -> list[float]:
    """Of all weights that go with each of the four channels."""
    first, norm, _, second, _ = model.body
    return [
        float(
            first.weight[k].detach().double().square().sum()
            + norm.weight[k].detach().double().square()
            + second.weight[:, k].detach().double().square().sum()
        )
        for k in range(4)
    ]


def penalty(model: ImageClassifier, form: Form, strength: float = 0.01, steps: int = 2) -> GroupPenalty:
    groups, _ = channel_groups(model, 8, ())
    return GroupPenalty(model, groups, form, strength, steps)


def gradients(model: ImageClassifier, pull: GroupPenalty) -> dict[str, torch.Tensor]:
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    pull.after_backward(model)
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def test_the_pull_by_hand() -> None:
    model = small()
    found = gradients(model, penalty(model, "importance"))
    sizes = squares(model)
    high, low = max(sizes), min(sizes)
    pulls = [0.01 * 2 ** (4 * (high - size) / (high - low)) for size in sizes]
    assert max(pulls) == pytest.approx(0.16) and min(pulls) == pytest.approx(0.01)
    first, norm, _, second, _ = model.body
    for k, pull in enumerate(pulls):
        torch.testing.assert_close(found["body.0.weight"][k], pull * first.weight[k])
        torch.testing.assert_close(found["body.1.weight"][k], pull * norm.weight[k])
    assert not found["body.1.bias"].any() and not found["head.bias"].any()
    # the second convolution reads these channels and writes others, and is pulled as both
    groups, _ = channel_groups(model, 8, ())
    [behind] = [group for group in groups if group.path == "body.3"]
    parameters = dict(model.named_parameters())
    other = 0.01 * 2 ** (4 * unimportance(parameters, [p for p in behind.slices if p.role != "shifts"], 6))
    expected = second.weight * (torch.tensor(pulls)[None, :, None, None] + other[:, None, None, None])
    torch.testing.assert_close(found["body.3.weight"], expected)


def test_it_grows_each_epoch_by_how_little_a_channel_matters() -> None:
    model = small()
    pull = penalty(model, "growing", steps=2)
    sizes = squares(model)
    shares = [(max(sizes) - size) / (max(sizes) - min(sizes)) for size in sizes]
    for step, epochs in enumerate((1, 1, 2, 2, 3)):
        found = gradients(model, pull)["body.1.weight"]
        expected = [0.01 * epochs * share * float(model.body[1].weight[k]) for k, share in enumerate(shares)]
        assert found.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-9), step


def test_it_goes_on_where_it_was_saved() -> None:
    model = small()
    whole, again = penalty(model, "growing", steps=2), penalty(model, "growing", steps=2)
    for _ in range(3):
        whole.after_backward(model)
    again.load_state_dict(whole.state_dict())
    assert torch.equal(gradients(model, whole)["body.0.weight"], gradients(model, again)["body.0.weight"])
    assert torch.equal(gradients(model, whole)["body.0.weight"], gradients(model, again)["body.0.weight"])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return small_data(tmp_path_factory.mktemp("data"))


def trained(data: ImageData, folder: Path, **changes: Any) -> nn.Module:
    settings = {
        "epochs": 2,
        "batch_size": 50,
        "learning_rate": 0.02,
        "optimiser": "sgd",
        "clip_norm": 0.0,
        "patience": 0,
    }
    model = small_network()
    folder.mkdir()
    run_training(model, TrainingSettings.parse(settings | changes), stage_context(data, folder))
    return model


def spread(model: nn.Module) -> float:
    """Largest over smallest squared norm of the channels inside a block."""
    block = model.body.layer2[1]
    sizes = block.conv1.weight.square().sum((1, 2, 3)) + block.conv2.weight.square().sum((0, 2, 3))
    return float(sizes.max() / sizes.min())


@pytest.mark.parametrize("form", ["importance", "growing"])
def test_training_with_it_tells_channels_apart_and_leaves_the_shape(
    form: str, data: ImageData, tmp_path: Path
) -> None:
    plain = trained(data, tmp_path / "a")
    pulled = trained(data, tmp_path / "b", group_penalty=0.2, group_form=form, group_scope="whole-groups")
    assert spread(pulled) > 1.1 * spread(plain)
    assert [tuple(p.shape) for p in pulled.parameters()] == [tuple(p.shape) for p in plain.parameters()]


def test_resuming_gives_the_same_weights(data: ImageData, tmp_path: Path) -> None:
    settings = TrainingSettings(
        epochs=2, batch_size=50, learning_rate=0.01, patience=0, group_penalty=0.1, group_form="growing"
    )
    whole, other, control = small_network(), small_network(), RunControl()
    for name in "ab":
        (tmp_path / name).mkdir()
    run_training(whole, settings, stage_context(data, tmp_path / "a"))

    def stop(event: object) -> None:
        if isinstance(event, EpochDone):
            control.stop()

    with pytest.raises(Stopped):
        run_training(other, settings, stage_context(data, tmp_path / "b", control, emit=stop))
    run_training(other, settings, stage_context(data, tmp_path / "b"))
    weights = other.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in whole.state_dict().items())


def test_a_network_with_nothing_to_prune_is_refused(data: ImageData, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = ImageClassifier(nn.Sequential(nn.AvgPool2d(2)), 3, nn.Linear(3, 10), FemSettings())
    context = stage_context(data, tmp_path, network=BackboneSettings(backbone="plain-cnn-tiny"))
    with pytest.raises(EspalierError, match="a group penalty could pull"):
        run_training(model, TrainingSettings(epochs=1, batch_size=50, group_penalty=0.1), context)


def test_it_enters_no_key_at_its_default() -> None:
    assert not {"group_penalty", "group_form", "group_scope"} & TrainingSettings().for_key().keys()
