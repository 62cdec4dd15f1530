"""Energy and memory of NVIDIA GPUs, with the driver's two interfaces replaced at the boundary."""

import os
import stat
import sys
import time
import types
from pathlib import Path

import pytest

from core.machine import nvidia as nvml
from core.profiling.energy import measured


class FakeNvml(types.ModuleType):
    """NVML as its Python module shows it: one card that draws 50 W."""

    class NVMLError(Exception):
        """What NVML raises for what a card does not have."""

    def __init__(self, counts: bool = True):
        super().__init__("pynvml")
        self.counts, self.asked = counts, []
        self.started = time.perf_counter()

    def nvmlInit(self):
        self.asked.append("init")

    def nvmlDeviceGetCount(self):
        return 1

    def nvmlDeviceGetHandleByIndex(self, index):
        return f"card {index}"

    def nvmlDeviceGetHandleByUUID(self, name):
        return f"card {name}"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        self.asked.append(handle)
        if not self.counts:
            raise self.NVMLError("not supported")
        return 50_000 * (time.perf_counter() - self.started)  # millijoules

    def nvmlDeviceGetPowerUsage(self, handle):
        return 50_000  # milliwatts

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        process = types.SimpleNamespace
        return [process(pid=1, usedGpuMemory=7), process(pid=os.getpid(), usedGpuMemory=300_000_000)]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch):
    """Install a fake NVML; nothing is remembered from other tests."""

    def install(counts: bool = True) -> FakeNvml:
        library = FakeNvml(counts)
        monkeypatch.setitem(sys.modules, "pynvml", library)
        nvml._nvml.cache_clear()
        return library

    yield install
    nvml._nvml.cache_clear()


@pytest.fixture
def without_nvml(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    nvml._nvml.cache_clear()
    yield
    nvml._nvml.cache_clear()


def nvidia_smi(folder: Path, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name, alone on the search path, that says what the driver's would say."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


def test_the_cards_own_counter_is_read_before_and_after(driver):
    library = driver()
    reading = nvml.energy_of(lambda: time.sleep(0.05))
    assert reading is not None and reading.seconds >= 0.05
    assert reading.joules == pytest.approx(50 * reading.seconds, rel=0.05)
    assert "counter (NVML, whole card)" in reading.how and library.asked == ["init", "card 0", "card 0"]


def test_a_card_without_counter_has_its_power_summed_up(driver):
    driver(counts=False)
    found = nvml.energy_of(lambda: time.sleep(0.1))
    assert found is not None and found.joules == pytest.approx(50 * found.seconds)
    assert "power read through NVML" in found.how


def test_memory_is_of_this_process_alone(driver):
    driver()
    assert nvml.process_bytes() == 300_000_000 and nvml.present()


def test_cuda_may_have_renumbered_the_cards(driver, monkeypatch):
    library = driver()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-abc")
    nvml.energy_of(lambda: None, 0)
    nvml.energy_of(lambda: None, 1)
    assert library.asked == ["init", "card 3", "card 3", "card GPU-abc", "card GPU-abc"]


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_without_the_module_the_drivers_program_is_asked(tmp_path, monkeypatch, without_nvml):
    nvidia_smi(tmp_path, "71.5", monkeypatch)
    found = nvml.energy_of(lambda: time.sleep(0.05))
    assert found is not None and found.joules == pytest.approx(71.5 * found.seconds)
    assert "nvidia-smi" in found.how and nvml.process_bytes() is None
    nvidia_smi(tmp_path, "[N/A]", monkeypatch)
    assert nvml.energy_of(lambda: None) is None


def test_without_a_driver_there_is_nothing(tmp_path, monkeypatch, without_nvml):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvml.energy_of(lambda: None) is None and nvml.process_bytes() is None and not nvml.present()


def test_the_metric_says_who_counted(driver):
    driver()
    found = nvml.energy_of(lambda: time.sleep(0.01))
    reading = {"joules": found.joules / 4, "watts": 50.0, "idle_watts": 20.0, "images": 4, "how": found.how}
    energy = measured(reading)["energy_mj"]
    assert energy.how.startswith("measured: the GPU's own counter") and energy.n == 4
