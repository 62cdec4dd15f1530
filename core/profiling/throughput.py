"""Throughput over batch sizes and thread counts, and the smallest of them that reach it.

All cells take turns, round after round and each second round backwards, so that a machine that
becomes slower meanwhile does so for all of them. The *sweet spot* is the smallest amount of work in flight (images
in a batch × threads, then fewer threads) whose throughput cannot be distinguished from the best one's: their
intervals overlap. Larger batches there only wait longer, and more threads only take more of the processor.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from core.common.errors import EspalierError
from core.machine.jobs import ProgressCallback
from core.profiling.latency import BUSY, throughput
from core.profiling.protocol import Benchmark, Block, Timing
from core.records.reports import Metric

BATCHES = (1, 2, 4, 8, 16, 32, 64)
_FEW_ROUNDS = 3
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One pair of batch size and threads: images a second, and milliseconds until a batch is done."""

    batch: int
    threads: int
    throughput: Metric
    latency_ms: float | None


@dataclass(frozen=True, slots=True)
class Grid:
    """All cells, batch by batch; `sweet` is the sweet spot, None where nothing could be measured."""

    cells: tuple[Cell, ...]
    sweet: Cell | None


def measure_grid(
    benchmark: Benchmark, batches: Sequence[int], threads: Sequence[int], progress: ProgressCallback
) -> Grid:
    """Measure every pair of batch size and threads, as many rounds as the benchmark's budget has blocks.

    A pair that cannot run (a fixed batch size, too little memory) has no value and says why.

    Raises:
        Stopped: a person asked to stop.
    """
    timed: dict[tuple[int, int], list[Block]] = {(b, t): [] for b in batches for t in threads}
    refused: dict[tuple[int, int], str] = {}
    started, rounds = time.monotonic(), benchmark.budget.blocks
    for number in range(rounds):
        for place, pair in enumerate(list(timed)[:: -1 if number % 2 else 1]):
            if pair in refused:
                continue
            try:
                timed[pair].append(benchmark.blocks(pair[1], pair[0])("candidate"))
            except EspalierError as error:
                refused[pair] = str(error)
            progress((number + (place + 1) / len(timed)) / rounds, "Measuring batch sizes and threads")
        if number + 1 >= _FEW_ROUNDS and time.monotonic() - started >= _SECONDS:
            break
    cells = tuple(_cell(benchmark, pair, timed[pair], refused.get(pair, "")) for pair in timed)
    return Grid(cells, sweet_spot(cells))


def _cell(benchmark: Benchmark, pair: tuple[int, int], blocks: list[Block], refused: str) -> Cell:
    batch, threads = pair
    if refused:
        return Cell(batch, threads, Metric(value=None, unit="images/s", how=refused), None)
    usable, spoiled = ([block for block in blocks if block.usable is good] for good in (True, False))
    if not usable:
        return Cell(batch, threads, Metric(value=None, unit="images/s", how=BUSY), None)
    timing = Timing(usable, [], 0.0, False, spoiled)
    rate = throughput(timing, benchmark.words(threads), batch)
    return Cell(batch, threads, rate, 1e3 * timing.interval.value)


def sweet_spot(cells: Sequence[Cell]) -> Cell | None:
    """The cell with the least work in flight whose throughput cannot be distinguished from the best one's."""
    working = [cell for cell in cells if cell.throughput.value is not None]
    if not working:
        return None
    best = max(working, key=lambda cell: cell.throughput.value or 0.0)
    lowest = best.throughput.low if best.throughput.low is not None else best.throughput.value
    as_good = [
        cell for cell in working if (cell.throughput.high or cell.throughput.value or 0.0) >= (lowest or 0.0)
    ]
    return min(as_good, key=lambda cell: (cell.batch * cell.threads, cell.threads))
