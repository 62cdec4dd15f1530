"""How far a run is and how long it will still take: training and fixed costs apart.

The time of training follows from the images that are passed through and from how long one takes: as measured in this
process, or in earlier runs of this machine, and unknown until an epoch is done where neither says it. What comes
after training (evaluation, export, verification, measuring) takes about as long whatever was trained before it:
as in earlier runs, or as expected, corrected by what the stages before it took. What a stage does before it trains
(ranking channels, trying precisions) counts among that, and so does making a file where nothing is trained; where that takes
longer than expected, the part that is done says how long.

What a stage costs is learned as the run goes on. The fractions that are told then neither go back nor stand still until the
work has caught up: they move by the share of what is left that was done since, as is known by now.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True)
class _Place:
    """How far a run is: in which stage, and the fractions of its training, of making its file, and of what comes after."""

    index: int = 0
    trained: float = 0.0
    made: float = 0.0
    fixed: float = 0.0


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
        self._place = self._told = _Place()  # where it is, and where it was when that was last told
        self._rates: dict[int, float] = {}  # measured here
        self._expected = self._took = 0.0  # seconds of fixed costs of stages that were done here
        self._from: tuple[float, float] | None = None  # time and fraction when its training was taken up here
        self._begun = self._prepared = 0.0  # when it began, and seconds until it trained
        self._fixed_since: float | None = None
        self._stage_fraction = self._run_fraction = 0.0  # as they were told
        self._reported = clock()

    def begin(self, index: int) -> None:
        """Stage `index` begins."""
        self._place, self._stage_fraction = _Place(index), 0.0
        self._from = None
        self._begun, self._prepared = self._clock(), 0.0
        self._fixed_since = None if self.plans[index].training else self._clock()
        self._report()

    def train(self, fraction: float) -> None:
        """`fraction` of the stage's own work is done: of its training, or of making its file where nothing is trained."""
        now, place, fraction = self._clock(), self._place, min(fraction, 1.0)
        if self.plans[place.index].training:
            self._place = replace(place, trained=max(place.trained, fraction))
            if self._from is None:
                self._from, self._prepared = (now, self._place.trained), now - self._begun
            self._learn(now)
        else:
            self._place = replace(place, made=max(place.made, fraction))
        if now - self._reported >= _EVERY_SECONDS:
            self._report()

    def follow_up(self, fraction: float) -> None:
        """The stage's own work is over, and `fraction` of what comes after it is done."""
        if self._fixed_since is None:
            self._fixed_since = self._clock()
        self._place = _Place(self._place.index, 1.0, 1.0, max(self._place.fixed, min(fraction, 1.0)))
        if self._clock() - self._reported >= _EVERY_SECONDS:
            self._report()

    def end(self, cached: bool) -> None:
        """The stage is done; `cached` work says nothing of what others take."""
        index = self._place.index
        if not cached and self._fixed_since is not None:
            self._expected += self._fixed_seconds(index)
            self._took += self._prepared + self._clock() - self._fixed_since
        self._place = _Place(index, 1.0, 1.0, 1.0)
        self._report()

    def _fixed_done(self, place: _Place) -> float:
        """How much of the stage's fixed costs is behind it; making a file counts among them where nothing is trained."""
        if self.plans[place.index].training:
            return place.fixed
        return _MAKING * place.made + (1 - _MAKING) * place.fixed

    def _making_left(self) -> float:
        """Seconds until the stage's file is made, as the part that is done foretells; 0 where it does not yet."""
        index, made = self._place.index, self._place.made
        if self.plans[index].training or not _FORETELLS <= made < 1.0:
            return 0.0
        return (self._clock() - self._begun) * (1 - made) / made

    def _learn(self, now: float) -> None:
        """The rate of the stage under way, once an epoch of it was trained here."""
        assert self._from is not None
        index = self._place.index
        plan, (since, before) = self.plans[index], self._from
        done = self._place.trained - before
        if plan.training and done * plan.epochs >= _TOLD:
            self._rates[index] = (now - since) / (done * plan.training)

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
        place = self._place
        training, fixed = self._costs(place.index)
        if training is None and place.trained < 1.0:
            return None
        left = (training or 0.0) * (1 - place.trained) + fixed * (1 - self._fixed_done(place))
        return max(left, self._making_left())

    def _run_left(self, of_stage: float | None) -> float | None:
        later = [self._costs(index) for index in range(self._place.index + 1, len(self.plans))]
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

    def _part_of_stage(self, place: _Place) -> float:
        """How much of its stage's cost is behind a place, as is known now."""
        training, fixed = self._costs(place.index)
        if training is None:
            training = self.plans[place.index].training * _USUAL_RATE
        whole = training + fixed
        done = self._fixed_done(place)
        return (training * place.trained + fixed * done) / whole if whole else done

    def _part_of_run(self, place: _Place) -> float:
        """How much of the run's cost is behind a place, as is known now."""
        weights = self._weights()
        done = sum(weights[: place.index]) + weights[place.index] * self._part_of_stage(place)
        return done / (sum(weights) or 1.0)

    def _report(self) -> None:
        self._reported = self._clock()
        place, told = self._place, self._told
        before = self._part_of_stage(told) if told.index == place.index else 0.0
        self._stage_fraction = _moved(self._stage_fraction, before, self._part_of_stage(place))
        self._run_fraction = _moved(self._run_fraction, self._part_of_run(told), self._part_of_run(place))
        self._told = place
        left = self._stage_left()
        self._emit(
            Progress(
                self.plans[place.index].key,
                self._stage_fraction,
                self._run_fraction,
                left,
                self._run_left(left),
            )
        )


def _moved(shown: float, before: float, now: float) -> float:
    """A fraction that is shown, moved by the share of what was left `before` that is done `now`."""
    if now <= before:
        return shown
    return shown + (1 - shown) * (now - before) / (1 - before)
