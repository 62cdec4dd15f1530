"""What is known of a finished stage: metrics with their provenance, artefacts, notes."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from core.common.inner_paths import InnerName, InnerPath
from core.records.metrics import METRICS


class Metric(BaseModel):
    """One measured number.

    Attributes:
        value: the number, or None where it is not available (`how` then says why).
        unit: "%", "ms", "MB", "images/s", "" for counts and ratios. 1 MB = 10^6 bytes.
        low, high: the interval's bounds in the same unit, at confidence `level`; without one they are a mere range.
        n: how many observations (images, timed runs) the value rests on.
        how: where and how it was measured, in words ("ONNX Runtime CPU, 1 thread, batch 1").
        deviation: standard deviation over seeds, where the value is a mean over them.
        interrupted: share of the timed runs that were set aside because somebody interrupted them; None where that
            was not looked at.
    """

    model_config = ConfigDict(frozen=True)

    value: float | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    level: float | None = None
    n: int | None = None
    how: str = ""
    deviation: float | None = None
    interrupted: float | None = None

    @property
    def is_range(self) -> bool:
        """Whether the bounds are those of a machine that was too busy to measure: they have no level."""
        return self.low is not None and self.level is None


class Verification(BaseModel):
    """How well an exported file agrees with the PyTorch model that it was made from.

    Attributes:
        images: number of images compared.
        agreement: percent of images with the same top-1 class.
        explained_agreement: the same, not counting images whose PyTorch margin between the two
            best classes is below twice the largest logit difference.
        max_logit_difference: the largest absolute difference of any logit.
        limit: the largest difference at which the export is called good; None for quantized files.
        good: the verdict.
        sentence: the verdict in words.
        rounding: the largest difference of any logit between the network in float32 and in float64, where the verdict asked.
    """

    model_config = ConfigDict(frozen=True)

    images: int
    agreement: float
    explained_agreement: float
    max_logit_difference: float
    limit: float | None
    good: bool
    sentence: str
    rounding: float = 0.0


class MeasuredWith(BaseModel):
    """How a file's times and memory were taken.

    Attributes:
        protocol: the version of the protocol; 0 where a version before this entry took them.
        image: height and width of the decoded image that preprocessing began with.
        core_watts: power of one busy core, where energy is estimated.
        at: when, seconds since 1970.
    """

    protocol: int = 0
    image: tuple[int, int] | None = None
    core_watts: float | None = None
    at: float = 0.0


class Artefact(BaseModel):
    """A file that can be deployed, and everything measured on that very file."""

    id: InnerName
    label: str
    precision: InnerName
    path: InnerPath
    sha256: str
    bytes: int
    verification: Verification | None = None
    metrics: dict[str, Metric] = Field(default_factory=dict)
    change: dict[str, Metric] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    measured: MeasuredWith = MeasuredWith()


class Fix(BaseModel):
    """A change of a pipeline that removes a cause.

    Attributes:
        words: as an order, for a button: "Round the channels to multiples of 8".
        stage: id of the stage that is changed.
        settings: values by the setting's name.
        kind: another kind that the stage gets, with `settings` as all that it is told; "" leaves it.
    """

    model_config = ConfigDict(frozen=True)

    words: str
    stage: str
    settings: dict[str, Any] = Field(default_factory=dict)
    kind: str = ""


class Cause(BaseModel):
    """One reason for how fast or how accurate a stage's file is.

    Attributes:
        id: stable name of the reason.
        sentence: what is the case, with its figures. advice: what to do about it, or "".
        evidence: the figures that it rests on, by name.
        fix: what a person can have changed with one click; None where they have to decide.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    sentence: str
    advice: str = ""
    evidence: dict[str, Any] = Field(default_factory=dict)
    fix: Fix | None = None


class Why(BaseModel):
    """Why a stage's file is as fast, as small and as accurate as it is.

    Attributes:
        headline: what changed against the stage before, in figures.
    """

    model_config = ConfigDict(frozen=True)

    headline: str = ""
    causes: tuple[Cause, ...] = ()

    @property
    def paragraph(self) -> str:
        """All of it as running text."""
        return " ".join(part for part in (self.headline, *(cause.sentence for cause in self.causes)) if part)

    @property
    def advice(self) -> list[str]:
        """What to do next, a sentence each."""
        return [cause.advice for cause in self.causes if cause.advice]


class StageReport(BaseModel):
    """One stage of one run, for one seed.

    Attributes:
        key: the stage's id, with `@seed` behind it where the run has several seeds.
        source: the key of the stage or source that this one continues.
        headline: id of the artefact whose metrics stand for the stage in tables.
        pytorch: metrics measured in PyTorch on the run's device; in mixed precision with `mixed_` before their names.
        skipped: layers a method left alone, each with the reason.
        facts: method-specific results as plain data (channels before and after, precision used).
        history: one mapping per epoch (`epoch`, `train_loss`, `val_top1`, …).
        why: the reasons for these figures (`core.analysis.why`); None where none were looked for.
    """

    key: InnerName
    id: InnerName
    source: InnerName
    seed: int
    name: str
    kind: str
    cached: bool = False
    seconds: float = 0.0
    headline: InnerName = ""
    artefacts: list[Artefact] = Field(default_factory=list)
    pytorch: dict[str, Metric] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    skipped: list[tuple[str, str]] = Field(default_factory=list)
    facts: dict[str, Any] = Field(default_factory=dict)
    history: list[dict[str, float]] = Field(default_factory=list)
    why: Why | None = None

    @property
    def main(self) -> Artefact | None:
        """The artefact that stands for this stage, or None before it has one."""
        return next((a for a in self.artefacts if a.id == self.headline), None)

    @property
    def figures_in_pytorch(self) -> dict[str, Metric]:
        """What was measured in PyTorch, by the metrics' names."""
        named = {f"pytorch_{name}": metric for name, metric in self.pytorch.items()}
        return {name: metric for name, metric in named.items() if name in METRICS}

    def metric(self, name: str) -> Metric | None:
        """The headline artefact's metric `name`, or None."""
        return self.main.metrics.get(name) if self.main else None
