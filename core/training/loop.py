"""The one training loop. Every stage that trains calls `train`; techniques plug into its hooks.

Best epoch by validation top-1 is kept; early stopping, gradient clipping and the schedule are
Hamza et al.'s. Nothing draws from a running random stream: each step is seeded from (seed, key, step), so a
run that is killed and resumed ends with the same weights, bit for bit on a CPU with the same
number of threads.

Shapes: images [b, 3, s, s], labels [b], logits [b, classes].
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.seals import DamagedError, set_aside
from core.data.batches import Batches
from core.data.randomness import derive_seed
from core.machine.torch_rng import isolated_rng
from core.records.events import EpochDone, Event, Listener, Note, StepDone, TrainingStarted
from core.training.precision import Precision, autocast, resolve_precision
from core.training.resume_file import read_state, write_state
from core.training.settings import TrainingSettings

_EVENT_SECONDS = 0.25
_SAVE_SECONDS = 300.0
_STATE_FORMAT = 1
_SENSELESS_LOSS = 1e6  # of validation, in nats: logits apart by a million, which no float32 file repeats
_DIVERGED = "Lower the learning rate, switch gradient clipping on, or warm up."


class _Diverged(Exception):
    """The loss is no finite number any more; the message says where."""


@dataclass(frozen=True, slots=True)
class Losses:
    """The logits of a batch and the loss in named parts, whose sum is minimised."""

    logits: Tensor
    parts: Mapping[str, Tensor]


class LossFunction(Protocol):
    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Losses: ...


def cross_entropy(label_smoothing: float) -> LossFunction:
    """Cross-entropy against smoothed labels, as the one part `cross_entropy`."""

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Losses:
        logits = model(images)
        part = functional.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
        return Losses(logits, {"cross_entropy": part})

    return loss


@dataclass(slots=True)
class Hooks:
    """Where techniques plug in.

    Attributes:
        optimiser: makes the optimiser from (parameters, settings); None takes the settings' own.
        extra_modules: trained beside the network and saved with the state (adapters).
        after_backward: called with the network when gradients are there, before the step.
        after_step: called with the network after each optimiser step (masks, projections).
        set_mode: puts the network into training (True) or evaluation mode; None calls `.train`.
        eligible: asked at the end of an epoch whether the network as it is may be kept as the best
            (false while it is not yet what is wanted); where no epoch is, the last one is kept.
    """

    optimiser: Callable[[list[nn.Parameter], TrainingSettings], torch.optim.Optimizer] | None = None
    extra_modules: list[nn.Module] = field(default_factory=list)
    after_backward: Callable[[nn.Module], None] | None = None
    after_step: Callable[[nn.Module], None] | None = None
    set_mode: Callable[[nn.Module, bool], None] | None = None
    eligible: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class TrainingContext:
    """The stage that trains, its seed and device, and where it may write.

    Attributes:
        stage: the stage's key, for events.
        key: seeds the draws; the same key and seed give the same training.
        state: file of the resume state; None keeps none.
        on_fraction: called with the done part of this training, 0…1, a few times a second.
    """

    stage: str
    seed: int
    key: str
    device: str
    control: RunControl
    emit: Listener
    state: Path | None = None
    on_fraction: Callable[[float], None] = lambda fraction: None


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What training gave; the network itself holds the best epoch's weights.

    Attributes:
        best_top1: validation top-1 of the best epoch, percent; NaN when nothing was trained.
        history: one mapping per epoch, as in `EpochDone.metrics`.
        seconds: time spent training, over all resumptions, without pauses.
        finished_early: "" or why the last epoch came before `settings.epochs`.
        cut_at: the step at which a person finished the stage, else None.
    """

    best_top1: float
    best_epoch: int
    history: list[dict[str, float]]
    seconds: float
    precision: Precision
    finished_early: str = ""
    cut_at: int | None = None


def learning_rate(settings: TrainingSettings, epoch: float) -> float:
    """The rate at `epoch` (fractional, from 0), in closed form.

    Source: Loshchilov and Hutter, SGDR, arXiv 1608.03983, equation 5 with a minimum of 0.
    """
    if epoch < settings.warmup_epochs:
        return settings.learning_rate * max(epoch, 1e-3) / settings.warmup_epochs
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "cosine":
        position = (epoch - settings.warmup_epochs) / max(settings.epochs - settings.warmup_epochs, 1e-9)
    else:
        position = (epoch - settings.warmup_epochs) % settings.restart_epochs / settings.restart_epochs
    return settings.learning_rate * (1 + math.cos(math.pi * min(position, 1.0))) / 2


def make_optimiser(parameters: list[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    """The optimiser that the settings name, in its fastest implementation.

    Adam and AdamW take one pass over their four tensors ("fused") instead of a dozen, on a GPU SGD too: on the processor, for
    52 million weights, 28 ms instead of 405 on two threads. That pass trusts that weights, gradients and moments lie alike in memory: PyTorch
    gives gradients the layout of their weights, and the resume file keeps that of the moments.
    """
    devices = {parameter.device.type for parameter in parameters}
    fused = len(devices) == 1 and devices <= {"cpu", "cuda"}
    common: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    batched: dict[str, Any] = {**common, "foreach": True}
    fastest = {**common, "fused": True} if fused else batched
    match settings.optimiser:
        case "adamax":
            return torch.optim.Adamax(parameters, **batched)
        case "adam":
            return torch.optim.Adam(parameters, **fastest)
        case "adamw":
            return torch.optim.AdamW(parameters, **fastest)
        case _:
            fast = fastest if devices == {"cuda"} else batched
            return torch.optim.SGD(parameters, momentum=0.9, nesterov=True, **fast)


def batch_norm_scales(model: nn.Module) -> list[Tensor]:
    """The scales γ [c] of all batch norms.

    Raises:
        EspalierError: when the network has none.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    scales = [norm.weight for norm in norms if norm.weight is not None]
    if not scales:
        raise EspalierError(
            "Expected a network with batch norms, whose scales the scale penalty drives to zero; this one has none.",
            "Set the scale penalty to 0, or choose a network with batch norms.",
        )
    return scales


def scale_norm(scales: list[Tensor]) -> Tensor:
    """Σ|γ| over all batch norms: the penalty of network slimming, Liu et al. 2017, arXiv 1708.06519, equation 1."""
    return torch.stack([scale.abs().sum() for scale in scales]).sum()


@torch.no_grad()
def evaluate(
    model: nn.Module, batches: Batches, precision: Precision, control: RunControl
) -> tuple[float, float]:
    """Mean cross-entropy and top-1 in percent over one pass, in evaluation mode.

    The caller sets the mode.
    """
    figures: list[Tensor] = []
    count = 0
    for images, labels in batches.epoch(0):
        control.checkpoint()
        with autocast(precision, images.device.type):
            logits = model(images)
        loss = functional.cross_entropy(logits.float(), labels, reduction="sum")
        figures.append(torch.stack([loss, right_answers(logits, labels).sum().float()]))
        count += len(labels)
    sums = [sum(column) for column in zip(*fetched(figures), strict=True)] or [0.0, 0.0]
    return sums[0] / max(count, 1), 100.0 * sums[1] / max(count, 1)


def fetched(figures: Sequence[Tensor]) -> list[Any]:
    """Tensors of one shape as numbers; the one moment at which the processor waits for the device."""
    return torch.stack(list(figures)).tolist() if figures else []


def right_answers(logits: Tensor, labels: Tensor) -> Tensor:
    """Which images [b] are answered right; logits of which one is no finite number are no answer."""
    return (logits.argmax(1) == labels) & logits.isfinite().all(1)


def train(
    model: nn.Module,
    training: Batches,
    validation: Batches,
    settings: TrainingSettings,
    context: TrainingContext,
    loss: LossFunction | None = None,
    hooks: Hooks | None = None,
) -> TrainingResult:
    """Train `model` in place and leave the best epoch's weights in it.

    Raises:
        Stopped: when a person asked to stop; the resume state is written first.
        EspalierError: when the training diverges before an epoch could be kept, or there is nothing to train. Later
            the best epoch stays, and `finished_early` says so.
    """
    if settings.epochs == 0:
        return TrainingResult(math.nan, 0, [], 0.0, resolve_precision(settings.precision, context.device))
    loop = _Loop(
        model,
        training,
        validation,
        settings,
        context,
        loss or cross_entropy(settings.label_smoothing),
        hooks or Hooks(),
    )
    return loop.run()


class _Loop:
    """The state of one training: everything that the resume file keeps."""

    def __init__(
        self,
        model: nn.Module,
        training: Batches,
        validation: Batches,
        settings: TrainingSettings,
        context: TrainingContext,
        loss: LossFunction,
        hooks: Hooks,
    ):
        self.model, self.training, self.validation = model, training, validation
        self.settings, self.context, self.loss, self.hooks = settings, context, loss, hooks
        self.precision = resolve_precision(settings.precision, context.device)
        self.modules = nn.ModuleList([model, *hooks.extra_modules])
        self.parameters = [p for p in self.modules.parameters() if p.requires_grad]
        if not self.parameters:
            raise EspalierError(
                "Every weight of the network is frozen (requires_grad is off), so that there is nothing to train.",
                "Leave the weights that are to be trained unfrozen, or set the epochs to 0.",
            )
        self.scales = batch_norm_scales(model) if settings.scale_penalty else []
        self.optimiser = (hooks.optimiser or make_optimiser)(self.parameters, settings)
        self.scaler = torch.amp.GradScaler(context.device.split(":")[0], enabled=self.precision.scaled)
        self.epoch, self.step = 1, 0  # the epoch under way, and steps done in it
        self.sums: dict[str, float] = {}
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] | None = None
        self.best_top1, self.best_epoch = -1.0, 0
        self.seconds = 0.0
        self.cut_at: int | None = None
        self._pending: list[tuple[dict[str, Tensor], Tensor, int]] = []
        self._mark = self._saved = self._reported = time.monotonic()

    def run(self) -> TrainingResult:
        self._restore()
        self._mark = self._saved = self._reported = time.monotonic()
        self._emit(
            TrainingStarted(
                self.context.stage, self.epoch, self.settings.epochs, self.training.steps, self.precision.name
            )
        )
        finished_early = self._finished_early()
        while self.epoch <= self.settings.epochs and not finished_early:
            try:
                self._run_epoch()
            except _Diverged as diverged:
                finished_early = self._kept_after(diverged)
                break
            finished_early = self._finished_early()
        if self.best is None and not self.history[-1]["val_loss"] < _SENSELESS_LOSS:
            raise EspalierError(
                f"The training diverged: after {self.epoch - 1} epochs the validation loss is "
                f"{self.history[-1]['val_loss']:.3g}, and no epoch was better.", _DIVERGED,
            )  # fmt: skip
        if self.best is None:
            self.best_top1, self.best_epoch = self.history[-1]["val_top1"], self.epoch - 1
        else:
            self.model.load_state_dict(self.best)
        return TrainingResult(
            self.best_top1,
            self.best_epoch,
            self.history,
            self.seconds,
            self.precision,
            finished_early,
            self.cut_at,
        )

    def _kept_after(self, diverged: _Diverged) -> str:
        """What is said of a training that diverged after an epoch that can be kept.

        Raises:
            EspalierError: when there is none.
        """
        if self.best is None:
            raise EspalierError(f"The training diverged: {diverged}.", _DIVERGED) from diverged
        words = f"it diverged ({diverged}), and the weights of epoch {self.best_epoch} are kept"
        self._emit(Note(self.context.stage, "warning", f"The training ended: {words}. {_DIVERGED}"))
        return words

    def _finished_early(self) -> str:
        if self.cut_at is not None:
            return f"finished by hand in epoch {self.epoch - 1}"
        waited = self.epoch - 1 - self.best_epoch
        if self.settings.patience and self.best_epoch and waited >= self.settings.patience:
            return f"no better validation accuracy for {waited} epochs"
        return ""

    def _set_mode(self, training: bool) -> None:
        self.modules.train(training)
        if self.hooks.set_mode:
            self.hooks.set_mode(self.model, training)

    def _run_epoch(self) -> None:
        self._set_mode(True)
        for images, labels in self.training.epoch(self.epoch, self.step):
            if self.context.control.paused or self.context.control.stopping:
                self._save()
            self.context.control.checkpoint()
            self._run_step(images, labels)
            self._report()
            if self.context.control.take_finish_stage():
                self.cut_at = (self.epoch - 1) * self.training.steps + self.step
                break
        self._finish_epoch()

    def _run_step(self, images: Tensor, labels: Tensor) -> None:
        position = self.epoch - 1 + self.step / self.training.steps
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, position)
        seed = derive_seed(self.context.seed, self.context.key, "step", self.epoch, self.step)
        self.optimiser.zero_grad(set_to_none=True)
        with isolated_rng(seed), autocast(self.precision, images.device.type):
            losses = self.loss(self.model, images, labels)
        parts = dict(losses.parts)
        if self.scales:
            parts["scale_penalty"] = self.settings.scale_penalty * scale_norm(self.scales)
        total = torch.stack(list(parts.values())).sum()
        self.scaler.scale(total).backward()
        self.scaler.unscale_(self.optimiser)
        if self.hooks.after_backward:
            self.hooks.after_backward(self.model)
        if self.settings.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.hooks.after_step:
            self.hooks.after_step(self.model)
        self.step += 1
        right = right_answers(losses.logits.detach(), labels).sum().float()
        numbers = {"loss": total.detach(), **{name: part.detach().float() for name, part in parts.items()}}
        self._pending.append((numbers, right, len(labels)))

    def _collect(self) -> tuple[dict[str, float], int]:
        """Move finished steps' numbers off the device into the epoch's sums; their means and images."""
        images = 0
        fresh: dict[str, float] = {}
        values = iter(
            fetched([value for parts, right, _ in self._pending for value in (*parts.values(), right)])
        )
        for parts, _, count in self._pending:
            images += count
            for name in parts:
                fresh[name] = fresh.get(name, 0.0) + next(values) * count
            self.sums["right"] = self.sums.get("right", 0.0) + next(values)
            self.sums["images"] = self.sums.get("images", 0.0) + count
        self._pending.clear()
        for name, value in fresh.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        if not math.isfinite(fresh.get("loss", 0.0)):
            raise _Diverged(f"the loss became {fresh['loss']} in epoch {self.epoch}, step {self.step}")
        return {name: value / max(images, 1) for name, value in fresh.items()}, images

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._reported >= _EVENT_SECONDS:
            losses, images = self._collect()
            elapsed, self._reported = now - self._reported, now
            steps = (self.epoch - 1) * self.training.steps + self.step
            self._emit(StepDone(self.context.stage, self.epoch, steps, losses, images / elapsed))
            self.context.on_fraction(steps / (self.settings.epochs * self.training.steps))
        if now - self._saved >= _SAVE_SECONDS:
            self._save()

    def _finish_epoch(self) -> None:
        self._collect()
        self._set_mode(False)
        try:
            val_loss, val_top1 = evaluate(self.model, self.validation, self.precision, self.context.control)
        except Exception:
            self._save()
            raise
        count = max(self.sums.pop("images", 0.0), 1.0)
        metrics = {"train_top1": 100.0 * self.sums.pop("right", 0.0) / count}
        metrics |= {f"train_{name}": value / count for name, value in self.sums.items()}
        metrics |= {"val_loss": val_loss, "val_top1": val_top1}
        metrics["learning_rate"] = learning_rate(self.settings, self.epoch - 1)
        sound = val_loss < _SENSELESS_LOSS  # not so where it is no number
        best = sound and val_top1 > self.best_top1 and (self.hooks.eligible is None or self.hooks.eligible())
        if best:
            self.best_top1, self.best_epoch = val_top1, self.epoch
            self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        self._clock()
        steps = (self.epoch - 1) * self.training.steps + self.step
        metrics |= {"epoch": float(self.epoch), "step": float(steps), "seconds": self.seconds}
        self.history.append(metrics)
        epoch, self.epoch, self.step, self.sums = self.epoch, self.epoch + 1, 0, {}
        self._save()
        self._emit(EpochDone(self.context.stage, epoch, self.settings.epochs, steps, metrics, best))
        self.context.on_fraction(epoch / self.settings.epochs)

    def _clock(self) -> None:
        now = time.monotonic()
        self.seconds += now - self._mark - self.context.control.take_paused_seconds()
        self._mark = now

    def _emit(self, event: Event) -> None:
        self.context.emit(event)

    def _save(self) -> None:
        """Write the state beside the old one and rename: a kill at any moment leaves a whole file."""
        if self.context.state is None:
            return
        self._collect()
        self._clock()
        state = {
            "format": _STATE_FORMAT, "key": self.context.key, "epoch": self.epoch, "step": self.step,
            "modules": self.modules.state_dict(), "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(), "best": self.best, "best_top1": self.best_top1,
            "best_epoch": self.best_epoch, "sums": self.sums, "history": self.history,
            "seconds": self.seconds, "cut_at": self.cut_at,
        }  # fmt: skip
        write_state(self.context.state, state)
        self._saved = time.monotonic()

    def _restore(self) -> None:
        """Go on from the state file if there is one of this very training; a damaged one is set aside."""
        path = self.context.state
        if path is None or not path.is_file():
            return
        try:
            state = read_state(path, self.context.device)
        except DamagedError as error:
            text = f"{error.message} It is set aside as {set_aside(path).name}: the training begins again."
            self._emit(Note(self.context.stage, "warning", text))
            return
        if state.get("format") != _STATE_FORMAT or state.get("key") != self.context.key:
            return
        self.modules.load_state_dict(state["modules"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        for name in (
            "epoch",
            "step",
            "best",
            "best_top1",
            "best_epoch",
            "sums",
            "history",
            "seconds",
            "cut_at",
        ):
            setattr(self, name, state[name])
