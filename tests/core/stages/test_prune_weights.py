"""Pruning single weights: the numbers of `torch.nn.utils.prune`, and the cubic schedule by hand."""

from dataclasses import replace

import pytest
import torch
from small_stages import NETWORK, small_network, stage_context
from torch import nn
from torch.nn.utils import prune as reference

from core.common.errors import EspalierError
from core.data.image_data import ImageData
from core.models.network_facts import NetworkFacts
from core.stages.prune_weights import PruneWeights, prune_layers, share_at
from core.surgery.layers import FIRST, weight_layers
from core.surgery.samples import training_batches

STAGE = PruneWeights()


def settings(**content: object):
    return STAGE.Settings.parse({"training": {"epochs": 0, "batch_size": 50}, "first_layer": True} | content)


def pruned(data: ImageData, folder, model: nn.Module | None = None, **content: object):
    return STAGE.run(model or small_network(), settings(**content), stage_context(data, folder))


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    return {
        path: module for path, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)
    }


def test_l1_per_layer_is_what_torch_prunes(data, tmp_path):
    model = pruned(data, tmp_path, linear_amount=0.3, convolution_amount=0.7).model
    longhand = small_network()
    for layer in layers_of(longhand).values():
        reference.l1_unstructured(layer, "weight", 0.3 if isinstance(layer, nn.Linear) else 0.7)
    for path, layer in layers_of(model).items():
        assert torch.equal(layer.weight, layers_of(longhand)[path].weight), path
        assert model.constraints[f"{path}.weight"] == "sparse"
    assert torch.equal(model.head.bias, small_network().head.bias)


def test_l1_ranked_globally_is_what_torch_prunes(data, tmp_path):
    model = pruned(data, tmp_path, linear_amount=0.0, convolution_amount=0.6, ranking="global").model
    longhand = small_network()
    convolutions = [layer for layer in layers_of(longhand).values() if isinstance(layer, nn.Conv2d)]
    reference.global_unstructured(
        [(layer, "weight") for layer in convolutions], reference.L1Unstructured, amount=0.6
    )
    shares = set()
    for path, layer in layers_of(model).items():
        assert torch.equal(layer.weight, layers_of(longhand)[path].weight), path
        shares.add(round(float((layer.weight == 0).float().mean()), 2))
    assert len(shares) > 5  # layers lose different shares


def test_random_pruning_has_torchs_numbers_and_depends_on_the_seed_alone(data, tmp_path):
    first, second = (pruned(data, tmp_path, criterion="random", convolution_amount=0.35).model for _ in "12")
    other = small_network()
    longhand = small_network()
    how = settings(criterion="random", convolution_amount=0.35)
    prune_layers(other, layers_of(other), how, 1.0, replace(stage_context(data, tmp_path), seed=2))
    for path, layer in layers_of(first).items():
        reference.random_unstructured(
            layers_of(longhand)[path], "weight", 0.5 if isinstance(layer, nn.Linear) else 0.35
        )
        zeros = int((layer.weight == 0).sum())
        assert zeros == int((layers_of(longhand)[path].weight == 0).sum()), path
        assert torch.equal(layer.weight, layers_of(second)[path].weight)
        assert not torch.equal(layer.weight, layers_of(other)[path].weight)
        kept = layer.weight != 0
        assert torch.equal(layer.weight[kept], layers_of(small_network())[path].weight[kept])


def test_the_cubic_schedule_by_hand():
    # Zhu and Gupta, equation 1, from 0: s_t = s_f + (0 − s_f)(1 − t/n)³
    assert [share_at(step, 4) for step in (1, 2, 3, 4)] == [0.578125, 0.875, 0.984375, 1.0]
    assert share_at(1, 1) == 1.0


@pytest.mark.parametrize("criterion", ["l1", "random"])
def test_gradual_pruning_only_ever_adds_zeros(criterion, data, tmp_path):
    model, before = small_network(), None
    context, how = stage_context(data, tmp_path), settings(criterion=criterion, convolution_amount=0.8)
    for step in (1, 2, 3):
        prune_layers(model, layers_of(model), how, share_at(step, 3), context)
        zeros = model.body.layer2[0].conv1.weight == 0
        assert int(zeros.sum()) == round(0.8 * share_at(step, 3) * zeros.numel())
        assert before is None or bool(zeros[before].all())
        before = zeros


def test_gradual_pruning_trains_between_and_reaches_the_amounts(data, tmp_path):
    fractions: list[float] = []
    context = replace(stage_context(data, tmp_path), on_fraction=fractions.append)
    how = settings(
        steps=3, step_epochs=1, linear_amount=0.5, convolution_amount=0.8,
        training={"epochs": 2, "batch_size": 50, "learning_rate": 0.01},
    )  # fmt: skip
    result = STAGE.run(small_network(), how, context)
    assert STAGE.epochs(how) == len(result.history) == 4
    for path, layer in layers_of(result.model).items():
        amount = 0.5 if isinstance(layer, nn.Linear) else 0.8
        assert int((layer.weight == 0).sum()) == round(amount * layer.weight.numel()), path
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert {round(fraction, 6) for fraction in fractions} >= {0.25, 0.5, 0.75, 1.0}


def test_zeros_of_an_earlier_pruning_count(data, tmp_path):
    once = pruned(data, tmp_path, linear_amount=0.5, convolution_amount=0.5).model
    expected = {name: tensor.clone() for name, tensor in once.state_dict().items()}
    twice = pruned(data, tmp_path, model=once, linear_amount=0.5, convolution_amount=0.5).model
    assert all(torch.equal(tensor, expected[name]) for name, tensor in twice.state_dict().items())


def test_the_report_counts_the_zeros(data, tmp_path):
    result = pruned(data, tmp_path, protected="body.layer1, *.conv2", first_layer=False)
    rows = {row["path"]: row for row in result.facts["layers"]}
    assert rows["body.layer2.0.conv1"] == {"path": "body.layer2.0.conv1", "weights": 4608, "zeros": 2304}
    reasons = dict(result.skipped)
    assert reasons["body.conv1"] == FIRST
    assert reasons["body.layer1.0.conv1"] == "protected by the pattern 'body.layer1'"
    assert reasons["body.layer2.1.conv2"] == "protected by the pattern '*.conv2'"
    assert reasons.keys() | rows.keys() == layers_of(result.model).keys()
    assert not reasons.keys() & rows.keys()
    total = sum(row["weights"] for row in rows.values())
    assert result.notes[0] == f"{total // 2} of {total} weights in {len(rows)} layers are zero (50.0 %)."


def test_a_pattern_that_fits_nothing_is_refused():
    with pytest.raises(EspalierError) as caught:
        weight_layers(small_network(), "head, body.layer9.*")
    assert (
        caught.value.message
        == "Expected patterns that fit layers of this network; 'body.layer9.*' fits none."
    )
    assert "body.conv1" in caught.value.advice


def test_other_matrices_are_named_as_left_alone():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 4, 3), nn.BatchNorm2d(4))
    chosen, skipped = weight_layers(model)
    assert list(chosen) == ["0"]
    assert skipped == [("1", "a ConvTranspose2d; only convolutions and linear layers are changed")]


def test_amounts_of_nothing_are_refused():
    [problem] = STAGE.check(settings(linear_amount=0.0, convolution_amount=0.0), NetworkFacts(NETWORK))
    assert problem.message.startswith("Expected an amount above 0")
    assert STAGE.check(settings(linear_amount=0.0), NetworkFacts(NETWORK)) == []


def test_a_pattern_leaves_two_of_four_and_training_keeps_it(data, tmp_path):
    training = {"epochs": 1, "batch_size": 50, "learning_rate": 0.01}
    result = pruned(data, tmp_path, pattern="2:4", linear_amount=0.0, training=training)
    layers = layers_of(result.model)
    for path in ("body.layer1.0.conv1", "body.layer3.1.conv2"):
        weight = layers[path].weight.detach()
        groups = weight.movedim(1, -1).reshape(-1, 4)
        assert bool(((groups != 0).sum(1) == 2).all()), path
        assert not torch.equal(weight, layers_of(small_network())[path].weight)
    assert bool(layers["head"].weight.all())  # an amount of 0 leaves its kind whole
    assert dict(result.skipped)["body.conv1"] == "3 inputs for an output, no multiple of 4"
    assert any("sparse tensor cores" in note for note in result.notes)


def test_the_pattern_keeps_the_largest_of_each_group(data, tmp_path):
    weight = layers_of(pruned(data, tmp_path, pattern="4:8").model)["head"].weight.detach()
    dense = layers_of(small_network())["head"].weight.detach()
    for row, before in zip(weight, dense, strict=True):
        for start in range(0, len(row), 8):
            kept = row[start : start + 8].nonzero()[:, 0].tolist()
            sizes = before[start : start + 8].abs()
            assert sorted(sizes.argsort(descending=True)[:4].tolist()) == kept


def test_correction_brings_the_answers_back(data, tmp_path):
    errors = []
    for count in (0, 64):
        result = pruned(data, tmp_path, pattern="2:4", correction_images=count)
        found, _ = next(training_batches(stage_context(data, tmp_path), "look", 1, 64))
        with torch.no_grad():
            wanted, given = small_network()(found), result.model.eval()(found)
        errors.append(float((given - wanted).square().mean()))
        groups = layers_of(result.model)["body.layer2.0.conv2"].weight.detach().movedim(1, -1).reshape(-1, 4)
        assert bool(((groups != 0).sum(1) <= 2).all())
    assert errors[1] < errors[0] / 2
    rows = {row["path"]: row for row in result.facts["corrected"]}
    assert rows.keys() == layers_of(result.model).keys() - {"body.conv1"}
    assert all(row["corrected"] < row["uncorrected"] for row in rows.values())
    assert "corrected on 64 images" in result.notes[1]


def test_batch_norms_are_estimated_again_where_that_is_asked_for(data, tmp_path):
    kept, anew = (pruned(data, tmp_path, batch_norm_batches=count).model for count in (0, 2))
    assert torch.equal(kept.body.bn1.running_mean, small_network().body.bn1.running_mean)
    assert not torch.equal(anew.body.bn1.running_mean, kept.body.bn1.running_mean)
    assert torch.equal(anew.body.conv1.weight, kept.body.conv1.weight)


def test_a_pattern_is_there_at_once_and_has_to_fit():
    [problem] = STAGE.check(settings(pattern="2:4", steps=2), NetworkFacts(NETWORK))
    assert problem.message.startswith("Expected one pruning with a pattern, received 2")
    assert STAGE.check(settings(pattern="2:4"), NetworkFacts(NETWORK)) == []


def test_later_settings_enter_no_key_at_their_default():
    assert not {"pattern", "correction_images", "batch_norm_batches"} & settings().for_key().keys()
    assert settings(pattern="2:4").for_key()["pattern"] == "2:4"
