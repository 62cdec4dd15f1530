"""Exporting a stage: the ladder, what is refused before work starts, and every format for real."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.common.files import sha256_of
from core.data.image_data import Opened
from core.document import pipeline as documents
from core.export.export import (
    ExportSettings,
    ExportWatch,
    export_stage,
    ladder_of,
    model_card,
    reason_against,
    suggested_name,
)
from core.export.verification_ladder import Step, as_markdown, as_text, ladder
from core.records.reports import Artefact, Metric, StageReport
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder

TEXT = """
espalier: 1
name: Few images
data: {source: fashion-mnist-sample, train_images: 200, validation_images: 50, test_images: 100}
sources: [{id: network, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 1, batch_size: 32}}}
  - {id: static, kind: quantize-static, settings: {images: 32}}
"""
LABELS = np.arange(40) % 10
NETWORK = (np.eye(10)[LABELS] * 5 + np.linspace(0, 1, 400).reshape(40, 10)).astype(np.float32)


def step(id: str, precision: str, logits: np.ndarray) -> Step:
    return Step(id, id, precision, "here", logits.astype(np.float32))


def turned(logits: np.ndarray, count: int) -> np.ndarray:
    """The same with another class in front on the first `count` images."""
    other = logits.copy()
    other[np.arange(count), (LABELS[:count] + 1) % 10] += 20
    return other


def test_the_ladder_compares_each_rung_with_the_one_before_and_with_the_network() -> None:
    int8 = turned(NETWORK, 4)
    rungs = ladder(
        [
            step("pytorch", "float32", NETWORK),
            step("float", "float32", NETWORK + 1e-4),
            step("int8", "int8", int8),
            step("exported", "int8", int8),
        ],
        LABELS,
    )
    assert [rung.good for rung in rungs] == [True] * 4
    assert [rung.top1.value for rung in rungs] == [100.0, 100.0, 90.0, 90.0]
    assert rungs[0].before is None and rungs[0].network is None
    agreement = [(r.before.agreement, r.network.agreement) for r in rungs[1:] if r.before and r.network]
    assert agreement == [(100.0, 100.0), (90.0, 90.0), (100.0, 90.0)]
    last = rungs[-1]
    assert last.network is not None and last.network.max_logit_difference == pytest.approx(20.0)
    assert last.before is not None and last.before.max_logit_difference == 0.0 and last.images == 40
    assert as_text(rungs).count("good") == 3 and as_markdown(rungs).count("\n") == 5


@pytest.mark.parametrize(
    ("precision", "before", "after", "words"),
    [
        ("float32", NETWORK, NETWORK + 0.01, "Differs too much from the PyTorch model"),
        ("int8", turned(NETWORK, 4), turned(NETWORK, 6), "Does not answer like before"),
        ("int8", turned(NETWORK, 4), NETWORK * np.nan, "not a finite number"),
        ("float16", NETWORK + 0.001, turned(NETWORK, 2), "Differs too much"),
    ],
)
def test_a_rung_past_the_limits_is_refused(
    precision: str, before: np.ndarray, after: np.ndarray, words: str
) -> None:
    steps = [
        step("pytorch", "float32", NETWORK),
        step("before", precision, before),
        step("exported", precision, after),
    ]
    last = ladder(steps, LABELS)[-1]
    assert not last.good and words in last.sentence


def test_a_quantized_copy_may_round_otherwise() -> None:
    int8 = turned(NETWORK, 4)
    steps = [
        step("pytorch", "float32", NETWORK),
        step("int8", "int8", int8),
        step("exported", "int8", int8 + 0.05),
    ]
    assert ladder(steps, LABELS)[-1].good


def made(home: Home, text: str = TEXT) -> RunFolder:
    """A finished run with files that only have answers."""
    run = create_run(documents.loads(text), home.folder, home, home.runs / "one")
    for key, id, logits in (("fp32", "float32", NETWORK + 1e-5), ("static", "int8", turned(NETWORK, 4))):
        folder = run.stage_folder(key).artefacts.path
        folder.mkdir(parents=True)
        for name, array in ((f"{id}.logits", logits), ("pytorch.logits", NETWORK), ("labels", LABELS)):
            np.save(folder / f"{name}.npy", array)
        (folder / f"{id}.onnx").write_bytes(b"no model")
        metrics = {"top1": Metric(value=90.0, unit="%", n=40, how="somewhere")}
        artefact = Artefact(
            id=id, label=f"ONNX {id}", precision=id, path=f"stages/{key}/artefacts/{id}.onnx", sha256="", bytes=8, metrics=metrics
        )  # fmt: skip
        run.write_report(
            StageReport(key=key, id=key, source="", seed=42, name=key.title(), kind="train", headline=id, artefacts=[artefact])
        )  # fmt: skip
    run.stage_folder("fp32").checkpoint.mkdir()
    (run.stage_folder("fp32").checkpoint / "architecture.json").write_text("{}")
    run.update_info(machine={"processor": "a machine"}, status="completed", device="cpu")
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return made(Home(tmp_path / "home"))


def test_the_ladder_of_a_run_goes_from_its_network_to_the_file(run: RunFolder) -> None:
    rungs = ladder_of(run, "static")
    assert [rung.id for rung in rungs] == ["pytorch", "fp32/float32", "static/int8"]
    assert [rung.top1.value for rung in rungs] == [100.0, 100.0, 90.0]
    (run.folder / "stages" / "static" / "artefacts" / "labels.npy").unlink()
    assert ladder_of(run, "static") == []


def test_the_card_says_what_it_is_and_what_it_does_not_say(run: RunFolder) -> None:
    card = model_card(run, "static")
    for words in (
        "# Static: ONNX int8", "1. network: Network", "2. fp32: Train", "3. static: Quantize",
        "| Quantize (static INT8) | Calibration images | 32 images |", "| Top-1 | 90 %, n = 40 | somewhere |",
        "| Fp32: ONNX float32 |", "MIT licence", "random values", "## What the figures do not say", "Machine: a machine.",
    ):  # fmt: skip
        assert words in card, words


def test_the_card_repeats_nothing_that_was_written_of_the_pipeline(tmp_path: Path) -> None:
    """A description may be of another model: of the whole chain, of other images, of a plan."""
    words = "about: Pruned by half, on a million photographs.\nnotes: [Six epochs.]\n"
    run = made(Home(tmp_path / "home"), TEXT + words)
    data = Opened("Sample", "0", classes=("a", "b", "c"), images={"train": 64, "validation": 32, "test": 40})
    run.update_info(data=data.as_plain())
    report = run.report("fp32")
    assert report is not None
    run.write_report(report.model_copy(update={"history": [{"epoch": 1.0}, {"epoch": 2.0}]}))
    for key in ("fp32", "static"):
        card = model_card(run, key)
        assert "Pruned" not in card and "photographs" not in card and "Six" not in card
        assert "3 classes; images: 64 for training, 32 for validation, 40 for testing." in card
        assert "2. fp32: Train, 2 epochs of training" in card and "that it was trained on" in card
    assert "static" not in model_card(run, "fp32").partition("## How it was made")[2].partition("##")[0]


def test_what_a_format_cannot_hold_is_refused_before_work(run: RunFolder, tmp_path: Path) -> None:
    report = run.report("static")
    assert report is not None and report.main is not None
    settings = ExportSettings(format="torch-export")
    assert "exists as ONNX only" in reason_against(run, report, report.main, settings)
    assert suggested_name(report, report.main, settings) == "static-int8.pt2"
    target = tmp_path / "out" / "model.pt2"
    with pytest.raises(EspalierError, match="cannot be exported as PyTorch program"):
        export_stage(run, "static", "", target, settings=settings)
    assert not target.parent.exists() and not (run.folder / "export.log").exists()


@pytest.mark.parametrize(
    ("key", "artefact", "words"),
    [("gone", "", "Finished: fp32, static"), ("static", "float32", "has no file 'float32'. It has: int8")],
)
def test_an_unknown_file_is_named(
    run: RunFolder, tmp_path: Path, key: str, artefact: str, words: str
) -> None:
    with pytest.raises(EspalierError) as caught:
        export_stage(run, key, artefact, tmp_path / "x.onnx")
    assert words in str(caught.value)


@pytest.mark.parametrize(("name", "format"), [("letter.txt", "safetensors"), ("architecture.json", "onnx")])
def test_a_folder_with_other_things_is_left_alone(
    run: RunFolder, tmp_path: Path, name: str, format: str
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("Dear")
    with pytest.raises(EspalierError, match="holds other things"):
        export_stage(run, "fp32", "", tmp_path / "mine", settings=ExportSettings.parse({"format": format}))
    assert (tmp_path / "mine" / name).read_text() == "Dear"


def espalier(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "core.commands.main", *arguments]
    environment = {**os.environ, "ESPALIER_HOME": str(home)}
    return subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, RunFolder]:
    """A true run of two stages."""
    folder = tmp_path_factory.mktemp("exporting")
    (folder / "few.yaml").write_text(TEXT)
    done = espalier(folder / "home", "run", str(folder / "few.yaml"), "--out", str(folder / "run"))
    assert done.returncode == 0, done.stderr
    return Home(folder / "home"), RunFolder.open(folder / "run")


CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("static", "a.onnx", {"latency": True}),
    ("static", "b.onnx", {"preprocessing": True, "opset": 18, "describe": True, "card": True}),
    ("fp32", "c.onnx", {"batch": 3, "preprocessing": True}),
    ("fp32", "d.pt2", {"format": "torch-export", "latency": True}),
    ("fp32", "e.pt2", {"format": "torch-export", "batch": 3}),
    ("fp32", "f.pt", {"format": "torchscript", "card": True}),
    ("fp32", "folder", {"format": "safetensors"}),
    ("static", "h.zip", {"format": "zip", "images": 20}),
    ("fp32", "i.zip", {"format": "zip", "images": 20, "preprocessing": True}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "name", "changes"), CASES, ids=[name for _, name, _ in CASES])
def test_every_format_answers_like_the_network(
    finished: tuple[Home, RunFolder], tmp_path: Path, stage: str, name: str, changes: dict[str, Any]
) -> None:
    _, run = finished
    settings = ExportSettings.parse({"latency": False, **changes})
    told: list[float] = []
    target = tmp_path / "out" / name
    result = export_stage(
        run, stage, "", target, settings, ExportWatch(None, lambda done, words: told.append(done))
    )
    assert result.path == target and told == sorted(told) and told[-1] == 1.0
    assert sorted(target.parent.iterdir()) == sorted(result.files)  # nothing half-written is left
    last, report = result.ladder[-1], run.report(stage)
    assert report is not None and report.main is not None
    assert last.id == "exported" and last.good and last.images == 100
    assert last.before is not None and last.before.max_logit_difference < (1e-3 if stage == "fp32" else 0.05)
    assert last.top1.value == result.top1 == pytest.approx(report.main.metrics["top1"].value, abs=2.0)
    assert "| Exported: " in result.card
    if changes == {"latency": True}:
        assert sha256_of(target) == report.main.sha256
    if settings.latency:
        latency = result.metrics["latency_ms"]
        assert latency.low is not None and latency.value is not None and latency.low <= latency.value
        assert "in 8 sessions" in latency.how
    if settings.card:
        assert (target.parent / f"{target.stem}.md").read_text(encoding="utf-8") == result.card


@pytest.mark.slow
def test_measuring_is_told_session_by_session_and_can_be_left_out(
    finished: tuple[Home, RunFolder], tmp_path: Path
) -> None:
    """It said nothing while it waited and was told once for all sessions; stopping it threw the file away."""
    _, run = finished
    told: list[str] = []

    def tell(_done: float, words: str) -> None:
        told.append(words)
        if words.startswith("Measuring latency, session 2"):
            assert watch.measuring
            watch.skip_measuring()

    watch, target = ExportWatch(None, tell), tmp_path / "model.onnx"
    result = export_stage(run, "fp32", "", target, ExportSettings(), watch)
    assert target.is_file() and not watch.measuring
    assert "Measuring was skipped: a latency that stands here is the one from the run." in result.notes
    report = run.report("fp32")
    assert report is not None and report.main is not None
    assert result.metrics["latency_ms"] == report.main.metrics["latency_ms"]
    assert [words for words in told if "session" in words][-1] == "Measuring latency, session 2 of 8"


@pytest.mark.slow
def test_stopping_while_the_file_is_measured_writes_nothing(
    finished: tuple[Home, RunFolder], tmp_path: Path
) -> None:
    control = RunControl()
    tell = lambda _done, words: control.stop() if "session 2" in words else None  # noqa: E731
    with pytest.raises(Stopped):
        export_stage(
            finished[1], "fp32", "", tmp_path / "model.onnx", ExportSettings(), ExportWatch(control, tell)
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_file_that_does_not_agree_is_not_written(finished: tuple[Home, RunFolder], tmp_path: Path) -> None:
    _, run = finished
    answers = run.stage_folder("fp32").artefacts.network_logits
    kept, target = answers.read_bytes(), tmp_path / "out" / "model.pt2"
    target.parent.mkdir()
    target.write_text("an older export")
    np.save(answers, np.load(answers) + 0.5)
    try:
        with pytest.raises(EspalierError, match="does not agree with the network"):
            export_stage(run, "fp32", "", target, ExportSettings(format="torch-export"))
    finally:
        answers.write_bytes(kept)
    assert [path.name for path in target.parent.iterdir()] == ["model.pt2"]
    assert target.read_text() == "an older export"


@pytest.mark.slow
def test_an_archive_is_measured_in_a_fresh_environment_and_compared(
    finished: tuple[Home, RunFolder], tmp_path: Path
) -> None:
    home, run = finished
    archive, device = tmp_path / "static.zip", tmp_path / "device"
    done = espalier(
        home.folder, "export", str(run.folder), "--stage", "static", "--out", str(archive), "--images", "30"
    )
    assert done.returncode == 0, done.stderr
    assert "Exported: ZIP for a device" in done.stdout
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(device)
    python = _fresh_environment(tmp_path / "environment", device / "requirements.txt")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for arguments in (["--measure"], [str(sorted((device / "images").iterdir())[0])]):
        alone = subprocess.run(
            [str(python), "run.py", *arguments], cwd=device, capture_output=True, text=True, timeout=300, env=environment
        )  # fmt: skip
        assert alone.returncode == 0, alone.stderr
    assert alone.stdout.count(" %  ") == 5
    report = json.loads((device / "report.json").read_text(encoding="utf-8"))
    assert report["accuracy"]["agreement"] >= 96.0 and report["bundle"]["images"]["count"] == 30
    compared = espalier(home.folder, "compare", str(run.folder), str(device / "report.json"))
    assert compared.returncode == 0, compared.stderr
    assert f"static on {report['device']['processor']}" in compared.stdout
    assert "different test images" in compared.stderr


def _fresh_environment(folder: Path, requirements: Path) -> Path:
    """The interpreter of an environment with what the archive asks for; skips where pip cannot get it."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        str(requirements),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        pytest.skip("pip did not get NumPy, Pillow and ONNX Runtime within five minutes")
    if done.returncode:
        pytest.skip(f"pip cannot get NumPy, Pillow and ONNX Runtime here: {done.stderr.strip()[-200:]}")
    return python
