"""PyTorch's own figures on the run's device, beside the deployment's; a job of the tool child.

Latency of batch 1, throughput of batches of 32, and on a GPU the peak memory of its allocator.
On a GPU every timed run waits until the device has finished. `s` pixels a side.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.child_server import ProgressCallback
from core.errors import EspalierError
from core.profiling.session import timed_runs, warm_up
from core.profiling.statistics import median_interval
from core.reports import Metric

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH = 32
_RUNS, _SECONDS, _LIMIT = 50, 0.3, 5.0
_BLOCKS = 8


def profile(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: measure a checkpoint's network in PyTorch.

    Args (as plain data):
        checkpoint: folder. device: "cpu" or "cuda[:N]".
        autocast: None for float32; "float16" or "bfloat16" for mixed precision; "auto" takes
            float16 on a GPU and bfloat16 on a CPU.
        threads: on the CPU; 1 unless given.

    Returns: latency_ms, throughput and, on a GPU, memory_mb, each a `Metric` as plain data.

    Raises:
        EspalierError: when the checkpoint cannot be read or the precision is unknown.
    """
    from core.checkpoint import load_checkpoint

    device, threads = arguments.get("device", "cpu"), int(arguments.get("threads", 1))
    loaded = load_checkpoint(Path(arguments["checkpoint"]), device)
    size, channels = loaded.preprocess.size, loaded.preprocess.channels
    with _inference(device, arguments.get("autocast"), threads) as how:
        metrics = measure(loaded.model, (channels, size, size), device, how, progress)
    return {name: metric.model_dump() for name, metric in metrics.items()}


def measure(
    model: "nn.Module", shape: tuple[int, int, int], device: str, how: str, progress: ProgressCallback
) -> dict[str, Metric]:
    """Latency, throughput and, on a GPU, memory of a network on images of `shape` [c, s, s]."""
    import torch

    on_gpu = torch.device(device).type == "cuda"
    noise = torch.randn(BATCH, *shape, generator=torch.Generator().manual_seed(0))
    image = noise[:1].to(device)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    progress(0.1, "Measuring PyTorch, batch 1")
    single, runs = _blocks(_run(model, image, on_gpu))
    peak = torch.cuda.max_memory_allocated(device) / 1e6 if on_gpu else None
    progress(0.5, f"Measuring PyTorch, batch {BATCH}")
    batches, batch_runs = _blocks(_run(model, noise.to(device), on_gpu))
    progress(1.0, "Measured PyTorch")
    return {
        "latency_ms": _latency(single, runs, f"{how}, batch 1"),
        "throughput": _throughput(batches, batch_runs, f"{how}, batch {BATCH}"),
        **({"memory_mb": _memory(peak, how)} if peak is not None else {}),
    }


@contextmanager
def _inference(device: str, autocast: str | None, threads: int) -> Iterator[str]:
    """Inference settings of a measurement; gives them in words.

    Raises:
        EspalierError: when the precision is unknown.
    """
    import torch

    kind = torch.device(device).type
    if autocast == "auto":
        autocast = "float16" if kind == "cuda" else "bfloat16"
    if autocast not in (None, "float32", "float16", "bfloat16"):
        raise EspalierError(f"Expected the precision float16, bfloat16 or none, received {autocast!r}.")
    mixed = autocast in ("float16", "bfloat16")
    context = torch.autocast(kind, dtype=getattr(torch, str(autocast))) if mixed else nullcontext()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    place = (
        f"on {torch.cuda.get_device_name(device)}"
        if kind == "cuda"
        else f"on the CPU, {threads} thread{'s' if threads > 1 else ''}"
    )
    try:
        with torch.inference_mode(), context:
            yield f"PyTorch {torch.__version__} {place}, {f'{autocast} autocast' if mixed else 'float32'}"
    finally:
        torch.set_num_threads(before)


def _run(model: "nn.Module", images: "Tensor", on_gpu: bool) -> Callable[[], None]:
    import torch

    def run() -> None:
        model(images)
        if on_gpu:
            torch.cuda.synchronize(images.device)

    return run


def _blocks(run: Callable[[], None]) -> tuple[list[float], int]:
    """Medians in seconds of consecutive blocks of warmed-up runs, and how many runs there were."""
    warm_up(run)
    started = time.perf_counter()
    medians, runs = [], 0
    for _ in range(_BLOCKS):
        block = timed_runs(run, max(5, _RUNS // _BLOCKS), _SECONDS / _BLOCKS, _LIMIT / _BLOCKS)
        medians.append(float(np.median(block)))
        runs += len(block)
        if time.perf_counter() - started > 2 * _LIMIT:
            break
    return medians, runs


def _latency(medians: list[float], runs: int, how: str) -> Metric:
    interval = median_interval(medians)
    low, high = (None if bound is None else 1e3 * bound for bound in (interval.low, interval.high))
    return Metric(
        value=1e3 * interval.value, unit="ms", low=low, high=high, level=interval.level, n=runs, how=how
    )


def _throughput(medians: list[float], runs: int, how: str) -> Metric:
    interval = median_interval(medians)
    return Metric(
        value=BATCH / interval.value,
        unit="images/s",
        low=BATCH / interval.high if interval.high else None,
        high=BATCH / interval.low if interval.low else None,
        level=interval.level,
        n=runs,
        how=how,
    )


def _memory(peak: float, how: str) -> Metric:
    return Metric(
        value=peak, unit="MB", n=1, how=f"{how}, batch 1; peak of the GPU's allocator, weights included"
    )
