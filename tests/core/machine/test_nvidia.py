"""Energy and memory of NVIDIA GPUs, with the driver's two interfaces replaced at the boundary."""

import stat
import sys
import time
from pathlib import Path

import pytest
from fake_nvml import FakeNvml

from core.machine import nvidia
from core.machine.nvml import Handle, Nvml
from core.profiling.energy import measured


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch):
    """Puts a stand-in for the driver's library in its place."""

    def install(counts: bool = True) -> FakeNvml:
        library = FakeNvml(counts)
        started = Nvml(library)
        monkeypatch.setattr(nvidia, "nvml", lambda: started)
        return library

    return install


@pytest.fixture
def without_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "nvml", lambda: None)


def nvidia_smi(folder: Path, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name, alone on the search path, that says what the driver's would say."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


def test_the_cards_own_counter_is_read_before_and_after(driver):
    library = driver()
    reading = nvidia.energy_of(lambda: time.sleep(0.05))
    assert reading is not None and reading.seconds >= 0.05
    assert reading.joules == pytest.approx(50 * reading.seconds, rel=0.05)
    assert "counter (NVML, whole card)" in reading.how and library.asked == [
        "init",
        "card 0",
        "energy",
        "energy",
    ]


def test_a_card_without_counter_has_its_power_summed_up(driver):
    driver(counts=False)
    found = nvidia.energy_of(lambda: time.sleep(0.1))
    assert found is not None and found.joules == pytest.approx(50 * found.seconds)
    assert "power read through NVML" in found.how


def test_memory_is_of_this_process_alone(driver):
    driver()
    assert nvidia.process_bytes() == 300_000_000 and nvidia.present()


def test_cuda_may_have_renumbered_the_cards(driver, monkeypatch):
    library = driver()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-abc")
    nvidia.energy_of(lambda: None, 0)
    nvidia.energy_of(lambda: None, 1)
    assert [asked for asked in library.asked if "card" in asked] == ["card 3", "card GPU-abc"]


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_without_the_library_the_drivers_program_is_asked(tmp_path, monkeypatch, without_nvml):
    nvidia_smi(tmp_path, "71.5", monkeypatch)
    found = nvidia.energy_of(lambda: time.sleep(0.05))
    assert found is not None and found.joules == pytest.approx(71.5 * found.seconds)
    assert "nvidia-smi" in found.how and nvidia.process_bytes() is None
    nvidia_smi(tmp_path, "[N/A]", monkeypatch)
    assert nvidia.energy_of(lambda: None) is None


def test_without_a_driver_there_is_nothing(tmp_path, monkeypatch, without_nvml):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia.energy_of(lambda: None) is None and nvidia.process_bytes() is None and not nvidia.present()


def test_the_metric_says_who_counted(driver):
    driver()
    found = nvidia.energy_of(lambda: time.sleep(0.01))
    reading = {"joules": found.joules / 4, "watts": 50.0, "idle_watts": 20.0, "images": 4, "how": found.how}
    energy = measured(reading)["energy_mj"]
    assert energy.how.startswith("measured: the GPU's own counter") and energy.n == 4


def test_what_an_older_driver_does_not_have_is_not_known():
    class Older:
        """Starts, and has nothing else."""

        def nvmlInit_v2(self) -> int:
            return 0

    library, gpu = Nvml(Older()), Handle()
    assert library.count() == 0 and library.gpu(0) is None and library.name(gpu) == ""
    assert library.memory(gpu) is library.load(gpu) is library.joules(gpu) is library.watts(gpu) is None
    with pytest.raises(OSError, match="could not be started"):
        Nvml(object())
