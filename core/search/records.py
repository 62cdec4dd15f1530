"""What is known of a search's trials: a sealed record in each trial's folder, below the run's folder.

`trials/0007/` of a run holds `trial.json`, `pipeline.yaml` (the trial as an ordinary pipeline) and, while it goes on, its
stages; what the stages gave is in the caches. `search.json` says what the settings weigh, `wishes.json` what a person asked
for beyond the pipeline: more trials, and trials to confirm.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.common.content_hashes import DamagedError, read_sealed, set_aside, write_sealed
from core.common.errors import EspalierError
from core.common.files import changed_by_one
from core.common.logs import in_a_line
from core.document.dimensions import Dimension, dimensions
from core.document.pipeline import Pipeline
from core.document.search import Search, Value
from core.records.reports import Metric
from core.runs.run_folder import RunFolder

_log = logging.getLogger(__name__)

JOURNAL = "study.journal"
_TRIALS, _RECORD, _WEIGHTS, _WISHES = "trials", "trial.json", "search.json", "wishes.json"

State = Literal["done", "refused", "ended", "failed"]
STATES: dict[str, str] = {
    "done": "done",
    "refused": "refused beforehand",
    "ended": "ended early",
    "failed": "failed",
}


class StageMade(BaseModel):
    """A stage of a trial: whether it came from the cache, and the seconds that it took."""

    model_config = ConfigDict(frozen=True)

    id: str
    cached: bool
    seconds: float


class TrialRecord(BaseModel):
    """One trial.

    Attributes:
        number: from 1, in the order of the proposals.
        values: what the free settings were, by path; those that did not matter are not there.
        proposed: who proposed it: "as written" (the file itself) or the sampler.
        state: how it ended; `reason` is a sentence on it where it was not done.
        metrics: of its file, accuracies on the validation images; of a refused one as forecast.
        violations: by limit, how far it is missed, as a share of the limit; 0 or less where the interval lies inside.
        same_as: number of an earlier trial that gave the same file, or has the same settings; such a one does not count.
        right: by stage, which validation images were answered right, packed (`core.analysis.packed_answers`).
        epochs: share of the training epochs that it had. seconds: of work. machine: who made it.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    values: dict[str, Value]
    proposed: str
    state: State
    reason: str = ""
    metrics: dict[str, Metric] = Field(default_factory=dict)
    violations: dict[str, float] = Field(default_factory=dict)
    same_as: int | None = None
    file: str = ""
    final: str = ""
    stages: tuple[StageMade, ...] = ()
    right: dict[str, str] = Field(default_factory=dict)
    epochs: float = 1.0
    seconds: float = 0.0
    machine: str = ""
    at: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether it used up one of the search's trials: nothing refused, and nothing that was known."""
        return self.state != "refused" and self.same_as is None

    @property
    def served(self) -> bool:
        """Whether all its stages came from the cache."""
        return self.state == "done" and all(stage.cached for stage in self.stages)

    @property
    def feasible(self) -> bool:
        """Whether it keeps every limit."""
        return self.state == "done" and all(value <= 0 for value in self.violations.values())


class Wishes(BaseModel):
    """What a person asked for beyond the pipeline: so many trials more, and trials to confirm by number."""

    more: int = Field(default=0, ge=0, le=1_000_000)
    confirm: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """A search as far as it is.

    Attributes:
        pipeline: the file that is searched. trials: by number.
        weights: by objective and path, the share of the differences that a setting accounts for.
    """

    pipeline: Pipeline
    search: Search
    dimensions: tuple[Dimension, ...]
    trials: tuple[TrialRecord, ...]
    weights: dict[str, dict[str, float]]
    wishes: Wishes

    def trial(self, number: int) -> TrialRecord:
        """The trial of this number.

        Raises:
            EspalierError: when there is none.
        """
        found = next((trial for trial in self.trials if trial.number == number), None)
        if found is None:
            numbers = f"1 to {self.trials[-1].number}" if self.trials else "none yet"
            raise EspalierError(
                f"Expected the number of a trial ({numbers}), received {number}.", "See the table of trials."
            )
        return found

    @property
    def counted(self) -> int:
        """How many trials of the budget are used up."""
        return sum(trial.counts for trial in self.trials)


def trial_folder(run: RunFolder, number: int) -> Path:
    """Where a trial is made and recorded."""
    return run.folder / _TRIALS / f"{number:04d}"


def write_trial(run: RunFolder, record: TrialRecord) -> None:
    """Record a trial that has ended."""
    folder = trial_folder(run, record.number)
    folder.mkdir(parents=True, exist_ok=True)
    write_sealed(folder / _RECORD, json.loads(record.model_dump_json()))


def read_trials(run: RunFolder) -> list[TrialRecord]:
    """All recorded trials; a damaged record is set aside, and its trial is made again."""
    records = []
    for path in sorted((run.folder / _TRIALS).glob(f"[0-9]*/{_RECORD}")):
        try:
            records.append(TrialRecord.model_validate(read_sealed(path)))
        except (DamagedError, ValueError) as error:
            _log.warning("A trial's record is set aside: %s", in_a_line(error))
            set_aside(path)
    return sorted(records, key=lambda record: record.number)


def is_study(run: RunFolder) -> bool:
    """Whether a run searches; told by the text of its document, which is not parsed for it."""
    text = run.info.document
    return "\nsearch:" in text if text else run.written.search is not None


def read_study(run: RunFolder) -> Study | None:
    """The search of a run; None where it has none."""
    pipeline = run.written
    if pipeline.search is None:
        return None
    return Study(
        pipeline, pipeline.search, tuple(dimensions(pipeline)), tuple(read_trials(run)), _weights(run), wishes(run)
    )  # fmt: skip


def write_weights(run: RunFolder, weights: dict[str, dict[str, float]]) -> None:
    """Keep what the settings weigh."""
    write_sealed(run.folder / _WEIGHTS, {"weights": weights})


def wishes(run: RunFolder) -> Wishes:
    """What a person asked for beyond the pipeline."""
    plain = _read(run.folder / _WISHES)
    try:
        return Wishes.model_validate(plain)
    except ValueError as error:
        _log.warning("Wishes that cannot be read are passed over: %s", in_a_line(error))
        return Wishes()


def wish(run: RunFolder, more: int = 0, confirm: Sequence[int] = ()) -> Wishes:
    """Ask for more trials, and for trials to be confirmed; a run that goes on sees it at its next trial.

    Raises:
        EspalierError: when there is no such trial, or none that was done.
    """
    study = read_study(run)
    if study is None:
        raise EspalierError(f"Expected a run that searches, {run.name} does not.", "Pick another run.")
    for number in confirm:
        if study.trial(number).state not in ("done", "ended"):
            raise EspalierError(
                f"Trial {number} was {STATES[study.trial(number).state]}: {study.trial(number).reason}", "Pick another trial."
            )  # fmt: skip
    path = run.folder / _WISHES
    with changed_by_one(path):
        before = wishes(run)
        now = Wishes(more=before.more + more, confirm=tuple(dict.fromkeys((*before.confirm, *confirm))))
        write_sealed(path, now.model_dump(mode="json"))
    return now


def _weights(run: RunFolder) -> dict[str, dict[str, float]]:
    weights = _read(run.folder / _WEIGHTS).get("weights", {})
    return weights if isinstance(weights, dict) else {}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return read_sealed(path)
    except DamagedError as error:
        _log.warning("%s is passed over: %s", path, in_a_line(error))
        return {}
