"""Intervals for timings. NumPy only.

Runs inside one session are alike, sessions differ: so intervals rest on *blocks* (one session
each) and not on single runs, which would make them far too narrow.

Sources: order-statistic interval of a median (Conover, Practical Nonparametric Statistics, 3.2);
Student's t distribution in closed form (Abramowitz & Stegun 26.7.3-4).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.99


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its bounds at confidence `level`; without bounds where n is too small."""

    value: float
    low: float | None
    high: float | None
    level: float | None


def median_interval(values: Sequence[float] | np.ndarray, level: float = LEVEL) -> Interval:
    """The median, with the narrowest symmetric pair of order statistics that covers it at `level`.

    With too few values for `level` (fewer than 8 for 0.99) the bounds are the smallest and the
    largest, and the returned level is what those really cover: 1 − 2^(1−n).

    Raises:
        ValueError: when there are no values.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    n = len(ordered)
    if n == 0:
        raise ValueError("Expected at least one value.")
    if n == 1:
        return Interval(float(ordered[0]), None, None, None)
    cut, below = 0, 0.5**n  # values cut off on each side, and P(Binomial(n, 1/2) <= cut)
    while cut + 1 <= (n - 1) // 2:
        further = below + math.comb(n, cut + 1) * 0.5**n
        if 1 - 2 * further < level:
            break
        cut, below = cut + 1, further
    covered = 1 - 2 * below
    return Interval(
        float(np.median(ordered)), float(ordered[cut]), float(ordered[n - 1 - cut]), min(covered, level)
    )


def ratio_interval(
    baseline: Sequence[float] | np.ndarray, candidate: Sequence[float] | np.ndarray, level: float = LEVEL
) -> Interval:
    """Candidate / baseline from paired block medians: a t interval of the log ratios.

    Args:
        baseline, candidate: one figure a block, paired in time (ABBA), all above 0.

    Raises:
        ValueError: when the lengths differ or there is nothing.
    """
    first, second = np.asarray(baseline, dtype=float), np.asarray(candidate, dtype=float)
    if first.shape != second.shape or not first.size:
        raise ValueError(f"Expected as many blocks of each, received {first.size} and {second.size}.")
    logs = np.log(second) - np.log(first)
    mean, n = float(logs.mean()), len(logs)
    if n < 2:
        return Interval(math.exp(mean), None, None, None)
    half = t_quantile(0.5 + level / 2, n - 1) * float(logs.std(ddof=1)) / math.sqrt(n)
    return Interval(math.exp(mean), math.exp(mean - half), math.exp(mean + half), level)


def relative_half_width(interval: Interval) -> float:
    """Half the interval's width as a share of its value; infinite without bounds."""
    if interval.low is None or interval.high is None or interval.value <= 0:
        return math.inf
    return (interval.high - interval.low) / 2 / interval.value


def differs(interval: Interval) -> bool:
    """Whether a ratio's interval leaves 1 out; without bounds nothing can be said."""
    if interval.low is None or interval.high is None:
        return False
    return interval.low > 1 or interval.high < 1


def t_quantile(probability: float, freedom: int) -> float:
    """The value that Student's t with `freedom` degrees of freedom stays below with `probability`.

    Raises:
        ValueError: when the probability is not between 0.5 and 1 or `freedom` is below 1.
    """
    if not 0.5 <= probability < 1 or freedom < 1:
        raise ValueError(f"Expected 0.5…1 and at least 1, received {probability} and {freedom}.")
    within = 2 * probability - 1
    low, high = 0.0, math.pi / 2  # of the angle; t = tan(angle) * sqrt(freedom)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, freedom) < within else (low, middle)
    return math.tan(low) * math.sqrt(freedom)


def _t_within(angle: float, freedom: int) -> float:
    """P(|T| <= tan(angle) * sqrt(freedom)), Abramowitz & Stegun 26.7.3 (odd) and 26.7.4 (even)."""
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    total, term = 0.0, cosine if odd else 1.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= cosine * cosine * k / (k + 1)
    if odd:
        return 2 / math.pi * (angle + sine * total)
    return sine * total
