"""Which trials keep the limits, which no other trial beats, and which cannot get there any more."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from core.analysis.accuracy import paired_change
from core.analysis.packed_answers import unpacked
from core.document.search import Search
from core.models.forecast import Forecast
from core.records.metrics import METRICS
from core.records.reports import Metric
from core.search.records import TrialRecord

_SIZE_ERROR = 0.02  # of the forecast of a file's size
_LATENCY_ERRORS = 2.0  # usual errors of a predicted latency: beyond them it is believed
JUDGED = "top1"  # what pairs of images say
TRIALS_SHARE = 0.8
"""Of a run's progress: its trials; the rest is the confirmation."""


def violations(limits: Mapping[str, float], metrics: Mapping[str, Metric]) -> dict[str, float]:
    """By limit, how far it is missed, as a share of it: 0 or less where the whole interval lies inside.

    A figure without an interval counts as it is, one that is not known as missed.
    """
    missed = {}
    for name, bound in limits.items():
        metric, higher = metrics.get(name), METRICS[name].better == "higher"
        if metric is None or metric.value is None:
            missed[name] = 1.0
            continue
        end = metric.low if higher else metric.high
        worst = metric.value if end is None else end
        beyond = bound - worst if higher else worst - bound
        missed[name] = beyond / (abs(bound) or 1.0)
    return missed


def cost(name: str, value: float) -> float:
    """A value turned so that less is better."""
    return -value if METRICS[name].better == "higher" else value


def costs(search: Search, metrics: Mapping[str, Metric]) -> list[float] | None:
    """The objectives, each turned so that less is better; None where one is not known."""
    found = []
    for name in search.objectives:
        metric = metrics.get(name)
        if metric is None or metric.value is None:
            return None
        found.append(cost(name, metric.value))
    return found


def front(search: Search, trials: Sequence[TrialRecord], feasible: bool = True) -> list[TrialRecord]:
    """The trials that no other beats in all objectives, by the first objective; each file once.

    Args:
        feasible: of those that keep every limit.
    """
    points = [
        (trial, found)
        for trial in trials
        if trial.state == "done" and trial.same_as is None and (trial.feasible or not feasible)
        if (found := costs(search, trial.metrics)) is not None
    ]
    best = [(trial, found) for trial, found in points if not any(_beats(other, found) for _, other in points)]
    return [trial for trial, _ in sorted(best, key=lambda pair: (pair[1], pair[0].number))]


def finalists(search: Search, trials: Sequence[TrialRecord], count: int) -> list[TrialRecord]:
    """The best of the front: the best in each objective in turn; the closest to the limits where none keeps them."""
    candidates = front(search, trials)
    if not candidates:
        rest = front(search, trials, feasible=False)
        return sorted(rest, key=lambda trial: sum(max(0.0, missed) for missed in trial.violations.values()))[
            :1
        ]
    chosen: list[TrialRecord] = []
    orders = [
        sorted(candidates, key=lambda trial, place=place: (costs(search, trial.metrics) or [])[place])  # type: ignore[misc]
        for place in range(len(search.objectives))
    ]
    while len(chosen) < min(count, len(candidates)):
        order = orders[len(chosen) % len(orders)]
        chosen.append(next(trial for trial in order if trial not in chosen))
    return chosen


def to_confirm(search: Search, trials: Sequence[TrialRecord], wanted: Collection[int]) -> list[TrialRecord]:
    """The finalists, best first, and behind them the trials that a person wants confirmed."""
    chosen = finalists(search, trials, search.finalists)
    return chosen + [trial for trial in trials if trial.number in wanted and trial not in chosen]


def known_beforehand(forecast: Forecast) -> dict[str, Metric]:
    """What is known of a file before anything trains, with the bounds that it lies within."""
    known: dict[str, Metric] = {}
    if forecast.sure == "exact":
        how = "follows from the settings"
        if forecast.params is not None:
            known["params"] = Metric(value=forecast.params, how=how)
        if forecast.macs is not None:
            known["macs"] = Metric(value=forecast.macs, how=how)
            known["flops"] = Metric(value=2 * forecast.macs, how=how)
        if forecast.bytes is not None:
            known["size_mb"] = _about(forecast.bytes / 1e6, _SIZE_ERROR, "MB", "forecast of the file")
    if forecast.latency_ms is not None:
        error = _LATENCY_ERRORS * forecast.latency_error
        known["latency_ms"] = _about(forecast.latency_ms, error, "ms", "predicted from times of layers")
    return known


def refusal(limits: Mapping[str, float], known: Mapping[str, Metric]) -> str:
    """Why what is known beforehand rules a candidate out, as a sentence; "" where it does not."""
    for name, bound in limits.items():
        metric, kind = known.get(name), METRICS[name]
        if metric is None or metric.value is None or kind.better == "higher":
            continue
        least = metric.value if metric.low is None else metric.low
        if least > bound:
            unit = kind.shown_unit or kind.unit
            return (
                f"{kind.label} would be {metric.value * kind.scale:.4g} {unit}".rstrip()
                + f", the limit is {bound * kind.scale:.4g} ({metric.how})."
            )
    return ""


def hopeless(
    search: Search,
    stage: str,
    right: "np.ndarray",
    known: Mapping[str, Metric],
    best: Sequence[TrialRecord],
) -> str:
    """Why a trial cannot reach the front any more, as a sentence; "" while it may.

    It cannot where a trial of the front is at least as good in every objective that is known beforehand, and at the
    same stage answers measurably more of the same validation images.

    Args:
        stage: the one that was made last. right: which images its network answers right [n].
        known: as of `known_beforehand`. best: the front.
    """
    if JUDGED not in search.objectives:
        return ""
    for other in best:
        if stage not in other.right or not all(
            _at_least_as_good(name, other.metrics.get(name), known.get(name))
            for name in search.objectives
            if name != JUDGED
        ):
            continue
        reference = unpacked(other.right[stage])
        if len(reference) != len(right):
            continue
        change = paired_change(reference, right)
        if change.high is not None and change.high < 0:
            return (
                f"After {stage!r} it is {-(change.value or 0):.2f} points behind trial {other.number} "
                f"({-change.high:.2f} to {-(change.low or 0):.2f}, {change.n} images), which is no worse otherwise."
            )
    return ""


def _at_least_as_good(name: str, other: Metric | None, known: Metric | None) -> bool:
    """Whether the other trial's figure is at least as good as this one's can be."""
    if other is None or other.value is None or known is None or known.value is None:
        return False
    higher = METRICS[name].better == "higher"
    theirs = other.low if higher else other.high
    ours = known.high if higher else known.low
    theirs, ours = (
        value if end is None else end for end, value in ((theirs, other.value), (ours, known.value))
    )
    return theirs >= ours if higher else theirs <= ours


def _beats(first: Sequence[float], second: Sequence[float]) -> bool:
    pairs = list(zip(first, second, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _about(value: float, error: float, unit: str, how: str) -> Metric:
    return Metric(value=value, unit=unit, low=value * (1 - error), high=value * (1 + error), how=how)
