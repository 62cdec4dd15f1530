"""How much of a network a latency allows: settled by measuring before a pruning stage runs, and written down.

A stage may be asked for a share of the latency (`Stage.latency_target`). A table of layer times
(`core.profiling.latency_table`) says which widths, how many blocks fewer, or what share of the MACs should meet it; the
network so is exported and timed against the network before, in alternating sessions; where it misses, the aim is
corrected by the measurement and the search repeats. The result is a ratio for every layer, a number of blocks, or a
share of MACs. It replaces the target in the stage's settings, and so enters its cache key; a resumed run, and another run
of the same stage on this machine, do not measure again.
"""

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from core.common.errors import EspalierError
from core.common.numbers import percent
from core.common.params import Params
from core.document.pipeline import StageNode
from core.document.stage_keys import stage_key
from core.engine.latency_decision import Attempt, LatencyDecision
from core.engine.stage_inputs import RunContext
from core.records.events import PhaseStarted
from core.runs.timing_decisions import TimingDecisions
from core.sources.base import StageInput
from core.stages.context import StageContext
from core.stages.latency_target import BlocksTarget, LatencyTarget, MacsTarget
from core.surgery.prunable_groups import PrunableGroups

if TYPE_CHECKING:
    from core.models.classifier import ImageClassifier
    from core.models.forecast import TimedNetwork
    from core.profiling.latency_table import LatencyTable
    from core.whatif.network_timer import NetworkTimer

_CLOSE = 0.02  # of the wanted latency: no further try
_TRIES = 4
_VERSION = 1
_MACS_STEPS = 8  # halvings of the share of MACs: to 0.4 %


_Target = LatencyTarget | BlocksTarget | MacsTarget


def _settled(target: _Target, decision: LatencyDecision) -> Params:
    """The stage's settings with what was decided."""
    if isinstance(target, LatencyTarget):
        return target.settled(decision.ratios)
    if isinstance(target, BlocksTarget):
        return target.settled(decision.blocks or 1)
    assert decision.macs is not None
    return target.settled(decision.macs)


class LatencyTargets:
    """The latency decisions of one run."""

    def __init__(self, context: RunContext):
        self.context = context
        self._memory = context.measurements
        self._decisions = TimingDecisions(context.run.folder / "latency_targets.json", self._memory)

    def settled(
        self,
        node: StageNode,
        seed: int,
        stage_input: StageInput,
        context: Callable[[], StageContext],
        key: Callable[[], str],
    ) -> tuple[StageNode, LatencyDecision | None]:
        """The stage with ratios in place of a latency, and how they were found; else as it is.

        Args:
            context: what the stage will be given. key: everything but the machine that the decision depends on, hashed.

        Raises:
            EspalierError: when no widths that the settings allow are fast enough, or the network cannot
                be exported.
            Stopped: a person asked to stop.
        """
        target = node.stage.latency_target(node.parameters)
        if target is None or self.context.rehearsal or stage_input.checkpoint is None:
            return node, None
        stage = stage_key(self.context.pipeline, node.id, seed)
        plain = self._decisions.taken(
            stage,
            lambda: {"latency target": _VERSION, "of": key()},
            lambda: asdict(self._search(stage, target, stage_input, context())),
        )
        decision = LatencyDecision.from_plain(plain)
        settled = _settled(target, decision)
        return node.model_copy(update={"settings": settled.model_dump(mode="json")}), decision

    def _search(
        self, key: str, target: _Target, stage_input: StageInput, context: StageContext
    ) -> LatencyDecision:
        from core.models.catalogue import backbone
        from core.models.checkpoint import load_checkpoint
        from core.models.forecast import TimedNetwork
        from core.whatif.network_timer import NetworkTimer

        assert stage_input.checkpoint is not None
        run = self.context
        run.emit(PhaseStarted(key, "measure", "Measuring how long the layers take"))
        model = load_checkpoint(stage_input.checkpoint).model
        subject = TimedNetwork(
            model,
            context.network,
            context.preprocess,
            run.data.classes,
            backbone(context.network.backbone).blocks,
        )
        timer = NetworkTimer(
            run.tool,
            self._memory,
            context.scratch / "timed",
            run.control,
            run.run.folder / "measure.log",
        )

        def say(text: str) -> None:
            run.emit(PhaseStarted(key, "measure", text))

        whole = copy.deepcopy(model)
        if isinstance(target, BlocksTarget):
            return search_blocks(subject, target.share, target.order(whole, context), timer, say)
        if isinstance(target, MacsTarget):
            return search_macs(subject, target.share, target.smaller(whole, context), timer, say)
        return search(subject, target, target.prunable(whole, context), timer, say)


def search(
    subject: "TimedNetwork",
    target: LatencyTarget,
    prunable: PrunableGroups,
    timer: "NetworkTimer",
    on_phase: Callable[[str], None] = lambda text: None,
) -> LatencyDecision:
    """Predict, export, measure, correct; the closest of a few tries.

    Args:
        subject: the network before. prunable: what can go from a copy of it.

    Raises:
        EspalierError: when the latency is out of reach, or a network cannot be exported.
        Stopped: a person asked to stop.
    """
    from core.whatif.network_timer import unfolded

    table = timer.table(replace(subject, model=unfolded(subject.model)))
    latency_share = prunable.latency_share(table.milliseconds)

    def at(share: float, _tries: Sequence[Attempt]) -> dict[str, int]:
        return dict(target.plan(prunable, share, latency_share).kept_channels)

    choices = _Choices(
        at, lambda kept: tuple(kept.values()), latency_share, lambda kept: narrowed(subject, target, kept)
    )
    kept, attempts = _closest(subject, choices, _Aim(target.share, table.error), timer, on_phase)
    channels = prunable.start.channels
    ratios = {path: 1 - left / channels[path] for path, left in kept.items()}
    return LatencyDecision(ratios, target.share, attempts[0], attempts[1:], table.error)


def search_blocks(
    subject: "TimedNetwork",
    share: float,
    order: Sequence[str],
    timer: "NetworkTimer",
    on_phase: Callable[[str], None] = lambda text: None,
) -> LatencyDecision:
    """The same for blocks, which go in this order; one at least.

    Raises:
        EspalierError: when a network cannot be exported.
        Stopped: a person asked to stop.
    """
    from core.surgery.blocks import drop_blocks
    from core.surgery.budget import layer_shapes
    from core.whatif.network_timer import unfolded

    table = timer.table(replace(subject, model=unfolded(subject.model)))
    rest = copy.deepcopy(subject.model)
    times = [table.milliseconds(_known(layer_shapes(rest), table))]
    for path in order:
        drop_blocks(rest, [path])
        times.append(table.milliseconds(_known(layer_shapes(rest), table)))

    def predicted(number: int) -> float:
        return times[number] / times[0]

    def at(_share: float, tries: Sequence[Attempt]) -> int:
        likely = _calibrated(tries, table.error)
        return min(range(1, len(times)), key=lambda number: abs(likely(predicted(number)) - share))

    choices = _Choices(at, int, predicted, lambda number: shallow(subject, order[:number]))
    blocks, attempts = _closest(subject, choices, _Aim(share, table.error), timer, on_phase)
    return LatencyDecision({}, share, attempts[0], attempts[1:], table.error, blocks)


def search_macs(
    subject: "TimedNetwork",
    share: float,
    smaller: "Callable[[float], ImageClassifier]",
    timer: "NetworkTimer",
    on_phase: Callable[[str], None] = lambda text: None,
) -> LatencyDecision:
    """The same for a network that gets smaller in more than one way until a share of its MACs is left.

    Raises:
        EspalierError: when the latency is out of reach, or a network cannot be exported.
        Stopped: a person asked to stop.
    """
    from core.surgery.budget import layer_shapes
    from core.whatif.network_timer import unfolded

    table = timer.table(replace(subject, model=unfolded(subject.model)))

    def milliseconds(model: "ImageClassifier") -> float:
        return table.milliseconds(_known(layer_shapes(model), table))

    whole = milliseconds(subject.model)

    @cache
    def predicted(macs: float) -> float:
        return milliseconds(smaller(macs)) / whole

    def at(_share: float, tries: Sequence[Attempt]) -> float:
        likely, low, high = _calibrated(tries, table.error), 0.0, 1.0
        most = 0.0  # of the shares that can be met and are fast enough
        for _ in range(_MACS_STEPS):
            middle = (low + high) / 2
            try:
                fast = likely(predicted(middle)) <= share
            except EspalierError:  # so few cannot be met
                low = middle
                continue
            low, high = (middle, high) if fast else (low, middle)
            most = low if fast else most
        if not most:
            raise EspalierError(
                f"Expected a latency that these settings can reach, received {percent(share, 1)} of the latency before.",
                "Let more of it stay, or choose the scope 'whole-groups'.",
            )
        return most

    choices: _Choices[float] = _Choices(
        at, float, predicted, lambda macs: replace(subject, model=smaller(macs))
    )
    macs, attempts = _closest(subject, choices, _Aim(share, table.error), timer, on_phase)
    return LatencyDecision({}, share, attempts[0], attempts[1:], table.error, macs=macs)


def shallow(subject: "TimedNetwork", dropped: Sequence[str]) -> "TimedNetwork":
    """The network without these blocks."""
    from core.surgery.blocks import drop_blocks

    model = copy.deepcopy(subject.model)
    drop_blocks(model, dropped)
    return replace(subject, model=model)


def _calibrated(tries: Sequence[Attempt], error: float) -> Callable[[float], float]:
    """What a predicted share comes to, by the networks that were measured: in between in proportion, below them likewise."""
    known = {1.0: 1.0, **{one.predicted: one.estimate(error) for one in tries}}
    places = sorted(known)

    def likely(predicted: float) -> float:
        if predicted <= places[0]:
            return predicted * known[places[0]] / places[0]
        return float(np.interp(predicted, places, [known[place] for place in places]))

    return likely


def _known(shapes: "dict[str, tuple[int, ...]]", table: "LatencyTable") -> "dict[str, tuple[int, ...]]":
    return {path: shape for path, shape in shapes.items() if path in table.layers}


_Choice = TypeVar("_Choice")


@dataclass(frozen=True, slots=True)
class _Choices(Generic[_Choice]):
    """What can be taken from a network.

    Attributes:
        at: what would leave this share of the latency, after these attempts; an EspalierError where nothing does.
        name: what tells one choice from another. predicted: the share of the latency that it should leave.
        network: the network without it.
    """

    at: Callable[[float, Sequence[Attempt]], _Choice]
    name: Callable[[_Choice], Hashable]
    predicted: Callable[[_Choice], float]
    network: "Callable[[_Choice], TimedNetwork]"


@dataclass(frozen=True, slots=True)
class _Aim:
    """The share of the latency that is wanted, and what predictions are usually off by."""

    share: float
    error: float

    def off(self, attempt: Attempt) -> float:
        """By how much an attempt misses it, as far as can be told."""
        return abs(attempt.estimate(self.error) / self.share - 1)


def _closest(
    subject: "TimedNetwork",
    choices: _Choices[_Choice],
    aim: _Aim,
    timer: "NetworkTimer",
    on_phase: Callable[[str], None],
) -> tuple[_Choice, list[Attempt]]:
    """The choice that came closest of a few that were measured; its attempt, then all attempts in their order."""
    on_phase("Exporting the network before")
    size, before = subject.preprocess.size, timer.exported(subject, "before")
    tries: dict[Hashable, tuple[Attempt, _Choice]] = {}
    share = aim.share
    for number in range(1, _TRIES + 1):
        try:
            choice = choices.at(min(max(share, 0.01), 0.99), [tried for tried, _ in tries.values()])
        except EspalierError:
            if not tries:
                raise
            break  # the correction asks for more than can go: the tries so far are what there is
        if choices.name(choice) in tries:
            break
        on_phase(f"Measuring a smaller network, try {number}")
        after = timer.exported(choices.network(choice), "after")
        ratio = timer.compare(before, after, (subject.preprocess.channels, size, size)).ratio
        assert ratio is not None
        attempt = Attempt(choices.predicted(choice), ratio.value, ratio.low, ratio.high)
        tries[choices.name(choice)] = attempt, choice
        if aim.off(attempt) <= _CLOSE:
            break
        share = aim.share * attempt.predicted / attempt.estimate(aim.error)
    attempts = list(tries.values())
    chosen, choice = min(attempts, key=lambda pair: aim.off(pair[0]))
    return choice, [chosen, *(tried for tried, _ in attempts)]


def narrowed(subject: "TimedNetwork", target: LatencyTarget, kept: dict[str, int]) -> "TimedNetwork":
    """The network with so many channels; which ones, and its weights, make no difference to the time."""
    from core.surgery.shapes import filled

    shape: ImageClassifier = copy.deepcopy(subject.model).to("meta")
    narrow = target.cut(shape, subject.preprocess.size, subject.blocks, kept)
    model = filled(narrow)
    model.constraints = {}  # random weights keep no zeros and no codebooks
    return replace(subject, model=model)
