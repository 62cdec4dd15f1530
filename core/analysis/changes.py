"""What changed from one file to another, and whether the measurements can tell.

In order of precision: what was measured in pairs (accuracy on the same images, times in
alternating blocks), the difference of two figures with the interval that follows from theirs, and
the plain difference of counted figures. What the interval of a change supports is `core.analysis.interval_support`'s.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.analysis.accuracy import paired_change
from core.analysis.interval_support import OF_THE_MACHINE, TIMED, estimated
from core.analysis.seeds import means
from core.records.metrics import METRICS
from core.records.reports import Artefact, Metric, StageReport

if TYPE_CHECKING:
    from core.analysis.rows import Row

_NO_CHANGE_OF_ITS_OWN = Metric(
    value=None,
    unit="%",
    how="it is estimated from the latency and a stated power, so it changes as the latency does",
)
_APART = math.log(
    1.1
)  # between what pairs say and what the two figures say: further apart they contradict each other


def difference(old: Metric, new: Metric) -> Metric:
    """`new` − `old` in points; with an interval where both have one.

    Source: Newcombe 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<873, method 10; for other
    figures Zou and Donner 2008, doi 10.1002/sim.3095: the same formula.
    """
    assert old.value is not None and new.value is not None
    low, high = _bounds(old.value, old.low, old.high, new.value, new.low, new.high)
    return Metric(
        value=new.value - old.value, unit="points", low=low, high=high, level=_level(old, new, low),
        how="difference of two figures with an interval each" if low is not None else "",
    )  # fmt: skip


def ratio(old: Metric, new: Metric) -> Metric:
    """`new` / `old` as a change in percent; the interval by the same method on the logarithms."""
    assert old.value is not None and new.value is not None
    low = high = None
    if (
        old.low is not None
        and old.high is not None
        and new.low is not None
        and new.high is not None
        and min(old.low, new.low) > 0
    ):
        low, high = _bounds(*map(math.log, (old.value, old.low, old.high, new.value, new.low, new.high)))
    return Metric(
        value=100.0 * (new.value / old.value - 1), unit="%", low=_percent(low), high=_percent(high),
        level=_level(old, new, low), how="" if low is None else "ratio of two figures with an interval each",
    )  # fmt: skip


def as_percent(change: Metric) -> Metric:
    """A ratio (candidate / baseline) as a change in percent; points stay as they are."""
    if change.unit == "points" or change.value is None:
        return change
    return change.model_copy(
        update={
            **{
                name: None if value is None else 100.0 * (value - 1)
                for name, value in _value_and_bounds(change)
            },
            "unit": "%",
        }
    )


def inverted(change: Metric) -> Metric:
    """What was measured as new against old, as old against new; ratios stay ratios."""
    if change.value is None:
        return change
    if change.unit == "points":
        value, low, high = (None if bound is None else -bound for _, bound in _value_and_bounds(change))
    else:
        value, low, high = (None if not bound else 1 / bound for _, bound in _value_and_bounds(change))
    how = f"the other way round: {change.how}" if change.how else ""
    return change.model_copy(update={"value": value, "low": high, "high": low, "how": how})


def changes(artefact: Artefact, baseline: StageReport) -> dict[str, Metric]:
    """Every metric's change against the headline file of the run's own baseline.

    What was measured in pairs (accuracy on the same images, latency in alternating blocks) comes
    from those pairs, with its interval.
    """
    if baseline.main is None:
        return {}
    found = {name: change_in_run(artefact, baseline.main, name) for name in artefact.metrics}
    return {name: change for name, change in found.items() if change is not None}


def change_in_run(new: Artefact, old: Artefact, name: str) -> Metric | None:
    """One figure's change from a file of a run to another of the same seed, each measured against the run's baseline.

    None where there is none to state. Without a value, its `how` says why.
    """
    figure = new.metrics.get(name)
    if figure is None or not _has_change(name, figure):
        return None
    if estimated(figure) or estimated(old.metrics.get(name)):
        return _NO_CHANGE_OF_ITS_OWN
    paired = _through_baseline(new.change.get(name), old.change.get(name))
    return _decided(name, paired, old.metrics.get(name), figure)


def not_alternated(artefact: Artefact, changes: dict[str, Metric]) -> frozenset[str]:
    """The times among `found` that were not measured in alternation with the run's own baseline."""
    return frozenset(
        name
        for name, change in changes.items()
        if name in TIMED and name not in artefact.change and change.value is not None
    )


def against(row: "Row", base: "Row") -> tuple[dict[str, Metric], frozenset[str]]:
    """The changes of one row against any other, and which of them are mere ratios of medians.

    Times and memory of different machines are not compared, nor accuracies on different images.
    """
    if row.id == base.id:
        return {}, frozenset()
    pairs = _same_seeds(row, base)
    if pairs:
        by_seed = [against(mine, theirs) for mine, theirs in pairs]
        averaged = means([changed for changed, _ in by_seed])
        return averaged, frozenset().union(*(loose for _, loose in by_seed)) & averaged.keys()
    result: dict[str, Metric] = {}
    loose = set()
    for name, metric in row.metrics.items():
        if not _has_change(name, metric) or not _comparable(name, row, base):
            continue
        if estimated(metric) or estimated(base.metrics.get(name)):
            result[name] = _NO_CHANGE_OF_ITS_OWN
            continue
        paired = _measured(name, row, base)
        change = _decided(name, paired, base.metrics.get(name), metric)
        if change is not None:
            result[name] = change
            loose |= {name} if paired is None and name in TIMED and not _same_file(row, base) else set()
    return result, frozenset(loose)


def conditions_differ(row: "Row", base: "Row") -> bool:
    """Whether two rows were measured on different machines or with different runtimes."""
    return row.origin is not None and base.origin is not None and row.origin.conditions != base.origin.conditions  # fmt: skip


def images_differ(row: "Row", base: "Row") -> bool:
    """Whether two rows are known to be judged on different test images."""
    mine, theirs = (one.origin.images if one.origin else "" for one in (row, base))
    return bool(mine and theirs) and mine != theirs


def _same_seeds(row: "Row", base: "Row") -> Sequence[tuple["Row", "Row"]]:
    """The members of two means, seed by seed; empty where they do not belong together."""
    mine, theirs = ({m.report.seed: m for m in each.members if m.report} for each in (row, base))
    return [(mine[seed], theirs[seed]) for seed in mine] if mine and mine.keys() == theirs.keys() else []


def _comparable(name: str, row: "Row", base: "Row") -> bool:
    if name in OF_THE_MACHINE:
        return not conditions_differ(row, base)
    return METRICS[name].change != "points" or not images_differ(row, base)


def _measured(name: str, row: "Row", base: "Row") -> Metric | None:
    """What was measured in pairs between these two files."""
    mine, theirs = row.artefact, base.artefact
    if mine is None or theirs is None:
        return None
    if name in mine.change and row.reference == base.file:
        return as_percent(mine.change[name])
    if name in theirs.change and base.reference == row.file:
        return as_percent(inverted(theirs.change[name]))
    if name in TIMED and row.reference and row.reference == base.reference:
        return _through_baseline(mine.change.get(name), theirs.change.get(name))
    images = row.origin.images if row.origin else ""
    if images and base.origin is not None and images == base.origin.images:
        base_right, row_right = (each.right.get(name) for each in (base, row))
        if base_right is not None and row_right is not None and len(base_right) == len(row_right):
            return paired_change(base_right, row_right)
    return None


def _through_baseline(new: Metric | None, old: Metric | None) -> Metric | None:
    """A change from what two files were measured to be against the same third one; either may be that one (None)."""
    if new is None or old is None:
        return as_percent(new) if new is not None else as_percent(inverted(old)) if old is not None else None
    if new.unit == "points" or new.value is None or old.value is None:
        return next((each for each in (new, old) if each.value is None), None)
    change = ratio(old, new)
    return change.model_copy(update={"how": "both files took turns with the same baseline"})


def _decided(name: str, paired: Metric | None, old: Metric | None, new: Metric) -> Metric | None:
    """The change that the measurements support; None where they support none.

    Args:
        paired: what was measured in pairs; it counts for more than the two figures.
    """
    plain = _plain(name, old, new)
    change = plain if paired is None else paired
    if change is None or change.value is None or name not in TIMED:
        return change
    if change.low is None:
        return None
    return change if plain is None or plain.low is None else _agreeing(change, plain)


def _agreeing(change: Metric, plain: Metric) -> Metric:
    """The change; where the two figures themselves say something else altogether, the range from one to the other."""
    bounds = [change.low, change.high, plain.low, plain.high]
    low, high, plain_low, plain_high = (math.log(max(100 + (each or 0.0), 1e-9)) for each in bounds)
    if max(low - plain_high, plain_low - high) <= _APART:
        return change
    known = [each for each in bounds if each is not None]
    how = (
        f"the two figures differ by {plain.value:+.1f} %, pairs of sessions by {change.value:+.1f} %: they were taken while "
        "the machine was busy, so this is a range; measure again"
    )
    return change.model_copy(update={"low": min(known), "high": max(known), "level": None, "how": how})


def _same_file(row: "Row", base: "Row") -> bool:
    return row.file == base.file


def _plain(name: str, old: Metric | None, new: Metric) -> Metric | None:
    if not _has_change(name, new) or old is None or old.value is None:
        return None
    if METRICS[name].change == "points":
        return difference(old, new)
    return ratio(old, new) if old.value else None


def _has_change(name: str, metric: Metric) -> bool:
    return name in METRICS and bool(METRICS[name].change) and metric.value is not None


def _bounds(
    old: float, old_low: float | None, old_high: float | None,
    new: float, new_low: float | None, new_high: float | None,
) -> tuple[float, float] | tuple[None, None]:  # fmt: skip
    if old_low is None or old_high is None or new_low is None or new_high is None:
        return None, None
    down = math.hypot(new - new_low, old_high - old)
    up = math.hypot(new_high - new, old - old_low)
    return new - old - down, new - old + up


def _level(old: Metric, new: Metric, low: float | None) -> float | None:
    levels = [one.level for one in (old, new) if one.level is not None]
    return min(levels) if low is not None and levels else None


def _percent(log: float | None) -> float | None:
    return None if log is None else 100.0 * (math.exp(log) - 1)


def _value_and_bounds(change: Metric) -> list[tuple[str, float | None]]:
    return [("value", change.value), ("low", change.low), ("high", change.high)]
