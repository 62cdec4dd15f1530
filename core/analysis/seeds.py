"""Several seeds of one stage as one row: mean ± standard deviation.

The spread over seeds is the spread of the whole procedure: initial weights, order of the images,
augmentation. It is not the spread over test images, which every single row states.
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from core.profiling.statistics import t_quantile
from core.records.metrics import METRICS
from core.records.reports import Metric

LEVEL = 0.95


def mean_of(metrics: Sequence[Metric]) -> Metric:
    """The mean of one metric over seeds, with its standard deviation and a 95 % t interval of the mean.

    Without a value where one seed has none.
    """
    values = [metric.value for metric in metrics if metric.value is not None]
    if len(values) < len(metrics):
        return Metric(value=None, unit=metrics[0].unit, how="not available for every seed")
    n, mean = len(values), fmean(values)
    how = f"mean of {n} seeds; each: {metrics[0].how}" if metrics[0].how else f"mean of {n} seeds"
    if n < 2:
        return Metric(value=mean, unit=metrics[0].unit, n=n, how=how)
    deviation = stdev(values)
    half = t_quantile(0.5 + LEVEL / 2, n - 1) * deviation / math.sqrt(n)
    return Metric(
        value=mean, unit=metrics[0].unit, low=mean - half, high=mean + half, level=LEVEL, n=n, how=how,
        deviation=deviation,
    )  # fmt: skip


def means(tables: Sequence[dict[str, Metric]]) -> dict[str, Metric]:
    """The means of all metrics that every seed has, in the catalogue's order."""
    names = [name for name in METRICS if all(name in table for table in tables)]
    return {name: mean_of([table[name] for table in tables]) for name in names}
