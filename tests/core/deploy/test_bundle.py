"""The archive for a device: what is in it, that it is the same each time, and that its script does its work alone."""

import ast
import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from edge_files import CLASSES, PREPROCESS, answers, unpacked
from PIL import Image

from core.common.files import sha256_of
from core.data.preprocess import Preprocess
from core.deploy.bundle import EDGE
from core.machine.fingerprint import fingerprint
from core.profiling.statistics import median_interval

ALONE = """
import importlib.abc, sys
class Alone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("core", "gui", "torch", "onnx", "pydantic", "psutil", "PySide6"):
            raise ImportError(name + " is not on the device")
sys.meta_path.insert(0, Alone())
"""


def on_device(device: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script with NumPy, Pillow and ONNX Runtime alone."""
    (device / "sitecustomize.py").write_text(ALONE)
    environment = {**os.environ, "PYTHONPATH": str(device)}
    command = [sys.executable, "run.py", *arguments]
    return subprocess.run(
        command, cwd=device, capture_output=True, text=True, timeout=120, env=environment, encoding="utf-8"
    )  # fmt: skip


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("bundle"))[0]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("edge_run", EDGE / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_archive_holds_all_that_a_device_needs(device: Path) -> None:
    names = {path.name for path in device.iterdir()}
    assert names >= {"run.py", "README.md", "requirements.txt", "MODEL_CARD.md", "model.onnx", "bundle.json", "labels.csv", "expected.npy", "images"}  # fmt: skip
    bundle = json.loads((device / "bundle.json").read_text(encoding="utf-8"))
    assert bundle["sha256"] == sha256_of(device / "model.onnx") and bundle["classes"] == list(CLASSES)
    assert bundle["images"]["count"] == 12 and bundle["images"]["of"] == 60
    with (device / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    counts = [[row["class"] for row in rows].count(name) for name in CLASSES]
    assert counts == [4, 4, 4]
    pixels = np.stack([np.asarray(Image.open(device / row["file"])) for row in rows])
    np.testing.assert_allclose(
        np.load(device / "expected.npy"), answers(device / "model.onnx", pixels), atol=1e-5
    )


def test_the_same_export_gives_the_same_archive(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        unpacked(tmp_path / name)
    assert sha256_of(tmp_path / "one" / "tiny.zip") == sha256_of(tmp_path / "two" / "tiny.zip")


def test_the_script_runs_on_old_pythons() -> None:
    ast.parse((EDGE / "run.py").read_text(encoding="utf-8"), feature_version=(3, 9))


def test_images_are_classified(device: Path) -> None:
    image = sorted((device / "images").iterdir())[0]
    done = on_device(device, str(image), "nothing.png")
    assert done.returncode == 1 and "nothing.png cannot be read" in done.stderr
    first, *lines = done.stdout.splitlines()
    logits = answers(device / "model.onnx", np.asarray(Image.open(image))[None])[0]
    shares = np.exp(logits) / np.exp(logits).sum()
    expected = [f"  {100 * shares[k]:6.2f} %  {CLASSES[k]}" for k in np.argsort(-shares)]
    assert first == str(image) and lines == expected


def test_the_device_is_measured(device: Path) -> None:
    done = on_device(device, "--measure", "--out", "measured.json", "--seconds", "0")
    assert done.returncode == 0, done.stderr
    report = json.loads((device / "measured.json").read_text(encoding="utf-8"))
    assert report["accuracy"]["agreement"] == 100.0 and report["accuracy"]["max_logit_difference"] < 1e-4
    with (device / "labels.csv").open(encoding="utf-8") as file:
        labels = [CLASSES.index(row["class"]) for row in csv.DictReader(file)]
    right = np.load(device / "expected.npy").argmax(1) == labels
    assert report["accuracy"]["right"] == "".join("01"[int(each)] for each in right)
    times = report["latency_ms"]
    assert times["threads"] == times["batch"] == 1 and len(times["sessions"]) >= 8
    assert times["runs"] >= 30 * len(times["sessions"]) and times["level"] == 0.99
    found = median_interval(times["sessions"])
    assert (times["median"], times["low"], times["high"]) == pytest.approx(
        (found.value, found.low, found.high)
    )
    assert "latency" in done.stdout and "measured.json" in done.stdout
    mine = fingerprint()
    for name in ("processor", "instructions", "physical_cores", "logical_cores", "system", "gpu"):
        assert report["device"][name] == mine[name], name


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--measure", "--provider", "tensorrt"], "has no provider tensorrt; it has: "),
        (["--measure", "--threads", "0"], "--threads has to be at least 1"),
        ([], "give images to classify, or --measure"),
    ],
)
def test_what_the_device_cannot_do_is_said(device: Path, arguments: list[str], sentence: str) -> None:
    done = on_device(device, *arguments)
    assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr


def test_a_damaged_model_is_noticed(tmp_path: Path) -> None:
    device, _ = unpacked(tmp_path)
    with (device / "model.onnx").open("ab") as file:
        file.write(b"!")
    done = on_device(device, "--measure")
    assert done.returncode == 2 and "is not the file that was exported" in done.stderr


@pytest.mark.parametrize("resize", ["crop", "stretch"])
@pytest.mark.parametrize("shape", [(12, 12), (20, 16), (7, 5), (31, 64)])
def test_images_are_prepared_as_in_training(script: Any, shape: tuple[int, int], resize: str) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    how = Preprocess(12, 3, PREPROCESS.mean, PREPROCESS.std, resize)
    np.testing.assert_allclose(script.prepared(picture, how.as_dict()), how(picture[None]).numpy(), atol=2e-5)


def test_intervals_are_those_of_the_program(script: Any) -> None:
    random = np.random.default_rng(2)
    for count in (2, 5, 8, 13, 24):
        values = random.random(count).tolist()
        found = median_interval(values)
        assert script.interval(values) == pytest.approx((found.low, found.high, found.level))
