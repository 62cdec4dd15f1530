"""Zeros stay zero and shared values stay equal, whatever the optimiser does."""

import pytest
import torch
from small_stages import small_network, stage_context
from torch import nn

from core.common.control import RunControl
from core.common.errors import Stopped
from core.models.constraints import SharedPattern, SparsePattern, constrain, constraint_keeper
from core.stages.fine_tune import run_training
from core.training.hooks import Hooks
from core.training.settings import TrainingSettings

SPARSE, SHARED = "body.layer1.0.conv1.weight", "body.layer3.0.conv2.weight"


def patterned() -> nn.Module:
    """Half of one layer's weights zero, another's rounded to few values, one of them zero."""
    model = small_network()
    weights = dict(model.named_parameters())
    with torch.no_grad():
        sparse, shared = weights[SPARSE], weights[SHARED]
        sparse[sparse.abs() < sparse.abs().median()] = 0
        shared.copy_((shared * 20).round() / 20)
    constrain(model, [SPARSE], "sparse")
    constrain(model, [SHARED], "shared")
    return model


def settings(**changes: object) -> TrainingSettings:
    usual = {"epochs": 2, "batch_size": 50, "learning_rate": 0.02, "weight_decay": 0.05}
    return TrainingSettings(**usual | changes)


def check_patterns(before: nn.Module, after: nn.Module) -> None:
    old, new = dict(before.named_parameters()), dict(after.named_parameters())
    zeros = old[SPARSE] == 0
    assert 0 < int(zeros.sum()) < zeros.numel()
    assert not new[SPARSE][zeros].any() and bool(new[SPARSE][~zeros].all())
    values = old[SHARED].unique()
    assert 4 < len(values) < 100
    for value in values:
        assert len(new[SHARED][old[SHARED] == value].unique()) == 1, value
    assert not new[SHARED][old[SHARED] == 0].any()
    for name in (SPARSE, SHARED):
        assert not torch.equal(old[name], new[name]), "nothing was trained"


@pytest.mark.parametrize("optimiser", ["adamax", "adam", "adamw", "sgd"])
def test_training_keeps_zeros_and_shared_values(optimiser, data, tmp_path):
    model = patterned()
    run_training(model, settings(optimiser=optimiser), stage_context(data, tmp_path))
    check_patterns(patterned(), model)


def test_without_constraints_the_same_training_breaks_both(data, tmp_path):
    model = patterned()
    model.constraints.clear()
    run_training(model, settings(), stage_context(data, tmp_path))
    weights, before = dict(model.named_parameters()), dict(patterned().named_parameters())
    assert bool(weights[SPARSE][before[SPARSE] == 0].any())
    assert len(weights[SHARED].unique()) > 10 * len(before[SHARED].unique())


def test_a_stopped_training_goes_on_to_the_same_weights(data, tmp_path):
    whole = patterned()
    (tmp_path / "whole").mkdir()
    run_training(whole, settings(), stage_context(data, tmp_path / "whole"))
    control, steps = RunControl(), []

    def stop(model: nn.Module) -> None:
        steps.append(1)
        if len(steps) == 3:
            control.stop()

    (tmp_path / "cut").mkdir()
    with pytest.raises(Stopped):
        run_training(
            patterned(),
            settings(),
            stage_context(data, tmp_path / "cut", control),
            hooks=Hooks(after_step=stop),
        )
    resumed = patterned()
    run_training(resumed, settings(), stage_context(data, tmp_path / "cut"))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    check_patterns(patterned(), resumed)


def test_a_techniques_own_hooks_come_first_and_cannot_break_the_pattern(data, tmp_path):
    model, called = patterned(), []

    def disturb(model: nn.Module) -> None:
        called.append("step")
        with torch.no_grad():
            model.get_parameter(SPARSE).add_(0.01)

    hooks = Hooks(after_backward=lambda model: called.append("backward"), after_step=disturb)
    run_training(model, settings(epochs=1), stage_context(data, tmp_path), hooks=hooks)
    assert called == ["backward", "step"] * 4
    check_patterns(patterned(), model)


def test_a_shared_values_gradient_is_the_mean_of_its_members():
    weight = nn.Parameter(torch.tensor([[1.0, 2.0, 1.0], [0.0, 2.0, 1.0]]))
    pattern = SharedPattern(weight)
    gradient = torch.tensor([[3.0, 10.0, 6.0], [7.0, -4.0, 0.0]])
    pattern.tie_gradient(gradient)
    assert gradient.tolist() == [[3.0, 3.0, 3.0], [0.0, 3.0, 3.0]]
    values = torch.tensor([[5.0, 8.0, 5.1], [0.3, 7.9, 4.9]])
    pattern.tie_values(values)
    assert values.tolist() == [[5.0, 8.0, 5.0], [0.0, 8.0, 5.0]]


def test_patterns_do_not_depend_on_the_memory_format():
    weight = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(1)).round(decimals=0)
    plain, swapped = weight.clone() + 1, (weight + 1).to(memory_format=torch.channels_last)
    for values in (plain, swapped):
        values += torch.arange(values.numel()).view(values.shape) * 1e-3
        SharedPattern(weight).tie_values(values)
        SparsePattern(weight).tie_values(values)
    assert torch.equal(plain, swapped)
    assert len(plain.unique()) == len(weight.unique())
    assert torch.equal(plain == 0, weight == 0)


def test_names_that_surgery_took_away_are_forgotten():
    model = patterned()
    model.body.layer1[0] = nn.Identity()
    assert constraint_keeper(model) is not None
    assert model.constraints == {SHARED: "shared"}
    model.body.layer3[0] = nn.Identity()
    assert constraint_keeper(model) is None and model.constraints == {}


def test_shared_weights_stay_shared_when_they_are_pruned():
    model = patterned()
    constrain(model, [SPARSE, SHARED], "sparse")
    assert model.constraints == {SPARSE: "sparse", SHARED: "shared"}
    constrain(model, [SPARSE], "shared")
    assert model.constraints[SPARSE] == "shared"
