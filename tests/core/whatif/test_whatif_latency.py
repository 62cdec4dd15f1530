"""Predicted latencies in the what-if: from a table where there is one, and said where there is none."""

import time
from pathlib import Path

import pytest
from small_stages import document

from core.document.pipeline import Pipeline
from core.profiling.latency_table import Kind, LatencyTable
from core.runs.cache import Measurements
from core.runs.home import Home
from core.whatif import Forecast, WhatIf


def forecasts_of(pipeline: Pipeline, what_if: WhatIf) -> dict[str, Forecast]:
    return {forecast.id: forecast for forecast in what_if.forecasts(pipeline, Path())}


def measured(home: Home, what_if: WhatIf) -> None:
    """Write down a machine that takes a nanosecond for every weight's use in a row, and 0.1 ms besides."""
    [missing] = what_if.unmeasured
    shapes = {path: tuple(shape) for path, *shape in missing.build.key["build"]}
    kinds: dict[str, Kind] = dict.fromkeys(shapes, "linear")
    layers = dict.fromkeys(shapes, (0.0, 1e-4, 0.0, 0.0))
    table = LatencyTable(dict.fromkeys(shapes, 1), kinds, 1, layers, (0.1, 0.0, 0.0), (0.0, 1.0), 1.0, 0.07)
    Measurements(home.cache / "measurements").get_or_measure(missing.build.key, table.as_plain)


def longhand(widths: dict[int, int]) -> float:
    """The same machine's milliseconds for a ResNet-20 with so many inner channels in the blocks of each width."""
    total, before = 3 * 16 + 64 * 10, 16
    for width in (16, 32, 64):
        for _ in range(3):
            total += before * widths[width] + widths[width] * width
            before = width
    return 0.1 + 1e-4 * total


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_machine_that_was_not_measured_is_said_to_be(home: Home) -> None:
    what_if = WhatIf(home)
    forecasts = forecasts_of(document("id: fp32, kind: train", "id: int8, kind: quantize-static"), what_if)
    assert forecasts["net"].measuring and forecasts["fp32"].measuring and forecasts["net"].latency_ms is None
    assert not forecasts["int8"].measuring and forecasts["int8"].latency_ms is None
    assert len(what_if.unmeasured) == 1


def test_latencies_follow_from_the_table(home: Home) -> None:
    what_if = WhatIf(home)
    pipeline = document(
        "id: fp32, kind: train", "id: half, kind: prune-channels, settings: {ratio: 0.5}",
        "id: taught, kind: distil, settings: {teacher: fp32}",
        "id: sparse, kind: prune-weights, from: fp32",
        "id: shared, kind: share-weights, from: fp32",
        "id: int8, kind: quantize-static, from: half",
        "id: same, kind: as-given, from: half",
    )  # fmt: skip
    forecasts_of(pipeline, what_if)
    measured(home, what_if)
    forecasts = forecasts_of(pipeline, what_if)
    full, half = longhand({16: 16, 32: 32, 64: 64}), longhand({16: 8, 32: 16, 64: 32})
    expected = {"net": full, "fp32": full, "half": half, "taught": half, "sparse": full, "same": half}
    for id, ms in expected.items():
        assert forecasts[id].latency_ms == pytest.approx(ms), id
        assert forecasts[id].latency_error == 0.07 and not forecasts[id].measuring
    assert forecasts["int8"].latency_ms is None and forecasts["shared"].latency_ms is None
    assert what_if.unmeasured == []


def test_a_latency_to_reach_is_planned_with_the_table(home: Home) -> None:
    what_if = WhatIf(home)
    settings = "settings: {target: latency, latency: 0.7, round_to: 1}"
    pipeline = document("id: fp32, kind: train", f"id: p, kind: prune-channels, {settings}")
    waiting = forecasts_of(pipeline, what_if)["p"]
    assert (
        waiting.measuring
        and waiting.params is None
        and "once this machine has been measured" in waiting.remark
    )
    measured(home, what_if)
    forecasts = forecasts_of(pipeline, what_if)
    assert forecasts["p"].latency_ms is not None and forecasts["fp32"].latency_ms is not None
    assert forecasts["p"].latency_ms / forecasts["fp32"].latency_ms == pytest.approx(0.7, abs=0.01)
    assert forecasts["p"].sure == "about" and "the run measures and corrects them" in forecasts["p"].remark
    least = pipeline.with_settings("p", {"target": "latency", "latency": 0.05})
    refused = forecasts_of(least, what_if)["p"]
    assert (
        refused.impossible and "Expected a budget of latency that these settings can reach" in refused.remark
    )


def test_a_latency_costs_no_time(home: Home) -> None:
    what_if = WhatIf(home)
    pipeline = document("id: fp32, kind: train", "id: p, kind: prune-channels, settings: {ratio: 0.3}")
    forecasts_of(pipeline, what_if)
    measured(home, what_if)
    forecasts_of(pipeline, what_if)
    started = time.process_time()
    for ratio in (0.2, 0.25, 0.5, 0.6, 0.7):
        assert (
            forecasts_of(pipeline.with_settings("p", {"ratio": ratio}), what_if)["p"].latency_ms is not None
        )
    assert (time.process_time() - started) / 5 < 0.1
