"""The page of results is written from run folders alone: their tables, the papers' claims and what answers them."""

from pathlib import Path

import results
from made_runs import TINY, made_run

from core.document import pipeline as documents
from core.runs.home import Home

PAPER = """
paper:
  - source: Somebody 2026
    setting: a table of theirs
    rows:
      - {name: Pruned, stage: pruned, values: {top1: 81.0}}
    claims:
      - {says: Pruning costs less than two points, stage: pruned, metric: top1, at_least: -2}
      - {says: Distillation costs less than a point, stage: taught, metric: top1, at_least: -1}
    remarks: [Measured elsewhere.]
"""


def test_a_page_says_what_was_measured_and_what_that_answers(tmp_path: Path, own_home: Path) -> None:
    run = made_run(documents.loads(TINY + PAPER), Home(own_home), tmp_path)
    page = tmp_path / "results.md"
    assert results.main([str(run.folder), "--out", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert f"## {run.pipeline.name}" in text and "−0.50 points (−1.60 to +0.60)" in text
    assert "Pruned (paper)" in text and "- Measured elsewhere." in text
    costs = {
        words: next(line for line in text.splitlines() if words in line)
        for words in ("two points", "a point")
    }
    assert "confirmed" in costs["two points"] and "contradicted" in costs["a point"]


def test_the_sections_of_other_runs_stay(tmp_path: Path, own_home: Path) -> None:
    run = made_run(documents.loads(TINY), Home(own_home), tmp_path)
    page = tmp_path / "results.md"
    page.write_text(
        f"# Results\n\nOld words.\n\n## Another\n\nKept.\n\n## {run.pipeline.name}\n\nOld.\n",
        encoding="utf-8",
    )
    assert results.main([str(run.folder), "--out", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith(results.INTRODUCTION) and "## Another\n\nKept.\n" in text
    shown = list((tmp_path / "results").glob("*.svg"))
    assert shown and all(f"](results/{file.name})" in text for file in shown)
    assert "Old" not in text and text.count(f"## {run.pipeline.name}") == 1
