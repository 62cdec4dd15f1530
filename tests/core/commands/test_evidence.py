"""The evidence: its pipelines are right, what cannot be run is left out and said, the page is of run folders alone."""

from pathlib import Path
from typing import Any

import pytest
from made_runs import TINY, made_run

from core.commands import evidence
from core.commands.evidence import find_evidence, page, runnable
from core.commands.main import main
from core.common.errors import EspalierError
from core.deploy.quantizers.catalogue import QUANTIZERS
from core.records.events import RunDone, StageStarted
from core.runs.home import Home
from core.runs.new_run import create_run


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one tiny pipeline for the evidence."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
    monkeypatch.setattr(evidence, "FOLDER", folder)
    return folder


@pytest.mark.parametrize("file", sorted(evidence.FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_what_is_shipped_keeps_the_rules(file: Path) -> None:
    pipeline, _ = runnable(file)
    assert pipeline.data.path and pipeline.about


def test_a_tool_that_is_missing_is_left_out_and_said(
    tmp_path: Path, own_home: Path, monkeypatch: Any
) -> None:
    for tool in QUANTIZERS.values():
        monkeypatch.setattr(type(tool), "missing", lambda self: f"{self.title} is not installed.")
    (found,) = find_evidence(Home(own_home), tmp_path, ["lite0-int8"])
    assert [node.id for node in found.pipeline.active] == ["float", "ours", "reconstructed"]
    assert "INT8, NNCF. NNCF is not installed." in " ".join(found.left_out)


def test_a_finished_run_is_found_and_stands_in_the_page(
    files: Path, tmp_path: Path, own_home: Path, capsys: Any
) -> None:
    home = Home(own_home)
    (before,) = find_evidence(home, tmp_path, [])
    assert before.state == "not run yet" and "##" not in page([before])
    run = made_run(before.pipeline, home, tmp_path)
    (after,) = find_evidence(home, tmp_path, [])
    assert after.completed.folder == run.folder
    out = tmp_path / "page.md"
    assert main(["evidence", "--data", str(tmp_path), "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert f"## {run.pipeline.name}" in text and "`espalier evidence --only tiny`" in text
    again = tmp_path / "again.md"
    assert main(["evidence", "--data", str(tmp_path), "--list", "--out", str(again)]) == 0
    assert "completed, " in capsys.readouterr().out and again.read_text(encoding="utf-8") == text


def test_a_tool_that_makes_no_file_is_left_out_with_its_reason(
    files: Path, tmp_path: Path, own_home: Path
) -> None:
    rival = "  - {id: theirs, kind: quantize-static, name: Theirs, from: fp32, settings: {quantizer: onnxruntime-best}}\n"
    (files / "tiny.yaml").write_text(TINY + rival + "baseline: fp32\nfinal: taught\n", encoding="utf-8")
    home = Home(own_home)
    (before,) = find_evidence(home, tmp_path, [])
    run = create_run(before.pipeline, tmp_path, home)
    for event in (
        StageStarted("fp32", "FP32", "train", 1, 4), StageStarted("theirs", "Theirs", "quantize-static", 4, 4),
        RunDone("failed", "It crashed."),
    ):  # fmt: skip
        run.record(event)
    run.update_info(status="failed")
    (after,) = find_evidence(home, tmp_path, [])
    assert after.failed == (("ONNX Runtime's quantizer, best settings", "It crashed."),)
    assert after.left_out == ("Theirs. It made no file: It crashed.",) and after.runs == ()
    assert "theirs" not in [node.id for node in after.pipeline.active]
    made_run(after.pipeline, home, tmp_path)
    text = page(find_evidence(home, tmp_path, []))
    assert "| made no file |" in text and "Measurably better in 0 of 0 cells" in text


def test_finished_runs_are_measured_again_on_request(
    files: Path, tmp_path: Path, own_home: Path, capsys: Any
) -> None:
    (found,) = find_evidence(Home(own_home), tmp_path, [])
    made_run(found.pipeline, Home(own_home), tmp_path)  # its reports, but no files
    assert main(["evidence", "--data", str(tmp_path), "--measure-again"]) == 2
    assert "The files of FP32 are not in the run any more." in capsys.readouterr().err


def test_the_page_of_a_run_on_its_way_says_how_far_it_is(files: Path, tmp_path: Path, own_home: Path) -> None:
    (found,) = find_evidence(Home(own_home), tmp_path, [])
    made_run(found.pipeline, Home(own_home), tmp_path, stages=2)
    text = page(find_evidence(Home(own_home), tmp_path, []))
    assert "**Not finished yet:** 2 of 3 stages are." in text and "| **FP32** (baseline)" in text


def test_a_name_that_is_none_is_refused(files: Path, tmp_path: Path, own_home: Path) -> None:
    with pytest.raises(EspalierError, match="Nothing of the evidence is called nothing"):
        find_evidence(Home(own_home), tmp_path, ["nothing"])
