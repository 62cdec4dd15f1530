"""DHSPG against its equations written out, the target to the group, and its state."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.surgery.dhspg import DHSPG, LayerGroups, choose_redundant, half_space_step, salience


def step_by_hand(x: np.ndarray, stepped: np.ndarray, lr: float, epsilon: float) -> np.ndarray:
    """One group through the penalised step and the half-space projection, in scalars."""
    step = x - stepped
    norm = np.sqrt(sum(value * value for value in x))
    inner = sum(a * b for a, b in zip(x, step, strict=True))
    shrink = lr * 1e-3
    if inner < 0:
        lower = -inner / norm
        upper = -sum(value * value for value in step) * norm / inner
        shrink = max(1.1 * lower, shrink)
        if shrink >= upper:
            shrink = (lower + upper) / 2
    found = stepped - shrink * x / norm
    return np.zeros_like(x) if found @ x < epsilon * norm**2 else found


@pytest.mark.parametrize("epsilon", [0.0, 0.9])
@pytest.mark.parametrize(
    ("x", "taken"),
    [
        ([3.0, 4.0], [0.1, 0.2]),  # shrinks by itself: the small penalty
        ([3.0, 4.0], [-0.1, -0.2]),  # would grow: the raised penalty
        ([3.0, 4.0], [-0.3, -0.4]),  # grows straight outwards: both bounds meet
        ([0.03, 0.04], [0.05, 0.06]),  # crosses the origin: projected
        ([0.01, -0.02], [-0.5, -0.26]),  # hardly grows, moves far sideways
        ([0.0, 0.0], [0.1, 0.2]),  # zero stays zero
    ],
)
def test_the_half_space_step_by_hand(x, taken, epsilon):
    before, after = np.array(x), np.array(x) - np.array(taken)
    expected = step_by_hand(before, after, 0.1, epsilon) if any(x) else np.zeros(2)
    found = half_space_step(torch.tensor([x]).double(), torch.from_numpy(after)[None], 0.1, epsilon)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-12, atol=1e-15)


def test_the_raised_penalty_shrinks_the_group_and_still_descends():
    random = torch.Generator().manual_seed(3)
    before = torch.randn(200, 7, generator=random, dtype=torch.float64)
    steps = torch.randn(200, 7, generator=random, dtype=torch.float64) * 0.05
    growing = (before * steps).sum(1) < 0
    found = half_space_step(before, before - steps, 0.1, 0.0)
    moved = before - found
    assert int(growing.sum()) > 50
    assert bool(((before * moved).sum(1) > 0)[growing].all())  # towards the origin
    assert bool(((steps * moved).sum(1) > 0)[growing].all())  # along the base step


def test_salience_is_low_for_small_groups_whose_step_leads_to_zero():
    before = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.5, 0.0], [0.5, 0.0]])
    taken = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    [scores] = salience([(before, taken)], within_layer=False)
    np.testing.assert_allclose(scores.numpy(), [2.0, 0.0, 0.0, -2.0], atol=1e-6)  # size ±1 less cosine ±1


def test_within_its_layer_the_scale_of_a_layer_does_not_count():
    random = torch.Generator().manual_seed(4)
    before, steps = torch.randn(6, 5, generator=random), torch.randn(6, 5, generator=random)
    first, second = salience([(before, steps), (before * 100, steps)], within_layer=True)
    torch.testing.assert_close(first, second)
    first, second = salience([(before, steps), (before * 100, steps)], within_layer=False)
    assert float(second.mean()) > float(first.mean()) + 1


def counts(scores: list[list[float]], sparsity: float, round_to: int) -> list[int]:
    masks = choose_redundant([torch.tensor(score) for score in scores], sparsity, round_to)
    return [int(mask.sum()) for mask in masks]


def test_the_least_salient_groups_are_chosen():
    masks = choose_redundant([torch.tensor([4.0, 1.0, 3.0]), torch.tensor([9.0, 2.0, 8.0])], 0.5, 1)
    assert [mask.tolist() for mask in masks] == [[False, True, True], [False, True, False]]


@pytest.mark.parametrize(
    ("scores", "sparsity", "round_to", "expected"),
    [
        ([[1, 2, 3, 4], [5, 6, 7, 8]], 0.5, 1, [3, 1]),  # one channel of every layer stays
        ([[1, 2, 3, 4], [5, 6, 7, 8]], 1.0, 1, [3, 3]),
        ([[1, 2, 3, 4], [5, 6, 7, 8]], 0.5, 2, [2, 2]),
        ([[1, 2, 3, 4], [5, 6, 7, 8]], 0.3, 2, [2, 0]),  # 2.4 wanted: 2 is nearest
        ([[1, 2, 3, 4], [5, 6, 7, 8]], 0.1, 2, [0, 0]),  # 0.8 wanted: 0 is nearer than 2
        ([[1, 2, 3, 4, 5], [6, 7]], 0.9, 4, [1, 0]),  # 5 → 4; 2 cannot be rounded
        ([[0.1] * 20], 0.6, 8, [12]),  # 20 → 16 → 8, in this order though all are alike
    ],
)  # fmt: skip
def test_counts_are_rounded_when_groups_are_chosen(scores, sparsity, round_to, expected):
    assert counts([[float(v) for v in score] for score in scores], sparsity, round_to) == expected


def problem(base: str = "sgd", **more: object) -> tuple[nn.Linear, DHSPG, Tensor, Tensor]:
    """Least squares with 12 outputs; a group is an output's weights and bias."""
    torch.manual_seed(0)
    model = nn.Linear(6, 12)
    rows = torch.arange(12)
    layers = [LayerGroups(((model.weight, 0, rows), (model.bias, 0, rows)))]
    kinds = {
        "sgd": lambda: torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4),
        "adamw": lambda: torch.optim.AdamW(model.parameters(), lr=0.01),
    }
    optimiser = DHSPG(kinds[base](), layers, **{"sparsity": 0.5, "steps": range(5, 15)} | more)
    random = torch.Generator().manual_seed(1)
    return model, optimiser, torch.randn(64, 6, generator=random), torch.randn(64, 12, generator=random)


def advance(model: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor, steps: int) -> None:
    for _ in range(steps):
        optimiser.zero_grad()
        (model(x) - y).square().mean().backward()
        optimiser.step()


def zero_groups(model: nn.Linear) -> Tensor:
    return torch.cat([model.weight, model.bias[:, None]], 1).abs().sum(1) == 0


@pytest.mark.parametrize("base", ["sgd", "adamw"])
@pytest.mark.parametrize(("sparsity", "gone"), [(0.25, 3), (0.5, 6), (0.75, 9)])
def test_the_target_is_reached_to_the_group_at_the_step(base, sparsity, gone):
    model, optimiser, x, y = problem(base, sparsity=sparsity)
    advance(model, optimiser, x, y, 5)
    assert int(zero_groups(model).sum()) == 0 and optimiser.redundant is None
    advance(model, optimiser, x, y, 10)
    assert int(zero_groups(model).sum()) == gone and optimiser.reached
    remaining = model.weight[~zero_groups(model)].clone()
    advance(model, optimiser, x, y, 10)
    assert int(zero_groups(model).sum()) == gone
    assert not torch.equal(model.weight[~zero_groups(model)], remaining)  # the others train on
    assert torch.equal(zero_groups(model).nonzero().flatten(), optimiser.redundant[0])


def test_before_the_start_it_is_the_base_optimiser():
    model, optimiser, x, y = problem()
    plain = copy.deepcopy(model)
    advance(model, optimiser, x, y, 5)
    base = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    advance(plain, base, x, y, 5)
    assert torch.equal(model.weight, plain.weight) and torch.equal(model.bias, plain.bias)


def test_redundant_norms_stay_below_the_falling_ceiling():
    model, optimiser, x, y = problem(steps=range(5, 15))
    advance(model, optimiser, x, y, 5)
    before = torch.cat([model.weight, model.bias[:, None]], 1).norm(dim=1)
    for step in range(1, 10):
        advance(model, optimiser, x, y, 1)
        norms = torch.cat([model.weight, model.bias[:, None]], 1).norm(dim=1)
        [redundant] = optimiser.redundant
        assert bool((norms[redundant] <= before[redundant] * (1 - step / 10) + 1e-6).all())


def test_a_layer_may_keep_all_its_groups():
    """Of one channel none can go, and it trains on."""
    torch.manual_seed(0)
    wide, narrow = nn.Linear(6, 12), nn.Linear(6, 1)
    layers = [LayerGroups(((layer.weight, 0, torch.arange(len(layer.weight))),)) for layer in (wide, narrow)]
    optimiser = DHSPG(torch.optim.SGD([wide.weight, narrow.weight], lr=0.1), layers, 0.9, range(4))
    before = narrow.weight.detach().clone()
    for _ in range(6):
        optimiser.zero_grad()
        (wide.weight.square().sum() + narrow.weight.square().sum()).backward()
        optimiser.step()
    assert [len(channels) for channels in optimiser.redundant] == [11, 0]
    torch.testing.assert_close(narrow.weight, before * 0.8**6)


@pytest.mark.parametrize("cut", [3, 5, 9, 15, 18])
@pytest.mark.parametrize("base", ["sgd", "adamw"])
def test_resumed_it_goes_on_bit_for_bit(base, cut, tmp_path):
    model, optimiser, x, y = problem(base)
    advance(model, optimiser, x, y, 22)
    first, before, *_ = problem(base)
    advance(first, before, x, y, cut)
    torch.save({"model": first.state_dict(), "optimiser": before.state_dict()}, tmp_path / "state")
    state = torch.load(tmp_path / "state", weights_only=True)
    second, after, *_ = problem(base)
    second.load_state_dict(state["model"])
    after.load_state_dict(state["optimiser"])
    advance(second, after, x, y, 22 - cut)
    assert torch.equal(second.weight, model.weight) and torch.equal(second.bias, model.bias)
    assert after.reached and after.param_groups is after.base.param_groups


@pytest.mark.parametrize("steps", [0, 3, 8])
def test_finished_early_the_redundant_groups_go_at_once(steps):
    model, optimiser, x, y = problem()
    advance(model, optimiser, x, y, steps)
    sizes = torch.cat([model.weight, model.bias[:, None]], 1).norm(dim=1)
    optimiser.finish()
    assert optimiser.reached and int(zero_groups(model).sum()) == 6
    if steps < 5:  # by magnitude alone
        assert set(optimiser.redundant[0].tolist()) == set(sizes.argsort()[:6].tolist())
