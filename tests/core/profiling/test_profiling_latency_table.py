"""The table of layer times: exact on times that follow its formula, honest about those that do not."""

import itertools
import json

import numpy as np
import pytest

from core.profiling.latency_table import (
    Kind,
    LatencyTable,
    MeasuredNetwork,
    Shape,
    fit,
    non_negative,
    padded,
)

AREAS = {"stem": 64, "a": 64, "b": 64, "depth": 64, "head": 1}
KINDS: dict[str, Kind] = {"stem": "conv", "a": "conv", "b": "conv", "depth": "depthwise", "head": "linear"}


def shapes(inner: int, stream: int) -> dict[str, Shape]:
    return {
        "stem": (stream, 3, 3, 3), "a": (inner, stream, 1, 1), "depth": (inner, 1, 3, 3), "b": (stream, inner, 1, 1),
        "head": (10, stream),
    }  # fmt: skip


def longhand(widths: dict[str, Shape], noise: float = 1.0) -> MeasuredNetwork:
    """Times of a machine that computes 16 channels together, and moves values otherwise."""

    def blocks(channels: int) -> int:
        return -(-channels // 16) * 16

    times = {}
    for path, (outputs, inputs, *_) in widths.items():
        if KINDS[path] == "linear":
            times[path] = 0.001 + 1e-6 * outputs * inputs
        elif KINDS[path] == "depthwise":
            times[path] = 0.002 + 1e-4 * blocks(outputs)
        else:
            times[path] = 0.005 + 2e-6 * blocks(outputs) * blocks(inputs) + 1e-5 * blocks(outputs)
    rest = 0.01 + 1e-6 * sum(shape[0] * AREAS[path] for path, shape in widths.items())
    times = {path: noise * seconds for path, seconds in times.items()}
    return MeasuredNetwork(widths, times, rest, 0.05 + 1.02 * (sum(times.values()) + rest))


def networks() -> list[MeasuredNetwork]:
    pairs = [
        (128, 64),
        (96, 48),
        (64, 64),
        (32, 32),
        (72, 24),
        (120, 40),
        (16, 56),
        (56, 16),
        (104, 64),
        (40, 8),
    ]
    return [longhand(shapes(*pair)) for pair in pairs]


def test_a_table_gives_back_the_times_that_it_was_made_from_and_others_of_the_same_machine() -> None:
    table = fit(networks(), AREAS, KINDS)
    assert table.block == 16 and table.networks == 10 and table.error < 1e-6
    for inner, stream in itertools.product((20, 44, 76, 128), (12, 36, 64)):
        expected = longhand(shapes(inner, stream))
        found = table.predict(shapes(inner, stream))
        assert found.milliseconds == pytest.approx(expected.milliseconds, rel=1e-6)
        assert table.layer("b", (stream, inner, 1, 1)) == pytest.approx(expected.layers["b"], rel=1e-6)


def test_the_error_is_that_of_networks_that_were_left_out() -> None:
    numbers = np.random.default_rng(3)
    noisy = [longhand(each.shapes, float(numbers.uniform(0.9, 1.1))) for each in networks()]
    table = fit(noisy, AREAS, KINDS)
    assert 0.005 < table.error < 0.15 and table.error <= table.worst
    assert table.predict(shapes(64, 64)).error == table.error


def test_a_table_survives_a_file_and_knows_its_layers() -> None:
    table = fit(networks(), AREAS, KINDS)
    again = LatencyTable.from_plain(json.loads(json.dumps(table.as_plain())))
    assert again == table
    assert again.predict(shapes(88, 40)) == table.predict(shapes(88, 40))
    assert table.knows({"a": (8, 8, 1, 1)}) and not table.knows({"new": (8, 8, 1, 1)})
    with pytest.raises(KeyError):
        table.predict({"new": (8, 8, 1, 1)})


def test_few_networks_make_no_table() -> None:
    with pytest.raises(ValueError, match="4 networks at least, there are 3"):
        fit(networks()[:3], AREAS, KINDS)


def test_whole_blocks() -> None:
    assert [padded(channels, 16) for channels in (1, 16, 17, 32)] == [16, 16, 32, 32]
    assert padded(13, 1) == 13


def test_non_negative_least_squares_against_all_subsets() -> None:
    """The best of all ways to leave columns out whose solution is not negative (Lawson and Hanson 1974)."""
    numbers = np.random.default_rng(5)
    for _ in range(20):
        matrix, expected = numbers.standard_normal((8, 4)), numbers.standard_normal(8)
        best = float(expected @ expected)
        for count in range(1, 5):
            for columns in itertools.combinations(range(4), count):
                trial = np.linalg.lstsq(matrix[:, columns], expected, rcond=None)[0]
                if (trial >= 0).all():
                    off = expected - matrix[:, columns] @ trial
                    best = min(best, float(off @ off))
        found = non_negative(matrix, expected)
        off = expected - matrix @ found
        assert (found >= 0).all() and float(off @ off) == pytest.approx(best, rel=1e-9)
