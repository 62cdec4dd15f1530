"""The one training loop. Every stage that trains calls `train`; techniques plug into its hooks.

Best epoch by validation top-1 is kept; early stopping, gradient clipping and the schedule are
Hamza et al.'s. Nothing draws from a running random stream: each step is seeded from (seed, key, step), so a
run that is killed and resumed ends with the same weights, bit for bit on a CPU with the same
number of threads.

Shapes: images [b, 3, s, s], labels [b], logits [b, classes].
"""

import math
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from core.common.content_hashes import DamagedError, set_aside
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.common.logs import in_a_line
from core.data.batches import Batches
from core.data.randomness import derive_seed
from core.machine.torch_rng import isolated_rng
from core.records.events import EpochDone, Event, Listener, Note, StepDone, TrainingStarted
from core.training.average import Average
from core.training.compiled import compiled
from core.training.epoch_figures import EpochFigures
from core.training.evaluation import evaluate, right_answers
from core.training.hooks import Hooks
from core.training.losses import LossFunction, batch_norm_scales, cross_entropy, scale_norm
from core.training.mixing import changes, mixed
from core.training.optimisers import layer_rates, learning_rate, make_optimiser
from core.training.precision import Precision, autocast, resolve_precision
from core.training.ranks import current_ranks
from core.training.resume_file import read_state, write_state
from core.training.settings import TrainingSettings

_EVENT_SECONDS = 0.25
_SAVE_SECONDS = 300.0
_STATE_FORMAT = 1
_SENSELESS_LOSS = 1e6  # of validation, in nats: logits apart by a million, which no float32 file repeats
_HOLD, _REPORT, _SAVE, _FINISH = 1, 2, 4, 8  # what is due after a step
_DIVERGED = "Lower the learning rate, switch gradient clipping on, or warm up."


class _Diverged(Exception):
    """The loss is no finite number any more; the message says where."""


@dataclass(frozen=True, slots=True)
class TrainingContext:
    """The stage that trains, its seed and device, and where it may write.

    Attributes:
        stage: the stage's key, for events.
        key: seeds the draws; the same key and seed give the same training.
        state: file of the resume state; None keeps none.
        on_fraction: called with the done part of this training, 0…1, a few times a second.
        compiled: the network's passes go through `torch.compile`.
    """

    stage: str
    seed: int
    key: str
    device: str
    control: RunControl
    emit: Listener
    state: Path | None = None
    on_fraction: Callable[[float], None] = lambda fraction: None
    compiled: bool = False


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
    with compiled(model, context.compiled):
        try:
            return loop.run()
        except (EspalierError, Stopped):
            raise
        except Exception as error:
            if any(getattr(module, "stops", "") for module in model.modules()):
                raise _untrainable(error) from error
            raise


def _untrainable(error: Exception) -> EspalierError:
    """What is said where a network stops in training, as it did when it was taken apart (`NetworkBody.stops`)."""
    return EspalierError(
        f"The network cannot be trained here: in training it stops on a batch of images ({in_a_line(error)[:200]}).",
        "In training too, its forward() has to give logits for images alone, without labels.",
        traceback.format_exc(),
    )


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
        self.average = Average(model, settings.averaging) if settings.averaging else None
        self.optimiser = self._optimiser()
        self.ranks = current_ranks()
        if min(training.size_of(0), training.size_of(training.steps - 1)) < self.ranks.count:
            raise EspalierError(
                f"Expected a batch of at least one image for each of {self.ranks.count} processes, received {training.size_of(0)}.",
                "Choose a larger batch size, or fewer processes.",
            )
        self.scaler = torch.amp.GradScaler(context.device.split(":")[0], enabled=self.precision.scaled)
        self.epoch, self.step = 1, 0  # the epoch under way, and steps done in it
        self.figures = EpochFigures(self.ranks)
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] | None = None
        self.best_top1, self.best_epoch = -1.0, 0
        self.seconds = 0.0
        self.cut_at: int | None = None
        self._mark = self._saved = self._reported = time.monotonic()

    def _optimiser(self) -> torch.optim.Optimizer:
        """The stage's own, or the one that the settings name.

        Raises:
            EspalierError: when the settings ask for what a stage with rules of its own for weights cannot keep.
        """
        hooks, settings = self.hooks, self.settings
        if hooks.optimiser is not None and settings.layer_decay != 1:
            raise EspalierError(
                "This stage sets the steps of each layer itself, so that there is no place for layer decay.",
                "Set the layer decay to 1.",
            )
        if hooks.eligible is not None and self.average is not None:
            raise EspalierError(
                "This stage waits until weights are exactly zero, which their average never is.",
                "Set the weight averaging to 0.",
            )
        if hooks.optimiser is not None:
            return hooks.optimiser(self.parameters, settings)
        rates = layer_rates(self.modules, settings.layer_decay) if settings.layer_decay != 1 else None
        return make_optimiser(self.parameters, settings, rates)

    def run(self) -> TrainingResult:
        with self.ranks.first_one_first():
            self._restore()
        self.ranks.same(self.modules)
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
        self._do_what_is_due(begun=False)
        for images, labels in self.training.epoch(self.epoch, self.step):
            self._run_step(images, labels)
            if self._do_what_is_due(begun=True):
                self.cut_at = (self.epoch - 1) * self.training.steps + self.step
                break
        self._finish_epoch()

    def _do_what_is_due(self, begun: bool) -> bool:
        """Hold, report, save; whether a person finishes the stage here. One process decides for all that train together."""
        control, now = self.context.control, time.monotonic()
        due = _HOLD if control.paused or control.stopping else 0
        due |= _REPORT if now - self._reported >= _EVENT_SECONDS else 0
        due |= _SAVE if now - self._saved >= _SAVE_SECONDS else 0
        due |= _FINISH if begun and control.take_finish_stage() else 0
        due = self.ranks.agreed(due)
        if due & _REPORT and begun:
            self._report(now)
        if due & (_SAVE | _HOLD):
            self._save()
        if due & _HOLD:
            self.ranks.hold(control)
        return bool(due & _FINISH)

    def _run_step(self, images: Tensor, labels: Tensor) -> None:
        position = self.epoch - 1 + self.step / self.training.steps
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, position) * group.get("rate", 1.0)
        names = (self.context.seed, self.context.key, "step", self.epoch, self.step)
        seed = derive_seed(*names)
        self.optimiser.zero_grad(set_to_none=True)
        targets = labels
        whole = self.training.size_of(self.step)
        if changes(self.settings):
            every = self.ranks.whole(images, whole), self.ranks.whole(labels, whole)
            both = mixed(*every, self.training.classes, self.settings, seed)
            images, targets = self.ranks.own(both[0]), self.ranks.own(both[1])
        own_seed = derive_seed(*names, self.ranks.rank) if self.ranks.rank else seed
        with isolated_rng(own_seed), autocast(self.precision, images.device.type), self.ranks.norms():
            losses = self.loss(self.model, images, targets)
        parts = dict(losses.parts)
        if self.scales:
            parts["scale_penalty"] = self.settings.scale_penalty * scale_norm(self.scales)
        total = torch.stack(list(parts.values())).sum()
        share = total if self.ranks.count == 1 else total * (len(labels) / whole)
        self.scaler.scale(share).backward()
        self.ranks.add_gradients(self.parameters, check=self.step == 0)
        self.scaler.unscale_(self.optimiser)
        if self.hooks.after_backward:
            self.hooks.after_backward(self.model)
        if self.settings.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.hooks.after_step:
            self.hooks.after_step(self.model)
        if self.average is not None:
            self.average.update(self.model, (self.epoch - 1) * self.training.steps + self.step)
        self.step += 1
        right = right_answers(losses.logits.detach(), labels).sum().float()
        numbers = {"loss": total.detach(), **{name: part.detach().float() for name, part in parts.items()}}
        self.figures.add(numbers, right, len(labels))

    def _collect(self) -> tuple[dict[str, float], int]:
        """The figures of the steps since the last time; as of `EpochFigures.collect`.

        Raises:
            _Diverged: their loss is no finite number.
        """
        losses, images = self.figures.collect()
        if not math.isfinite(losses.get("loss", 0.0)):
            raise _Diverged(f"the loss became {losses['loss']} in epoch {self.epoch}, step {self.step}")
        return losses, images

    def _report(self, now: float) -> None:
        losses, images = self._collect()
        elapsed, self._reported = now - self._reported, now
        steps = (self.epoch - 1) * self.training.steps + self.step
        self._emit(StepDone(self.context.stage, self.epoch, steps, losses, images / elapsed))
        self.context.on_fraction(steps / (self.settings.epochs * self.training.steps))

    def _finish_epoch(self) -> None:
        self._collect()
        self._set_mode(False)
        try:
            with self._averaged():
                val_loss, val_top1 = evaluate(
                    self.model, self.validation, self.precision, self.context.control, self.ranks
                )
                judged = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        except Exception:
            self._save()
            raise
        metrics = {f"train_{name}": value for name, value in self.figures.taken().items()}
        metrics |= {"val_loss": val_loss, "val_top1": val_top1}
        metrics["learning_rate"] = learning_rate(self.settings, self.epoch - 1)
        sound = val_loss < _SENSELESS_LOSS  # not so where it is no number
        best = sound and val_top1 > self.best_top1 and (self.hooks.eligible is None or self.hooks.eligible())
        if best:
            self.best_top1, self.best_epoch = val_top1, self.epoch
            self.best = judged
        self._clock()
        steps = (self.epoch - 1) * self.training.steps + self.step
        metrics |= {"epoch": float(self.epoch), "step": float(steps), "seconds": self.seconds}
        self.history.append(metrics)
        epoch, self.epoch, self.step = self.epoch, self.epoch + 1, 0
        self._save()
        self._emit(EpochDone(self.context.stage, epoch, self.settings.epochs, steps, metrics, best))
        self.context.on_fraction(epoch / self.settings.epochs)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Meanwhile the network holds the averaged weights, where they are averaged, with what a stage keeps of them."""
        if self.average is None:
            yield
            return
        self.average.exchange(self.model)
        try:
            if self.hooks.after_step:
                self.hooks.after_step(self.model)
            yield
        finally:
            self.average.exchange(self.model)

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
            "best_epoch": self.best_epoch, "sums": self.figures.sums, "history": self.history,
            "seconds": self.seconds, "cut_at": self.cut_at,
            **({"average": self.average.state} if self.average is not None else {}),
        }  # fmt: skip
        if self.ranks.rank == 0:
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
        if self.average is not None:
            self.average.restore(state["average"])
        self.figures.sums = state["sums"]
        for name in ("epoch", "step", "best", "best_top1", "best_epoch", "history", "seconds", "cut_at"):
            setattr(self, name, state[name])
