"""How many channels a latency allows: settled by measuring before a pruning stage runs, and written down.

A stage may be asked for a share of the latency (`Stage.latency_target`). A table of layer times
(`core.profiling.latency_table`) says which widths should meet it; the network at these widths is
exported and timed against the network before, in alternating sessions; where it misses, the aim is
corrected by the measurement and the search repeats. The result is a ratio for every layer. The ratios
replace the target in the stage's settings, and so enter its cache key; a resumed run, and another run
of the same stage on this machine, do not measure again.
"""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from core.common.errors import EspalierError
from core.document.pipeline import StageNode
from core.document.stage_keys import stage_key
from core.engine.stage_inputs import RunContext
from core.records.events import PhaseStarted
from core.runs.timing_decisions import TimingDecisions
from core.sources.base import StageInput
from core.stages.context import StageContext
from core.stages.latency_target import LatencyTarget
from core.surgery.prunable_groups import PrunableGroups

if TYPE_CHECKING:
    from core.models.classifier import ImageClassifier
    from core.models.forecast import TimedNetwork
    from core.stages.result import StageResult
    from core.surgery.budget import Plan
    from core.whatif.network_timer import NetworkTimer

TOLERANCE = 0.05  # of the wanted latency: closer than this it counts as met
_CLOSE = 0.02  # of the wanted latency: no further try
_TRIES = 4
_TO_DEVIATION, _AT_99 = 1.48, 2.58  # of a normal distribution: its median error and its 99 % bounds
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """Widths that were exported and timed.

    Attributes:
        predicted: share of the latency that the table said. measured: that the file takes.
        low, high: bounds of `measured` at 99 %.
    """

    predicted: float
    measured: float
    low: float | None
    high: float | None

    @property
    def width(self) -> float:
        """Half the interval of `measured`, as a share of it."""
        return (self.high - self.low) / (2 * self.measured) if self.low and self.high else 0.0

    def estimate(self, error: float) -> float:
        """The likeliest share: what was measured, drawn towards the prediction as far as it is uncertain.

        Args:
            error: what predictions are usually off by. The two are weighted by their variances.
        """
        usual, uncertain = max(error, 0.01) * _TO_DEVIATION, self.width / _AT_99
        trust = usual**2 / (usual**2 + uncertain**2)
        return float(self.predicted * (self.measured / self.predicted) ** trust)


@dataclass(frozen=True, slots=True)
class LatencyDecision:
    """The widths that were decided on.
    Attributes:
        ratios: the share of channels that goes, by the leading layer of each group.
        wanted: share of the latency that was to stay. chosen: the try that is taken.
        error: what predictions of the table are usually off by.
    """

    ratios: dict[str, float]
    wanted: float
    chosen: Attempt
    tries: list[Attempt] = field(default_factory=list)
    error: float = 0.0

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "LatencyDecision":
        """As `asdict` gave it."""
        tries = [Attempt(**attempt) for attempt in plain["tries"]]
        return cls(**{**plain, "chosen": Attempt(**plain["chosen"]), "tries": tries})

    @property
    def met(self) -> bool:
        """Whether the latency is as close as the stage promises."""
        return abs(self.chosen.measured / self.wanted - 1) <= TOLERANCE

    def write_to(self, result: "StageResult") -> None:
        """Add what was requested, predicted and measured to the stage's result."""
        chosen, count = self.chosen, len(self.tries)
        span = f" ({chosen.low:.1%} to {chosen.high:.1%})" if chosen.low and chosen.high else ""
        unsure = (
            f" The machine was busy: the figure is uncertain to ±{chosen.width:.0%}."
            if chosen.width > TOLERANCE
            else ""
        )
        summary = (
            f"{chosen.measured:.1%} of the latency before is left{span}, measured on the exported file; "
            f"{self.wanted:.1%} was asked for, the table of layer times predicted {chosen.predicted:.1%}. "
            f"{'One network was' if count == 1 else f'{count} networks were'} exported and timed.{unsure}"
        )
        missed = (
            f" That is more than {TOLERANCE:.0%} off: between these widths and the next ones that the "
            "rounding allows there is nothing closer. A smaller rounding or a wider scope may help."
        )
        result.notes.append(summary if self.met else summary + missed)
        result.facts["latency"] = asdict(self)


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
        if target is None or not self.context.times or stage_input.checkpoint is None:
            return node, None
        stage = stage_key(self.context.pipeline, node.id, seed)
        plain = self._decisions.taken(
            stage,
            lambda: {"latency target": _VERSION, "of": key()},
            lambda: asdict(self._search(stage, target, stage_input, context())),
        )
        decision = LatencyDecision.from_plain(plain)
        settings = target.settled(decision.ratios).model_dump(mode="json")
        return node.model_copy(update={"settings": settings}), decision

    def _search(
        self, key: str, target: LatencyTarget, stage_input: StageInput, context: StageContext
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
        return search(
            subject, target, target.prunable(copy.deepcopy(model), context), timer,
            lambda text: run.emit(PhaseStarted(key, "measure", text)),
        )  # fmt: skip


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
    on_phase("Exporting the network before")
    size, before = subject.preprocess.size, timer.exported(subject, "before")
    tries: dict[tuple[int, ...], tuple[Attempt, Plan]] = {}
    aim = target.share
    for number in range(1, _TRIES + 1):
        try:
            plan = target.plan(prunable, min(max(aim, 0.01), 0.99), latency_share)
        except EspalierError:
            if not tries:
                raise
            break  # the correction asks for more than can go: the tries so far are what there is
        widths = tuple(plan.kept_channels.values())
        if widths in tries:
            break
        on_phase(f"Measuring a network of these widths, try {number}")
        after = timer.exported(narrowed(subject, target, plan.kept_channels), "after")
        ratio = timer.compare(before, after, (subject.preprocess.channels, size, size)).ratio
        assert ratio is not None
        tries[widths] = Attempt(latency_share(plan.kept_channels), ratio.value, ratio.low, ratio.high), plan
        attempt = tries[widths][0]
        likely_share = attempt.estimate(table.error)
        if abs(likely_share / target.share - 1) <= _CLOSE:
            break
        aim = target.share * attempt.predicted / likely_share
    attempts = list(tries.values())
    chosen, plan = min(attempts, key=lambda pair: abs(pair[0].estimate(table.error) / target.share - 1))
    channels = prunable.start.channels
    ratios = {path: 1 - kept / channels[path] for path, kept in plan.kept_channels.items()}
    return LatencyDecision(ratios, target.share, chosen, [tried for tried, _ in attempts], table.error)


def narrowed(subject: "TimedNetwork", target: LatencyTarget, kept: dict[str, int]) -> "TimedNetwork":
    """The network with so many channels; which ones, and its weights, make no difference to the time."""
    from core.surgery.shapes import filled

    shape: ImageClassifier = copy.deepcopy(subject.model).to("meta")
    narrow = target.cut(shape, subject.preprocess.size, subject.blocks, kept)
    model = filled(narrow)
    model.constraints = {}  # random weights keep no zeros and no codebooks
    return replace(subject, model=model)
