"""Limits, fronts, and when a trial has no prospects any more."""

import numpy as np

from core.analysis.packed_answers import packed, unpacked
from core.document.search import Free, Search
from core.models.forecast import Forecast
from core.records.reports import Metric
from core.search import judging
from core.search.records import TrialRecord

FREE = {"stages.a.b": Free(low=0.0, high=1.0)}


def search(**changes: object) -> Search:
    return Search(free=FREE, objectives=("top1", "size_mb"), limits={"size_mb": 0.5}, **changes)  # type: ignore[arg-type]


def trial(number: int, top1: float, size: float, **more: object) -> TrialRecord:
    metrics = {
        "top1": Metric(value=top1, low=top1 - 1, high=top1 + 1, level=0.95), "size_mb": Metric(value=size),
    }  # fmt: skip
    missed = judging.violations({"size_mb": 0.5}, metrics)
    return TrialRecord(
        number=number, values={}, proposed="tpe", state="done", metrics=metrics, violations=missed, **more
    )  # type: ignore[arg-type]


def test_a_limit_is_kept_when_the_whole_interval_lies_inside():
    latency = Metric(value=0.29, low=0.28, high=0.31, level=0.99)
    assert judging.violations({"latency_ms": 0.31}, {"latency_ms": latency})["latency_ms"] <= 0
    assert judging.violations({"latency_ms": 0.30}, {"latency_ms": latency})["latency_ms"] > 0
    top1 = Metric(value=87.0, low=85.5, high=88.0, level=0.95)
    assert judging.violations({"top1": 86.0}, {"top1": top1})["top1"] > 0
    assert judging.violations({"top1": 85.5}, {"top1": top1})["top1"] <= 0
    assert judging.violations({"size_mb": 1.0}, {})["size_mb"] > 0


def test_the_front_has_each_file_once_and_no_beaten_one():
    trials = [
        trial(1, 80, 0.3),
        trial(2, 85, 0.4),
        trial(3, 79, 0.35),
        trial(4, 90, 0.6),
        trial(5, 85, 0.4, same_as=2),
    ]
    assert [one.number for one in judging.front(search(), trials)] == [2, 1]
    assert [one.number for one in judging.front(search(), trials, feasible=False)] == [4, 2, 1]


def test_finalists_are_the_best_in_each_objective_in_turn():
    trials = [trial(1, 80, 0.3), trial(2, 85, 0.4), trial(3, 83, 0.35), trial(4, 90, 0.6)]
    assert [one.number for one in judging.finalists(search(), trials, 2)] == [2, 1]
    assert [one.number for one in judging.finalists(search(), trials, 9)] == [2, 1, 3]
    assert [one.number for one in judging.finalists(search(), trials[3:], 2)] == [4], (
        "the closest where none keeps the limits"
    )


def test_what_is_known_beforehand_refuses():
    forecast = Forecast("a", "b", params=100_000, macs=5_000_000, bytes=520_000, sure="exact")
    known = judging.known_beforehand(forecast)
    assert judging.refusal({"params": 90_000}, known)
    assert not judging.refusal({"size_mb": 0.515}, known), "within the error of the forecast"
    assert "the limit is 0.5" in judging.refusal({"size_mb": 0.5}, known)
    assert not judging.refusal({"top1": 99.0}, known)
    about = Forecast("a", "b", params=100_000, macs=5_000_000, bytes=520_000, sure="about")
    assert not judging.refusal({"params": 90_000}, judging.known_beforehand(about))


def test_a_predicted_latency_refuses_beyond_its_error():
    forecast = Forecast("a", "b", latency_ms=0.40, latency_error=0.05)
    known = judging.known_beforehand(forecast)
    assert not judging.refusal({"latency_ms": 0.37}, known) and judging.refusal({"latency_ms": 0.35}, known)


def test_a_trial_ends_where_a_smaller_one_answered_measurably_more():
    right = np.ones(1000, dtype=bool)
    worse = right.copy()
    worse[:60] = False
    best = [trial(7, 85, 0.4, right={"a": packed(right)})]
    known = {"size_mb": Metric(value=0.45, low=0.44, high=0.46)}
    assert "6.00 points behind trial 7" in judging.hopeless(search(), "a", worse, known, best)
    assert not judging.hopeless(search(), "b", worse, known, best), "nothing to compare it with"
    assert not judging.hopeless(search(), "a", right, known, best), "no measurable difference"
    assert not judging.hopeless(search(), "a", worse, {}, best), "its size is not known"
    smaller = {"size_mb": Metric(value=0.3, low=0.29, high=0.31)}
    assert not judging.hopeless(search(), "a", worse, smaller, best), "it is smaller"
    assert (unpacked(packed(worse)) == worse).all()
