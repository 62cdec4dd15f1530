"""Intervals against longhand and printed tables."""

import math

import numpy as np
import pytest

from core.profiling.statistics import (
    Interval,
    differs,
    median_interval,
    ratio_interval,
    relative_half_width,
    t_quantile,
)

# 0.995 quantiles of Student's t as printed in tables.
TABLE = {1: 63.657, 2: 9.925, 3: 5.841, 4: 4.604, 5: 4.032, 7: 3.499, 10: 3.169, 15: 2.947, 30: 2.750}


@pytest.mark.parametrize(("freedom", "value"), TABLE.items())
def test_t_quantiles_are_those_of_the_tables(freedom, value):
    assert t_quantile(0.995, freedom) == pytest.approx(value, abs=6e-4)


def test_more_t_quantiles():
    assert t_quantile(0.975, 9) == pytest.approx(2.2622, abs=1e-4)
    assert t_quantile(0.5, 4) == pytest.approx(0, abs=1e-12)
    assert t_quantile(0.975, 400) == pytest.approx(1.9659, abs=1e-4)
    for bad in ((0.4, 3), (1.0, 3), (0.9, 0)):
        with pytest.raises(ValueError, match="Expected"):
            t_quantile(*bad)


@pytest.mark.parametrize(
    ("n", "low", "high", "level"),
    [
        (2, 1, 2, 0.5),
        (4, 1, 4, 0.875),  # 1 - 2 * (1/2)^4
        (7, 1, 7, 0.984375),
        (8, 1, 8, 0.99),  # covers 0.9922
        (12, 2, 11, 0.99),  # 1 - 2 * 13/4096 = 0.9937
        (15, 3, 13, 0.99),  # 1 - 2 * 121/32768 = 0.9926
        (20, 4, 17, 0.99),
    ],
)
def test_a_medians_interval_is_a_pair_of_order_statistics(n, low, high, level):
    values = np.random.default_rng(n).permutation(np.arange(1, n + 1))
    assert median_interval(values) == Interval((n + 1) / 2, low, high, level)


def test_one_value_has_no_interval():
    assert median_interval([3.0]) == Interval(3.0, None, None, None)
    with pytest.raises(ValueError, match="at least one"):
        median_interval([])


def test_a_medians_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for row in rng.exponential(size=(2000, 12)):
        interval = median_interval(row)
        assert interval.low is not None and interval.high is not None
        hits += interval.low <= math.log(2) <= interval.high
    assert 0.985 <= hits / 2000 <= 0.999


def test_a_ratio_against_longhand():
    # log ratios: log 1.1, log 1.2, log 1.3; their mean and deviation by hand
    logs = [math.log(1.1), math.log(1.2), math.log(1.3)]
    mean = sum(logs) / 3
    deviation = math.sqrt(sum((log - mean) ** 2 for log in logs) / 2)
    half = 9.9248 * deviation / math.sqrt(3)
    interval = ratio_interval([1.0, 2.0, 10.0], [1.1, 2.4, 13.0])
    assert interval.value == pytest.approx(math.exp(mean))
    assert interval.low == pytest.approx(math.exp(mean - half), rel=1e-4)
    assert interval.high == pytest.approx(math.exp(mean + half), rel=1e-4)
    assert interval.level == 0.99


def test_a_drift_that_hits_both_cancels_out():
    drift = np.linspace(1, 3, 8)  # the machine becomes three times slower meanwhile
    assert ratio_interval(drift, 0.5 * drift).value == pytest.approx(0.5)
    assert relative_half_width(ratio_interval(drift, 0.5 * drift)) == pytest.approx(0, abs=1e-9)


def test_blocks_must_be_paired():
    assert ratio_interval([1.0], [2.0]) == Interval(2.0, None, None, None)
    for bad in (([1.0], [1.0, 2.0]), ([], [])):
        with pytest.raises(ValueError, match="as many blocks"):
            ratio_interval(*bad)


def test_when_a_ratio_differs():
    assert differs(Interval(0.5, 0.4, 0.6, 0.99)) and differs(Interval(2.0, 1.01, 3.0, 0.99))
    assert not differs(Interval(1.1, 0.9, 1.3, 0.99)) and not differs(Interval(0.5, None, None, None))
    assert relative_half_width(Interval(2.0, 1.0, 5.0, 0.99)) == 1.0
    assert math.isinf(relative_half_width(Interval(2.0, None, None, None)))
