"""Every loss of distillation by hand, the layers that are compared, and a teacher's own input."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from small_stages import small_network
from torch import Tensor, nn

from core.data.preprocess import HALF, IMAGENET, Preprocess
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings, FemSettings
from core.training.distillation import (
    POOLED,
    Translated,
    angle_loss,
    attention_loss,
    distance_loss,
    distillation_loss,
    feature_layers,
    hint_loss,
    layer_pairs,
    make_adapters,
    tapped,
)


def network(name: str = "resnet20", size: int = 16) -> nn.Module:
    return small_network(4, BackboneSettings(backbone=name), size)


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


# The losses by hand


@pytest.mark.parametrize("form", ["teacher-student", "student-teacher"])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_distillation_loss_by_hand(form, temperature):
    student, teacher = numbers(5, 6, seed=1) * 3, numbers(5, 6, seed=2) * 3

    def softened(logits: Tensor) -> np.ndarray:
        powers = np.exp(logits.double().numpy() / temperature)
        return powers / powers.sum(1, keepdims=True)

    s, t = softened(student), softened(teacher)
    p, q = (t, s) if form == "teacher-student" else (s, t)
    expected = temperature**2 * (p * np.log(p / q)).sum(1).mean()
    assert float(distillation_loss(student, teacher, temperature, form)) == pytest.approx(expected, rel=1e-5)
    assert float(distillation_loss(teacher, teacher, temperature, form)) == pytest.approx(0, abs=1e-6)


def pooled(maps: np.ndarray, side: int) -> np.ndarray:
    """Adaptive average pooling of [b, c, h, h]: window i goes from ⌊i·h/side⌋ to ⌈(i+1)·h/side⌉."""
    h = maps.shape[2]
    edges = [(i * h // side, -(-(i + 1) * h // side)) for i in range(side)]
    rows = [[maps[:, :, a:b, c:d].mean((2, 3)) for c, d in edges] for a, b in edges]
    return np.array(rows).transpose(2, 3, 0, 1)


@pytest.mark.parametrize(("learns", "teaches"), [(8, 8), (8, 4), (4, 8), (7, 3), (5, 7)])
def test_the_hint_loss_by_hand(learns, teaches):
    student, teacher = numbers(3, 2, learns, learns, seed=3), numbers(3, 5, teaches, teaches, seed=4)
    adapter = nn.Conv2d(2, 5, 1)
    side = min(learns, teaches)
    weight, bias = (
        adapter.weight.detach().double().numpy()[:, :, 0, 0],
        adapter.bias.detach().double().numpy(),
    )
    maps = pooled(student.double().numpy(), side)
    adapted = np.einsum("oc,bchw->bohw", weight, maps) + bias[None, :, None, None]
    expected = ((adapted - pooled(teacher.double().numpy(), side)) ** 2).mean()
    assert hint_loss(student, teacher, adapter).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("learns", "teaches"), [(4, 4), (8, 4), (3, 7)])
def test_the_attention_loss_by_hand(learns, teaches):
    student, teacher = numbers(3, 2, learns, learns, seed=5), numbers(3, 6, teaches, teaches, seed=6)
    side = min(learns, teaches)

    def attention(maps: Tensor) -> np.ndarray:
        energy = pooled((maps.double().numpy() ** 2).mean(1, keepdims=True), side).reshape(3, -1)
        return energy / np.sqrt((energy**2).sum(1, keepdims=True))

    expected = ((attention(student) - attention(teacher)) ** 2).mean()
    assert float(attention_loss(student, teacher)) == pytest.approx(expected, rel=1e-5)


def huber(difference: float) -> float:
    return 0.5 * difference**2 if abs(difference) < 1 else abs(difference) - 0.5


def test_the_distance_loss_by_hand():
    student, teacher = numbers(6, 4, seed=7), numbers(6, 9, seed=8)
    teacher[0] += 20  # an image far away: the linear part of Huber's loss

    def potentials(features: Tensor) -> dict[tuple[int, int], float]:
        x = features.double().tolist()
        pairs = {(i, j): math.dist(x[i], x[j]) for i, j in product(range(6), repeat=2)}
        mean = sum(pairs[i, j] for i, j in pairs if i != j) / 30
        return {pair: distance / mean for pair, distance in pairs.items()}

    s, t = potentials(student), potentials(teacher)
    assert max(abs(s[pair] - t[pair]) for pair in s) > 1
    expected = sum(huber(s[pair] - t[pair]) for pair in s) / 36
    assert float(distance_loss(student, teacher)) == pytest.approx(expected, rel=1e-5)


def test_the_angle_loss_by_hand():
    student, teacher = numbers(5, 4, seed=9), numbers(5, 7, seed=10)

    def cosine(x: np.ndarray, i: int, j: int, k: int) -> float:
        one, other = x[i] - x[j], x[k] - x[j]
        size = float(np.linalg.norm(one) * np.linalg.norm(other))
        return float(one @ other) / size if size else 0.0

    s, t = student.double().numpy(), teacher.double().numpy()
    apart = [cosine(s, *triple) - cosine(t, *triple) for triple in product(range(5), repeat=3)]
    assert max(map(abs, apart)) > 1
    expected = sum(map(huber, apart)) / 125
    assert float(angle_loss(student, teacher)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_relations_ignore_place_scale_and_turns_and_survive_equal_images(loss):
    teacher = numbers(6, 4, seed=11)
    turn = torch.linalg.qr(numbers(4, 4, seed=12))[0]
    assert float(loss(3 * teacher @ turn + 5, teacher)) == pytest.approx(0, abs=1e-6)
    student = torch.ones(6, 4, requires_grad=True)
    value = loss(student, teacher)
    value.backward()
    assert value.item() > 0 and bool(student.grad.isfinite().all())


# Layers and adapters


def test_maps_are_compared_before_each_change_of_resolution():
    images = torch.zeros(2, 3, 32, 32)
    pairs = layer_pairs(network(), network("resnet32"), images)
    assert [(p.student.path, p.teacher.path) for p in pairs] == [
        ("body.layer1", "body.layer1"), ("body.layer2", "body.layer2"), ("body", "body"),
    ]  # fmt: skip
    assert [(p.student.channels, p.student.size) for p in pairs] == [
        (16, (32, 32)),
        (32, (16, 16)),
        (64, (8, 8)),
    ]
    assert str(pairs[0]) == "body.layer1 (16×32×32) from body.layer1 (16×32×32)"


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("mobilenet-v3-large", ["body.1", "body.3", "body.6", "body.12", "body"]),  # no side branch of 1×1
        ("resnet18", ["body.relu", "body.layer1", "body.layer2", "body.layer3", "body"]),
        ("efficientnet-lite0", ["body.blocks.0", "body.blocks.1", "body.blocks.2", "body.blocks.4", "body"]),
        ("plain-cnn-tiny", ["body.stage1", "body.stage2", "body.stage3", "body.stage4", "body"]),
    ],
)
def test_a_network_is_followed_along_its_trunk_and_matched_from_the_end(name, paths):
    with torch.device("meta"):  # shapes only
        model, student = network(name, 64), network()
        images = torch.zeros(2, 3, 64, 64)
        same = layer_pairs(model, model, images)
        pairs_across = layer_pairs(student, model, images)
    assert [pair.teacher.path for pair in same] == [pair.student.path for pair in same] == paths
    assert [pair.teacher.path for pair in pairs_across] == paths[-3:]
    assert [pair.student.path for pair in pairs_across] == ["body.layer1", "body.layer2", "body"]


class Turned(nn.Module):
    """A layer that keeps the channels last."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, maps: Tensor) -> Tensor:
        return self.layer(maps).permute(0, 2, 3, 1)


class Turning(nn.Sequential):
    """Turns channels back to their place at the end."""

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps).permute(0, 3, 1, 2)


def test_maps_with_channels_last_and_what_lies_inside_are_left_out():
    inside = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 2, 1))
    model = ImageClassifier(Turning(Turned(inside)), 6, nn.Linear(6, 10), FemSettings())
    layers = feature_layers(model, torch.zeros(2, 3, 16, 16))
    assert layers["body.0"] is None and layers["body.0.layer.0"].size == (8, 8)
    [pair] = layer_pairs(model, model, torch.zeros(2, 3, 16, 16))
    assert (pair.student.path, pair.student.channels, pair.student.size) == ("body", 6, (4, 4))


def test_a_layer_that_is_used_twice_has_no_one_map():
    model = network()
    model.body.layer1[0].relu2 = model.body.layer1[0].relu1
    layers = feature_layers(model, torch.zeros(2, 3, 16, 16))
    assert layers["body.layer1.0.relu1"] is None and layers["body.layer1.1.relu1"] is not None
    assert layers["head"] is None


def test_adapters_follow_from_the_seed_and_disturb_no_draw():
    pairs = layer_pairs(network(), network(), torch.zeros(2, 3, 16, 16))
    torch.manual_seed(3)
    first, draw = make_adapters(pairs, 7), torch.rand(4)
    torch.manual_seed(3)
    assert torch.equal(draw, torch.rand(4))
    again, other = make_adapters(pairs, 7), make_adapters(pairs, 8)
    assert all(torch.equal(*both) for both in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first[0].weight, other[0].weight)
    assert [(a.in_channels, a.out_channels) for a in first] == [(16, 16), (32, 32), (64, 64)]


def hooks(model: nn.Module) -> list[str]:
    return [path for path, module in model.named_modules() if module._forward_hooks]


def test_taps_are_gone_afterwards_even_after_an_error():
    model = network()
    with tapped(model, ["body", POOLED]) as outputs:
        model(torch.zeros(2, 3, 16, 16))
    assert outputs["body"].shape == (2, 64, 4, 4) and outputs[POOLED].shape == (2, 64)
    with pytest.raises(RuntimeError), tapped(model, ["body"]):
        model(torch.zeros(2, 7, 16, 16))
    assert hooks(model) == []


# A teacher's own input


def stored(count: int = 6, side: int = 16) -> np.ndarray:
    return np.random.default_rng(14).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("own", [IMAGENET, HALF])
def test_another_normalisation_is_translated_exactly(own):
    teacher, images = network(), stored()
    mine, its = Preprocess(16, 3, (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)), Preprocess(16, 3, *own)
    with torch.no_grad():
        translated = Translated(teacher, mine, its)(mine(images))
        torch.testing.assert_close(translated, teacher(its(images)), rtol=1e-5, atol=1e-5)
        assert float((teacher(mine(images)) - translated).abs().max()) > 0.01


def test_another_size_is_what_resizing_the_students_image_gives():
    teacher, images = network(), stored()
    mine, its = Preprocess(16, 3, *HALF), Preprocess(24, 3, *IMAGENET)
    with torch.no_grad():
        translated = Translated(teacher, mine, its)(mine(images))
        torch.testing.assert_close(translated, teacher(its(images)), rtol=1e-5, atol=1e-5)


def test_grey_students_and_other_orders_of_classes_are_translated():
    teacher, grey = network(), stored()[:, :, :, :1]
    mine, its = Preprocess(16, 1, (0.3,), (0.2,)), Preprocess(16, 3, *IMAGENET)
    order = [3, 1, 2, 0, 9, 8, 7, 6, 5, 4]
    with torch.no_grad():
        translated = Translated(teacher, mine, its, order)(mine(grey))
        torch.testing.assert_close(translated, teacher(its(grey))[:, order], rtol=1e-5, atol=1e-5)
