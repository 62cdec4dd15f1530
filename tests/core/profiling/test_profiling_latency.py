"""The timing protocol: its decisions on made-up blocks, and the whole of it on real files."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_files
import pytest

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.machine.child import Child
from core.machine.fingerprint import usable_cores
from core.machine.measuring_lock import PATIENCE_VARIABLE, patience
from core.profiling import PROTOCOL_VERSION, session
from core.profiling.latency import (
    MeasuringProcess,
    answer,
    change,
    latency,
    latency_metrics,
    make_sample,
    profile_artefact,
    throughput,
)
from core.profiling.protocol import Benchmark, Block, Budget, Timing, measure
from core.profiling.session import memory, paced_runs, timed_runs, warm_up
from core.profiling.statistics import Interval, differs

QUICK = Budget(blocks=8, most_blocks=10, block_seconds=0.01, seconds=0.5, memory_processes=1, patience=0.0)


def blocks_of(times: dict[str, float], scatter: float, seed: int = 0):
    """Blocks of 30 runs around a time, with scatter from session to session; and the order asked."""
    rng, order = np.random.default_rng(seed), []

    def block(which):
        order.append(which)
        session = times[which] * math.exp(scatter * rng.standard_normal())
        return Block(list(session * (1 + 0.01 * rng.standard_normal(30))))

    return block, order


def test_files_take_turns():
    block, order = blocks_of({"baseline": 1.0, "candidate": 0.5}, 0.001)
    timing = measure(block, True, Budget(blocks=8))
    assert order[:8] == ["baseline", "candidate", "candidate", "baseline"] * 2
    assert len(timing.candidate) == len(timing.baseline) == 8 and not timing.wide
    assert timing.ratio is not None and timing.ratio.value == pytest.approx(0.5, rel=0.01)
    assert differs(timing.ratio)


def test_a_measurement_goes_on_where_it_was():
    block, order = blocks_of({"baseline": 1.0, "candidate": 0.5}, 0.001)
    budget = Budget(blocks=8)
    begun = measure(block, True, budget.first_half())
    assert len(begun.candidate) == 4
    timing = measure(block, True, budget, begun)
    assert len(timing.candidate) == len(timing.baseline) == 8 and timing.candidate[:4] == begun.candidate
    assert order == ["baseline", "candidate", "candidate", "baseline"] * 4


def test_alone_there_is_no_ratio():
    block, order = blocks_of({"candidate": 1.0}, 0.001)
    timing = measure(block, False, Budget())
    assert set(order) == {"candidate"} and timing.ratio is None and len(timing.candidate) == 8


def test_the_same_file_shows_no_difference_about_as_often_as_the_level_says():
    wrong = 0
    for seed in range(200):
        block, _ = blocks_of({"baseline": 1.0, "candidate": 1.0}, 0.03, seed)
        timing = measure(block, True, Budget(width=0.01, seconds=0))
        wrong += differs(timing.ratio)
    assert wrong <= 8  # 2 expected at 99 %


def test_measuring_goes_on_while_the_interval_is_wide():
    block, _ = blocks_of({"baseline": 1.0, "candidate": 1.0}, 0.2)
    timing = measure(block, True, Budget(blocks=8, most_blocks=24, seconds=60))
    assert len(timing.candidate) == 24 and timing.wide
    block, _ = blocks_of({"baseline": 1.0, "candidate": 1.0}, 0.2)
    timing = measure(block, True, Budget(blocks=8, seconds=0))
    assert len(timing.candidate) == 8 and timing.wide


def test_a_latency_says_at_what_pace_it_was_timed():
    blocks = [Block([0.002] * 30, pace) for pace in (0.7, 0.8, 0.9)]
    timing = Timing(blocks, [], 1.0, wide=False)
    assert timing.pace == 0.8
    assert latency(timing, "Here").how.endswith("at the machine's usual pace, it ran at 80 % of that")
    assert timing.at(2.0) is timing  # its own pace was taken


def test_several_threads_get_the_pace_that_one_thread_had():
    alone = Timing([Block([0.002] * 30)] * 2, [Block([0.004] * 30)] * 2, 1.0, wide=False)
    assert alone.at(None) is alone and "pace" not in latency(alone, "Here").how
    slowed = alone.at(0.5)
    assert latency(slowed, "Here").value == pytest.approx(1.0) and slowed.pace == 0.5
    assert slowed.ratio.value == pytest.approx(alone.ratio.value) == pytest.approx(0.5)


def test_a_large_model_gets_by_with_few_blocks():
    block, _ = blocks_of({"candidate": 1.0}, 0.2)
    assert len(measure(block, False, Budget(limit=0)).candidate) == 4


def test_the_answer_in_words():
    bounds = "99 % interval 0.450 to 0.550 from 8 alternating pairs of sessions"
    assert answer("latency_ms", Interval(0.5, 0.45, 0.55, 0.99), 8) == (
        f"0.5 times the baseline's latency; {bounds}"
    )
    assert answer("throughput", Interval(1.01, 0.98, 1.04, 0.99), 5) == (
        "no measurable difference from the baseline; "
        "99 % interval 0.980 to 1.040 from 5 alternating pairs of sessions"
    )
    assert "single pair" in answer("latency_ms", Interval(0.5, None, None, None), 1)


def test_warm_up_and_timed_runs_count_their_runs():
    calls = []
    runs, _ = warm_up(lambda: calls.append(1) or sum(range(2000)))
    assert runs == len(calls) >= 15
    assert len(timed_runs(lambda: None, 30, 0.0, 5.0).whole) == 30
    assert len(timed_runs(lambda: None, 1000, 0.0, 0.0)) == 5
    assert sum(timed_runs(lambda: sum(range(2000)), 1, 0.05, 5.0).whole) >= 0.04


class Interrupted:
    """Times runs of a millisecond of which all but each `every`th lose four more to somebody else."""

    def __init__(self, every: int):
        self.every, self.count = every, 0

    def timed(self, run):
        run()
        self.count += 1
        return (0.001, 0.0, False) if self.every and self.count % self.every == 0 else (0.005, 0.004, False)


def test_interrupted_runs_are_set_aside():
    runs = timed_runs(lambda: None, 30, 0.0, 5.0, timed=Interrupted(3).timed)
    assert runs.whole == [0.001] * 30
    assert runs.disturbed == [(0.005, pytest.approx(0.001))] * 60


def test_timing_ends_where_no_run_is_left_whole():
    runs = timed_runs(lambda: None, 30, 0.0, 5.0, timed=Interrupted(0).timed)
    assert not runs.whole and len(runs) == 20 and runs.own == pytest.approx([0.001] * 20)
    runs, pace = paced_runs(lambda: None, lambda: None, 0.001, 30, 0.0, 5.0, timed=Interrupted(0).timed)
    assert not runs.whole and pace is None


def spoiled_at(*rounds: int):
    """Blocks of a file against itself; in these rounds no run is left whole."""
    calls = []

    def block(which):
        calls.append(which)
        spoiled = (len(calls) - 1) // 2 in rounds
        return Block([], None, [(0.009, 0.002)] * 20) if spoiled else Block([0.002] * 20)

    return block


def test_a_round_without_whole_runs_is_waited_out_and_does_not_count():
    waits = []
    timing = measure(spoiled_at(0, 3), True, Budget(), wait=lambda: waits.append(1) or True)
    assert len(waits) == 2 and not timing.busy
    assert len(timing.candidate) == len(timing.baseline) == 8
    assert timing.interrupted == pytest.approx(2 / 18)
    assert "; 11 % of the runs were interrupted and set aside" in latency(timing, "Here").how


def test_a_machine_that_stays_busy_gets_a_range_and_no_change():
    timing = measure(spoiled_at(*range(2, 99)), True, Budget(), wait=iter([True, True, False]).__next__)
    assert timing.busy and timing.ratio is None and len(timing.spoiled) == 3
    figure = latency_metrics(timing, "Here")["latency_ms"]
    assert (figure.low, figure.value, figure.high, figure.level) == (2.0, 2.0, 9.0, None)
    assert "sessions in which hardly a run was left whole" in figure.how
    assert "the machine was too busy" in figure.how
    assert latency_metrics(timing, "Here")["latency_ms_p90"].value is None
    stated = change("latency_ms", timing)["latency_ms"]
    assert stated.value is None and "too busy" in stated.how
    assert not change("latency_ms", measure(spoiled_at(*range(99)), False, Budget()))


def test_runs_that_hardly_had_a_processor_have_no_throughput():
    timing = Timing([Block([], None, [(0.9, 0.0)] * 3)], [], 0.0, wide=True, busy=True)
    figure = throughput(timing, "Here", 32)
    assert figure.value is None and figure.high is None and "too busy" in figure.how


def test_a_time_of_a_busy_machine_does_not_begin_at_nothing():
    """A report gave 0 to 24.3 ms: the processor's clock had not moved in one run."""
    timing = Timing(
        [], [], 0.0, wide=True, spoiled=[Block([], None, [(0.03, 0.0), (0.02, 0.003)])], busy=True
    )
    figure = latency(timing, "Here")
    assert figure.low == pytest.approx(3.0) and figure.value == pytest.approx(3.0)
    assert "; 2 runs in 1 session in which hardly a run was left whole" in figure.how
    nothing = replace(timing, spoiled=[Block([], None, [(0.03, 0.0)])])
    assert latency(nothing, "Here").value is None and "no run had a processor" in latency(nothing, "Here").how
    assert "1 runs in 1 session in which" in throughput(nothing, "Here", 32).how


def test_enough_rounds_before_the_machine_became_busy_are_a_measurement():
    timing = measure(spoiled_at(*range(5, 99)), True, Budget())
    assert not timing.busy and timing.wide and len(timing.candidate) == 5 and timing.ratio is not None


def test_waiting_is_bounded_and_can_be_stopped(monkeypatch):
    told, clock = [], Clock()
    monkeypatch.setattr("core.profiling.protocol._vain_waits", [])
    monkeypatch.setattr("core.profiling.protocol.time.monotonic", lambda: clock.now)
    monkeypatch.setattr("core.profiling.protocol.time.sleep", lambda seconds: clock.work("", seconds)())
    benchmark = Benchmark(None, Path("x.onnx"), budget=Budget(patience=10.0), control=RunControl())
    benchmark.tell = lambda fraction, text: told.append(text)
    assert [benchmark.wait() for _ in range(5)] == [True, True, True, True, False]  # 2, 2, 4, 2
    assert 10 <= clock.now < 12 and "too busy" in told[0]
    benchmark = Benchmark(None, Path("y.onnx"), budget=Budget(patience=10.0), control=RunControl())
    assert [benchmark.wait() for _ in range(3)] == [True, True, False]  # it was in vain before: 4 seconds
    clock.now += 601
    benchmark = Benchmark(None, Path("x.onnx"), control=benchmark.control)
    benchmark.control.stop()
    with pytest.raises(Stopped):
        benchmark.wait()


class Clock:
    """A machine whose time goes by only when somebody works, and that gets slower and slower."""

    def __init__(self) -> None:
        self.now, self.slowness, self.calls = 0.0, 1.0, []

    def work(self, name: str, seconds: float):
        def run() -> None:
            self.calls.append(name)
            self.now += seconds * self.slowness
            self.slowness *= 1.0005

        return run


@pytest.mark.parametrize("seconds", [0.0004, 0.02])
def test_what_slows_the_reference_too_is_taken_out(seconds, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(session.time, "perf_counter", lambda: clock.now)
    model, reference = clock.work("model", seconds), clock.work("reference", 0.0007)
    found, pace = paced_runs(model, reference, 0.0007, 100, 0.05, 10.0)
    assert clock.slowness > 1.05 and len(found) >= 100
    assert found.whole == pytest.approx([seconds] * len(found), rel=0.005)
    assert 1 / clock.slowness < pace < 1
    turns = (
        "".join(name[0] for name in clock.calls).strip("r").split("rrrrr")
    )  # one that does not count, and four
    assert {len(turn) for turn in turns[1:]} <= ({1} if seconds > 0.005 else {11, 12, 13, 14})
    short, _ = paced_runs(model, reference, 0.0007, 1000, 0.0, 0.0)
    assert 5 <= len(short) < 30  # the limit is reached


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("profiling")
    make_sample(place / "sample.npy", 16)
    onnx_files.write(place / "small.onnx")
    onnx_files.write(place / "large.onnx", width=48, repeats=4)
    return place


def test_the_sample_is_the_same_every_time(folder):
    sample = np.load(folder / "sample.npy")
    assert sample.shape == (1, 3, 16, 16) and sample.dtype == np.float32
    make_sample(folder / "again.npy", 16)
    assert (np.load(folder / "again.npy") == sample).all()


@pytest.mark.slow
def test_a_file_against_itself_shows_no_difference(folder):
    small = folder / "small.onnx"
    metrics, change = profile_artefact(small, small, folder / "sample.npy", budget=QUICK)
    names = {
        "latency_ms",
        "latency_ms_p90",
        "latency_ms_p99",
        "throughput",
        "memory_mb",
        "size_mb",
        "weights_mb",
    }
    assert names <= set(metrics)
    assert ("latency_ms_all_cores" in metrics) == (usable_cores() > 1)
    latency = metrics["latency_ms"]
    assert latency.low <= latency.value <= latency.high and latency.n >= 240
    assert "1 thread, batch 1" in latency.how and latency.level == 0.99
    assert metrics["latency_ms_p90"].value <= metrics["latency_ms_p99"].value * 1.5
    assert metrics["size_mb"].value == small.stat().st_size / 1e6
    assert 0 < metrics["memory_mb"].value < 60
    assert set(change) == {"latency_ms", "throughput"}
    ratio = change["latency_ms"]
    assert ratio.low < ratio.value < ratio.high and 0.8 < ratio.value < 1.25


@pytest.mark.slow
def test_a_much_larger_file_is_measurably_slower(folder):
    fractions = []
    metrics, change = profile_artefact(
        folder / "large.onnx",
        folder / "small.onnx",
        folder / "sample.npy",
        MeasuringProcess(folder / "measure.log", None, lambda fraction, text: fractions.append(fraction)),
        budget=QUICK,
    )
    assert change["latency_ms"].low > 1.5 and change["throughput"].high < 1
    assert change["latency_ms"].how.startswith(
        f"{change['latency_ms'].value:.3g} times the baseline's latency"
    )
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert metrics["throughput"].low <= metrics["throughput"].value <= metrics["throughput"].high


@pytest.mark.slow
def test_a_fixed_batch_size_has_no_throughput(folder):
    path = onnx_files.write(folder / "fixed.onnx", batch=1)
    metrics, change = profile_artefact(path, None, folder / "sample.npy", budget=QUICK)
    assert metrics["throughput"].value is None and "takes images of shape" in metrics["throughput"].how
    assert metrics["latency_ms"].value > 0 and change == {}


def test_what_cannot_be_measured_is_told(folder):
    with pytest.raises(
        EspalierError, match=r"Expected an ONNX file, but .*none\.onnx cannot be read: No such"
    ):
        profile_artefact(folder / "none.onnx", None, folder / "sample.npy", budget=QUICK)
    make_sample(folder / "wide.npy", 24)
    with pytest.raises(EspalierError, match=r"the measurement gave \[1, 3, 24, 24\]"):
        profile_artefact(folder / "small.onnx", None, folder / "wide.npy", budget=QUICK)


def test_stopping_ends_the_measurement(folder):
    control = RunControl()
    with pytest.raises(Stopped):
        profile_artefact(
            folder / "small.onnx", None, folder / "sample.npy",
            MeasuringProcess(None, control, lambda fraction, text: control.stop()), budget=QUICK,
        )  # fmt: skip


def test_memory_grows_with_the_model(folder):
    def peak(name: str) -> int:
        with Child("measure") as child:
            arguments = {"model": str(folder / name), "sample": str(folder / "sample.npy"), "threads": 1}
            result = child.call(memory, arguments)
        return result["after"] - result["before"]

    onnx_files.write(folder / "huge.onnx", width=256, repeats=8)  # 19 MB of weights
    assert peak("huge.onnx") > peak("small.onnx") + 15e6


def test_the_protocol_has_a_version():
    assert isinstance(PROTOCOL_VERSION, int)


@pytest.mark.parametrize(
    ("chosen", "seconds"), [("", 60.0), ("0", 0.0), ("2.5", 2.5), ("-1", 60.0), ("soon", 60.0), ("nan", 60.0)]
)
def test_the_environment_says_how_long_to_wait(monkeypatch, caplog, chosen, seconds):
    monkeypatch.setenv(PATIENCE_VARIABLE, chosen)
    assert Budget().patience == seconds and patience(120.0) == (seconds if chosen in ("0", "2.5") else 120.0)
    assert ("not a number of seconds" in caplog.text) == (chosen in ("-1", "soon", "nan"))
