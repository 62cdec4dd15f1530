"""The timing protocol: how a file's latency, throughput, memory and size are measured.

The headline is batch 1 on one thread. A measurement is a row of *blocks*: each opens a session of
its own in the measuring child, warms it up, times at least 30 runs and closes it. Two files that
are compared take turns (A B, B A, A B, …) and never have sessions open together; the answer is the
ratio of their block medians with a 99 % interval, or "no measurable difference" where that
interval contains 1. Measuring goes on until the interval is narrow or the budget is spent.

Measured here: two sessions alive together, two threads each, made ratios of a file against itself
of 0.60 to 1.67; blocks with one session each 0.99 to 1.02.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

from core.child import Child
from core.child_server import ProgressCallback
from core.control import RunControl
from core.deploy.files import save_array
from core.errors import EspalierError
from core.profiling import PROTOCOL_VERSION
from core.profiling.energy import measured
from core.profiling.machine import usable_cores
from core.profiling.statistics import (
    LEVEL,
    Interval,
    differs,
    median_interval,
    ratio_interval,
    relative_half_width,
)
from core.reports import Metric

__all__ = ["PROTOCOL_VERSION", "Budget", "make_sample", "profile_artefact"]

BATCH = 32
Block = list[float]  # seconds of each timed run of one session
TimeBlock = Callable[[Literal["baseline", "candidate"]], Block]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long and how exactly to measure.

    Attributes:
        blocks: blocks of each file at least; 8 are needed for a 99 % interval of a median.
        most_blocks: and at most.
        few_blocks: enough once `limit` seconds are spent: large models.
        runs: timed runs in a block at least. block_seconds: a block's timed runs last at least
            this long. block_limit: and no run starts after this, once 5 are done.
        width: half the interval's width, as a share, at which measuring ends.
        seconds: after this no block beyond `blocks` begins. limit: see `few_blocks`.
        memory_processes: fresh processes that memory is measured in.
    """

    blocks: int = 8
    most_blocks: int = 24
    few_blocks: int = 4
    runs: int = 30
    block_seconds: float = 0.05
    block_limit: float = 10.0
    width: float = 0.03
    seconds: float = 3.0
    limit: float = 45.0
    memory_processes: int = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """Blocks of a file and, block by block beside them, of the baseline (empty without one).

    Attributes:
        wide: whether the budget ended before the interval was as narrow as wanted.
    """

    candidate: list[Block]
    baseline: list[Block]
    seconds: float
    wide: bool

    @property
    def medians(self) -> list[float]:
        """Seconds, one figure a block."""
        return [float(np.median(block)) for block in self.candidate]

    @property
    def ratio(self) -> Interval | None:
        """Candidate's time / baseline's time, or None without a baseline."""
        if not self.baseline:
            return None
        return ratio_interval([float(np.median(block)) for block in self.baseline], self.medians)


def make_sample(path: Path, size: int, channels: int = 3) -> None:
    """Write the image that files are timed on: seeded noise, float32 [1, channels, size, size]."""
    noise = np.random.default_rng(20_261_121).standard_normal((1, channels, size, size))
    save_array(path, noise.astype(np.float32))


def profile_artefact(
    model: Path,
    baseline: Path | None,
    sample: Path,
    log: Path | None = None,
    control: RunControl | None = None,
    on_progress: ProgressCallback | None = None,
    budget: Budget | None = None,
) -> tuple[dict[str, Metric], dict[str, Metric]]:
    """Measure an ONNX file, and how it compares with a baseline.

    Args:
        baseline: the file to compare with; None measures `model` alone.
        sample: .npy, float32 [1, c, s, s]; see `make_sample`.
        log: where the measuring process writes what it says.

    Returns:
        metrics: latency_ms, latency_ms_p90, latency_ms_p99 (one thread, batch 1),
            latency_ms_all_cores (where there are several), throughput (images/s, batches of 32, all
            cores), memory_mb, size_mb; energy_mj and power_w where the processor's counters can
            be read.
        change: latency_ms and throughput as candidate / baseline with bounds; `how` says in words
            whether there is a measurable difference. Empty without a baseline.

    Raises:
        EspalierError: when a file cannot be opened or does not take the sample.
        Stopped: a person asked to stop.
    """
    budget = budget or Budget()
    cores = usable_cores()
    tell = on_progress or (lambda fraction, text: None)
    with Child("measure", log) as child:
        bench = _Bench(child, model, baseline, sample, budget, control)
        tell(0.0, "Measuring latency")
        single = measure(bench.blocks(1, 1), baseline is not None, budget)
        metrics, change = _latency_metrics(single), _change("latency_ms", single)
        if cores > 1:
            tell(0.5, f"Measuring latency on {cores} cores")
            several = measure(bench.blocks(cores, 1), False, _shorter(budget))
            metrics["latency_ms_all_cores"] = _latency(several, cores)
        tell(0.6, "Measuring throughput")
        try:
            batches = measure(bench.blocks(cores, BATCH), baseline is not None, _shorter(budget))
            metrics["throughput"] = _throughput(batches, cores)
            change.update(_change("throughput", batches))
        except EspalierError as error:  # a fixed batch size, or too little memory for a batch
            metrics["throughput"] = Metric(value=None, unit="images/s", how=str(error))
        if reading := child.call(
            "core.profiling.energy:energy", {"model": str(model), "sample": str(sample)}, control
        ):
            metrics |= measured(reading)
    tell(0.85, "Measuring memory")
    metrics["memory_mb"] = measure_memory(model, sample, log, control, budget.memory_processes)
    metrics["size_mb"] = Metric(value=model.stat().st_size / 1e6, unit="MB", n=1, how="size of the file")
    tell(1.0, "Measured")
    return metrics, change


@dataclass(frozen=True, slots=True)
class _Bench:
    """Two files, the child that times them, and how long a block lasts."""

    child: Child
    candidate: Path
    baseline: Path | None
    sample: Path
    budget: Budget
    control: RunControl | None

    def blocks(self, threads: int, batch: int) -> TimeBlock:
        """Times one block of either file with so many threads and images."""
        runs = self.budget.runs if batch == 1 else max(5, self.budget.runs // 5)

        def block(which: Literal["baseline", "candidate"]) -> Block:
            model = self.baseline if which == "baseline" else self.candidate
            arguments = {
                "model": str(model),
                "sample": str(self.sample),
                "threads": threads,
                "batch": batch,
                "runs": runs,
                "seconds": self.budget.block_seconds,
                "limit": self.budget.block_limit,
            }
            result = self.child.call("core.profiling.session:time_block", arguments, self.control)
            return [float(seconds) for seconds in result["seconds"]]

        return block


def measure(block: TimeBlock, compare: bool, budget: Budget) -> Timing:
    """Blocks of the candidate, and in turns of the baseline, until they say enough.

    Args:
        block: times one block of either file.
    """
    candidate: list[Block] = []
    baseline: list[Block] = []
    started = time.monotonic()
    while True:
        turns: tuple[Literal["baseline", "candidate"], ...] = ("baseline", "candidate")
        for which in turns if len(candidate) % 2 == 0 else turns[::-1]:
            if which == "candidate":
                candidate.append(block(which))
            elif compare:
                baseline.append(block(which))
        timing = Timing(candidate, baseline, time.monotonic() - started, False)
        narrow = _width(timing) <= budget.width
        if _enough(timing, narrow, budget):
            return Timing(candidate, baseline, timing.seconds, not narrow)


def _width(timing: Timing) -> float:
    """The wider of the two intervals' relative half-widths."""
    widths = [relative_half_width(median_interval(timing.medians))]
    if timing.ratio is not None:
        widths.append(relative_half_width(timing.ratio))
    return max(widths)


def _enough(timing: Timing, narrow: bool, budget: Budget) -> bool:
    done = len(timing.candidate)
    if done < budget.few_blocks:
        return False
    if done < budget.blocks:
        return timing.seconds >= budget.limit
    return narrow or done >= budget.most_blocks or timing.seconds >= budget.seconds


def _shorter(budget: Budget) -> Budget:
    """For figures beside the headline: fewer blocks, the same rules."""
    fewer = max(budget.few_blocks, 5)
    return replace(
        budget, blocks=min(budget.blocks, fewer), most_blocks=budget.blocks, seconds=budget.seconds / 2
    )


def _latency_metrics(timing: Timing) -> dict[str, Metric]:
    """The headline latency with the tail beside it, milliseconds."""
    runs = np.concatenate([np.asarray(block) for block in timing.candidate])
    how = f"{_runtime(1)}, batch 1; {len(runs)} runs in {len(timing.candidate)} sessions"
    nine = median_interval([float(np.quantile(block, 0.9)) for block in timing.candidate])
    tail = Metric(value=1e3 * float(np.quantile(runs, 0.99)), unit="ms", n=len(runs), how=how)
    return {
        "latency_ms": _latency(timing, 1),
        "latency_ms_p90": _metric(nine, 1e3, nine.value, "ms", len(runs), how),
        "latency_ms_p99": tail,
    }


def _latency(timing: Timing, threads: int) -> Metric:
    """The median over sessions of the median time of one image, milliseconds."""
    runs = sum(len(block) for block in timing.candidate)
    interval = median_interval(timing.medians)
    how = f"{_runtime(threads)}, batch 1; median of {runs} runs in {len(timing.candidate)} sessions"
    return _metric(interval, 1e3, interval.value, "ms", runs, how + _scatter(timing))


def _throughput(timing: Timing, threads: int) -> Metric:
    """Images per second in batches."""
    runs = sum(len(block) for block in timing.candidate)
    times = median_interval(timing.medians)
    how = f"{_runtime(threads)}, batch {BATCH}; {runs} runs in {len(timing.candidate)} sessions"
    return Metric(
        value=BATCH / times.value,
        unit="images/s",
        low=BATCH / times.high if times.high else None,
        high=BATCH / times.low if times.low else None,
        level=times.level,
        n=runs,
        how=how + _scatter(timing),
    )


def _metric(interval: Interval, scale: float, value: float, unit: str, n: int, how: str) -> Metric:
    """An interval as a metric around `value`, both times `scale`."""
    low, high = (None if bound is None else scale * bound for bound in (interval.low, interval.high))
    return Metric(value=scale * value, unit=unit, low=low, high=high, level=interval.level, n=n, how=how)


def _runtime(threads: int) -> str:
    shown = "1 thread" if threads == 1 else f"{threads} threads"
    return f"ONNX Runtime {version('onnxruntime')} on the CPU, {shown}"


def _scatter(timing: Timing) -> str:
    if not timing.wide:
        return ""
    return f"; still uncertain to ±{100 * _width(timing):.0f} % after {timing.seconds:.0f} s of measuring"


def _change(name: str, timing: Timing) -> dict[str, Metric]:
    """The metric's ratio to the baseline's, with the answer in words; nothing without a baseline."""
    ratio = timing.ratio
    if ratio is None:
        return {}
    if name == "throughput" and ratio.low is not None and ratio.high is not None:
        ratio = Interval(1 / ratio.value, 1 / ratio.high, 1 / ratio.low, ratio.level)
    return {
        name: Metric(
            value=ratio.value,
            low=ratio.low,
            high=ratio.high,
            level=ratio.level,
            n=len(timing.baseline),
            how=answer(name, ratio, len(timing.baseline)) + _scatter(timing),
        )
    }


def answer(name: str, ratio: Interval, pairs: int) -> str:
    """The comparison in words; `ratio` is candidate / baseline."""
    what = "times the baseline's latency" if name == "latency_ms" else "times the baseline's throughput"
    if ratio.low is None or ratio.high is None:
        return f"{ratio.value:.3g} {what}, from a single pair of sessions"
    bounds = f"{100 * LEVEL:g} % interval {ratio.low:.3f} to {ratio.high:.3f} from {pairs} alternating pairs of sessions"
    if not differs(ratio):
        return f"no measurable difference from the baseline; {bounds}"
    return f"{ratio.value:.3g} {what}; {bounds}"


def measure_memory(
    model: Path, sample: Path, log: Path | None, control: RunControl | None, processes: int
) -> Metric:
    """Peak resident memory of a fresh inference process above an empty one, batch 1, in MB.

    Raises:
        EspalierError: when the file cannot be opened.
        Stopped: a person asked to stop.
    """
    found = []
    for _ in range(processes):
        with Child("measure", log) as child:
            arguments = {"model": str(model), "sample": str(sample), "threads": 1}
            result = child.call("core.profiling.session:memory", arguments, control)
        found.append((result["after"] - result["before"]) / 1e6)
    interval = median_interval(found)
    how = f"{_runtime(1)}, batch 1; peak above an empty process, median of {processes} fresh processes"
    return _metric(interval, 1.0, interval.value, "MB", processes, how)
