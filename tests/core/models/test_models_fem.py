"""The Feature Enhancement Module against its six equations, and Hamza et al.'s parameter counts."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from core.models.catalogue import backbone
from core.models.fem import FeatureEnhancement
from core.models.settings import BackboneSettings, FemSettings


def small_fem(place: str, **settings: object) -> FeatureEnhancement:
    torch.manual_seed(5)
    fem = FeatureEnhancement(8, FemSettings(place=place, **settings)).eval()
    fem.fusion.data = torch.tensor([0.7, -1.3])  # w1 and w2 that differ
    return fem


def dense_layers(mlp: nn.Sequential) -> list[tuple[np.ndarray, np.ndarray]]:
    """(weight [out, in], bias [out]) of every layer that has them."""
    return [
        (layer.weight.detach().numpy().reshape(len(layer.bias), -1), layer.bias.detach().numpy())
        for layer in mlp
        if isinstance(layer, nn.Linear | nn.Conv2d)
    ]


def mlp_by_hand(layers: list[tuple[np.ndarray, np.ndarray]], feature: np.ndarray) -> np.ndarray:
    """[..., c] → [..., c]: linear, ReLU, …, linear."""
    for index, (weight, bias) in enumerate(layers):
        feature = feature @ weight.T + bias
        if index < len(layers) - 1:
            feature = np.maximum(feature, 0)
    return feature


def fem_by_hand(fem: FeatureEnhancement, feature: np.ndarray, positions: tuple[int, ...]) -> np.ndarray:
    """Equations 1–6 with the channels last; the mean of equation 4 is over the axes `positions`."""
    shallow = mlp_by_hand(dense_layers(fem.shallow), feature)
    deep = mlp_by_hand(dense_layers(fem.deep), feature)
    fused = 0.7 * shallow - 1.3 * deep
    pooled = fused.mean(positions, keepdims=True) if positions else fused
    attention = 1 / (1 + np.exp(-mlp_by_hand(dense_layers(fem.attention), pooled)))
    return feature + attention * fused


def test_pooled_features_follow_the_six_equations():
    fem = small_fem("pooled")
    feature = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    got = fem(torch.from_numpy(feature)).detach().numpy()
    np.testing.assert_allclose(got, fem_by_hand(fem, feature, ()), rtol=1e-5, atol=1e-6)


def test_maps_follow_the_six_equations_at_every_position():
    fem = small_fem("map")
    feature = np.random.default_rng(1).normal(size=(2, 8, 3, 5)).astype(np.float32)
    got = fem(torch.from_numpy(feature)).detach().numpy()
    expected = fem_by_hand(fem, feature.transpose(0, 2, 3, 1), (1, 2)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_widths_are_the_declared_fractions():
    fem = small_fem("pooled", shallow=0.25, deep=0.5, deep_layers=3, attention=0.01)
    widths = {
        name: [weight.shape for weight, _ in dense_layers(getattr(fem, name))]
        for name in ("shallow", "deep", "attention")
    }
    assert widths["shallow"] == [(2, 8), (8, 2)]
    assert widths["deep"] == [(4, 8), (4, 4), (4, 4), (8, 4)]
    assert widths["attention"] == [(1, 8), (8, 1)]  # 0.08 of a channel is one channel


def test_the_fusion_starts_at_the_mean_of_the_branches():
    assert FeatureEnhancement(4, FemSettings(place="pooled")).fusion.tolist() == [0.5, 0.5]


def test_dropout_acts_in_the_branches_and_only_in_training():
    fem, feature = small_fem("pooled", dropout=0.5), torch.ones(4, 8)
    assert torch.equal(fem(feature), fem(feature))
    fem.train()
    assert not torch.equal(fem(feature), fem(feature))
    assert not any(isinstance(layer, nn.Dropout) and layer.p for layer in fem.attention)


@pytest.mark.parametrize("place", ["pooled", "map"])
def test_every_parameter_gets_a_gradient(place):
    torch.manual_seed(3)
    fem = FeatureEnhancement(32, FemSettings(place=place, dropout=0.0))
    fem(torch.randn((16, 32) if place == "pooled" else (4, 32, 4, 4))).square().sum().backward()
    for name, parameter in fem.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def mlp_parameters(*widths: int) -> int:
    return sum(inputs * outputs + outputs for inputs, outputs in pairwise(widths))


@pytest.mark.parametrize(
    ("name", "head", "millions", "within"),
    [
        ("resnet50", "linear", 32.53, 0.01),
        ("mobilenet-v3-large", "linear", 5.29, 0.06),
        ("mobilenet-v3-large", "original", 6.31, 0.001),
    ],
)
def test_parameters_with_200_classes_are_near_the_papers(name, head, millions, within):
    plain, enhanced = (
        backbone(name).build(BackboneSettings(backbone=name, head=head, fem={"place": place}), 200)
        for place in ("none", "pooled")
    )
    count, without = (sum(p.numel() for p in model.parameters()) for model in (enhanced, plain))
    assert count / 1e6 == pytest.approx(millions, rel=within)
    c = 2048 if name == "resnet50" else 960
    assert count - without == (
        mlp_parameters(c, c // 4, c) + mlp_parameters(c, c // 2, c // 2, c) + mlp_parameters(c, c // 8, c) + 2
    )


@pytest.mark.parametrize("name", ["resnet20", "timm-convnext-atto"])
def test_the_wide_head_has_the_parameters_of_the_fem_and_none_of_its_equations(name):
    """The control of Hamza et al.'s ablation; within one hidden channel of the same count."""
    fem = backbone(name).build(BackboneSettings.parse({"backbone": name, "fem": {"place": "pooled"}}), 10)
    wide = backbone(name).build(BackboneSettings.parse({"backbone": name, "head": "wide"}), 10)
    count = [sum(weight.numel() for weight in model.parameters()) for model in (fem, wide)]
    hidden = wide.head.hidden
    assert abs(count[0] - count[1]) <= (hidden.in_features + 1 + 10) / 2
    assert not any(isinstance(module, FeatureEnhancement) for module in wide.modules())
    assert wide(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    assert hasattr(wide.head, "norm") == (name != "resnet20")
