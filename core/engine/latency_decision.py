"""What a search for a latency has found: the networks that were timed, and which of them is taken."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from core.common.numbers import percent

if TYPE_CHECKING:
    from core.stages.result import StageResult

TOLERANCE = 0.05  # of the wanted latency: closer than this it counts as met
_TO_DEVIATION, _AT_99 = 1.48, 2.58  # of a normal distribution: its median error and its 99 % bounds


@dataclass(frozen=True, slots=True)
class Attempt:
    """A smaller network that was exported and timed.

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
    """The widths, the number of blocks, or the share of MACs that was decided on.

    Attributes:
        ratios: the share of channels that goes, by the leading layer of each group; empty where that is not decided.
        blocks: how many go. macs: the share that stays. None where that is not decided.
        wanted: share of the latency that was to stay. chosen: the try that is taken.
        error: what predictions of the table are usually off by.
    """

    ratios: dict[str, float]
    wanted: float
    chosen: Attempt
    tries: list[Attempt] = field(default_factory=list)
    error: float = 0.0
    blocks: int | None = None
    macs: float | None = None

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
        span = (
            f" ({percent(chosen.low, 1)} to {percent(chosen.high, 1)})" if chosen.low and chosen.high else ""
        )
        unsure = (
            f" The machine was busy: the figure is uncertain to ±{percent(chosen.width)}."
            if chosen.width > TOLERANCE
            else ""
        )
        summary = (
            f"{percent(chosen.measured, 1)} of the latency before is left{span}, measured on the exported file; "
            f"{percent(self.wanted, 1)} was asked for, the table of layer times predicted {percent(chosen.predicted, 1)}. "
            f"{'One network was' if count == 1 else f'{count} networks were'} exported and timed.{unsure}"
        )
        missed = (
            f" That is more than {percent(TOLERANCE)} off: between these widths and the next ones that the "
            "rounding allows there is nothing closer. A smaller rounding or a wider scope may help."
        )
        if self.blocks is not None:
            missed = f" That is more than {percent(TOLERANCE)} off: whole blocks come no closer."
        result.notes.append(summary if self.met else summary + missed)
        result.facts["latency"] = asdict(self)
