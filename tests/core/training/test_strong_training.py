"""Training as strong recipes do it: mixed batches, averaged weights, LAMB and layer decay, by hand and exact on resume."""

import numpy as np
import pytest
import torch
from small_trainings import fit, network
from small_trainings import settings as plain
from torch import nn

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.records.events import EpochDone
from core.training.average import Average
from core.training.hooks import Hooks
from core.training.lamb import Lamb
from core.training.mixing import mixed
from core.training.optimisers import in_groups, layer_rates, make_optimiser
from core.training.settings import TrainingSettings

STRONG = {
    "mixup": 0.4,
    "cutmix": 1.0,
    "erasing": 0.3,
    "averaging": 0.9,
    "optimiser": "lamb",
    "layer_decay": 0.8,
}


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    images = (
        torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 3, 10, 10).contiguous() + 1
    )  # image i is all i + 1
    return images, torch.tensor([0, 1, 2, 3])


def test_mixup_mixes_images_and_labels_by_the_same_share():
    images, labels = batch()
    made, shares = mixed(images, labels, 5, TrainingSettings(mixup=0.5), 7)
    share = float(np.random.default_rng(7).beta(0.5, 0.5))
    assert made[0, 0, 0, 0] == pytest.approx(share * 1 + (1 - share) * 4)
    np.testing.assert_allclose(shares[1].numpy(), [0, share, 1 - share, 0, 0], atol=1e-6)
    assert torch.equal(mixed(images, labels, 5, TrainingSettings(mixup=0.5), 7)[0], made)
    assert not torch.equal(mixed(images, labels, 5, TrainingSettings(mixup=0.5), 8)[0], made)
    assert images[0, 0, 0, 0] == 1  # the batch itself stays


def test_cutmix_gives_labels_the_area_that_is_left():
    images, labels = batch()
    for seed in range(6):
        made, shares = mixed(images, labels, 4, TrainingSettings(cutmix=1.0), seed)
        own = (made[0, 0] == 1).float().mean()
        assert torch.equal(own + (made[0, 0] == 4).float().mean(), torch.tensor(1.0))
        assert float(shares[0, 0]) == pytest.approx(float(own)) and float(shares[0].sum()) == pytest.approx(1)


def test_erasing_takes_boxes_of_the_area_it_says_out_of_some_images():
    images = torch.ones(400, 3, 32, 32)
    made, labels = mixed(images, torch.zeros(400, dtype=torch.int64), 2, TrainingSettings(erasing=0.25), 3)
    gone = 1 - made[:, 0].mean((1, 2))
    assert 0.17 < float((gone > 0).float().mean()) < 0.33 and labels.dtype == torch.int64
    assert float(gone[gone > 0].min()) > 0.01 and float(gone.max()) < 0.36
    box = made[int(gone.argmax()), 0] == 0
    rows, columns = box.any(1).nonzero(), box.any(0).nonzero()
    assert int(box.sum()) == len(rows) * len(columns) and torch.equal(made[:, 0], made[:, 2])


def test_the_average_by_hand():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    average = Average(model, 0.5)
    expected = 1.0
    for step, value in enumerate((2.0, 3.0, 5.0)):
        nn.init.constant_(model.weight, value)
        average.update(model, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    average.exchange(model)
    assert float(model.weight.detach()) == pytest.approx(expected)
    average.exchange(model)
    assert float(model.weight.detach()) == 5.0


def test_lamb_by_hand():
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimiser = Lamb([weight], lr=0.1, weight_decay=0.01)
    weight.grad = torch.tensor([2.0, -8.0])
    optimiser.step()
    move = np.array([1.0, -1.0]) + 0.01 * np.array(
        [3.0, 4.0]
    )  # first moments over roots of second are signs at first
    expected = np.array([3.0, 4.0]) - 0.1 * 5.0 / np.linalg.norm(move) * move
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-5)


def test_rates_fall_from_the_head_down():
    model = network()
    rates = layer_rates(model, 0.75)
    assert rates[model[6].weight] == rates[model[6].bias] == 1.0
    assert rates[model[0].weight] == pytest.approx(0.75**12) and rates[model[1].weight] == pytest.approx(
        0.75**6
    )
    groups = in_groups(list(model.parameters()), rates)
    assert [len(group["params"]) for group in groups] == [2, 2, 2]
    assert make_optimiser(list(model.parameters()), plain()).param_groups[0].get("rate") is None


def test_all_of_it_trains_and_resumes_to_the_same_weights(data, tmp_path):
    whole = network()
    result = fit(whole, data, plain(**STRONG))
    assert all(np.isfinite(epoch["train_loss"]) for epoch in result.history)
    other, control = network(), RunControl()

    def stop(event: object) -> None:
        if isinstance(event, EpochDone):
            control.stop()

    with pytest.raises(Stopped):
        fit(other, data, plain(**STRONG), state=tmp_path / "s", control=control, emit=stop)
    fit(other, data, plain(**STRONG), state=tmp_path / "s")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


def test_what_a_stage_of_its_own_rules_cannot_keep_is_refused(data):
    for hooks, changes, words in (
        (Hooks(optimiser=make_optimiser), {"layer_decay": 0.9}, "no place for layer decay"),
        (Hooks(eligible=lambda: True), {"averaging": 0.9}, "which their average never is"),
    ):
        with pytest.raises(EspalierError, match=words):
            fit(network(), data, plain(**changes), hooks=hooks)


def test_old_keys_stay():
    assert not set(STRONG) - {"optimiser"} & set(TrainingSettings().for_key())
