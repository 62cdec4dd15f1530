"""A run that is killed at random moments and resumed ends with the weights of one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.deploy.files import sha256_of

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
    command = [sys.executable, "-m", "core.cli", "run", str(file), "--out", str(out), *more]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_killed_at_random_moments(precision: str, tmp_path: Path) -> None:
    file = tmp_path / "killed.yaml"
    file.write_text(PIPELINE.format(precision=precision))
    started = time.monotonic()
    assert start(file, tmp_path / "whole", tmp_path / "home-1").wait(timeout=600) == 0
    seconds = time.monotonic() - started
    draw = random.Random(20261121)
    kills = 0
    for _ in range(4):
        process = start(file, tmp_path / "killed", tmp_path / "home-2", "--resume")
        try:
            process.wait(timeout=draw.uniform(6.0, max(8.0, 0.4 * seconds)))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills >= 2, "the run ended before it could be killed often enough"
    assert start(file, tmp_path / "killed", tmp_path / "home-2", "--resume").wait(timeout=600) == 0
    for stage in ("first", "pruned", "taught"):
        whole, resumed = (
            tmp_path / run / "stages" / stage / "checkpoint" / "weights.safetensors"
            for run in ("whole", "killed")
        )
        assert sha256_of(whole) == sha256_of(resumed), stage
