"""Ours beside other tools: who is held against whom, and what the figures support, by hand."""

from math import log10, sqrt
from pathlib import Path

import numpy as np
import pytest
from made_runs import artefact, report

from core.comparison import rivals
from core.document import pipeline as documents
from core.records.reports import Metric
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder

PIPELINE = """
espalier: 1
name: Beside
data: {source: fashion-mnist-sample, train_images: 256, validation_images: 128, test_images: 200}
sources:
  - {id: network, settings: {backbone: resnet20}}
stages:
  - {id: fp32, kind: train, name: FP32, settings: {training: {epochs: 0}}}
  - {id: plain, kind: quantize-static, name: Plain, from: fp32}
  - {id: learned, kind: quantize-reconstructed, name: Learned, from: fp32}
  - {id: theirs, kind: quantize-static, name: Theirs, from: fp32, settings: {quantizer: onnxruntime-defaults}}
baseline: fp32
"""
RIGHT = {"fp32": 160, "plain": 158, "learned": 158, "theirs": 140}  # of 200 images, the first ones


def logits(right: int) -> np.ndarray:
    """Two classes, of which the first is right: [200, 2]."""
    answers = np.tile(np.float32([2.0, 0.0]), (200, 1))
    answers[right:] = [0.0, 2.0]
    return answers


@pytest.fixture
def run(own_home: Path, tmp_path: Path) -> RunFolder:
    made = create_run(documents.loads(PIPELINE), tmp_path, Home(own_home))
    times = {"plain": 0.5, "learned": 0.5, "theirs": 0.8}
    for stage, right in RIGHT.items():
        file = artefact(stage, right / 2, times.get(stage, 1.0), 1.0)
        if stage in times:
            ratio = times[stage]
            file.change["latency_ms"] = Metric(value=ratio, low=0.99 * ratio, high=1.01 * ratio, level=0.99)
        one = report(
            stage, stage.title(), next(node.kind for node in made.pipeline.active if node.id == stage), file
        )
        one.facts["seconds"] = {"calibrate": 1.0, "quantize": 2.5}
        folder = (made.folder / file.path).parent
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "labels.npy", np.zeros(200, np.int64))
        np.save(folder / "float32.logits.npy", logits(right))
        made.write_report(one)
    made.update_info(status="completed")
    return made


def test_a_rival_is_held_against_the_last_of_ours_before_it(run: RunFolder) -> None:
    plain, learned, theirs = rivals.beside(run)
    assert (plain.tool, learned.tool, theirs.tool) == ("", "", "ONNX Runtime's quantizer, defaults")
    assert plain.change is None and theirs.ours is not None and theirs.ours.stage == "learned"
    assert theirs.change is not None
    top1 = theirs.change["top1"]
    assert top1.value == pytest.approx(
        100 * 18 / 200
    )  # 18 images right that theirs gets wrong, none the other way
    centre, half = (
        18 / 202,
        1.959964 * sqrt(19 - 18**2 / 202) / 202,
    )  # Agresti and Min: half an image in each cell
    assert (top1.low, top1.high) == pytest.approx((100 * (centre - half), 100 * (centre + half)), rel=1e-5)
    latency = theirs.change["latency_ms"]
    assert (
        latency.value == pytest.approx(100 * (0.5 / 0.8 - 1))
        and latency.high is not None
        and latency.high < -35
    )
    assert theirs.agreement == pytest.approx(100 * 180 / 200)  # float's class on all but 20 images
    assert theirs.noise == pytest.approx(
        10 * log10(200 * 4 / (20 * 8))
    )  # 20 images with both logits off by 2
    assert theirs.seconds == 3.5


def test_the_cell_and_the_count_follow_from_the_figures(run: RunFolder) -> None:
    files = rivals.beside(run)
    answer = rivals.cell(files[2])
    assert answer.answer == "better" and answer.text.startswith("**better** +9.00 (+4.")
    assert answer.text.endswith("latency −37.5 %")
    text = rivals.summary([("One", files, [("NNCF", "It crashed.")]), ("None here", [], [])])
    assert "| One | **better**" in text and "| made no file |" in text and "None here" not in text
    assert (
        "Measurably better in 1 of 1 cells, worse in 0." in text
        and "One, NNCF made no file: It crashed." in text
    )
    assert "≈ −1.00" in rivals.table(files)  # 2 of 160 images lost cannot be told from none


def test_where_ours_is_worse_the_page_says_so(run: RunFolder) -> None:
    files = rivals.beside(run)
    folder = (run.folder / "stages/theirs/float32.onnx").parent
    np.save(folder / "float32.logits.npy", logits(185))
    text = rivals.summary([("One", rivals.beside(run), ())])
    assert "**worse** −13.50" in text and "worse in 1." in text
    assert "- One, worse than ONNX Runtime's quantizer, defaults. No cause was found." in text
    assert rivals.summary([("Ours alone", files[:2], ())]) == ""
