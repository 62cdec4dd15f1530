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
from core.runs.home import Home


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
    (found,) = find_evidence(Home(own_home), tmp_path, ["lite0"])
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
    assert main(["evidence", "--data", str(tmp_path), "--list"]) == 0
    assert "completed, " in capsys.readouterr().out


def test_a_name_that_is_none_is_refused(files: Path, tmp_path: Path, own_home: Path) -> None:
    with pytest.raises(EspalierError, match="Nothing of the evidence is called nothing"):
        find_evidence(Home(own_home), tmp_path, ["nothing"])
