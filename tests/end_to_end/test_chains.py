"""Pipelines that are more than a list of stages: a grid, and a file to start from."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PIPELINE = """
espalier: 1
name: A grid
data: {train_images: 200, validation_images: 100, test_images: 100, image_size: 16}
sources:
  - {id: network, settings: {backbone: resnet20}}
stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 1, learning_rate: 0.01, batch_size: 32}}}
  - {id: pruned, kind: prune-channels, settings: {ratio: 0.5, training: {epochs: 0}}}
axes:
  seed: [1]
  grid: {stage: pruned, images: 60, settings: {ratio: [0.25, 0.75], prune_fem: [true]}}
"""
FROM_FILE = """
espalier: 1
name: From a file
data: {{train_images: 200, validation_images: 100, test_images: 100, image_size: 16}}
sources:
  - {{id: file, kind: onnx, settings: {{path: {path}}}}}
stages:
  - {{id: given, kind: as-given}}
"""


def run(file: Path, folder: Path, home: Path) -> dict[str, Any]:
    """Run a pipeline in a process of its own; the JSON that it prints."""
    command = [
        sys.executable,
        "-m",
        "core.cli",
        "run",
        str(file),
        "--out",
        str(folder),
        "--json",
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "ESPALIER_HOME": str(home)}
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("chains")
    (folder / "grid.yaml").write_text(PIPELINE)
    return folder, run(folder / "grid.yaml", folder / "run", folder / "home")


def test_a_grid_is_tried_once_and_written_down(finished):
    folder, printed = finished
    assert [(stage["id"], stage["seed"]) for stage in printed["stages"]] == [
        ("fp32", 1), ("pruned", 1),
    ]  # fmt: skip
    grid = json.loads((folder / "run" / "grid.json").read_text())
    assert [point["settings"]["ratio"] for point in grid["points"]] == [0.25, 0.75]
    few, many = (point["params"] for point in grid["points"])
    pruned = next(stage for stage in printed["stages"] if stage["id"] == "pruned")["metrics"]["params"]
    assert few > pruned > many  # ratios 0.25, 0.5, 0.75
    assert all(0 <= point["top1"] <= 100 for point in grid["points"])
    assert "<svg" in (folder / "run" / "grid.svg").read_text()
    report = (folder / "run" / "report.md").read_text()
    assert "## Grid" in report and "| 0.25 |" in report


def test_a_file_starts_a_pipeline(finished):
    folder, printed = finished
    (folder / "file.yaml").write_text(FROM_FILE.format(path=folder / "run" / "model.onnx"))
    stage, *_ = run(folder / "file.yaml", folder / "from-file", folder / "home")["stages"]
    last = next(stage for stage in printed["stages"] if stage["id"] == "pruned")
    assert stage["metrics"]["top1"] == last["metrics"]["top1"]
    assert stage["metrics"]["macs"] == last["metrics"]["macs"]
    assert stage["metrics"]["agreement"] == 100.0 and stage["metrics"]["params"] > 0
