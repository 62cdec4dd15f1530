"""Every importance against its formula, written out for one small network."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.models.classifier import ImageClassifier
from core.models.settings import FemSettings
from core.surgery.channel_group import ChannelGroup
from core.surgery.groups import channel_groups
from core.surgery.importance import Criterion, comparable, importances

CHANNELS = range(4)


@pytest.fixture
def model() -> ImageClassifier:
    """3 → 4 → 5 channels on 6×6 maps; the first four behind a batch norm."""
    torch.manual_seed(3)
    body = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.ReLU()
    )
    norm = body[1]
    norm.weight.data.uniform_(-1.5, 1.5)
    norm.bias.data.normal_(0, 0.3)
    norm.running_mean.normal_(0, 0.1)
    norm.running_var.uniform_(0.5, 1.5)
    return ImageClassifier(body, 5, nn.Linear(5, 3), FemSettings()).train()


@pytest.fixture
def batches() -> list[tuple[Tensor, Tensor]]:
    """Two batches of three images of 6 px, three classes."""
    torch.manual_seed(7)
    return [(torch.randn(3, 3, 6, 6), torch.tensor([0, 1, 2])) for _ in range(2)]


def scores(
    model: ImageClassifier, criterion: Criterion, batches: list | tuple = (), seed: int = 0
) -> dict[str, np.ndarray]:
    groups, _ = channel_groups(model, 6, ())
    by_path, missing = importances(model, groups, criterion, seed, batches)
    assert model.training and not missing
    assert all(parameter.grad is None for parameter in model.parameters())
    return {path: values.numpy() for path, values in by_path.items()}


def parts(model: ImageClassifier) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What writes, scales and reads the first four channels."""
    layers = model.body[0], model.body[1], model.body[3]
    return tuple(layer.weight.detach().double().numpy() for layer in layers)


def test_l1(model):
    writes, scales, reads = parts(model)
    expected = [(np.abs(writes[c]).sum() + abs(scales[c]) + np.abs(reads[:, c]).sum()) / 3 for c in CHANNELS]
    assert scores(model, "l1")["body.0"] == pytest.approx(expected, rel=1e-5)


def test_the_plain_norm_of_a_filter(model):
    """Li et al. 2017: the sum of a filter's absolute weights, and nothing of the norm or of later layers."""
    writes, _, _ = parts(model)
    expected = [np.abs(writes[c]).sum() for c in CHANNELS]
    assert scores(model, "filter-l1")["body.0"] == pytest.approx(expected, rel=1e-5)
    model.body[1].weight.data.mul_(100)
    model.body[3].weight.data.mul_(100)
    assert scores(model, "filter-l1")["body.0"] == pytest.approx(expected, rel=1e-5)


def test_l2(model):
    writes, scales, reads = parts(model)
    expected = [
        (np.sqrt((writes[c] ** 2).sum()) + abs(scales[c]) + np.sqrt((reads[:, c] ** 2).sum())) / 3
        for c in CHANNELS
    ]
    assert scores(model, "l2")["body.0"] == pytest.approx(expected, rel=1e-5)


def test_lamp(model):
    writes, scales, reads = parts(model)
    squares = [((writes[c] ** 2).sum() + scales[c] ** 2 + (reads[:, c] ** 2).sum()) / 3 for c in CHANNELS]
    expected = [square / sum(other for other in squares if other >= square) for square in squares]
    found = scores(model, "lamp")["body.0"]
    assert found == pytest.approx(expected, rel=1e-5) and found.max() == pytest.approx(1)


def test_fpgm(model):
    writes, _, _ = parts(model)
    expected = [sum(np.linalg.norm(writes[c] - writes[other]) for other in CHANNELS) for c in CHANNELS]
    assert scores(model, "fpgm")["body.0"] == pytest.approx(expected, rel=1e-4)


def test_batch_norm_scales_and_groups_without_one(model):
    groups, _ = channel_groups(model, 6, ())
    found, missing = importances(model, groups, "batch-norm")
    assert found["body.0"].numpy() == pytest.approx(np.abs(parts(model)[1]), rel=1e-6)
    assert found.keys() == {"body.0"}
    assert missing == {
        "body.3": "no batch norm scales these channels, which the importance 'batch-norm' ranks by"
    }


def test_random_follows_from_the_seed(model):
    first, again, other = (scores(model, "random", seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first["body.0"], again["body.0"])
    assert not np.array_equal(first["body.0"], other["body.0"])
    assert len(set(first["body.0"])) == 4


def gradients(model: ImageClassifier, images: Tensor, labels: Tensor) -> dict[str, np.ndarray]:
    model.eval()
    model.zero_grad()
    functional.cross_entropy(model(images), labels).backward()
    by_name = {name: p.grad.double().numpy().copy() for name, p in model.named_parameters()}
    model.zero_grad()
    model.train()
    return by_name


def values(model: ImageClassifier) -> dict[str, np.ndarray]:
    return {name: parameter.detach().double().numpy() for name, parameter in model.named_parameters()}


def test_taylor(model, batches):
    expected = np.zeros(4)
    w = values(model)
    for images, labels in batches:
        g = gradients(model, images, labels)
        for c in CHANNELS:
            writes = (w["body.0.weight"][c] * g["body.0.weight"][c]).sum()
            scales = w["body.1.weight"][c] * g["body.1.weight"][c] + w["body.1.bias"][c] * g["body.1.bias"][c]
            reads = (w["body.3.weight"][:, c] * g["body.3.weight"][:, c]).sum()
            expected[c] += (writes**2 + scales**2 + reads**2) / 3 / len(batches)
    assert scores(model, "taylor", batches)["body.0"] == pytest.approx(expected, rel=1e-4)


def test_taylor_of_norm_and_reader_is_that_of_a_gate(model, batches):
    """Molchanov et al.: the squared derivative by a gate of 1 behind the layer."""
    images, labels = batches[0]
    gate = torch.ones(1, 4, 1, 1, requires_grad=True)
    model.eval()
    handle = model.body[1].register_forward_hook(lambda module, inputs, output: output * gate)
    functional.cross_entropy(model(images), labels).backward()
    handle.remove()
    model.zero_grad()
    w, g = values(model), gradients(model, images, labels)
    product = (w["body.3.weight"] * g["body.3.weight"]).sum((0, 2, 3))
    assert product == pytest.approx(gate.grad.flatten().numpy(), rel=1e-4, abs=1e-7)


def test_hessian(model, batches):
    w = values(model)
    squares = {name: np.zeros_like(value) for name, value in w.items()}
    for images, labels in batches:
        for index in range(len(images)):
            for name, g in gradients(model, images[index : index + 1], labels[index : index + 1]).items():
                squares[name] += g**2 / 6
    halves = {name: w[name] ** 2 * squares[name] / 2 for name in w}
    expected = [
        (
            halves["body.0.weight"][c].sum()
            + halves["body.1.weight"][c]
            + halves["body.1.bias"][c]
            + halves["body.3.weight"][:, c].sum()
        )
        / 3
        for c in CHANNELS
    ]
    assert scores(model, "hessian", batches)["body.0"] == pytest.approx(expected, rel=1e-4)


def test_feature_map_rank_and_groups_without_maps(model, batches):
    groups, _ = channel_groups(model, 6, ())
    by_path, missing = importances(model, groups, "feature-map-rank", 0, batches)
    model.eval()
    with torch.no_grad():
        maps = torch.cat([model.body[:3](images) for images, _ in batches]).numpy()  # [6, 4, 6, 6]
    expected = [np.mean([np.linalg.matrix_rank(image[c]) for image in maps]) for c in CHANNELS]
    assert by_path["body.0"].numpy() == pytest.approx(expected)
    assert len(set(expected)) > 1
    assert missing == {
        "body.3": "no layer reads these channels as feature maps, whose rank is their importance"
    }


class Bundles(nn.Module):
    """8 channels, read by a convolution in two groups."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 1)
        self.second = nn.Conv2d(8, 4, 1, groups=2)

    def forward(self, features: Tensor) -> Tensor:
        return self.second(self.first(features))


def bundled() -> tuple[ImageClassifier, ChannelGroup]:
    torch.manual_seed(2)
    model = ImageClassifier(Bundles(), 4, nn.Linear(4, 3), FemSettings())
    return model, channel_groups(model, 6, ())[0][0]


def test_a_bundle_counts_all_its_channels():
    model, group = bundled()
    assert (group.units, group.bundle) == (4, 2)
    first, second = (layer.weight.detach().abs().numpy() for layer in (model.body.first, model.body.second))
    by_path, _ = importances(model, [group], "l1")
    expected = [
        (first[[unit, unit + 4]].sum() + second[:, unit].sum()) / 2 for unit in range(4)
    ]  # both groups of filters read the same place of their own part
    assert by_path["body.first"].numpy() == pytest.approx(expected, rel=1e-5)


def test_a_bundles_rank_is_the_mean_of_its_maps():
    model, group = bundled()
    model.body.first.weight.data[3:5] = 0  # constant maps, of rank 1
    images = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    found, _ = importances(model, [group], "feature-map-rank", 0, [(images, torch.tensor([0, 1]))])
    assert found["body.first"].tolist() == [3.5, 6, 6, 3.5]


def test_importances_are_compared_by_their_share_of_the_mean():
    unscaled = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([10.0, 30.0]), "zero": torch.zeros(2)}
    found = comparable(unscaled, "l1")
    assert found["a"].tolist() == found["b"].tolist() == [0.5, 1.5] and found["zero"].tolist() == [0, 0]
    assert comparable(unscaled, "lamp") is unscaled
