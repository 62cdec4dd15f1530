"""Energy: counters as Linux shows them, arithmetic by hand, and the word that says how it was found."""

from pathlib import Path

import pytest

from core.profiling.energy import Counter, counters, estimated, measured
from core.records.reports import Metric


def zone(folder: Path, name: str, energy: int, wraps: int = 1_000_000) -> Path:
    path = folder / name
    path.mkdir(parents=True)
    (path / "energy_uj").write_text(f"{energy}\n")
    (path / "max_energy_range_uj").write_text(f"{wraps}\n")
    return path


def test_only_whole_packages_that_can_be_read_are_counted(tmp_path):
    zone(tmp_path, "intel-rapl:0", 5)
    zone(tmp_path, "intel-rapl:1", 7)
    zone(tmp_path, "intel-rapl:0:0", 3)  # the cores of package 0, counted with it
    (tmp_path / "intel-rapl:2").mkdir()  # without files: not readable
    assert [counter.path.name for counter in counters(tmp_path)] == ["intel-rapl:0", "intel-rapl:1"]
    assert counters(tmp_path / "nothing") == []


def test_a_counter_that_starts_again_goes_on(tmp_path):
    path = zone(tmp_path, "intel-rapl:0", 900_000)
    counter = Counter(path, 1_000_000)
    (path / "energy_uj").write_text("950000")
    assert counter.since(900_000) == pytest.approx(0.05)
    (path / "energy_uj").write_text("100000")
    assert counter.since(900_000) == pytest.approx(0.2)


def test_a_reading_as_metrics():
    metrics = measured({"joules": 0.002, "watts": 20.0, "idle_watts": 8.0, "images": 500, "how": "RAPL"})
    assert metrics["energy_mj"].value == pytest.approx(2.0) and metrics["energy_mj"].unit == "mJ"
    assert metrics["power_w"].value == 20.0
    assert (
        metrics["energy_mj"].how.startswith("measured: RAPL, batch 1")
        and "idle before it 8.0 W" in metrics["energy_mj"].how
    )


def test_an_estimate_is_latency_times_the_stated_power():
    metrics = estimated(Metric(value=0.5, low=0.4, high=0.6, level=0.99, n=30, unit="ms"), 12.0)
    assert (metrics["energy_mj"].value, metrics["energy_mj"].low, metrics["energy_mj"].high) == pytest.approx(
        (6.0, 4.8, 7.2)
    )
    assert metrics["energy_mj"].how.startswith("estimated: ") and "12 W" in metrics["energy_mj"].how
    assert metrics["power_w"].how == "stated, not measured"


def test_without_a_latency_there_is_none():
    metrics = estimated(Metric(value=None, unit="ms"), 10.0)["energy_mj"]
    assert metrics.value is None and metrics.how.startswith("not available")
