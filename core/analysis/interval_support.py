"""What an interval supports: one rule for cells, changes, reasons, plots and reports.

A change is stated where its interval says in which direction it goes, as "no measurable difference" where a narrow
interval includes none at all, and as a range where the interval is wide. A time whose interval is wide is a range too.
A time without an interval supports no change.
"""

import math

from core.records.reports import Metric

TIMED = frozenset({
    "latency_ms", "latency_ms_p90", "latency_ms_p99", "latency_ms_all_cores", "latency_ms_prepared", "throughput", "energy_mj",
    "power_w", "pytorch_latency_ms", "pytorch_throughput", "pytorch_energy_mj", "pytorch_mixed_latency_ms",
    "pytorch_mixed_throughput",
})  # fmt: skip
OF_THE_MACHINE = TIMED | {"memory_mb"}
_WIDE = 0.10  # half an interval, as a share of what lies in it


def measurable(change: Metric) -> bool:
    """Whether a change's interval leaves out zero; without one, or with one of no width, it is exact."""
    if change.low is None or change.high is None or change.low == change.high:
        return True
    return not change.low <= 0 <= change.high


def wide(change: Metric) -> bool:
    """Whether a change in percent is so uncertain that its interval says more than its value."""
    if change.unit != "%" or change.low is None or change.high is None:
        return False
    if change.low <= -100:
        return True
    return math.log((100 + change.high) / (100 + change.low)) / 2 > math.log1p(_WIDE)


def uncertain(name: str, metric: Metric | None) -> bool:
    """Whether a time is so uncertain that its interval says more than its value; a mean over seeds has its spread."""
    if name not in TIMED or metric is None or metric.value is None or metric.deviation is not None:
        return False
    if metric.low is None or metric.high is None:
        return False
    return (metric.high - metric.low) / 2 > _WIDE * metric.value


def estimated(metric: Metric | None) -> bool:
    """Whether a figure was computed from others with a stated one, such as energy from the latency, and not measured."""
    return metric is not None and metric.value is not None and "estimated: " in metric.how
