"""Claims from the pipeline file to the answer: in the run's report, on the command line, in the page."""

from pathlib import Path
from typing import Any

import pytest
from made_runs import TINY, made_run

from core.commands.main import main
from core.common.errors import EspalierError
from core.comparison.compared_runs import read_run
from core.comparison.report import as_html
from core.document import pipeline as documents
from core.runs.home import Home

CLAIMS = """
paper:
  - source: "A paper"
    rows: [{name: Pruned, values: {top1: 79}}]
    claims:
      - {says: Half the size, stage: pruned, metric: size_mb, paper: -50, at_most: -45}
      - {says: Pruning loses nothing, stage: pruned, metric: top1, at_least: -1}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = Home(tmp_path / "home")
    monkeypatch.setenv("ESPALIER_HOME", str(home.folder))
    return made_run(documents.loads(TINY + CLAIMS), home, tmp_path).folder


def test_claims_are_answered_from_the_run_folder(folder: Path, capsys: Any):
    assert main(["report", str(folder), "--claims"]) == 0
    head, _, size, top1 = capsys.readouterr().out.splitlines()
    assert head.startswith("| Claim | Paper | Ours")
    assert size.split(" | ")[1:5] == ["−50 %", "−50.00 %", "", "confirmed"]
    assert top1.split(" | ")[2:5] == ["−0.50 points (−1.60 to +0.60)", "", "cannot be told from these data"]


def test_the_page_shows_them(folder: Path):
    from core.runs.run_folder import RunFolder

    run = read_run(RunFolder.open(folder))
    page = as_html([run], run.rows(), [])
    assert "What the paper claims, and what was measured" in page and "Half the size" in page


def test_a_run_without_claims_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    home = Home(tmp_path / "home")
    monkeypatch.setenv("ESPALIER_HOME", str(home.folder))
    folder = made_run(documents.loads(TINY), home, tmp_path).folder
    assert main(["report", str(folder), "--claims"]) == 2
    assert "carries no claims" in capsys.readouterr().err
    assert main(["report", str(folder)]) == 2
    assert "no report yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("metric: size_mb, paper: -50", "metric: size, paper: -50"),
        ("metric: size_mb, paper: -50", "metric: latency_ms_p90, paper: -50"),
    ],
)
def test_a_claim_about_what_is_not_there_is_a_problem_of_the_file(wrong: str, words: str):
    with pytest.raises(EspalierError, match=r"paper\.0\.claims\.0"):
        documents.loads((TINY + CLAIMS).replace(wrong, words))
