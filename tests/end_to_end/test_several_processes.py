"""A run whose stages two processes train together, killed by -9 and resumed: the same weights to the bit, nothing left behind,
and the accuracy of one process."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from core.common.files import sha256_of
from core.machine.processes import environment
from core.runs.run_folder import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")]
PIPELINE = """
espalier: 1
name: Together
data: {source: fashion-mnist-sample, train_images: 3000, validation_images: 500, test_images: 1000}
sources: [{id: network, settings: {backbone: resnet20}}]
stages:
  - {id: base, kind: train, settings: {training: {epochs: 4, learning_rate: 0.005, batch_size: 64}}}
  - {id: cut, kind: prune-channels, settings: {ratio: 0.3, training: {epochs: 2, learning_rate: 0.002, batch_size: 64, mixup: 0.1}}}
axes: {seed: [%s]}
"""
TOGETHER = ("--processes", "2", "--threads", "2", "--device", "cpu")


def start(folder: Path, out: str, *more: str, seeds: str = "1") -> "subprocess.Popen[bytes]":
    file = folder / f"file-{seeds.replace(', ', '-')}.yaml"
    file.write_text(PIPELINE % seeds)
    with (folder / f"{out}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "core.commands.main", "run", str(file), "--out", str(folder / out), *more],
            env=environment(extra={"ESPALIER_HOME": str(folder / f"home-{out}")}), stdin=subprocess.DEVNULL,
            stdout=log, stderr=log,
        )  # fmt: skip


def finish(folder: Path, out: str, *more: str, seeds: str = "1") -> RunFolder:
    assert start(folder, out, *more, seeds=seeds).wait(1200) == 0, (folder / f"{out}.log").read_text()
    return RunFolder(folder / out)


def weights(run: RunFolder) -> list[str]:
    return [
        sha256_of(run.stage_folder(stage).checkpoint / "weights.safetensors") for stage in ("base", "cut")
    ]


def epochs(run: RunFolder, kind: str = "EpochDone") -> list[int]:
    if not run.folder.is_dir():
        return []
    return [event["epoch"] for event in run.events() if event["event"] == kind and event["stage"] == "base"]


def test_killed_and_resumed(tmp_path: Path) -> None:
    whole = finish(tmp_path, "whole", *TOGETHER)
    killed = RunFolder(tmp_path / "killed")
    process = start(tmp_path, "killed", *TOGETHER)
    while len(epochs(killed)) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    number = killed.info.process["pid"]
    started = psutil.Process(number).children(recursive=True)
    assert sum("rank_process" in " ".join(one.cmdline()) for one in started) >= 2
    os.kill(number, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(started, timeout=90)
    assert not alive
    finish(tmp_path, "killed", *TOGETHER, "--resume")
    assert epochs(killed, "TrainingStarted")[1] >= 3  # after what was finished
    assert weights(killed) == weights(whole)


def test_the_accuracy_of_one_process_within_the_spread_of_seeds(tmp_path: Path) -> None:
    several = finish(tmp_path, "several", "--threads", "2", "--device", "cpu", seeds="1, 2, 3, 4")
    top1 = [report.main.metrics["top1"].value for report in several.reports() if report.id == "cut"]
    together = finish(tmp_path, "together", *TOGETHER)
    (ours,) = (report.main.metrics["top1"].value for report in together.reports() if report.id == "cut")
    spread = max(top1) - min(top1)
    assert min(top1) - spread <= ours <= max(top1) + spread, (top1, ours)


def test_what_several_processes_made_is_another_result(tmp_path: Path) -> None:
    finish(tmp_path, "same", *TOGETHER)
    again = tmp_path / "home-same" / "logs" / "espalier.log"
    before = len(re.findall("is not in the cache", again.read_text()))
    environment_of = environment(extra={"ESPALIER_HOME": str(tmp_path / "home-same")})
    for processes, made in (("2", 0), ("1", 2)):
        done = subprocess.run(
            [sys.executable, "-m", "core.commands.main", "run", str(tmp_path / "file-1.yaml"), "--out",
             str(tmp_path / f"again-{processes}"), "--processes", processes, "--threads", "2", "--device", "cpu"],
            env=environment_of, stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0
        assert len(re.findall("is not in the cache", again.read_text())) == before + made
