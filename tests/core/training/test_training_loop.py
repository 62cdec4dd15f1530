"""The training loop: the schedule in numbers, the best epoch, and resuming bit for bit."""

import pytest
import torch
from small_stages import SETTINGS
from small_trainings import fit, network, settings
from torch import nn
from torch.nn import functional

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.data.batches import Batches, BatchForm, Draws
from core.data.preprocess import make_preprocess
from core.data.settings import Augmentation
from core.records.events import EpochDone, Event, TrainingStarted
from core.training.evaluation import evaluate
from core.training.hooks import Hooks
from core.training.losses import Losses, cross_entropy
from core.training.optimisers import learning_rate, make_optimiser
from core.training.precision import resolve_precision
from core.training.settings import TrainingSettings

STEPS = 6  # full batches of 32 in 200 images


def same(first: nn.Module, second: nn.Module) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stopping_after(control: RunControl, steps: int) -> Hooks:
    """Hooks that ask for a stop after so many steps."""
    done = 0

    def count(model: nn.Module) -> None:
        nonlocal done
        done += 1
        if done == steps:
            control.stop()

    return Hooks(after_step=count)


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(0, 1.0), (2.5, 0.8535533905932737), (5, 0.5), (7.5, 0.14644660940672627), (10, 0.0)],
)
def test_the_cosine_falls_to_zero(epoch, expected):
    assert learning_rate(settings(epochs=10, learning_rate=1.0), epoch) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("epoch", "expected"), [(0, 2.0), (1, 1.5), (2, 0.5), (3, 2.0), (4.5, 1.0), (6, 2.0), (8, 0.5)]
)
def test_the_cosine_restarts_at_every_period(epoch, expected):
    how = settings(epochs=9, learning_rate=2.0, schedule="cosine-restarts", restart_epochs=3)
    assert learning_rate(how, epoch) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("schedule", "epoch", "expected"),
    [
        ("cosine", 0, 0.0005), ("cosine", 1, 0.5), ("cosine", 2, 1.0), ("cosine", 6, 0.5), ("cosine", 10, 0.0),
        ("constant", 1, 0.5), ("constant", 2, 1.0), ("constant", 9, 1.0),
        ("cosine-restarts", 1, 0.5), ("cosine-restarts", 2, 1.0), ("cosine-restarts", 4, 0.5),
        ("cosine-restarts", 6, 1.0),
    ],
)  # fmt: skip
def test_the_warm_up_rises_and_the_schedule_starts_behind_it(schedule, epoch, expected):
    how = settings(epochs=10, learning_rate=1.0, warmup_epochs=2, schedule=schedule, restart_epochs=4)
    assert learning_rate(how, epoch) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamax", torch.optim.Adamax), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)],
)  # fmt: skip
def test_the_settings_name_the_optimiser(name, kind):
    optimiser = make_optimiser(
        [nn.Parameter(torch.ones(1))], settings(optimiser=name, learning_rate=0.03, weight_decay=0.2)
    )
    assert type(optimiser) is kind
    assert (optimiser.defaults["lr"], optimiser.defaults["weight_decay"]) == (0.03, 0.2)


def test_the_loss_is_the_smoothed_cross_entropy():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
    losses = cross_entropy(0.3)(nn.Identity(), logits, torch.tensor([0, 1]))
    log_p = logits - logits.exp().sum(1, keepdim=True).log()
    targets = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    assert float(losses.parts["cross_entropy"]) == pytest.approx(float(-(targets * log_p).sum(1).mean()))


def test_one_epoch_is_the_steps_written_out(data):
    """Plain SGD without dropout, by hand."""
    how = settings(epochs=1, optimiser="sgd", weight_decay=0.01, label_smoothing=0.0, clip_norm=0.5)
    model, by_hand = network(), network()
    model[3].p = by_hand[3].p = 0.0
    result = fit(model, data, how)
    batches = Batches(
        data, "train", make_preprocess(SETTINGS, data), BatchForm(32), Draws(1, "key"), Augmentation()
    )
    parameters = list(by_hand.parameters())
    optimiser = torch.optim.SGD(parameters, lr=1.0, momentum=0.9, nesterov=True, weight_decay=0.01)
    losses = []
    for step, (images, labels) in enumerate(batches.epoch(1)):
        optimiser.param_groups[0]["lr"] = learning_rate(how, step / STEPS)
        loss = functional.cross_entropy(by_hand(images), labels)
        gradients = torch.autograd.grad(loss, parameters)
        norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient * min(1.0, 0.5 / (float(norm) + 1e-6))
        optimiser.step()
        losses.append(loss.item())
    assert len(losses) == STEPS
    for name, tensor in by_hand.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=1e-5, atol=1e-6)
    [row] = result.history
    assert row["train_loss"] == pytest.approx(sum(losses) / STEPS, rel=1e-5)
    assert row["learning_rate"] == 0.01 and row["epoch"] == 1.0


def test_the_scale_penalty_is_the_sum_of_the_scales_and_pulls_them_by_its_strength(data):
    """Liu et al. 2017, equation 1: its gradient is λ·sign(γ); with plain descent of one step γ moves by lr·λ more."""
    how = {"epochs": 1, "batch_size": 200, "optimiser": "sgd", "clip_norm": 0, "weight_decay": 0}
    plain, slim = network(), network()
    signs = slim[1].weight.detach().sign()
    without = fit(plain, data, settings(**how))
    result = fit(slim, data, settings(**how, scale_penalty=0.5))
    steps = 1.9 * 0.01 * 0.5  # Nesterov's first step is 1 + 0.9 times the gradient
    torch.testing.assert_close(plain[1].weight - slim[1].weight, steps * signs, atol=1e-6, rtol=1e-3)
    assert result.history[0]["train_scale_penalty"] == pytest.approx(0.5 * 8)
    assert "train_scale_penalty" not in without.history[0]


def test_the_scale_penalty_wants_batch_norms(data):
    with pytest.raises(EspalierError, match="batch norms"):
        fit(network(norm=False), data, settings(scale_penalty=1e-4))


def test_early_stopping_counts_epochs_without_a_better_one(data):
    result = fit(network(norm=False), data, settings(epochs=20, learning_rate=1e-12, patience=2))
    assert len(result.history) == 3 and result.best_epoch == 1
    assert result.finished_early == "no better validation accuracy for 2 epochs"


def test_without_patience_every_epoch_is_run(data):
    result = fit(network(norm=False), data, settings(epochs=4, learning_rate=1e-12, patience=0))
    assert len(result.history) == 4 and result.finished_early == ""


def test_the_best_epochs_weights_are_kept(data):
    model, copies, done = network(), {}, 0

    def spoil(model: nn.Module) -> None:
        nonlocal done
        done += 1
        if done > 2 * STEPS:
            model[-1].weight.data.zero_()
            model[-1].bias.data.zero_()

    def keep(event: Event) -> None:
        if isinstance(event, EpochDone):
            copies[event.epoch] = ({n: t.clone() for n, t in model.state_dict().items()}, event.best)

    how = settings(epochs=4, patience=0, optimiser="adam")
    result = fit(model, data, how, emit=keep, hooks=Hooks(after_step=spoil))
    top1 = [row["val_top1"] for row in result.history]
    assert top1[2] == top1[3] == 10.0  # the spoilt network always says class 0, a tenth of the images
    assert result.best_top1 == max(top1) > 10 and result.best_epoch == top1.index(max(top1)) + 1 <= 2
    kept, best = copies[result.best_epoch]
    assert best and not copies[4][1]
    assert all(torch.equal(tensor, kept[name]) for name, tensor in model.state_dict().items())
    validation = Batches(data, "validation", make_preprocess(SETTINGS, data), BatchForm(64), Draws(1, "key"))
    model.eval()
    assert (
        evaluate(model, validation, resolve_precision("float32", "cpu"), RunControl())[1] == result.best_top1
    )


def broken_from(step: int):
    """A loss that is no number from this step on."""
    done = 0

    def loss(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> Losses:
        nonlocal done
        done += 1
        logits = model(images)
        part = functional.cross_entropy(logits, labels)
        return Losses(logits, {"cross_entropy": part * torch.nan if done > step else part})

    return loss


def test_a_training_that_diverges_before_any_epoch_is_refused(data):
    with pytest.raises(
        EspalierError, match=r"^The training diverged: the loss became nan in epoch 1, step"
    ) as caught:
        fit(network(), data, settings(), loss=broken_from(0))
    assert caught.value.advice == "Lower the learning rate, switch gradient clipping on, or warm up."


def test_a_training_that_diverges_later_keeps_its_best_epoch(data):
    model, events = network(), []
    result = fit(model, data, settings(), loss=broken_from(STEPS), emit=events.append)
    assert result.best_epoch == 1 and len(result.history) == 1
    assert result.finished_early.startswith("it diverged (the loss became nan in epoch 2, step")
    assert result.finished_early.endswith("and the weights of epoch 1 are kept")
    assert any(getattr(event, "level", "") == "warning" for event in events)
    assert all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())


def test_an_epoch_whose_answers_are_senseless_is_never_the_best(data):
    """Without clipping and with an enormous step the loss stays a number, of many digits."""
    how = settings(
        epochs=2, learning_rate=10, optimiser="sgd", clip_norm=0, schedule="constant", weight_decay=1
    )
    seen: list[bool] = []

    def explode(model: nn.Module) -> None:
        with torch.no_grad():
            model[-1].weight.mul_(1e4)

    with pytest.raises(EspalierError, match=r"^The training diverged"):
        fit(
            network(), data, how, hooks=Hooks(after_step=explode),
            emit=lambda event: seen.append(event.best) if isinstance(event, EpochDone) else None,
        )  # fmt: skip
    assert not any(seen)


def test_answers_without_finite_logits_are_wrong(data):
    class Nothing(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 10), torch.nan)

    validation = Batches(data, "validation", make_preprocess(SETTINGS, data), BatchForm(64), Draws(1, "key"))
    top1 = evaluate(Nothing(), validation, resolve_precision("float32", "cpu"), RunControl())[1]
    assert top1 == 0.0


def test_nothing_to_train_is_said(data):
    with pytest.raises(EspalierError, match=r"^Every weight of the network is frozen"):
        fit(network().requires_grad_(False), data, settings())


def test_a_network_that_stops_in_training_as_it_did_before_is_refused_in_words(data):
    class Wanting(nn.Sequential):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert not self.training, "labels wanted"
            return super().forward(images)

    model = Wanting(network())
    with pytest.raises(AssertionError):
        fit(model, data, settings())
    model.stops = "AssertionError: labels wanted"
    with pytest.raises(EspalierError, match=r"cannot be trained here: .*AssertionError: labels wanted"):
        fit(model, data, settings())


def test_no_epochs_leave_the_network_alone(data):
    model = network()
    result = fit(model, data, settings(epochs=0))
    assert same(model, network()) and result.history == [] and result.best_epoch == 0


@pytest.mark.parametrize(("first", "best"), [(1, {1, 2, 3, 4}), (3, {3, 4}), (9, {4})])
def test_only_eligible_epochs_may_be_the_best(data, first, best):
    """From epoch `first` on; where none is, the last one is kept."""
    model, weights, top1 = network(), {}, {}

    def look(event: Event) -> None:
        if isinstance(event, EpochDone):
            weights[event.epoch] = {name: value.clone() for name, value in model.state_dict().items()}
            top1[event.epoch] = event.metrics["val_top1"]
            assert not event.best or event.epoch >= first

    hooks = Hooks(eligible=lambda: len(weights) + 1 >= first)
    result = fit(model, data, settings(epochs=4), emit=look, hooks=hooks)
    assert result.best_epoch in best
    assert result.best_top1 == max(top1[epoch] for epoch in best) == top1[result.best_epoch]
    kept = weights[result.best_epoch]
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("precision", ["float32", "mixed"])
@pytest.mark.parametrize("after", [3, STEPS, STEPS + 2])
def test_stopped_and_resumed_is_bit_for_bit_the_same(data, tmp_path, precision, after):
    if precision == "mixed" and resolve_precision("mixed", "cpu").dtype is None:
        pytest.skip("this processor has no bfloat16 instructions")
    how = settings(precision=precision)
    through = network()
    whole = fit(through, data, how)
    assert not same(through, network())

    state, control, begun = tmp_path / "train.resume", RunControl(), []
    with pytest.raises(Stopped):
        fit(network(), data, how, state=state, control=control, hooks=stopping_after(control, after))
    torch.manual_seed(999)  # what ran in between must not matter
    resumed = network()
    with torch.no_grad():
        resumed[-1].weight.zero_()  # all of it comes from the file
    result = fit(resumed, data, how, state=state, emit=begun.append)
    assert same(resumed, through)
    assert (result.best_top1, result.best_epoch) == (whole.best_top1, whole.best_epoch)
    [start] = [event for event in begun if isinstance(event, TrainingStarted)]
    assert start.epoch == 1 + after // STEPS if after != STEPS else start.epoch in (1, 2)
    for row, expected in zip(result.history, whole.history, strict=True):
        assert {k: v for k, v in row.items() if k != "seconds"} == pytest.approx(
            {k: v for k, v in expected.items() if k != "seconds"}, rel=1e-6
        )


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_resumed_channels_last_network_takes_the_steps_of_the_plain_optimiser(data, tmp_path, name):
    """The fused pass reads memory in order: moments or gradients in another layout would give other weights.

    Without a batch norm, behind which a bias has no gradient but rounding, which Adam would blow up to whole steps.
    """
    how = settings(epochs=1, optimiser=name, weight_decay=0.1)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    plain, resumed = (network(norm=False).to(memory_format=torch.channels_last) for _ in range(2))
    reference = Hooks(optimiser=lambda parameters, how: kind(parameters, weight_decay=0.1, foreach=False))
    fit(plain, data, how, hooks=reference)

    state, control = tmp_path / "train.resume", RunControl()
    with pytest.raises(Stopped):
        fit(resumed, data, how, state=state, control=control, hooks=stopping_after(control, 3))
    resumed = network(norm=False).to(memory_format=torch.channels_last)
    optimisers = []

    def watched(parameters: list[nn.Parameter], how: TrainingSettings) -> torch.optim.Optimizer:
        optimisers.append(make_optimiser(parameters, how))
        return optimisers[-1]

    fit(resumed, data, how, state=state, hooks=Hooks(optimiser=watched))
    assert optimisers[0].defaults["fused"]
    assert optimisers[0].state[resumed[0].weight]["exp_avg"].stride() == resumed[0].weight.stride()
    for entry, tensor in plain.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[entry], tensor, rtol=1e-4, atol=1e-5)


def test_stop_is_heard_within_one_batch(data, tmp_path):
    control, steps = RunControl(), []
    hooks = stopping_after(control, 2)
    hooks.after_backward = lambda model: steps.append(1)
    with pytest.raises(Stopped):
        fit(network(), data, settings(), control=control, hooks=hooks, state=tmp_path / "s")
    assert len(steps) == 2


def test_the_state_of_another_training_is_ignored(data, tmp_path):
    state, control = tmp_path / "train.resume", RunControl()
    with pytest.raises(Stopped):
        fit(
            network(), data, settings(), "one", state=state, control=control, hooks=stopping_after(control, 8)
        )
    fresh, beside = network(), network()
    fit(fresh, data, settings(), "other")
    result = fit(beside, data, settings(), "other", state=state)
    assert same(fresh, beside) and len(result.history) == 3
    assert torch.load(state, weights_only=True)["key"] == "other"


def test_the_seed_and_the_key_make_the_training(data):
    one, again, seed, key = (network() for _ in range(4))
    how = settings(epochs=1)
    for model, options in ((one, {}), (again, {}), (seed, {"seed": 2}), (key, {"key": "other"})):
        torch.rand(3)  # a running stream must not matter
        fit(model, data, how, **options)
    assert same(one, again) and not same(one, seed) and not same(one, key)


def test_finishing_by_hand_keeps_what_there_is(data):
    control, done = RunControl(), []

    def ask(model: nn.Module) -> None:
        done.append(1)
        if len(done) == STEPS + 2:
            control.finish_stage()

    result = fit(network(), data, settings(epochs=50), control=control, hooks=Hooks(after_step=ask))
    assert len(done) == STEPS + 2 == result.cut_at
    assert result.finished_early == "finished by hand in epoch 2" and len(result.history) == 2


def test_finishing_by_hand_while_an_epoch_is_validated_leaves_no_empty_epoch(data):
    control = RunControl()

    def ask(event: Event) -> None:
        if isinstance(event, EpochDone):
            control.finish_stage()

    result = fit(network(), data, settings(epochs=50), control=control, emit=ask)
    assert result.cut_at == STEPS + 1 and len(result.history) == 2
    assert result.history[1]["train_loss"] > 0
