"""How a model's latency, throughput, memory and size are measured, by the protocol of `core.profiling.protocol`.

The headline is batch 1 on one thread, input in memory, model only. The answer of a comparison is the
ratio of the block medians with a 99 % interval, or "no measurable difference" where that interval contains 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.files import save_array
from core.common.numbers import percent
from core.common.temporary import temporary_folder
from core.machine.child import Child
from core.machine.fingerprint import usable_cores
from core.machine.jobs import ProgressCallback
from core.machine.measuring_lock import measuring_alone
from core.profiling import PROTOCOL_VERSION, session
from core.profiling.counting import weigh
from core.profiling.energy import energy, measured
from core.profiling.pace import MeasurementStore, pace_of
from core.profiling.protocol import Benchmark, Budget, Timing, measure
from core.profiling.runtimes import DEFAULT, RUNTIMES
from core.profiling.statistics import LEVEL, Interval, differs, median_interval
from core.records.reports import Metric

__all__ = ["PROTOCOL_VERSION", "make_sample", "profile_artefact", "profile_checkpoint"]

BATCH = 32
BUSY = "the machine was too busy: hardly a run was left uninterrupted, so no figure but a range, and no change, is stated"
_MENTIONED = 0.005  # of the runs; fewer that were interrupted are not worth a word

_CHECKPOINT_BUDGET = Budget(
    most_blocks=8, few_blocks=1, runs=6, block_seconds=0.03, block_limit=0.6, seconds=0.0, limit=5.0
)  # figures beside the deployment's: short
_BESIDE = Budget(blocks=4, most_blocks=4, few_blocks=2, runs=15, block_seconds=0.02, block_limit=1.0)


def make_sample(path: Path, size: int, channels: int = 3) -> None:
    """Write the image that files are timed on: seeded noise, float32 [1, channels, size, size]."""
    save_array(path, session.noise((channels, size, size)))


@dataclass(frozen=True, slots=True)
class MeasuringProcess:
    """The measuring process: its log file, what stops it and its progress callback."""

    log: Path | None = None
    control: RunControl | None = None
    on_progress: ProgressCallback = lambda fraction, text: None


def profile_artefact(
    model: Path,
    baseline: Path | None,
    sample: Path,
    process: MeasuringProcess = MeasuringProcess(),
    budget: Budget | None = None,
    prepare: dict[str, Any] | None = None,
    measurements: MeasurementStore | None = None,
) -> tuple[dict[str, Metric], dict[str, Metric]]:
    """Measure an ONNX file, and how it compares with a baseline.

    Args:
        baseline: the file to compare with; None measures `model` alone.
        sample: .npy, float32 [1, c, s, s]; see `make_sample`.
        prepare: the decoded images' size and how they are prepared, see `core.profiling.session.time_block`.
        measurements: of this machine, from which its pace is known; None gives times as they are.

    Returns:
        metrics: latency_ms, latency_ms_p90, latency_ms_p99 (one thread, batch 1),
            latency_ms_all_cores (where there are several), throughput (images/s, batches of 32, all
            cores), memory_mb, size_mb, weights_mb; latency_ms_prepared where `prepare` is given; energy_mj and power_w where the processor's counters can
            be read.
        change: latency_ms and throughput as candidate / baseline with bounds; `how` says in words
            whether there is a measurable difference, or why none can be stated. Empty without a baseline.

    Raises:
        EspalierError: when a file cannot be opened or does not take the sample.
        Stopped: a person asked to stop.
    """
    budget = budget or Budget()
    log, control, tell = process.log, process.control, forward(process.on_progress)
    images = {"sample": str(sample)}
    with measuring_alone(control, tell):
        with Child("measure", log) as child, temporary_folder() as scratch:
            tell(0.0, "Measuring latency")
            pace = pace_of(measurements, scratch, child, control) if measurements else None
            benchmark = Benchmark(child, model, baseline, images, budget, control, pace=pace)
            benchmark.tell = lambda _fraction, text: tell(0.0, text)
            metrics, ratios = _timed(benchmark, prepare, tell)
            metrics["weights_mb"] = weights(child, model, control)
        tell(0.85, "Measuring memory")
        metrics["memory_mb"] = measure_memory(model, images, log, control, budget.memory_processes)
    metrics["size_mb"] = size(model)
    tell(1.0, "Measured")
    return metrics, ratios


def forward(on_progress: ProgressCallback) -> ProgressCallback:
    """The same callback, for progress that does not go back while measuring waits."""
    done = 0.0

    def tell(fraction: float, text: str) -> None:
        nonlocal done
        done = max(done, fraction)
        on_progress(done, text)

    return tell


def _timed(
    benchmark: Benchmark, prepare: dict[str, Any] | None, tell: ProgressCallback
) -> tuple[dict[str, Metric], dict[str, Metric]]:
    """The times of `profile_artefact`, and their changes; the headline in two halves around the others."""
    budget, compare, wait, cores = (
        benchmark.budget, benchmark.baseline is not None, benchmark.wait, usable_cores()
    )  # fmt: skip
    headline = benchmark.blocks(1, 1, fresh=True)
    begun = measure(headline, compare, budget.first_half(), wait=wait)
    metrics: dict[str, Metric] = {}
    ratios: dict[str, Metric] = {}
    if prepare:
        metrics["latency_ms_prepared"] = prepared(benchmark, prepare, _BESIDE)
    if cores > 1:
        tell(0.5, f"Measuring latency on {cores} cores")
        several = measure(benchmark.blocks(cores, 1), False, budget.beside(), wait=wait).at(begun.pace)
        metrics["latency_ms_all_cores"] = latency(several, benchmark.words(cores))
    tell(0.6, "Measuring throughput")
    try:
        batches = measure(benchmark.blocks(cores, BATCH), compare, budget.beside(), wait=wait).at(begun.pace)
        metrics["throughput"] = throughput(batches, benchmark.words(cores), BATCH)
        ratios |= change("throughput", batches)
    except EspalierError as error:  # a fixed batch size, or too little memory for a batch
        metrics["throughput"] = Metric(value=None, unit="images/s", how=str(error))
    if reading := benchmark.call(energy):
        metrics |= measured(reading)
    tell(0.7, "Measuring latency once more")
    single = measure(headline, compare, budget, begun, wait)
    return latency_metrics(single, benchmark.words(1)) | metrics, change("latency_ms", single) | ratios


def profile_checkpoint(
    child: Child,
    checkpoint: Path,
    device: str = "cpu",
    precision: str = "float32",
    control: RunControl | None = None,
    on_progress: ProgressCallback | None = None,
    budget: Budget = _CHECKPOINT_BUDGET,
) -> dict[str, Metric]:
    """PyTorch's own figures of a checkpoint's network, beside the deployment's.

    Args:
        child: a tool child. device: "cpu" or "cuda[:N]". precision: "float32", or autocast's "float16" / "bfloat16".

    Returns: latency_ms and throughput (one thread) and, on a GPU, memory_mb and energy where it is counted.

    Raises:
        EspalierError: when the checkpoint cannot be read or the precision is unknown.
        Stopped: a person asked to stop.
    """
    tell = forward(on_progress or (lambda fraction, text: None))
    benchmark = Benchmark(
        child, checkpoint, None, {}, budget, control, RUNTIMES["pytorch"], device=device, precision=precision
    )
    benchmark.tell = lambda _fraction, text: tell(0.0, text)
    with measuring_alone(control, tell):
        tell(0.1, "Measuring PyTorch, batch 1")
        single = measure(benchmark.blocks(1, 1), False, budget, wait=benchmark.wait)
        metrics = {"latency_ms": latency(single, benchmark.words(1))}
        if benchmark.on_gpu:
            metrics["memory_mb"] = device_memory(benchmark)
            if reading := benchmark.call(energy):
                metrics |= measured(reading)
        tell(0.5, f"Measuring PyTorch, batch {BATCH}")
        batches = measure(benchmark.blocks(1, BATCH), False, budget.beside(), wait=benchmark.wait)
        metrics["throughput"] = throughput(batches, benchmark.words(1), BATCH)
    benchmark.call(session.release)
    tell(1.0, "Measured PyTorch")
    return metrics


def latency_metrics(timing: Timing, runtime: str, batch: int = 1) -> dict[str, Metric]:
    """The latency with the tail beside it, milliseconds; a machine that is too busy has no tail to state."""
    metrics = {"latency_ms": latency(timing, runtime, batch)}
    if timing.busy:
        none = Metric(value=None, unit="ms", how=BUSY, interrupted=timing.interrupted)
        return metrics | {"latency_ms_p90": none, "latency_ms_p99": none}
    runs = np.concatenate([block.seconds for block in timing.candidate])
    how = f"{runtime}, batch {batch}; {_runs(timing)}{_set_aside(timing)}"
    nine = median_interval([float(np.quantile(block.seconds, 0.9)) for block in timing.candidate])
    tail = Metric(value=1e3 * float(np.quantile(runs, 0.99)), unit="ms", n=len(runs), how=how)
    return metrics | {
        "latency_ms_p90": _metric(nine, 1e3, "ms", len(runs), how),
        "latency_ms_p99": tail,
    }


def latency(timing: Timing, runtime: str, batch: int = 1, scope: str = "") -> Metric:
    """The median over sessions of the median time of one batch, milliseconds.

    Args:
        runtime: `Benchmark.words`. scope: what is timed, where it is not the model only.
    """
    if not timing.interval.value:
        return Metric(
            value=None, unit="ms", how=f"{BUSY}: no run had a processor", interrupted=timing.interrupted
        )
    runs = _runs(timing) if timing.busy else f"median of {_runs(timing)}"
    how = f"{runtime}, batch {batch}{scope}; {runs}"
    metric = _metric(timing.interval, 1e3, "ms", timing.runs, how + _quality(timing))
    return metric.model_copy(update={"interrupted": timing.interrupted})


def prepared(benchmark: Benchmark, prepare: dict[str, Any], budget: Budget, threads: int = 1) -> Metric:
    """The latency of one image that begins at the decoded image in memory."""
    block = replace(benchmark, budget=budget).blocks(threads, 1, prepare)
    timing = measure(block, False, budget, wait=benchmark.wait)
    height, width = prepare["image"]
    scope = (
        f", with preprocessing: from a decoded image of {width} × {height} pixels in memory on, resized and "
        "normalised with Pillow and NumPy"
    )
    return latency(timing, benchmark.words(threads), 1, scope)


def throughput(timing: Timing, runtime: str, batch: int) -> Metric:
    """Images per second in batches."""
    times = timing.interval
    how = f"{runtime}, batch {batch}; {_runs(timing)}"
    return Metric(
        value=batch / times.value if times.value else None,  # of runs that hardly had a processor
        unit="images/s",
        low=batch / times.high if times.high else None,
        high=batch / times.low if times.low else None,
        level=times.level,
        n=timing.runs,
        how=how + _quality(timing),
        interrupted=timing.interrupted,
    )


def _metric(interval: Interval, scale: float, unit: str, n: int, how: str) -> Metric:
    """An interval times `scale` as a metric."""
    low, high = (None if bound is None else scale * bound for bound in (interval.low, interval.high))
    return Metric(
        value=scale * interval.value, unit=unit, low=low, high=high, level=interval.level, n=n, how=how
    )


def _runs(timing: Timing) -> str:
    """How many runs a figure rests on, and of how many sessions; of a busy machine all that there are."""
    sessions = len(timing.candidate) + (len(timing.spoiled) if timing.busy else 0)
    words = f"{timing.runs} runs in {sessions} session{'' if sessions == 1 else 's'}"
    return f"{words} in which hardly a run was left whole" if timing.busy else words


def _quality(timing: Timing) -> str:
    """What a reader of a figure has to know about the machine while it was timed."""
    return _set_aside(timing) + _paced(timing) + (f"; {BUSY}" if timing.busy else _scatter(timing))


def _set_aside(timing: Timing) -> str:
    """How many runs do not count."""
    if timing.interrupted < _MENTIONED:
        return ""
    return f"; {percent(timing.interrupted)} of the runs were interrupted and set aside"


def _paced(timing: Timing) -> str:
    """At what pace the figures are given, and at what pace they were timed."""
    if timing.pace is None:
        return ""
    return f"; at the machine's usual pace, it ran at {percent(timing.pace)} of that"


def _scatter(timing: Timing) -> str:
    if not timing.wide:
        return ""
    return f"; still uncertain to ±{percent(timing.width)} after {timing.seconds:.0f} s of measuring"


def change(name: str, timing: Timing) -> dict[str, Metric]:
    """The metric's ratio to the baseline's, with the answer in words; nothing without a baseline."""
    ratio = timing.ratio
    if timing.busy and timing.compares:
        return {name: Metric(value=None, how=BUSY, interrupted=timing.interrupted)}
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
            how=answer(name, ratio, len(timing.baseline)) + _set_aside(timing) + _scatter(timing),
            interrupted=timing.interrupted,
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
    model: Path,
    images: dict[str, Any],
    log: Path | None,
    control: RunControl | None,
    processes: int,
    runtime: str = DEFAULT,
    batch: int = 1,
) -> Metric:
    """Peak resident memory of a fresh inference process above an empty one, one thread, in MB.

    Args:
        images: see `core.profiling.protocol.Benchmark`.

    Raises:
        EspalierError: when the file cannot be opened.
        Stopped: a person asked to stop.
    """
    chosen, peaks = RUNTIMES[runtime], []
    for _ in range(processes):
        with Child(chosen.child, log) as child:
            benchmark = Benchmark(child, model, images=images, control=control, runtime=chosen)
            result = benchmark.call(session.memory, batch=batch)
        peaks.append((result["after"] - result["before"]) / 1e6)
    interval = median_interval(peaks)
    how = f"{benchmark.words(1)}, batch {batch}; peak above an empty process, median of {processes} fresh processes"
    return _metric(interval, 1.0, "MB", processes, how)


def device_memory(benchmark: Benchmark) -> Metric:
    """Peak memory of the GPU in the blocks that a benchmark has timed."""
    how = f"{benchmark.words(1)}, batch 1; peak on the GPU, weights included"
    if benchmark.device_bytes is None:
        return Metric(
            value=None, unit="MB", how="not available: nobody counts this process's memory on the GPU"
        )
    return Metric(value=benchmark.device_bytes / 1e6, unit="MB", n=1, how=how)


def size(model: Path, beside: Sequence[Path] = ()) -> Metric:
    """Of the file, with those that hold its weights where they lie beside it."""
    how = "size of the file" if not beside else "size of the file and of its weights beside it"
    total = sum(file.stat().st_size for file in (model, *beside))
    return Metric(value=total / 1e6, unit="MB", n=1, how=how)


def weights(child: Child, model: Path, control: RunControl | None) -> Metric:
    """Of the weights in an ONNX file, as they are stored."""
    weighed = child.call(weigh, {"model": str(model)}, control)
    return Metric(value=weighed["weight_bytes"] / 1e6, unit="MB", n=1, how="bytes of the file's initialisers")
