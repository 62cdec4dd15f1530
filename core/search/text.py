"""A search in words, tables and plain data: for the terminal, the report and `--json`."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.analysis.wording import format_metric, heading
from core.common.durations import rough_duration
from core.common.numbers import percent
from core.common.text_tables import aligned, markdown
from core.document import dimensions
from core.records.metrics import METRICS
from core.records.reports import Metric, StageReport
from core.search import judging
from core.search.confirmation import final_stages
from core.search.records import STATES, Study, TrialRecord

_MOST_ROWS = 40


def headline(study: Study) -> str:
    """How far it is, in a sentence."""
    states = [trial.state for trial in study.trials]
    served = sum(trial.same_as is not None for trial in study.trials)
    others = [
        f"{states.count(name)} {words}" for name, words in STATES.items() if name != "done" and name in states
    ]
    known = [f"{served} known already"] if served else []
    beside = f" ({', '.join([*others, *known])})" if others or known else ""
    seconds = sum(trial.seconds for trial in study.trials)
    best = judging.front(study.search, study.trials)
    kept = (
        f"{len(best)} on the front within the limits" if study.search.limits else f"{len(best)} on the front"
    )
    trials = "1 trial" if study.counted == 1 else f"{study.counted} trials"
    return f"{trials} of {len(study.trials)} candidates{beside}, {rough_duration(seconds)} of work; {kept}."


def header(study: Study) -> list[str]:
    """The columns of the table of trials."""
    return [
        "Trial", *(one.label for one in study.dimensions), *(heading(METRICS[name]) for name in study.search.aims), "Outcome",
    ]  # fmt: skip


def row(study: Study, trial: TrialRecord, best: Sequence[TrialRecord]) -> list[str]:
    """A trial's line in that table."""
    values = [
        dimensions.in_words(one, trial.values[one.path]) if one.path in trial.values else ""
        for one in study.dimensions
    ]
    figures = [figure(name, trial.metrics.get(name)) for name in study.search.aims]
    return [str(trial.number), *values, *figures, outcome(study, trial, best)]


def figure(name: str, metric: Metric | None) -> str:
    """A figure with its bounds, where it has some; "" where it is not known."""
    kind = METRICS[name]
    if metric is None or metric.value is None:
        return ""
    text = format_metric(kind, metric)
    if metric.low is None or metric.high is None or metric.level is None:
        return text
    low, high = (f"{end * kind.scale:.{kind.decimals}f}" for end in (metric.low, metric.high))
    return text if "–" in text else f"{text} ({low} to {high})"


def outcome(study: Study, trial: TrialRecord, best: Sequence[TrialRecord]) -> str:
    """How a trial ended, in a few words."""
    if trial.state != "done":
        return f"{STATES[trial.state]}: {trial.reason}"
    if trial.same_as is not None:
        return f"same as trial {trial.same_as}"
    if trial in best:
        return "front"
    missed = [METRICS[name].label for name, value in trial.violations.items() if value > 0]
    return f"misses {', '.join(missed)}" if missed else ""


def shown_trials(study: Study) -> list[TrialRecord]:
    """The front first, then the other trials, then those that were refused; of many the first."""
    best = judging.front(study.search, study.trials)
    rest = [trial for trial in study.trials if trial not in best and trial.same_as is None]
    rest.sort(key=lambda trial: (trial.state != "done", trial.number))
    return [*best, *rest][:_MOST_ROWS]


def limits_in_words(study: Study) -> str:
    """The limits, as "Size at most 0.24 MB, Latency at most 0.3 ms"."""
    parts = []
    for name, bound in study.search.limits.items():
        kind = METRICS[name]
        way = "at least" if kind.better == "higher" else "at most"
        parts.append(f"{kind.label} {way} {bound * kind.scale:.4g} {kind.shown_unit or kind.unit}".rstrip())
    return ", ".join(parts)


def confirmed_lines(study: Study, reports: Mapping[str, StageReport]) -> list[str]:
    """Of every confirmed trial, a sentence: its figures on the test images, and whether they keep the limits.

    Args:
        reports: by stage id, of the first seed.
    """
    lines = []
    for number, stage in confirmed(study).items():
        report = reports.get(stage)
        if report is None or report.main is None:
            continue
        metrics = report.main.metrics
        figures = ", ".join(
            f"{METRICS[name].label} {figure(name, metrics.get(name))} {METRICS[name].shown_unit or METRICS[name].unit}".rstrip()
            for name in study.search.aims
        )
        missed = judging.violations(study.search.limits, metrics)
        words = [METRICS[name].label for name, value in missed.items() if value > 0]
        kept = f"not within the limit of {', '.join(words)}" if words else "within every limit"
        verdict = f"; {kept}, interval included" if study.search.limits else ""
        lines.append(f"Trial {number} ({report.name}): {figures}{verdict}.")
    return lines


def confirmed(study: Study) -> dict[int, str]:
    """By trial, the stage of the run that confirms it; the best first."""
    chosen = judging.to_confirm(study.search, study.trials, study.wishes.confirm)
    return final_stages(study.pipeline, chosen)


def weights_lines(study: Study) -> list[str]:
    """What the settings weigh, a line an objective."""
    labels = {one.path: one.label for one in study.dimensions}
    lines = []
    for name, shares in study.weights.items():
        order = sorted(shares.items(), key=lambda pair: -pair[1])
        lines.append(
            f"{METRICS[name].label}: " + ", ".join(f"{labels.get(path, path)} {percent(share)}" for path, share in order)
        )  # fmt: skip
    return lines


def as_text(study: Study) -> str:
    """The table of trials for a terminal."""
    best = judging.front(study.search, study.trials)
    head = header(study)
    table = aligned(head, [row(study, trial, best) for trial in shown_trials(study)], len(head))
    return f"{table}\nAccuracies of trials are on the validation images."


def report_parts(study: Study, reports: Mapping[str, StageReport]) -> list[str]:
    """The search in a run's report, as Markdown."""
    best = judging.front(study.search, study.trials)
    table = markdown(header(study), [row(study, trial, best) for trial in shown_trials(study)], others="---")
    limits = limits_in_words(study)
    parts = [
        "## Search",
        headline(study) + (f" Limits: {limits}; a limit counts as kept where the whole interval does." if limits else ""),
        "Accuracies of trials are on the validation images; the test images were looked at for the confirmed trials alone.",
        table,
    ]  # fmt: skip
    if lines := weights_lines(study):
        parts += ["What the settings weigh (PED-ANOVA):", "\n".join(f"- {line}" for line in lines)]
    if lines := confirmed_lines(study, reports):
        parts += ["### Confirmed", "\n".join(f"- {line}" for line in lines)]
    return parts


def as_plain(study: Study) -> dict[str, Any]:
    """The search for `--json`."""
    best = {trial.number for trial in judging.front(study.search, study.trials)}
    return {
        "objectives": list(study.search.objectives),
        "limits": dict(study.search.limits),
        "counted": study.counted,
        "trials": [
            {
                **trial.model_dump(mode="json", exclude={"right", "metrics"}),
                "metrics": {
                    name: metric.model_dump(include={"value", "unit", "low", "high", "n"}) for name, metric in trial.metrics.items()
                },
                "front": trial.number in best,
                "feasible": trial.feasible,
            }
            for trial in study.trials
        ],
        "confirmed": {str(number): stage for number, stage in confirmed(study).items()},
        "weights": study.weights,
    }  # fmt: skip
