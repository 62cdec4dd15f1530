"""Fronts and limits by hand."""

from core.analysis.pareto import fits, front, limit_words
from core.analysis.rows import Row
from core.records.reports import Metric


def row(latency: float | None, top1: float | None, **more: float) -> Row:
    metrics = {"latency_ms": Metric(value=latency), "top1": Metric(value=top1)}
    return Row("row", metrics | {name: Metric(value=value) for name, value in more.items()}, {})


def test_the_front_is_what_nobody_beats():
    rows = [
        row(3, 90),
        row(1, 70),
        row(2, 80),
        row(2.5, 75),
        row(4, 90),
        row(1, 60),
        row(None, 99),
        row(5, None),
    ]
    assert front(rows, "latency_ms", "top1") == [1, 2, 0]  # (1, 70), (2, 80), (3, 90)
    assert front(rows, "top1", "latency_ms") == [1, 2, 0]


def test_equal_rows_are_on_the_front_together():
    assert front([row(1, 70), row(1, 70), row(2, 70)], "latency_ms", "top1") == [0, 1]


def test_a_front_of_nothing_is_empty():
    assert front([], "latency_ms", "top1") == []


def test_limits_go_the_way_that_is_better():
    assert limit_words("top1") == "at least" and limit_words("latency_ms") == "at most"
    limits = {"top1": 75.0, "latency_ms": 2.0}
    assert [fits(each, limits) for each in (row(2, 75), row(2.1, 80), row(1, 74.9), row(None, 80))] == [
        True, False, False, False,
    ]  # fmt: skip
    assert fits(row(None, None), {})
