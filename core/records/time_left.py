"""How far a run is and how long it will still take: training and fixed costs apart.

The time of training follows from the images that are passed through and from how long one takes: as measured in this
process, or in earlier runs of this machine, and unknown until an epoch is done where neither says it. What comes
after training (evaluation, export, verification, measuring) takes about as long whatever was trained before it:
as in earlier runs, or as expected, corrected by what the stages before it took. What a stage does before it trains
(ranking channels, trying precisions) counts among that, and so does making a file where nothing is trained; where that takes
longer than expected, the part that is done says how long.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.records.events import Listener, Progress

_EVERY_SECONDS = 0.5
_USUAL_RATE = 0.002  # seconds an image, to weigh stages against each other before anything is known
_MAKING = 0.5  # of what a stage without training takes, until its file is made
_FORETELLS = 0.05  # of the making: what has to be done before the rest is told from it
_TOLD = 0.999  # of an epoch: sums of fractions are not exact


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What a stage is expected to cost.

    Attributes:
        training: images passed forward and backward; 0 where nothing is trained.
        epochs: passes over the training images among them.
        fixed: seconds of what comes before and after training, whatever the network.
        answering: what the network's answers on the test images take then, as images that are trained on.
        rate: seconds of training an image, from earlier runs on this machine; None: unknown.
        cost: of training an image, as a share of what it costs before anything is compressed.
    """

    key: str
    training: float
    epochs: float
    fixed: float
    rate: float | None = None
    cost: float = 1.0
    answering: float = 0.0


class Meter:
    """Turns "this part of this stage is done" into fractions and seconds left.

    What was there before the first word about a stage (a training that goes on, a network from the
    cache) says nothing about this machine's speed.

    Args:
        clock: seconds of work, pauses left out.
    """

    def __init__(
        self, plans: Sequence[StagePlan], emit: Listener, clock: Callable[[], float] = time.monotonic
    ):
        self.plans, self._emit, self._clock = list(plans), emit, clock
        self._index = 0
        self._rates: dict[int, float] = {}  # measured here
        self._expected = self._took = 0.0  # seconds of fixed costs of stages that were done here
        self._trained = self._fixed = self._made = 0.0  # fractions of the stage under way
        self._from: tuple[float, float] | None = None  # time and fraction when its training was taken up here
        self._begun = self._prepared = 0.0  # when it began, and seconds until it trained
        self._fixed_since: float | None = None
        self._run_fraction = 0.0
        self._reported = clock()

    def begin(self, index: int) -> None:
        """Stage `index` begins."""
        self._index, self._trained, self._fixed, self._made = index, 0.0, 0.0, 0.0
        self._from = None
        self._begun, self._prepared = self._clock(), 0.0
        self._fixed_since = None if self.plans[index].training else self._clock()
        self._report()

    def train(self, fraction: float) -> None:
        """`fraction` of the stage's own work is done: of its training, or of making its file where nothing is trained."""
        now = self._clock()
        if not self.plans[self._index].training:
            self._made = max(self._made, min(fraction, 1.0))
            if now - self._reported >= _EVERY_SECONDS:
                self._report()
            return
        self._trained = max(self._trained, min(fraction, 1.0))
        if self._from is None:
            self._from, self._prepared = (now, self._trained), now - self._begun
        self._learn(now)
        if now - self._reported >= _EVERY_SECONDS:
            self._report()

    def follow_up(self, fraction: float) -> None:
        """The stage's own work is over, and `fraction` of what comes after it is done."""
        if self._fixed_since is None:
            self._fixed_since = self._clock()
        self._trained, self._made, self._fixed = 1.0, 1.0, max(self._fixed, min(fraction, 1.0))
        if self._clock() - self._reported >= _EVERY_SECONDS:
            self._report()

    def end(self, cached: bool) -> None:
        """The stage is done; `cached` work says nothing of what others take."""
        if not cached and self._fixed_since is not None:
            self._expected += self._fixed_seconds(self._index)
            self._took += self._prepared + self._clock() - self._fixed_since
        self._trained = self._fixed = self._made = 1.0
        self._report()

    def _fixed_done(self) -> float:
        """How much of the stage's fixed costs is behind it; making a file counts among them where nothing is trained."""
        if self.plans[self._index].training:
            return self._fixed
        return _MAKING * self._made + (1 - _MAKING) * self._fixed

    def _making_left(self) -> float:
        """Seconds until the stage's file is made, as the part that is done foretells; 0 where it does not yet."""
        if self.plans[self._index].training or not _FORETELLS <= self._made < 1.0:
            return 0.0
        return (self._clock() - self._begun) * (1 - self._made) / self._made

    def _learn(self, now: float) -> None:
        """The rate of the stage under way, once an epoch of it was trained here."""
        assert self._from is not None
        plan, (since, before) = self.plans[self._index], self._from
        done = self._trained - before
        if plan.training and done * plan.epochs >= _TOLD:
            self._rates[self._index] = (now - since) / (done * plan.training)

    def _rate(self, index: int) -> float | None:
        """Seconds of training an image: measured here, in earlier runs, or as in the last stage that was measured."""
        if index in self._rates:
            return self._rates[index]
        earlier = self.plans[index].rate
        last = max(self._rates, default=None)
        if last is None:
            return earlier
        before = self.plans[last].rate
        if earlier and before:
            return earlier * self._rates[last] / before
        return self._rates[last] * self.plans[index].cost / self.plans[last].cost

    def _fixed_seconds(self, index: int) -> float:
        """Of what comes before and after a stage's training, as it was planned."""
        plan, rate = self.plans[index], self._rate(index)
        return plan.fixed + plan.answering * (_USUAL_RATE if rate is None else rate)

    def _costs(self, index: int) -> tuple[float | None, float]:
        """Seconds of a whole stage: training (None: unknown) and what comes after it."""
        plan, rate = self.plans[index], self._rate(index)
        scale = self._took / self._expected if self._expected else 1.0
        training = 0.0 if not plan.training else None if rate is None else plan.training * rate
        return training, self._fixed_seconds(index) * scale

    def _stage_left(self) -> float | None:
        training, fixed = self._costs(self._index)
        if training is None and self._trained < 1.0:
            return None
        left = (training or 0.0) * (1 - self._trained) + fixed * (1 - self._fixed_done())
        return max(left, self._making_left())

    def _run_left(self, of_stage: float | None) -> float | None:
        later = [self._costs(index) for index in range(self._index + 1, len(self.plans))]
        if of_stage is None or any(training is None for training, _ in later):
            return None
        return of_stage + sum((training or 0.0) + fixed for training, fixed in later)

    def _weights(self) -> list[float]:
        """What every stage weighs in the bar."""
        costs = [self._costs(index) for index in range(len(self.plans))]
        return [
            (plan.training * _USUAL_RATE if training is None else training) + fixed
            for plan, (training, fixed) in zip(self.plans, costs, strict=True)
        ]

    def _stage_fraction(self) -> float:
        training, fixed = self._costs(self._index)
        if training is None:
            training = self.plans[self._index].training * _USUAL_RATE
        whole = training + fixed
        done = self._fixed_done()
        return (training * self._trained + fixed * done) / whole if whole else done

    def _report(self) -> None:
        self._reported = self._clock()
        weights, fraction = self._weights(), self._stage_fraction()
        done = sum(weights[: self._index]) + weights[self._index] * fraction
        self._run_fraction = max(self._run_fraction, done / (sum(weights) or 1.0))
        left = self._stage_left()
        self._emit(
            Progress(self.plans[self._index].key, fraction, self._run_fraction, left, self._run_left(left))
        )
