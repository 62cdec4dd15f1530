"""Runs that somebody interrupted are told from runs that were left whole."""

import os
import subprocess
import sys
import time

import pytest

from core.machine import interruptions
from core.machine.interruptions import Runs, Watch, unwatched


def work() -> None:
    sum(range(20_000))


def test_a_share_of_a_run_may_be_missing():
    runs = Runs()
    assert runs.take(1.0, 0.019) == 1.0 and runs.take(1e-5, 9e-6) == 1e-5
    assert runs.take(1.0, 0.021) == 0.0
    assert runs.take(1.0, 0.0, cold=True) == 0.0 and runs.disturbed.pop() == (1.0, 1.0)
    assert runs.whole == [1.0, 1e-5] and runs.disturbed == [(1.0, pytest.approx(0.979))]
    assert len(runs) == 3 and runs.own == [1.0, 1e-5, pytest.approx(0.979)]


def test_runs_of_an_unknown_pace_do_not_count():
    runs, others = Runs(), Runs([1.0], [(3.0, 1.0)])
    runs.add(others, 2.0)
    assert runs.whole == [2.0] and runs.disturbed == [(6.0, 2.0)]
    runs.add(others, None)
    assert runs.whole == [2.0] and runs.disturbed[1:] == [(3.0, 1.0), (1.0, 1.0)]


@pytest.mark.skipif(sys.platform == "win32", reason="processor time is counted in steps of 16 ms there")
def test_what_the_process_did_not_have_of_a_run_is_lost():
    with Watch(alone=True) as watch:
        wall, lost, cold = watch.timed(lambda: time.sleep(0.02))
        assert wall >= 0.02 and lost == pytest.approx(wall, rel=0.1) and not cold
        assert watch.timed(work)[2]  # it follows an interrupted one
        assert min(watch.timed(work)[1] for _ in range(50)) < 10e-6
        assert not all(watch.timed(work)[2] for _ in range(50))
        time.sleep(0.005)
        assert watch.timed(work)[2]  # somebody was let in before it
    assert unwatched(work)[1] == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts how long a thread waits")
@pytest.mark.parametrize("alone", [True, False])
def test_a_process_on_the_same_core_interrupts(alone):
    """Both on one core: half of the time is the other's, whoever computes in however many threads."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with Watch(alone) as watch:
            started, wall, lost = time.monotonic(), 0.0, 0.0
            while time.monotonic() - started < 5.0 and lost < 0.02:
                one, missing, _ = watch.timed(lambda: sum(range(500_000)))
                wall, lost = wall + one, lost + missing
        assert 0.02 <= lost < wall
    finally:
        other.kill()
        other.wait()
        os.sched_setaffinity(0, allowed)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts how long a thread waits")
def test_of_several_threads_the_one_that_waited_longest_counts(monkeypatch):
    """Two threads that stand ready at the same time make the run as much longer as one of them."""
    waited = {3: [1.0, 1.0, 1.5], 4: [7.0, 7.0, 7.4]}
    monkeypatch.setattr(interruptions, "_queues", lambda: list(waited))
    monkeypatch.setattr(interruptions, "_waited", lambda queue: waited[queue].pop(0))
    monkeypatch.setattr(os, "close", lambda queue: None)
    monkeypatch.setattr(interruptions, "_PROMPT", 10.0)  # it asks once
    with Watch(alone=False) as watch:
        waited[3].pop(0), waited[4].pop(0)
        wall, lost, cold = watch.timed(lambda: time.sleep(0.6))
        assert lost == pytest.approx(0.5) and wall > 0.6 and not cold
