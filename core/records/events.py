"""What the engine says while it works: one small immutable record per happening.

Events go to the run folder's `events.jsonl` and to whoever listens (window, terminal).
They carry plain data only, so that they survive JSON and threads.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Base of every event; `as_dict` gives its JSON form with the class name under `event`."""

    def as_dict(self) -> dict[str, Any]:
        return {"event": type(self).__name__, **asdict(self)}


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """The run folder is open and locked; `stages` are the keys in the order they will run."""

    run: str
    folder: str
    pipeline: str
    stages: tuple[str, ...]
    names: tuple[str, ...]
    resumed: bool


@dataclass(frozen=True, slots=True)
class RunPaused(Event):
    """A person holds the run (`paused`), or lets it go on."""

    paused: bool


@dataclass(frozen=True, slots=True)
class StageStarted(Event):
    stage: str
    name: str
    kind: str
    index: int
    total: int


@dataclass(frozen=True, slots=True)
class PhaseStarted(Event):
    """A part of a stage: "wait", "trial", "train", "prune", "make", "export", "verify", "measure"; `text` is for people."""

    stage: str
    phase: str
    text: str


@dataclass(frozen=True, slots=True)
class TrainingStarted(Event):
    """Training begins (or goes on) at `epoch` of at most `epochs`; epochs count from 1."""

    stage: str
    epoch: int
    epochs: int
    steps_per_epoch: int
    precision: str


@dataclass(frozen=True, slots=True)
class StepDone(Event):
    """At most a few a second. `losses` are means since the last one, by name; `step` counts
    from the stage's first step, over all epochs."""

    stage: str
    epoch: int
    step: int
    losses: dict[str, float]
    images_per_second: float


@dataclass(frozen=True, slots=True)
class EpochDone(Event):
    """`metrics`: train_loss, train_top1, val_loss, val_top1, learning_rate, seconds, and each
    loss part as `train_<part>`. `step` is the stage's last step; `best` marks the best so far."""

    stage: str
    epoch: int
    epochs: int
    step: int
    metrics: dict[str, float]
    best: bool


@dataclass(frozen=True, slots=True)
class GridStarted(Event):
    """A grid of settings is tried at a stage; its points come row by row. `rows` and `columns` are the values.

    Attributes:
        grid: its place in the pipeline.
    """

    stage: str
    title: str
    row_name: str
    rows: tuple[str, ...]
    column_name: str
    columns: tuple[str, ...]
    grid: int = 0


@dataclass(frozen=True, slots=True)
class GridPointDone(Event):
    """Point `index` of a grid, and its top-1 in percent on validation images."""

    stage: str
    index: int
    top1: float
    grid: int = 0


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """Fractions 0…1 of the stage and of the run, and the expected seconds left (None: unknown)."""

    stage: str
    stage_fraction: float
    run_fraction: float
    stage_seconds_left: float | None
    run_seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Note(Event):
    """A sentence for a person; `level` is "info" or "warning"."""

    stage: str
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class StageDone(Event):
    """`report` is the `StageReport` as plain data."""

    stage: str
    cached: bool
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrialStarted(Event):
    """A trial of a search begins, `trial` is its number; `counted` of `total` are used up (None: no number is set); `text` says its settings."""

    trial: int
    counted: int
    total: int | None
    text: str


@dataclass(frozen=True, slots=True)
class TrialDone(Event):
    """A trial of a search has ended; its record lies in the run folder, `text` says how it went."""

    trial: int
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class RunDone(Event):
    """The last event of every run; `status` is "completed", "stopped" or "failed", `command` as of `EspalierError`."""

    status: str
    message: str = ""
    advice: str = ""
    details: str = ""
    command: str = ""


Listener = Callable[[Event], None]

_KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        RunStarted, RunPaused, StageStarted, PhaseStarted, TrainingStarted, StepDone, EpochDone, GridStarted,
        GridPointDone, Progress, Note, StageDone, TrialStarted, TrialDone, RunDone,
    )
}  # fmt: skip


def event_from(record: Mapping[str, Any]) -> Event | None:
    """An event from its JSON form; None for kinds that this version does not know."""
    kind = _KINDS.get(str(record.get("event")))
    if kind is None:
        return None
    names = {item.name for item in fields(kind)}
    if (
        "trial" in names and "trial" not in record
    ):  # up to 0.1.0 it stood in the place of the event's own number
        record = {**record, "trial": record.get("number")}
    values = {
        name: tuple(value)
        if isinstance(value, list) and name in ("stages", "names", "rows", "columns")
        else value
        for name, value in record.items()
        if name in names
    }
    try:
        return kind(**values)
    except TypeError:  # something is missing: a damaged line of a version that did not seal them
        return None
