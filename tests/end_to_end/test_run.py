"""The whole job as a user starts it: `espalier run` in a process of its own, on real images."""

import json
import os
import struct
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from core.commands.main import main
from core.common.files import sha256_of
from core.models.checkpoint import load_checkpoint
from core.runs.run_folder import RunFolder

PIPELINE = """
espalier: 1
name: A few hundred images
data: {source: fashion-mnist-sample, image_size: 32, train_images: 600, validation_images: 200, test_images: 400}
sources:
  - {id: network, settings: {backbone: plain-cnn-tiny, fem: {place: pooled}}}
stages:
  - {id: mixed, kind: train-mixed, settings: {training: {epochs: 4, learning_rate: 0.01, batch_size: 32}}}
  - {id: pruned, kind: prune-channels, settings: {ratio: 0.5, scope: whole-groups, training: {epochs: 1, learning_rate: 0.002, batch_size: 32}}}
axes:
  grid:
    - {stage: pruned, images: 60, settings: {ratio: [0.25, 0.75], importance: [l2]}}
    - {stage: pruned, images: 50, settings: {importance: [random]}}
paper:
  - {source: A paper, rows: [{name: Mixed, stage: mixed, values: {top1: 81.63}}]}
"""
FROM_FILE = """
espalier: 1
name: From somebody else's file
data: {{source: fashion-mnist-sample, train_images: 600, validation_images: 200, test_images: 400}}
sources:
  - {{id: file, kind: onnx, settings: {{path: {path}, image_size: 28, normalisation: half}}}}
stages:
  - {{id: given, kind: as-given}}
  - {{id: static, kind: quantize-static, settings: {{images: 64}}}}
"""


def espalier(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, with this test's home."""
    command = [sys.executable, "-m", "core.commands.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=dict(os.environ))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """A finished run: the home, the pipeline file and the JSON that it printed."""
    folder = tmp_path_factory.mktemp("run")
    file = folder / "few.yaml"
    file.write_text(PIPELINE)
    environment = {**os.environ, "ESPALIER_HOME": str(folder / "home")}
    command = [
        sys.executable,
        "-m",
        "core.commands.main",
        "run",
        str(file),
        "--out",
        str(folder / "first"),
        "--json",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment)
    assert result.returncode == 0, result.stderr
    return folder, file, json.loads(result.stdout)


def test_every_stage_is_measured(finished: tuple[Path, Path, dict[str, Any]]) -> None:
    _, _, printed = finished
    assert [stage["id"] for stage in printed["stages"]] == ["mixed", "pruned"]
    for stage in printed["stages"]:
        metrics = stage["metrics"]
        for name in (
            "top1",
            "latency_ms",
            "latency_ms_p90",
            "latency_ms_p99",
            "throughput",
            "size_mb",
            "memory_mb",
            "params",
            "macs",
        ):
            assert metrics[name] is not None and metrics[name] > 0, (stage["id"], name)
        assert metrics["flops"] == 2 * metrics["macs"]
        assert metrics["max_logit_difference"] < 1e-3
        assert metrics["top5"] is None  # ten classes
        assert not stage["cached"]
    first, last = printed["stages"]
    assert first["metrics"]["top1"] > 30.0  # three times chance, after four epochs on 600 images
    assert last["metrics"]["params"] < 0.7 * first["metrics"]["params"]
    assert last["metrics"]["compression_ratio"] == pytest.approx(
        first["metrics"]["params"] / last["metrics"]["params"]
    )


def test_mixed_precision_has_a_half_file(finished: tuple[Path, Path, dict[str, Any]]) -> None:
    folder, _, printed = finished
    mixed = next(stage for stage in printed["stages"] if stage["id"] == "mixed")
    full, half = mixed["artefacts"]
    assert (full["precision"], half["precision"]) == ("float32", "float16")
    sizes = [(folder / "first" / artefact["path"]).stat().st_size for artefact in (full, half)]
    assert sizes[1] < 0.6 * sizes[0]


def test_run_folder_is_complete(finished: tuple[Path, Path, dict[str, Any]]) -> None:
    folder, _, printed = finished
    run = folder / "first"
    assert (run / "report.md").read_text().startswith("# A few hundred images")
    assert sha256_of(run / "model.onnx") == printed["stages"][-1]["artefacts"][0]["sha256"]
    numbers = [json.loads(line)["number"] for line in (run / "events.jsonl").read_text().splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert load_checkpoint(run / "stages" / "pruned" / "checkpoint").classes[0] == "T-shirt/top"


def test_a_grid_is_tried_and_written_down(finished: tuple[Path, Path, dict[str, Any]]) -> None:
    folder, _, printed = finished
    grid = json.loads((folder / "first" / "grid.json").read_text())
    assert [point["settings"] for point in grid["points"]] == [
        {"ratio": 0.25, "importance": "l2"}, {"ratio": 0.75, "importance": "l2"},
    ]  # fmt: skip
    few, many = (point["params"] for point in grid["points"])
    pruned = next(stage for stage in printed["stages"] if stage["id"] == "pruned")["metrics"]["params"]
    assert few > pruned > many  # ratios 0.25, 0.5, 0.75
    assert all(0 <= point["top1"] <= 100 for point in grid["points"])
    assert "<svg" in (folder / "first" / "grid.svg").read_text()
    report = (folder / "first" / "report.md").read_text()
    assert "| 0.25 |" in report and report.count("## Grid") == 2


def test_a_second_grid_stands_beside_the_first(finished: tuple[Path, Path, dict[str, Any]]) -> None:
    folder, _, printed = finished
    grid = json.loads((folder / "first" / "grid-2.json").read_text())
    assert grid["images"] == 50 and [point["settings"] for point in grid["points"]] == [
        {"importance": "random"}
    ]
    pruned = next(stage for stage in printed["stages"] if stage["id"] == "pruned")["metrics"]["params"]
    assert grid["points"][0]["params"] == pruned  # the same ratio, and as many channels of every layer
    assert "<svg" in (folder / "first" / "grid-2.svg").read_text()
    report = (folder / "first" / "report.md").read_text()
    assert "`grid-2.svg`" in report and "| random |" in report


@pytest.mark.slow
def test_a_file_of_somebody_else_starts_a_pipeline(
    finished: tuple[Path, Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, printed = finished
    monkeypatch.setenv("ESPALIER_HOME", str(folder / "home"))
    stranger = onnx.load(folder / "first" / "model.onnx")
    del stranger.metadata_props[:]  # says neither how images are prepared nor what the classes are
    onnx.save(stranger, folder / "stranger.onnx")
    (folder / "file.yaml").write_text(FROM_FILE.format(path=folder / "stranger.onnx"))
    result = espalier("run", str(folder / "file.yaml"), "--out", str(folder / "from-file"), "--json")
    assert result.returncode == 0, result.stderr
    given, static = json.loads(result.stdout)["stages"]
    assert given["metrics"]["macs"] == printed["stages"][-1]["metrics"]["macs"] == static["metrics"]["macs"]
    assert given["metrics"]["agreement"] == 100.0 and given["metrics"]["params"] > 0
    assert static["metrics"]["params"] == given["metrics"]["params"]  # quantization removes none
    assert static["metrics"]["size_mb"] < given["metrics"]["size_mb"] / 2
    told = onnx.load(folder / "from-file" / "model.onnx").metadata_props
    assert {"preprocess", "classes", "precision"} <= {entry.key for entry in told}


def test_second_run_comes_from_the_cache(
    finished: tuple[Path, Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file, printed = finished
    monkeypatch.setenv("ESPALIER_HOME", str(folder / "home"))
    result = espalier("run", str(file), "--out", str(folder / "second"), "--json")
    assert result.returncode == 0, result.stderr
    second = RunFolder.open(folder / "second")
    assert not any(event["event"] == "EpochDone" for event in second.events())
    again = json.loads(result.stdout)
    for report, stage, first in zip(
        RunFolder.open(folder / "first").reports(), again["stages"], printed["stages"], strict=True
    ):
        # what a busy machine spoiled is measured again
        times = [
            metric
            for file in report.artefacts
            for name, metric in file.metrics.items()
            if name == "latency_ms"
        ]
        ratios = [
            metric
            for file in report.artefacts
            for name, metric in file.change.items()
            if name == "latency_ms"
        ]
        if not any(metric.is_range for metric in times) and all(ratio.value is not None for ratio in ratios):
            assert stage["cached"] and stage["metrics"] == first["metrics"]


def test_compare_and_export(
    finished: tuple[Path, Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, _, printed = finished
    monkeypatch.setenv("ESPALIER_HOME", str(folder / "home"))
    run = str(folder / "first")
    table = espalier("compare", run)
    assert table.returncode == 0 and "pruned" in table.stdout and "Mixed (paper)" in table.stdout
    assert espalier("compare", run, "--format", "csv").stdout.startswith("stage,seed,file,metric,value")
    target = tmp_path / "out" / "pruned.onnx"
    exported = espalier("export", run, "--stage", "pruned", "--out", str(target))
    assert exported.returncode == 0, exported.stderr
    assert "  0 %  Writing ONNX\n" in exported.stderr  # it says what it does
    assert sha256_of(target) == printed["stages"][-1]["artefacts"][0]["sha256"]


def test_a_file_is_verified_on_another_data_set(
    finished: tuple[Path, Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(finished[0] / "first" / "model.onnx")
    fashion, digits = tmp_path / "fashion-mnist", tmp_path / "mnist"  # the folder's name says the classes
    for folder, (part, count) in product((fashion, digits), (("train", 40), ("t10k", 20))):
        folder.mkdir(exist_ok=True)
        images = np.random.default_rng(0).integers(0, 256, count * 28 * 28, np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        images_head, labels_head = struct.pack(">4I", 2051, count, 28, 28), struct.pack(">2I", 2049, count)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images_head + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels_head + labels.tobytes())
    for named in (["idx", "--path", str(fashion)], [str(fashion)]):  # what lies there is found
        assert main(["verify", model, "--data", *named]) == 0
        assert "on 20 test images" in capsys.readouterr().out
    assert main(["verify", model, "--data", "idx", "--path", str(digits)]) == 2
    assert "have different classes" in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_is_verified_on_all_test_images(finished: tuple[Path, Path, dict[str, Any]]) -> None:
    model = str(finished[0] / "first" / "model.onnx")
    verified = espalier("verify", model, "--data", "fashion-mnist-sample")
    assert verified.returncode == 0, verified.stderr
    assert "10000 test images" in verified.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "nothing.yaml"], "Expected a pipeline file or a recipe's name, received 'nothing.yaml'."),
        (["compare", "nothing"], "Expected one run of the list, found none for 'nothing'."),
        (["run", "quick-tour", "--device", "cuda:99", "--out", "OUT"], "NVIDIA GPU"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    result = espalier(*[argument.replace("OUT", str(tmp_path / "run")) for argument in arguments])
    assert result.returncode in (1, 2)
    assert sentence in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.stderr
