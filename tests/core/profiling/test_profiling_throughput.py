"""The grid of batch sizes and threads, and which cell of it is the sweet spot."""

import onnx_files

from core.machine.child import Child
from core.profiling.protocol import Benchmark, Budget
from core.profiling.throughput import Cell, measure_grid, sweet_spot
from core.records.reports import Metric


def cell(batch: int, threads: int, low: float, high: float) -> Cell:
    metric = Metric(value=(low + high) / 2, low=low, high=high, unit="images/s")
    return Cell(batch, threads, metric, 1.0)


def test_the_least_work_that_cannot_be_told_from_the_best():
    cells = [cell(1, 1, 10, 11), cell(8, 1, 28, 31), cell(8, 2, 29, 32), cell(32, 2, 30, 33)]
    assert sweet_spot(cells) is cells[1]
    assert sweet_spot([*cells, cell(64, 2, 40, 41)]).batch == 64
    assert sweet_spot([cell(4, 2, 9, 11), cell(8, 1, 9, 11)]).threads == 1  # as much work: fewer threads


def test_what_cannot_run_is_no_sweet_spot():
    refused = Cell(8, 1, Metric(value=None, how="a fixed batch size"), None)
    assert sweet_spot([refused]) is None
    assert sweet_spot([refused, cell(1, 1, 5, 6)]).batch == 1


def test_a_grid_of_a_model_with_a_fixed_batch_size(tmp_path):
    path, fractions = onnx_files.write(tmp_path / "fixed.onnx", batch=1, size=8, width=4), []
    with Child("measure") as child:
        benchmark = Benchmark(child, path, budget=Budget(blocks=8, runs=5, block_seconds=0.0))
        grid = measure_grid(benchmark, (1, 2), (1, 2), lambda part, text: fractions.append(part))
    assert [(each.batch, each.threads) for each in grid.cells] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert all("takes images of shape" in each.throughput.how for each in grid.cells[2:])
    assert grid.sweet is not None and grid.sweet.batch == 1 and fractions == sorted(fractions)
    first = grid.cells[0].throughput
    assert first.low <= first.value <= first.high and first.level == 0.99
