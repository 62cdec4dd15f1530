"""Training with simulated INT8: the calibrated network is a candidate, resuming changes nothing."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from small_stages import NETWORK, small_network, stage_context

from core.common.control import RunControl
from core.common.errors import Stopped
from core.data.splits import limit
from core.deploy.quantization.sessions import run, sqnr
from core.models.constraints import constrain
from core.models.network_facts import NetworkFacts
from core.stages.catalogue import STAGES
from core.stages.train_quantized import TrainQuantizedParams, train_rounded
from core.training.settings import TrainingSettings


@pytest.fixture(scope="module")
def rows(data):
    return limit(data.split("train"), data.labels, 50, 1)


def settings(**changed: object) -> TrainingSettings:
    return TrainingSettings(**{"epochs": 2, "batch_size": 50, "learning_rate": 0.01, "patience": 0} | changed)


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def floats(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_training_that_does_not_help_leaves_the_calibrated_network(data, rows, tmp_path):
    """A learning rate that moves nothing: equal on validation, so epoch 0 stays."""
    model = small_network()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    before = floats(model)
    calibrated, ranges = train_rounded(model, rows, settings(epochs=0), stage_context(data, tmp_path))
    assert calibrated.history == [] and math.isfinite(calibrated.facts["calibrated_val_top1"])
    still = settings(epochs=1, learning_rate=1e-30, weight_decay=0.0)
    result, learned = train_rounded(model, rows, still, stage_context(data, tmp_path))
    assert result.facts["best_epoch"] == 0 and len(result.history) == 1
    assert result.facts["best_val_top1"] == result.facts["calibrated_val_top1"]
    assert learned == ranges  # the moving ranges of the epoch are dropped too
    after = floats(model)
    assert all(torch.equal(after[name], before[name]) for name in before if "num_batches" not in name)
    assert any("which is kept" in note for note in result.notes)


def test_training_moves_weights_and_ranges(data, rows, tmp_path):
    model = small_network()
    calibrated, ranges = train_rounded(model, rows, settings(epochs=0), stage_context(data, tmp_path))
    result, learned = train_rounded(small_network(), rows, settings(epochs=4), stage_context(data, tmp_path))
    assert result.facts["calibrated_val_top1"] == calibrated.facts["calibrated_val_top1"]
    assert result.facts["best_val_top1"] > result.facts["calibrated_val_top1"]
    assert result.facts["best_epoch"] >= 1 and learned != ranges
    assert not torch.equal(result.model.head.weight, small_network().head.weight)
    assert result.model.state_dict().keys() == small_network().state_dict().keys()


@pytest.mark.slow
def test_stopped_and_resumed_is_bit_for_bit_the_same(data, rows, tmp_path):
    through, ranges = train_rounded(
        small_network(), rows, settings(), stage_context(data, folder(tmp_path / "through"))
    )
    control, steps, cut = RunControl(), [], folder(tmp_path / "cut")
    model = small_network()

    def stop(module, inputs, outputs):
        if module.training:
            steps.append(1)
            if len(steps) == 6:  # in the second epoch of 4 steps
                control.stop()

    hook = model.head.register_forward_hook(stop)
    with pytest.raises(Stopped):
        train_rounded(model, rows, settings(), stage_context(data, cut, control))
    hook.remove()
    assert model.state_dict().keys() == small_network().state_dict().keys()  # rounding is off again
    resumed, learned = train_rounded(small_network(), rows, settings(), stage_context(data, cut))
    assert same(floats(resumed.model), floats(through.model)) and learned == ranges
    assert [row["val_top1"] for row in resumed.history] == [row["val_top1"] for row in through.history]


def test_zeros_of_a_pruned_network_stay(data, rows, tmp_path):
    model = small_network()
    weight = model.body.layer1[0].conv1.weight
    with torch.no_grad():
        weight[:, ::2] = 0
    constrain(model, ["body.layer1.0.conv1.weight"], "sparse")
    result, _ = train_rounded(model, rows, settings(epochs=1), stage_context(data, tmp_path))
    trained = result.model.body.layer1[0].conv1.weight
    assert not bool(trained[:, ::2].any()) and bool(trained[:, 1::2].all())


@pytest.mark.slow
def test_the_file_computes_what_was_trained(data, tmp_path):
    """The whole stage: its file is integers throughout, and answers like the float record it leaves."""
    stage = STAGES["train-quantized"]
    parameters = TrainQuantizedParams(images=50, training=settings(epochs=1))
    assert stage.check(parameters, NetworkFacts(NETWORK)) == [] and stage.epochs(parameters) > 1
    context = stage_context(data, tmp_path)
    result = stage.run(small_network(), parameters, context)
    assert result.deployed is not None and result.deployed.path.name == "int8.onnx"
    assert result.facts["quantized"] == {"Add": 9, "Conv": 19, "Gemm": 1}
    images = context.preprocess(np.asarray(data.images[data.split("test")]))
    with torch.no_grad():
        expected = result.model.eval()(images).numpy()
    answers = run(onnx.load(result.deployed.path), [images.numpy()], 1)
    assert sqnr(expected, answers) > 15 and (answers.argmax(1) == expected.argmax(1)).mean() > 0.85
