"""What changed from one file to another, and whether the measurements can tell.

In order of precision: what was measured in pairs (accuracy on the same images, times in
alternating blocks), the difference of two figures with the interval that follows from theirs, and
the plain difference of counted figures.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.analysis.accuracy import paired_change
from core.analysis.seeds import means
from core.records.metrics import METRICS
from core.records.reports import Artefact, Metric, StageReport

if TYPE_CHECKING:
    from core.analysis.rows import Row

TIMED = frozenset({"latency_ms", "latency_ms_p90", "latency_ms_p99", "latency_ms_all_cores", "throughput", "energy_mj", "power_w"})  # fmt: skip
OF_THE_MACHINE = TIMED | {"memory_mb"}


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
    result: dict[str, Metric] = {}
    baseline_metrics = baseline.main.metrics if baseline.main else {}
    for name, metric in artefact.metrics.items():
        if not _has_change(name, metric):
            continue
        paired = artefact.change.get(name)
        change = (
            as_percent(paired) if paired is not None else _plain(name, baseline_metrics.get(name), metric)
        )
        if change is not None:
            result[name] = change
    return result


def not_alternated(artefact: Artefact, changes: dict[str, Metric]) -> frozenset[str]:
    """The times among `found` that were not measured in alternation with the run's own baseline."""
    return frozenset(name for name in changes if name in TIMED and name not in artefact.change)


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
        paired = _measured(name, row, base)
        change = paired or _plain(name, base.metrics.get(name), metric)
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
    images = row.origin.images if row.origin else ""
    if images and base.origin is not None and images == base.origin.images:
        base_right, row_right = (each.right.get(name) for each in (base, row))
        if base_right is not None and row_right is not None and len(base_right) == len(row_right):
            return paired_change(base_right, row_right)
    return None


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
