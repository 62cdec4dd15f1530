"""The trials of a run that searches, one after the other, until its budget is used up; then what is to be confirmed.

Optuna proposes (`core.search.sampling`); what is known without training refuses a candidate first; the others are made
(`core.engine.trial_maker`) and judged on validation images. Every trial that has ended is recorded before the sampler hears
of it, so a search that was killed goes on with the trial that was under way.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from core.common.durations import rough_duration
from core.common.errors import EspalierError
from core.common.validation_messages import in_words as problems_in_words
from core.document import dimensions
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.document.search import Search, Value
from core.engine.stage_inputs import RunContext
from core.engine.trial_maker import EndEarly, MadeTrial, TrialMaker, shortened, this_machine
from core.records.events import Note, Progress, TrialDone, TrialStarted
from core.records.metrics import METRICS
from core.records.reports import Metric
from core.search import judging
from core.search.confirmation import confirmation
from core.search.records import (
    JOURNAL,
    STATES,
    TrialRecord,
    Wishes,
    read_trials,
    trial_folder,
    wishes,
    write_trial,
    write_weights,
)
from core.search.sampling import Proposal, Sampling, matching
from core.whatif import Forecast, WhatIf

if TYPE_CHECKING:
    import numpy as np

_log = logging.getLogger(__name__)

_VAIN = 50  # proposals one after the other that were refused or known: there is nothing new any more


@dataclass(slots=True)
class _Trial:
    """A trial under way."""

    proposal: Proposal
    seed: int
    began: float = field(default_factory=time.monotonic)
    known: dict[str, Metric] = field(default_factory=dict)
    made: MadeTrial = field(default_factory=MadeTrial)


class SearchRun:
    """The search of one run.

    Args:
        context: of the run; its pipeline is the file that is searched.
    """

    def __init__(self, context: RunContext):
        assert context.pipeline.search is not None
        self.context, self.pipeline = context, context.pipeline
        self.search: Search = context.pipeline.search
        self.records = read_trials(context.run)
        self.sampling = Sampling(context.run.folder / JOURNAL, self.pipeline, self.records)
        self.maker = TrialMaker(context, self.search)
        self._varying = dimensions.varying(self.pipeline)
        self._what_if = WhatIf(context.home)
        self._seed = (self.search.seeds or self.pipeline.axes.seed)[0]

    def run(self) -> Pipeline:
        """Make the trials; the pipeline that confirms the best of them.

        Raises:
            EspalierError: when no trial could be made.
            Stopped: a person asked to stop; what is finished is kept.
        """
        for proposal in self.sampling.unfinished():
            self._take(proposal)
        while reason := self._reason_to_go_on():
            _log.debug("Another trial: %s.", reason)
            self.context.control.checkpoint()
            self._take(self.sampling.ask())
        write_weights(self.context.run, self.sampling.weights())
        return confirmation(self.pipeline, self._finalists())

    def _reason_to_go_on(self) -> str:
        """Why there is another trial; "" where there is none."""
        counted = sum(record.counts for record in self.records)
        budget = self.search.budget + self._wishes().more
        worked = sum(record.seconds for record in self.records)
        vain = 0
        for record in reversed(self.records):
            if record.counts:
                break
            vain += 1
        if counted >= budget or self.sampling.exhausted:
            return ""
        if self.search.hours is not None and worked >= self.search.hours * 3600:
            self._say(f"The trials end: {rough_duration(worked)} of work are used up.")
            return ""
        if vain >= _VAIN and self.search.sampler != "grid":
            self._say(f"The trials end: the last {vain} candidates were known already, or were refused.")
            return ""
        return f"{counted} of {budget:g} are made"

    def _take(self, proposal: Proposal) -> None:
        """Make a trial, record it, tell the sampler."""
        counted = sum(record.counts for record in self.records)
        budget = self.search.budget + self._wishes().more
        total = int(budget) if budget != float("inf") else None
        self.context.emit(TrialStarted(proposal.number, counted, total, self._in_words(proposal.values)))
        trial = _Trial(proposal, self._seed)
        record = self._result(trial, lambda fraction: self._progress(counted + fraction, total))
        write_trial(self.context.run, record)
        self.maker.forget(record.number)
        self.records.append(record)
        self.sampling.tell(record)
        if record.state == "done":
            write_weights(self.context.run, self.sampling.weights())
        self.context.emit(TrialDone(record.number, record.state, self._summary(record)))
        self._progress(counted + record.counts, total)

    def _result(self, trial: _Trial, on_fraction: Callable[[float], None]) -> TrialRecord:
        known = matching(trial.proposal.values, self.records)
        if known is not None:
            return self._same(trial, known)
        try:
            pipeline = self._pipeline(trial.proposal)
            refusal = self._refusal(trial, pipeline)
            if refusal:
                return self._record(trial, "refused", refusal, trial.known)
            short = shortened(pipeline, self.search, self._varying)
            self.maker.make(trial.proposal.number, short, trial.made, self._judge(trial), on_fraction)
        except EndEarly as end:
            return self._record(trial, "ended", str(end), self._as_far_as_known(trial))
        except EspalierError as error:
            state = (
                "failed"
                if trial.made.stages or trial_folder(self.context.run, trial.proposal.number).is_dir()
                else "refused"
            )
            return self._record(trial, state, f"{error.message} {error.advice}".strip(), {})
        twin = next(
            (
                one
                for one in self.records
                if one.counts and one.file == trial.made.file and one.state == "done"
            ),
            None,
        )
        record = self._record(trial, "done", "", trial.made.metrics)
        if twin is None:
            return record
        reason = f"The same file as trial {twin.number}."
        return record.model_copy(update={"same_as": twin.number, "reason": reason})

    def _pipeline(self, proposal: Proposal) -> Pipeline:
        """The trial as an ordinary pipeline at full length.

        Raises:
            EspalierError: when it breaks a rule.
        """
        name = f"{self.pipeline.name[:100]}, trial {proposal.number}"
        try:
            pipeline = dimensions.at(self.pipeline, proposal.values, name)
        except ValidationError as error:
            problem = problems_in_words(error)[0]
            raise EspalierError(problem.message, problem.advice) from error
        for problem in documents.check(pipeline):
            raise EspalierError(problem.message, problem.advice)
        axes = pipeline.axes.model_copy(update={"seed": (self._seed,)})
        return pipeline.model_copy(update={"axes": axes})

    def _refusal(self, trial: _Trial, pipeline: Pipeline) -> str:
        """Why what is known beforehand rules the candidate out; "" where it does not."""
        forecast = self._forecast(pipeline)
        if forecast is None:
            return ""
        if forecast.impossible:
            return forecast.remark
        trial.known = judging.known_beforehand(forecast)
        return judging.refusal(self.search.limits, trial.known)

    def _forecast(self, pipeline: Pipeline) -> Forecast | None:
        """Of the final stage's file."""
        forecasts = self._what_if.forecasts(pipeline, self.context.run.base, self.context.control)
        return next((one for one in forecasts if one.id == pipeline.final_id), None)

    def _judge(self, trial: _Trial) -> "Callable[[str, np.ndarray[Any, Any]], None]":
        def judge(stage: str, right: "np.ndarray[Any, Any]") -> None:
            best = judging.front(self.search, self.records)
            reason = judging.hopeless(self.search, stage, right, trial.known, best)
            if reason:
                raise EndEarly(reason)

        return judge

    def _as_far_as_known(self, trial: _Trial) -> dict[str, Metric]:
        """What is known of a trial that ended early: the forecast, and how its last network answered."""
        from core.analysis.accuracy import wilson
        from core.analysis.packed_answers import unpacked

        metrics = dict(trial.known)
        if trial.made.right:
            stage, right = list(trial.made.right.items())[-1]
            answers = unpacked(right)
            low, high = wilson(int(answers.sum()), len(answers))
            metrics["top1"] = Metric(
                value=100.0 * float(answers.mean()), unit="%", low=low, high=high, level=0.95, n=len(answers),
                how=f"network after {stage!r}, validation images",
            )  # fmt: skip
        return metrics

    def _same(self, trial: _Trial, known: TrialRecord) -> TrialRecord:
        """A candidate with the settings of an earlier trial: it is answered from there."""
        return known.model_copy(update={
            "number": trial.proposal.number, "same_as": known.number, "reason": f"The same settings as trial {known.number}.",
            "proposed": trial.proposal.proposed, "seconds": 0.0, "stages": (), "at": time.time(),
        })  # fmt: skip

    def _record(self, trial: _Trial, state: Any, reason: str, metrics: Mapping[str, Metric]) -> TrialRecord:
        missed = {} if state == "failed" else judging.violations(self.search.limits, metrics)
        if state in ("refused", "ended"):  # what nobody knows is not missed
            missed = {name: value for name, value in missed.items() if name in metrics}
        return TrialRecord(
            number=trial.proposal.number, values=trial.proposal.values, proposed=trial.proposal.proposed, state=state,
            reason=reason, metrics=dict(metrics), violations=missed, file=trial.made.file, stages=tuple(trial.made.stages),
            right=trial.made.right, epochs=self.search.fidelity.epochs, seconds=time.monotonic() - trial.began,
            machine=this_machine(), at=time.time(),
        )  # fmt: skip

    def _finalists(self) -> list[TrialRecord]:
        """The best trials, and those that a person wants confirmed, best first.

        Raises:
            EspalierError: when none was done.
        """
        chosen = judging.to_confirm(self.search, self.records, self._wishes().confirm)
        if not chosen:
            reasons = "; ".join(dict.fromkeys(record.reason for record in self.records if record.reason))[
                :600
            ]
            raise EspalierError(
                f"None of {len(self.records)} candidates could be made: {reasons or 'there was none'}",
                "Widen the limits, or free other settings.",
            )
        if not chosen[0].feasible:
            self._say(
                "No trial keeps all limits with its whole interval. The closest is confirmed.", "warning"
            )
        return chosen

    def _wishes(self) -> Wishes:
        return wishes(self.context.run)

    def _progress(self, counted: float, total: int | None) -> None:
        fraction = min(counted / total, 1.0) if total else 0.0
        self.context.emit(Progress("", counted % 1, judging.TRIALS_SHARE * fraction, None, None))

    def _say(self, text: str, level: str = "info") -> None:
        self.context.emit(Note("", level, text))

    def _in_words(self, values: Mapping[str, Value]) -> str:
        return ", ".join(
            f"{one.label} {dimensions.in_words(one, values[one.path])}"
            for one in self.sampling.dimensions
            if one.path in values
        )

    def _summary(self, record: TrialRecord) -> str:
        if record.state != "done":
            return f"{STATES[record.state].capitalize()}. {record.reason}"
        from core.analysis.wording import format_metric

        figures = ", ".join(
            f"{METRICS[name].label} {format_metric(METRICS[name], record.metrics[name])} {METRICS[name].shown_unit or METRICS[name].unit}".rstrip()
            for name in self.search.aims
            if name in record.metrics
        )
        missed = [METRICS[name].label for name, value in record.violations.items() if value > 0]
        words = f"; misses the limit of {', '.join(missed)}" if missed else ""
        return f"{figures}{words}. {record.reason}".strip()
