"""A run that prunes to a latency: settled once, remembered, explained."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.common.numbers import percent

pytestmark = pytest.mark.slow

PIPELINE = """
espalier: 1
name: To a latency
data: {source: fashion-mnist-sample, train_images: 200, validation_images: 100, test_images: 100}
sources:
  - {id: network, settings: {backbone: resnet20}}
stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 1, learning_rate: 0.01}}}
  - id: pruned
    kind: prune-channels
    settings: {target: latency, latency: 0.7, scope: whole-groups, round_to: 4, steps: 2, training: {epochs: 1}}
"""


def run(folder: Path, name: str) -> dict[str, Any]:
    """`espalier run` into a folder; the stages that it printed, by id."""
    environment = {**os.environ, "ESPALIER_HOME": str(folder / "home")}
    command = [
        sys.executable, "-m", "core.commands.main", "run", str(folder / "p.yaml"), "--out", str(folder / name), "--json",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment)
    assert result.returncode == 0, result.stderr
    return {stage["id"]: stage for stage in json.loads(result.stdout)["stages"]}


def test_a_latency_is_settled_once_and_then_known(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PIPELINE)
    first = run(tmp_path, "first")
    settled = json.loads((tmp_path / "first" / "latency_targets.json").read_text())["pruned"]
    measured = settled["chosen"]["measured"]
    assert 0.3 < measured < 1.0 and settled["wanted"] == 0.7 and len(settled["tries"]) <= 4
    [said] = [note for note in first["pruned"]["notes"] if "of the latency before is left" in note]
    assert percent(measured, 1) in said and "70.0 % was asked for" in said
    assert first["pruned"]["why"]["headline"].startswith("Against 'fp32': parameters −")
    again = run(tmp_path, "second")
    assert all(stage["cached"] for stage in again.values())
    assert json.loads((tmp_path / "second" / "latency_targets.json").read_text())["pruned"] == settled
    report = (tmp_path / "first" / "report.md").read_text()
    assert "- Why: Against 'fp32'" in report and said in report
