"""Low-rank factors: exact where they can be, optimal where they cannot, and really smaller."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from small_stages import NETWORK, small_network, stage_context
from torch import nn

from core.data.image_data import ImageData
from core.deploy.onnx_export import describe, export_module
from core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from core.models.constraints import constrain
from core.models.torchvision_shim import import_torchvision
from core.stages.factorise import Factorise
from core.surgery.low_rank import (
    Places,
    Tucker,
    TwoFactors,
    costs_of,
    find_places,
    padding_of,
    rank_for,
    reason_against,
)

STAGE = Factorise()


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def factorise(
    data: ImageData, folder: Path, model: nn.Module | None = None, epochs: int = 0, **content: object
):
    how = {"training": {"epochs": epochs, "batch_size": 50, "learning_rate": 0.01}} | content
    result = STAGE.run(model or small_network(), STAGE.Settings.parse(how), stage_context(data, folder))
    result.model.eval().to(memory_format=torch.contiguous_format)
    return result


def answers(module: nn.Module, *shape: int) -> torch.Tensor:
    with torch.no_grad():
        return module(torch.randn(shape, generator=torch.Generator().manual_seed(1)))


CONVOLUTIONS = [
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": 1, "padding": 1, "bias": False},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (3, 5), "stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)},
    {"kernel_size": 5, "padding": "same", "bias": False},
    {"kernel_size": (3, 1), "stride": 2, "padding": (1, 0)},
    {"kernel_size": (1, 3), "stride": 2, "padding": (0, 1)},
]


@pytest.mark.parametrize("way", [TwoFactors, Tucker])
@pytest.mark.parametrize("arguments", CONVOLUTIONS, ids=str)
def test_at_full_rank_the_factors_compute_the_same(way, arguments):
    layer = nn.Conv2d(6, 10, **arguments)
    ways = way(layer)
    factors = ways.factors(tuple(len(energy) for energy in ways.energy))
    torch.testing.assert_close(
        answers(factors, 2, 6, 13, 12), answers(layer, 2, 6, 13, 12), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("arguments", CONVOLUTIONS[2:], ids=str)
def test_a_convolution_of_low_tucker_rank_is_found_exactly(arguments):
    layer = nn.Conv2d(6, 10, **arguments)
    with torch.no_grad():
        core = torch.randn(4, 3, *layer.kernel_size)
        layer.weight.copy_(torch.einsum("sryx,ir,os->oiyx", core, torch.randn(6, 3), torch.randn(10, 4)))
    ways = Tucker(layer)
    ranks = tuple(rank_for(energy, 1 - 1e-9, 1) for energy in ways.energy)
    assert ranks == (3, 4)
    factors = ways.factors(ranks)
    assert [factor.out_channels for factor in factors] == [3, 4, 10]
    torch.testing.assert_close(
        answers(factors, 2, 6, 13, 12), answers(layer, 2, 6, 13, 12), rtol=1e-3, atol=1e-3
    )


def test_a_matrix_of_low_rank_is_found_exactly():
    layer = nn.Linear(20, 12)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(12, 3) @ torch.randn(3, 20))
    ways = TwoFactors(layer)
    assert rank_for(ways.energy[0], 1 - 1e-9, 1) == 3
    factors = ways.factors((3,))
    torch.testing.assert_close(factors[1].weight @ factors[0].weight, layer.weight, rtol=1e-4, atol=1e-5)
    assert factors[0].bias is None and torch.equal(factors[1].bias, layer.bias)
    torch.testing.assert_close(answers(factors, 4, 7, 20), answers(layer, 4, 7, 20), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 4, 9])
def test_the_error_is_the_tail_of_the_singular_values(rank):
    """Eckart and Young: no matrix of the rank is nearer."""
    layer = nn.Linear(24, 15)
    factors = TwoFactors(layer).factors((rank,))
    tail = torch.linalg.svdvals(layer.weight.detach().double())[rank:]
    product, weight = (factors[1].weight @ factors[0].weight).detach(), layer.weight.detach()
    error = (product - weight).double().square().sum()
    assert float(error) == pytest.approx(float(tail.square().sum()), rel=1e-4)
    assert float(TwoFactors(layer).energy[0][rank - 1]) == pytest.approx(
        1 - float(error / weight.double().square().sum()), rel=1e-5
    )


def composed(factors: nn.Sequential, inputs: int, kernel: tuple[int, int]) -> torch.Tensor:
    """The kernel [o, i, y, x] that a chain of convolutions without padding amounts to: its answers to impulses."""
    height, width = kernel
    impulses = torch.zeros(inputs, inputs, 2 * height - 1, 2 * width - 1)
    impulses[range(inputs), range(inputs), height - 1, width - 1] = 1
    with torch.no_grad():
        return factors(impulses).transpose(0, 1).flip(2, 3)


def test_the_spatial_error_is_the_tail_too():
    layer = nn.Conv2d(5, 7, (3, 4), bias=False)
    weight = layer.weight.detach()
    tail = torch.linalg.svdvals(weight.permute(1, 2, 3, 0).reshape(15, 28).double())[6:]
    product = composed(TwoFactors(layer).factors((6,)), 5, (3, 4))
    assert product.shape == weight.shape
    assert float((product - weight).square().sum()) == pytest.approx(float(tail.square().sum()), rel=1e-3)


def test_the_tucker_error_is_what_its_two_bases_leave_out():
    layer = nn.Conv2d(8, 12, 3, bias=False)
    weight = layer.weight.detach()
    product = composed(Tucker(layer).factors((5, 7)), 8, (3, 3))
    inner = torch.linalg.svd(weight.transpose(0, 1).flatten(1))[0][:, :5]
    outer = torch.linalg.svd(weight.flatten(1))[0][:, :7]
    expected = torch.einsum("oiyx,ir,jr,os,ps->pjyx", weight, inner, inner, outer, outer)
    torch.testing.assert_close(product, expected, rtol=1e-4, atol=1e-5)
    tails = sum(
        float(torch.linalg.svdvals(unfolding)[rank:].square().sum())
        for unfolding, rank in ((weight.transpose(0, 1).flatten(1), 5), (weight.flatten(1), 7))
    )
    assert 0 < float((product - weight).square().sum()) <= tails


def test_ranks_keep_the_energy_and_are_rounded_up():
    energy = torch.tensor([9.0, 4, 2, 1, 0, 0], dtype=torch.float64).cumsum(0) / 16
    assert [rank_for(energy, share, 1) for share in (0.5, 9 / 16, 0.57, 0.93, 1.0)] == [1, 1, 2, 3, 4]
    assert [rank_for(energy, 0.57, multiple) for multiple in (2, 4, 8)] == [2, 4, 6]
    assert rank_for(energy, 0.0, 1) == 1


@pytest.mark.parametrize("way", [TwoFactors, Tucker])
@pytest.mark.parametrize("arguments", CONVOLUTIONS, ids=str)
def test_costs_by_counting_the_factors(way, arguments):
    layer = nn.Conv2d(6, 10, **arguments)
    model = nn.Sequential(nn.Conv2d(3, 6, 1), layer)
    places = find_places(model, ["1"], 14)["1"]
    for ranks in ((4,),) if way is TwoFactors else ((4, 6), (6, 6), (4, 10), (6, 10)):
        factors = way(layer).factors(ranks)
        macs = 0
        values = torch.zeros(1, 6, *places.input)
        for factor in factors:
            values = factor(values)
            macs += factor.weight.numel() * values.shape[2] * values.shape[3]
        assert tuple(values.shape[2:]) == places.output
        params = sum(parameter.numel() for parameter in factors.parameters())
        assert way(layer).costs(ranks, places) == (params, macs)
    params = sum(parameter.numel() for parameter in layer.parameters())
    assert costs_of(layer, places) == (params, layer.weight.numel() * places.output[0] * places.output[1])


def test_a_linear_layer_on_maps_counts_every_position():
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Flatten(2), nn.Linear(64, 5))
    assert find_places(model, ["2"], 8) == {"2": Places((1, 6), (1, 6))}
    assert costs_of(model[2], Places((1, 6), (1, 6))) == (325, 6 * 320)
    assert TwoFactors(model[2]).costs((2,), Places((1, 6), (1, 6))) == (2 * 69 + 5, 6 * 2 * 69)


def test_padding_like_tensorflows():
    import_torchvision()
    from timm.layers import Conv2dSame

    plain = Conv2dSame(6, 10, 3)
    assert padding_of(plain) == (1, 1) and reason_against(plain) == ""
    assert padding_of(Conv2dSame(6, 10, 1, stride=2)) == (0, 0)
    for layer in (plain, Conv2dSame(6, 10, 1, stride=2), Conv2dSame(6, 10, (1, 5), dilation=2)):
        for way in (Tucker, TwoFactors):
            ways = way(layer)
            factors = ways.factors(tuple(len(energy) for energy in ways.energy))
            torch.testing.assert_close(
                answers(factors, 2, 6, 9, 9), answers(layer, 2, 6, 9, 9), rtol=1e-4, atol=1e-5
            )
    assert reason_against(Conv2dSame(6, 10, 3, stride=2)) == (
        "a Conv2dSame that pads by the image's size and on one side only, which plain convolutions cannot"
    )


def test_what_cannot_be_split_says_why():
    assert reason_against(nn.Conv2d(8, 8, 3, groups=8)).startswith("depthwise: ")
    assert reason_against(nn.Conv2d(8, 8, 3, groups=2)).startswith("grouped: ")
    assert reason_against(nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")) == (
        "its padding mode 'reflect' is not that of its factors"
    )
    attention = nn.MultiheadAttention(8, 2)
    assert "which other code reads as one layer" in reason_against(attention.out_proj)
    assert reason_against(nn.Conv2d(8, 8, 3)) == reason_against(nn.Linear(3, 3)) == ""


@pytest.mark.parametrize("convolutions", ["tucker", "spatial"])
def test_the_budget_is_met_and_every_factorised_layer_is_smaller(convolutions, data, tmp_path):
    model = small_network()
    result = factorise(data, tmp_path, model, convolutions=convolutions, budget=0.6, round_to=4)
    rows = result.facts["layers"]
    eligible = {
        path: module
        for path, module in small_network().named_modules()
        if isinstance(module, nn.Conv2d) and path != "body.conv1"
    }
    assert len(rows) > 5
    assert {row["path"] for row in rows} <= eligible.keys()
    for row in rows:
        layer = model.get_submodule(row["path"])
        assert (
            row["params"][1] == sum(parameter.numel() for parameter in layer.parameters()) < row["params"][0]
        )
        assert row["macs"][1] < row["macs"][0]
        assert all(
            rank % 4 == 0 or rank == full for rank, full in zip(row["ranks"], row["full"], strict=True)
        )
        assert 0 < row["energy"] < 1 and row["method"] == convolutions
    left = sum(parameter.numel() for path in eligible for parameter in model.get_submodule(path).parameters())
    whole = sum(parameter.numel() for module in eligible.values() for parameter in module.parameters())
    assert 0.5 * whole < left <= 0.6 * whole  # the largest ranks that fit
    reasons = dict(result.skipped)
    assert reasons.keys() == {"body.conv1", "head", *(eligible.keys() - {row["path"] for row in rows})}
    assert reasons["head"] == "part of the classifier, which these settings leave whole"
    assert result.notes[0].startswith(
        f"{len(rows)} of 18 layers factorised: {whole} parameters became {left} ("
    )


def test_ranks_by_energy_keep_it_in_every_layer(data, tmp_path):
    result = factorise(data, tmp_path, choose="energy", energy=0.7, round_to=1)
    assert result.facts["layers"]
    for row in result.facts["layers"]:
        assert row["energy"] >= 0.7
        original = small_network().get_submodule(row["path"])
        for rank, unfolding in zip(
            row["ranks"],
            (original.weight.transpose(0, 1).flatten(1), original.weight.flatten(1)),
            strict=True,
        ):
            squares = torch.linalg.svdvals(unfolding.detach().double()).square()
            assert squares[: rank - 1].sum() / squares.sum() < 0.7 <= squares[:rank].sum() / squares.sum()


def test_an_energy_that_saves_nothing_leaves_the_network_and_says_so(data, tmp_path):
    events: list[object] = []
    context = replace(stage_context(data, tmp_path), emit=events.append)
    how = STAGE.Settings.parse({"choose": "energy", "energy": 1.0, "training": {"epochs": 0}})
    result = STAGE.run(small_network(), how, context)
    assert result.facts["layers"] == []
    assert all(
        torch.equal(a, b)
        for a, b in zip(result.model.parameters(), small_network().parameters(), strict=True)
    )
    assert "No layer became smaller; the network is what it was." in [
        getattr(event, "text", "") for event in events
    ]
    assert dict(result.skipped)["body.layer3.0.conv2"] == (
        "rank 64 of 64 and 64 of 64: 36864 parameters in place of 36864, no fewer"
    )


def test_a_budget_out_of_reach_is_said(data, tmp_path):
    result = factorise(data, tmp_path, budget=0.01)
    assert result.notes[-1] == (
        "The budget of 1 % is out of reach: the smallest ranks, multiples of 8, leave more."
    )


def test_constrained_and_unused_weights_are_left_alone(data, tmp_path):
    model = small_network()
    model.spare = nn.Linear(40, 40)
    constrain(model, ["body.layer3.0.conv2.weight"], "sparse")
    reasons = dict(factorise(data, tmp_path, model).skipped)
    assert reasons["body.layer3.0.conv2"] == "its weights are kept sparse; factors would not be"
    assert reasons["spare"] == "the network does not use it"


@pytest.mark.slow
def test_factors_are_trained_saved_reloaded_and_exported(data, tmp_path):
    untrained = factorise(data, tmp_path, classifier=True, round_to=4)
    result = factorise(data, tmp_path, epochs=1, classifier=True, round_to=4)
    model, images = result.model, torch.randn(3, 3, 16, 16)
    row = next(row for row in result.facts["layers"] if row["path"] == "body.layer3.1.conv1")
    before, after = (stage_result.model.get_submodule(row["path"]) for stage_result in (untrained, result))
    assert [type(factor) for factor in after] == [nn.Conv2d] * 3
    assert all(not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    preprocess = stage_context(data, tmp_path).preprocess
    save_checkpoint(tmp_path / "c", Checkpoint(model, NETWORK, preprocess, data.classes, {}))
    with torch.no_grad():
        logits = model(images)
        assert torch.equal(load_checkpoint(tmp_path / "c").model(images), logits)
    export_module(model, preprocess, tmp_path / "m.onnx", describe(data.classes, preprocess, "float32", {}))
    session = ort.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(
        session.run(None, {"images": images.numpy()})[0], logits.numpy(), atol=1e-4, rtol=1e-4
    )
