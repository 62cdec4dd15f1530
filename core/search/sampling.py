"""Who proposes the next trial: Optuna, asked and told, with its study as a journal in the run folder.

The journal is JSON, a line an operation. It is the sampler's memory and no more: what trials gave stands in their
records (`core.search.records`), from which a lost or damaged journal is made again. A sampler's draws follow from its
seed and the trial's number, so that a search that goes on proposes what it would have proposed.

Sources: Optuna 5 (Akiba et al. 2019, arXiv 1907.10902); multi-objective TPE (Ozaki et al. 2022); NSGA-II (Deb et al. 2002);
PED-ANOVA for what settings weigh (Watanabe et al. 2023, arXiv 2304.10255).
"""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.common.content_hashes import set_aside
from core.common.logs import in_a_line
from core.document import dimensions as space
from core.document.dimensions import Dimension
from core.document.pipeline import Pipeline
from core.document.search import Value
from core.records.metrics import METRICS
from core.search.judging import cost
from core.search.records import TrialRecord

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import Trial

_log = logging.getLogger(__name__)

AS_WRITTEN = "as written"
_NAME, _PROPOSED = "search", "proposed"
_STARTUP = 8  # trials by chance before TPE learns
_POPULATION = 16  # of NSGA-II
_FEWEST = 4  # trials from which weights are estimated


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate: its number from 1, the values of what is free in it, who proposed it."""

    number: int
    values: dict[str, Value]
    proposed: str


class Sampling:
    """The study of one search.

    Args:
        records: of the trials that have ended.
    """

    def __init__(self, journal: Path, pipeline: Pipeline, records: Sequence[TrialRecord]):
        assert pipeline.search is not None
        self.pipeline, self.search = pipeline, pipeline.search
        self.dimensions = space.dimensions(pipeline)
        self._records = {record.number: record for record in records}
        _quiet()
        try:
            self._study = self._opened(journal)
        except Exception as error:  # whatever the library makes of a damaged journal
            _log.warning("The journal is made again from the trials: %s", in_a_line(error))
            set_aside(journal)
            self._study = self._opened(journal)

    def _opened(self, journal: Path) -> "Study":
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        _without_half_a_line(journal)
        journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)  # of a process that was killed
        backend = JournalFileBackend(str(journal), JournalFileOpenLock(str(journal)))
        directions = [
            "maximize" if METRICS[name].better == "higher" else "minimize" for name in self.search.objectives
        ]
        study = optuna.create_study(
            storage=JournalStorage(backend), study_name=_NAME, directions=directions, load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(),
        )  # fmt: skip
        known = study.get_trials(deepcopy=False)
        if not known:
            self._begin(study)
        for trial in known:
            record = self._records.get(trial.number + 1)
            if record is not None and not trial.state.is_finished():
                self._tell(study, record)
        return study

    def _begin(self, study: "Study") -> None:
        """A new journal: what trials gave already, or what the file itself says as the first proposal."""
        import optuna

        written = space.as_written(self.pipeline)
        if not self._records and written is not None and self.search.sampler != "grid":
            study.enqueue_trial(written, user_attrs={_PROPOSED: AS_WRITTEN})
        for number in range(1, max(self._records, default=0) + 1):
            record = self._records.get(number)
            told = None if record is None else self._told(record)
            if record is None or told is None:
                study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
                continue
            mattering = {path: value for path, value in record.values.items() if path in self._by_path}
            constraints = {f"constraints:{name}": value for name, value in record.violations.items()}
            study.add_trial(optuna.trial.create_trial(
                values=told, params=mattering, system_attrs=constraints, user_attrs={_PROPOSED: record.proposed},
                distributions={path: self._distribution(self._by_path[path]) for path in mattering},
            ))  # fmt: skip

    @property
    def _by_path(self) -> dict[str, Dimension]:
        return {dimension.path: dimension for dimension in self.dimensions}

    @property
    def exhausted(self) -> bool:
        """Whether a grid has no point left."""
        if self.search.sampler != "grid":
            return False
        sampler: Any = self._sampler(0)
        self._study.sampler = sampler
        return bool(sampler.is_exhausted(self._study))

    def unfinished(self) -> list[Proposal]:
        """Trials that were proposed and have not ended: those under way when the process before was killed."""
        import optuna

        running = self._study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING])
        return [self._proposal(optuna.trial.Trial(self._study, trial._trial_id)) for trial in running]

    def ask(self) -> Proposal:
        """The next proposal."""
        number = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = self._sampler(number)
        return self._proposal(self._study.ask())

    def tell(self, record: TrialRecord) -> None:
        """How a trial ended."""
        self._records[record.number] = record
        self._tell(self._study, record)

    def weights(self) -> dict[str, dict[str, float]]:
        """By objective, the share of the differences between trials that each setting accounts for."""
        import optuna

        done = [
            record for record in self._records.values() if record.state == "done" and record.same_as is None
        ]
        if len(done) < _FEWEST:
            return {}
        study = optuna.create_study(directions=["minimize"] * len(self.search.objectives))
        for record in done:
            told = self._told(record)
            if told is None:
                continue
            params = {path: value for path, value in record.values.items() if path in self._by_path}
            study.add_trial(optuna.trial.create_trial(
                values=[cost(name, value) for name, value in zip(self.search.objectives, told, strict=True)], params=params,
                distributions={path: self._distribution(self._by_path[path]) for path in params},
            ))  # fmt: skip
        weights = {}
        for index, name in enumerate(self.search.objectives):
            try:
                found = optuna.importance.get_param_importances(study, target=_value_at(index))
            except (ValueError, RuntimeError) as error:  # all trials alike
                _log.debug("No weights for %s: %s", name, in_a_line(error))
                continue
            weights[name] = {path: float(share) for path, share in found.items()}
        return weights

    def _proposal(self, trial: "Trial") -> Proposal:
        values: dict[str, Value] = {}
        varied = self.pipeline
        for dimension in self.dimensions:
            if space.matters(varied, dimension):
                value = self._suggested(trial, dimension)
                values[dimension.path] = value
                varied = space.with_value(varied, dimension, value)
        proposed = trial.user_attrs.get(_PROPOSED, self.search.sampler)
        return Proposal(trial.number + 1, values, str(proposed))

    def _suggested(self, trial: "Trial", dimension: Dimension) -> Value:
        value: Value = trial._suggest(dimension.path, self._distribution(dimension))
        return round(value, 12) if isinstance(value, float) and dimension.step is not None else value

    def _distribution(self, dimension: Dimension) -> Any:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if dimension.kind == "choice" or self.search.sampler == "grid":
            return CategoricalDistribution(dimension.values() or ())
        if dimension.kind == "int":
            return IntDistribution(
                int(dimension.low), int(dimension.high), dimension.log, int(dimension.step or 1)
            )
        return FloatDistribution(dimension.low, dimension.high, dimension.log, dimension.step)

    def _sampler(self, number: int) -> "BaseSampler":
        from optuna import samplers

        seed = self.search.sampler_seed * 1_000_003 + number
        match self.search.sampler:
            case "nsga2":
                return samplers.NSGAIISampler(population_size=_POPULATION, seed=seed)
            case "random":
                return samplers.RandomSampler(seed=seed)
            case "grid":
                grid = {dimension.path: list(dimension.values() or ()) for dimension in self.dimensions}
                return samplers.GridSampler(grid, seed=self.search.sampler_seed)
            case _:
                return samplers.TPESampler(n_startup_trials=_STARTUP, seed=seed)

    def _tell(self, study: "Study", record: TrialRecord) -> None:
        import optuna

        trial_id = study.get_trials(deepcopy=False)[record.number - 1]._trial_id
        told = self._told(record)
        study.sampler = optuna.samplers.RandomSampler()  # a grid's own would stop a loop that is not there
        if told is None:
            study.tell(record.number - 1, state=optuna.trial.TrialState.FAIL)
            return
        trial = optuna.trial.Trial(study, trial_id)
        for name, value in record.violations.items():
            if name not in trial.constraints:
                trial.set_constraint(name, value)
        study.tell(record.number - 1, told)

    def _told(self, record: TrialRecord) -> list[float] | None:
        """What the sampler is told of a trial's objectives; None where it learns nothing.

        Of a candidate that was refused or ended early, what is not known counts as the worst that was seen: limits and
        what is known of it keep the sampler away.
        """
        values = []
        for name in self.search.objectives:
            metric = record.metrics.get(name)
            value = metric.value if metric is not None else None
            if value is None and record.state in ("refused", "ended") and record.violations:
                value = self._worst(name)
            if value is None:
                return None
            values.append(float(value))
        return values if record.state != "failed" else None

    def _worst(self, name: str) -> float | None:
        if METRICS[name].better == "higher":
            return 0.0
        seen = [
            metric.value
            for record in self._records.values()
            if (metric := record.metrics.get(name)) is not None and metric.value is not None
        ]
        return max(seen, default=None)


def matching(values: Mapping[str, Value], records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The first trial with exactly these settings."""
    return next(
        (record for record in records if record.values == dict(values) and record.same_as is None), None
    )


def _value_at(index: int) -> Callable[[Any], float]:
    return lambda trial: float(trial.values[index])


def _quiet() -> None:
    """Optuna tells of its own on stderr; what a person needs to know stands in the trials."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module="optuna")
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def _without_half_a_line(journal: Path) -> None:
    """Cut off what a killed process left of a line: the next one would be glued to it."""
    if not journal.is_file():
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with journal.open("r+b") as file:
            file.truncate(whole)
