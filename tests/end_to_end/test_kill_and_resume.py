"""A run that is killed at random moments and resumed ends with the weights of one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.common.files import sha256_of
from core.runs.run_folder import RunFolder

pytestmark = pytest.mark.slow

PIPELINE = """
espalier: 1
name: Killed
data: {{source: fashion-mnist-sample, train_images: 1500, validation_images: 200, test_images: 200}}
sources:
  - {{id: network, settings: {{backbone: resnet20, fem: {{place: pooled}}}}}}
stages:
  - {{id: first, kind: train, settings: {{training: {{epochs: 3, learning_rate: 0.005, batch_size: 64, precision: {precision}}}}}}}
  - {{id: pruned, kind: prune-channels, settings: {{ratio: 0.5, training: {{epochs: 3, learning_rate: 0.002, batch_size: 64, precision: {precision}}}}}}}
  - {{id: taught, kind: distil, settings: {{teacher: first, training: {{epochs: 3, learning_rate: 0.002, batch_size: 64, precision: {precision}}}}}}}
"""


def start(file: Path, out: Path, home: Path, *more: str) -> subprocess.Popen[bytes]:
    """`espalier run` with a home of its own, so that nothing comes from a cache."""
    environment = {**os.environ, "ESPALIER_HOME": str(home)}
    command = [sys.executable, "-m", "core.commands.main", "run", str(file), "--out", str(out), *more]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def told(run: Path) -> int:
    """How many events a run has written down."""
    events = run / "events.jsonl"
    return events.read_bytes().count(b"\n") if events.is_file() else 0


@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_killed_at_random_moments(precision: str, tmp_path: Path) -> None:
    file = tmp_path / "killed.yaml"
    file.write_text(PIPELINE.format(precision=precision))
    assert start(file, tmp_path / "whole", tmp_path / "home-1").wait(timeout=900) == 0
    draw = random.Random(20261121)
    events, kills = told(tmp_path / "whole"), 0
    for share in sorted(draw.uniform(0.05, 0.85) for _ in range(4)):
        process = start(file, tmp_path / "killed", tmp_path / "home-2", "--resume")
        while process.poll() is None and told(tmp_path / "killed") < share * events:
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 0.5))
        if process.poll() is None:  # the process that works; the one that was started here only follows it
            os.kill(RunFolder(tmp_path / "killed").info.process["pid"], signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 2, "the run ended before it could be killed often enough"
    assert start(file, tmp_path / "killed", tmp_path / "home-2", "--resume").wait(timeout=900) == 0
    for stage in ("first", "pruned", "taught"):
        whole, resumed = (
            tmp_path / run / "stages" / stage / "checkpoint" / "weights.safetensors"
            for run in ("whole", "killed")
        )
        assert sha256_of(whole) == sha256_of(resumed), stage
