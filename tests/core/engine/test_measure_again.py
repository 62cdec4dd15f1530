"""A run's files are measured again without training, and their new figures stand everywhere."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import GOOD, made_run

from core.commands.main import main
from core.common.errors import EspalierError
from core.comparison.compared_runs import read_all
from core.comparison.same_files import all_rows
from core.deploy.artefact_record import ArtefactRecord
from core.deploy.artefacts import VerifiedArtefact
from core.document import pipeline as documents
from core.engine import measuring
from core.engine.measure_again import measure_again
from core.machine.fingerprint import fingerprint
from core.profiling import PROTOCOL_VERSION
from core.records.reports import Metric
from core.runs.home import Home
from core.runs.run_folder import RunFolder

TEXT = """
espalier: 1
name: Tiny
baseline: fp32
data: {source: fashion-mnist-sample, image_size: 32}
sources: [{id: network, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train, name: FP32}
  - {id: pruned, kind: prune-channels, name: Pruned}
  - {id: taught, kind: distil, name: Taught, settings: {teacher: fp32}}
"""


@pytest.fixture
def home(own_home: Path) -> Home:
    return Home(own_home)


@pytest.fixture
def run(home: Home, tmp_path: Path) -> RunFolder:
    """Three stages with a file each, and a report."""
    run = made_run(documents.loads(TEXT), home, tmp_path)
    for report in run.reports():
        folder = run.stage_folder(report.key).artefacts
        folder.path.mkdir()
        file = folder.file("float32")
        file.write_bytes(report.key.encode())
        np.save(folder.labels, np.zeros(4, np.int64))
        np.save(folder.logits("float32"), np.zeros((4, 2), np.float32))
        facts = {"input_size": 32, "preprocess": {"size": 32, "channels": 3}}
        made = VerifiedArtefact(
            "float32", "ONNX float32", "float32", file, f"{report.key:0<64}", 5, GOOD,
            folder.logits("float32"), folder.logits("float32"), folder.labels, facts,
        )  # fmt: skip
        ArtefactRecord([made], {"macs": 1.0}).write(folder)
    run.update_info(machine=fingerprint())
    (run.folder / "report.md").write_text("as it was")
    return run


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Files that were measured, and their baselines; each takes 0.5 ms, half the baseline's time."""
    asked: list[tuple[str, str]] = []

    def answer(model: Path, baseline: Path | None, *rest: Any, **more: Any) -> tuple[dict[str, Metric], dict[str, Metric]]:  # fmt: skip
        asked.append((model.read_text(), baseline.read_text() if baseline else ""))
        figure = Metric(value=0.5 if baseline else 1.0, unit="ms", low=0.49, high=0.51, level=0.99, n=240, interrupted=0.1)  # fmt: skip
        return {"latency_ms": figure}, {"latency_ms": Metric(value=0.5, low=0.49, high=0.51, level=0.99)} if baseline else {}  # fmt: skip

    monkeypatch.setattr(measuring, "profile_artefact", answer)
    monkeypatch.setattr(measuring.Measuring, "_graph", without_reasons)
    return asked


def without_reasons(*_: Any) -> dict[str, Any]:
    raise EspalierError("Its graph cannot be read.")


def latencies(run: RunFolder) -> list[float | None]:
    return [report.main.metrics["latency_ms"].value for report in run.reports() if report.main]


def test_all_files_are_measured_again(home: Home, run: RunFolder, measured: list[tuple[str, str]]) -> None:
    before = run.finished_report("pruned")
    done = measure_again(run, home)
    assert measured == [("fp32", ""), ("pruned", "fp32"), ("taught", "fp32")] and not done.busy
    assert latencies(run) == [1.0, 0.5, 0.5]
    pruned = run.finished_report("pruned")
    assert pruned.main is not None and before.main is not None
    assert pruned.main.metrics["top1"] == before.main.metrics["top1"]
    assert pruned.main.change["latency_ms"].value == 0.5
    assert pruned.main.change["top1"] == before.main.change["top1"]
    assert pruned.main.measured.protocol == PROTOCOL_VERSION and pruned.main.measured.at > 0
    assert "0.500 (−50.0 %)" in (run.folder / "report.md").read_text()
    measure_again(run, home)
    assert len(measured) == 6  # though it is known


def test_one_stage_is_measured_again(home: Home, run: RunFolder, measured: list[tuple[str, str]]) -> None:
    measure_again(run, home, ["pruned"])
    assert measured == [("pruned", "fp32")] and latencies(run) == [1.0, 0.5, 0.66]
    with pytest.raises(EspalierError, match="Expected a finished stage"):
        measure_again(run, home, ["nothing"])


def test_a_run_that_goes_on_is_left_alone(home: Home, run: RunFolder) -> None:
    with RunFolder.open(run.folder).locked(), pytest.raises(EspalierError, match="by another process"):
        measure_again(run, home)


def test_figures_of_two_machines_are_not_mixed(
    home: Home, run: RunFolder, measured: list[tuple[str, str]]
) -> None:
    run.update_info(machine={**fingerprint(), "processor": "Another"})
    with pytest.raises(EspalierError, match="was measured on Another with ONNX Runtime"):
        measure_again(run, home, ["pruned"])
    assert not measured
    measure_again(run, home)
    assert run.info.machine == fingerprint() and latencies(run) == [1.0, 0.5, 0.5]


def test_a_machine_that_is_busy_takes_no_good_figure_away(
    home: Home, run: RunFolder, measured: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure_again(run, home)
    busy = Metric(value=0.8, unit="ms", low=0.4, high=6.5, level=None)
    none = {"latency_ms": Metric(value=None, how="too busy")}
    monkeypatch.setattr(measuring, "profile_artefact", lambda *rest, **more: ({"latency_ms": busy}, none))
    assert measure_again(run, home, ["pruned"]).busy == ["Pruned, ONNX float32"]
    assert latencies(run) == [1.0, 0.5, 0.5]


def test_files_that_are_gone_are_said(home: Home, run: RunFolder) -> None:
    run.stage_folder("fp32").artefacts.record.unlink()
    with pytest.raises(EspalierError, match="The files of FP32 are not in the run any more"):
        measure_again(run, home)


def test_the_command_takes_a_run_or_one_of_its_stages(
    run: RunFolder, measured: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", f"{run.name}:pruned", "--again"]) == 0
    assert len(measured) == 1
    assert main(["profile", run.name, "--json"]) == 0
    assert len(measured) == 4
    found = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert [stage["metrics"]["latency_ms"] for stage in found["stages"]] == [1.0, 0.5, 0.5]
    assert main(["profile", str(run.folder), "--grid"]) == 2
    assert "received --grid as well" in capsys.readouterr().err and len(measured) == 4


def test_comparisons_show_the_new_figures(
    home: Home, run: RunFolder, measured: list[tuple[str, str]]
) -> None:
    before = [row for read in read_all(home, [run.folder]) for row in all_rows([read])]  # type: ignore[list-item]
    measure_again(run, home)
    after = [row for read in read_all(home, [run.folder]) for row in all_rows([read])]  # type: ignore[list-item]
    assert before[1].metrics["latency_ms"].value == 0.66 and after[1].metrics["latency_ms"].value == 0.5
