"""Correcting what pruning leaves: against least squares by hand, for every form of a layer."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.surgery.weight_correction import DAMPING, correct, remaining, second_moments


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def least_squares(weights: np.ndarray, kept: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Row by row with numpy's own solver: the damping is d more samples that ask for the old weights."""
    damping = DAMPING * np.mean(np.square(samples).mean(1))
    seen = np.hstack([samples / np.sqrt(samples.shape[1]), np.sqrt(damping) * np.eye(len(samples))])
    solved = np.zeros_like(weights)
    for number, row in enumerate(weights):
        stay = kept[number]
        solved[number, stay] = np.linalg.lstsq(seen[stay].T, seen.T @ row, rcond=None)[0]
    return solved


def test_remaining_weights_are_the_least_squares() -> None:
    samples, weights = numbers(9, 60).double().cumsum(0), numbers(4, 9, seed=1).double()
    kept = numbers(4, 9, seed=2) > 0
    kept[3] = True  # nothing went
    moments = (samples @ samples.T / 60)[None]
    solved = remaining(weights, kept, moments)
    assert np.allclose(solved, least_squares(weights.numpy(), kept.numpy(), samples.numpy()), atol=1e-9)
    assert torch.equal(solved[3], weights[3])


LAYERS = {
    "linear": (nn.Linear(6, 3, bias=False), (5, 6)),
    "tokens": (nn.Linear(6, 3), (5, 7, 6)),
    "convolution": (nn.Conv2d(4, 3, 3, stride=2, padding=1, bias=False), (5, 4, 9, 8)),
    "grouped": (nn.Conv2d(4, 6, 3, padding="same", groups=2), (5, 4, 6, 6)),
    "dilated": (nn.Conv2d(2, 3, 3, dilation=2, padding=2, padding_mode="circular"), (5, 2, 8, 8)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_moments_give_the_power_of_the_answers(name: str) -> None:
    # E[(w·x)²] by the moments is the mean square of what the layer itself answers
    layer, shape = copy.deepcopy(LAYERS[name])
    images = numbers(*shape)
    moments = second_moments(nn.Sequential(layer), layer, [images[:3], images[3:]])
    answers = layer(images).detach().double()
    channels = (
        answers.flatten(0, -2) if isinstance(layer, nn.Linear) else answers.movedim(1, -1).flatten(0, -2)
    )
    rows = layer.weight.detach().double().flatten(1)
    if layer.bias is not None:
        rows = torch.cat([rows, layer.bias.detach().double()[:, None]], 1)
    for number, row in enumerate(rows):
        group = number * len(moments) // len(rows)
        assert float(row @ moments[group] @ row) == pytest.approx(
            float(channels[:, number].square().mean()), rel=1e-5
        )


def test_layers_are_corrected_one_after_the_other() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 4))
    images = numbers(200, 8).cumsum(1)
    answers = model(images).detach()
    before = {path: model.get_submodule(path).weight.detach().clone() for path in ("0", "2")}
    for path in before:
        weight = model.get_submodule(path).weight
        weight.data.masked_fill_(weight.abs() < weight.abs().median(), 0)
    zeros = {path: model.get_submodule(path).weight == 0 for path in before}
    pruned = functional.mse_loss(model(images), answers).item()
    rows, skipped = correct(
        model,
        {path: model.get_submodule(path) for path in ("2", "0")},
        before,
        lambda: [images[:100], images[100:]],
    )
    assert [row["path"] for row in rows] == ["0", "2"] and not skipped
    assert all(row["corrected"] < row["uncorrected"] for row in rows)
    assert functional.mse_loss(model(images), answers).item() < pruned / 3
    assert all(bool((model.get_submodule(path).weight[zeros[path]] == 0).all()) for path in before)

    hidden = (
        model[1](model[0](images)).detach().double()
    )  # the second layer saw what the corrected first one gives
    seen = torch.cat([hidden, torch.ones(200, 1, dtype=torch.float64)], 1).T.numpy()
    dense = np.hstack([before["2"].double().numpy(), np.array(answers_bias(model, before))[:, None]])
    kept = np.hstack([~zeros["2"].numpy(), np.ones((4, 1), bool)])
    expected = least_squares(dense, kept, seen)
    found = torch.cat([model[2].weight, model[2].bias[:, None]], 1).detach().numpy()
    assert np.allclose(found, expected, atol=1e-5)


def answers_bias(model: nn.Sequential, before: dict[str, Tensor]) -> list[float]:
    """The second layer's bias before it was corrected: drawn again."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 4))[2].bias.tolist()


class Standardised(nn.Conv2d):
    """Computes with other weights than it holds."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.conv2d(input, self.weight - self.weight.mean((1, 2, 3), keepdim=True), None, 1, 1)


def test_layers_that_compute_otherwise_are_left_and_named() -> None:
    torch.manual_seed(1)
    model = nn.ModuleDict(
        {"odd": Standardised(3, 4, 3, padding=1), "idle": nn.Linear(4, 4), "head": nn.Conv2d(4, 2, 1)}
    )
    model.forward = lambda images: model["head"](model["odd"](images))
    layers = {path: model[path] for path in ("odd", "idle", "head")}
    before = {path: layer.weight.detach().clone() for path, layer in layers.items()}
    for layer in layers.values():
        layer.weight.data[0] = 0
    odd = model["odd"].weight.detach().clone()
    rows, skipped = correct(model, layers, before, lambda: [numbers(4, 3, 6, 6)])
    assert [row["path"] for row in rows] == ["head"]
    assert dict(skipped) == {
        "idle": "not corrected: the network uses its weights without calling it",
        "odd": "not corrected: it computes otherwise than its kind does",
    }
    assert torch.equal(model["odd"].weight, odd)
