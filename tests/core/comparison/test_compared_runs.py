"""Runs read for comparison: predictions, settings, the index, labels, reports."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from made_runs import TINY, made_run

from core.analysis.settings_table import side_by_side
from core.commands.run_results import print_results, run_as_json
from core.common.errors import EspalierError
from core.comparison.compared_runs import ComparedRun, mixed_conditions, read_all, read_run, run_labels
from core.comparison.headline import headline
from core.comparison.report import as_format, as_html, baseline_row_id, columns_of, title, write
from core.comparison.same_files import all_rows
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.records.metrics import METRICS
from core.records.reports import Artefact, Metric, StageReport
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder

TEXT = """
espalier: 1
name: Tour
data: {source: fashion-mnist-sample, test_images: 50}
sources: [{id: network, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train, name: FP32, settings: {training: {epochs: 1}}}
  - {id: pruned, kind: prune-channels, name: Pruned, settings: {ratio: RATIO, training: {epochs: 2}}}
"""
CLAIM = """
paper:
  - source: A paper
    rows: []
    claims: [{says: It stays as small, stage: taught, metric: size_mb, at_most: 1}]
"""
LABELS = np.arange(50) % 25
RIGHT = {"fp32": np.arange(50) < 40, "pruned": (np.arange(50) < 38) | (np.arange(50) == 45)}


def made(home: Home, name: str = "one", ratio: float = 0.3, machine: str = "a machine") -> RunFolder:
    """A finished run with predictions for 50 images of 25 classes."""
    pipeline: Pipeline = documents.loads(TEXT.replace("RATIO", str(ratio)))
    run = create_run(pipeline, home.folder, home, home.runs / name)
    for key, right in RIGHT.items():
        folder = run.stage_folder(key).artefacts.path
        folder.mkdir(parents=True)
        logits = np.zeros((50, 25), np.float32)
        logits[np.arange(50), np.where(right, LABELS, (LABELS + 1) % 25)] = 2
        logits[np.arange(50), LABELS] += 1
        logits[49, LABELS[49]] = -1  # not among the best five
        np.save(folder / "float32.logits.npy", logits)
        np.save(folder / "labels.npy", LABELS)
        metrics = {"top1": Metric(value=2.0 * int(right.sum()), unit="%"), "latency_ms": Metric(value=1.0)}
        artefact = Artefact(
            id="float32", label="ONNX float32", precision="float32", path=f"stages/{key}/artefacts/float32.onnx",
            sha256="", bytes=1, metrics=metrics,
        )  # fmt: skip
        history = [
            {"epoch": 1.0, "val_top1": 50.0, "train_top1": 40.0, "val_loss": 1.0, "train_loss": 2.0}
        ] * 2
        run.write_report(
            StageReport(
                key=key, id=key, source="", seed=42, name=key.title(), kind="train", headline="float32",
                artefacts=[artefact], history=history, facts={"many": 1}, notes=[f"Note on {key}."],
            )
        )  # fmt: skip
    run.update_info(machine={"processor": machine, "versions": {"onnxruntime": "1.31"}}, status="completed", device="cpu")  # fmt: skip
    return run


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_predictions_are_kept_per_image(home: Home):
    run = read_run(made(home))
    rows = run.rows()
    assert [row.right["top1"].tolist() for row in rows] == [RIGHT["fp32"].tolist(), RIGHT["pruned"].tolist()]
    assert rows[1].right["top5"].tolist() == [True] * 49 + [False]
    change = rows[1].change["top1"]
    assert change.value == pytest.approx(-2.0) and change.n == 50  # 2 lost, 1 won
    assert change.how == "2 images right before and wrong now, 1 the other way round"


def test_curves_and_facts_are_left_in_the_run_folder(home: Home):
    run = read_run(made(home))
    assert all(not report.history and not report.facts for report in run.reports)
    assert ComparedRun.model_validate_json(run.model_dump_json()) == run


def test_settings_of_a_stage_are_those_of_all_before_it(home: Home):
    first, second = read_run(made(home)), read_run(made(home, "two", ratio=0.5))
    lines = first.settings_of(first.reports[1])
    assert [line.group for line in lines if not line.label] == ["Train", "Prune channels"]
    found = side_by_side([lines, second.settings_of(second.reports[1])])
    assert [(row.group, row.values) for row in found] == [("Prune channels", ("0.3", "0.5"))]
    across = side_by_side([first.settings_of(report) for report in first.reports])
    assert [(row.group, row.label, row.values) for row in across] == [
        ("Prune channels", "", (None, "Pruned"))
    ]


def test_the_index_is_used_until_a_file_changes(home: Home, monkeypatch: pytest.MonkeyPatch):
    run = made(home)
    (first,) = read_all(home, [run.folder])
    with monkeypatch.context() as patched:
        patched.setattr("core.comparison.compared_runs.read_run", lambda run: pytest.fail("read again"))
        (second,) = read_all(home, [run.folder])
    assert second == first and isinstance(first, ComparedRun)
    run.update_info(status="stopped")
    (third,) = read_all(home, [run.folder])
    assert isinstance(third, ComparedRun) and third.status == "stopped"


def test_a_broken_index_is_no_obstacle(home: Home):
    run = made(home)
    list(read_all(home, [run.folder]))
    with sqlite3.connect(home.index) as database:
        database.execute("UPDATE compared SET content = '{}'")
    (found,) = read_all(home, [run.folder])
    assert isinstance(found, ComparedRun)
    home.index.write_bytes(b"no database at all, only some bytes that are long enough to be read" * 20)
    (found,) = read_all(home, [run.folder])
    assert isinstance(found, ComparedRun)


def test_a_folder_that_is_no_run_is_told_and_passed_over(home: Home):
    run = made(home)
    missing, found = read_all(home, [home.runs / "gone", run.folder])
    assert isinstance(missing, EspalierError) and "gone" in str(missing)
    assert isinstance(found, ComparedRun)


def test_runs_are_told_apart_by_no_more_than_it_takes(home: Home):
    one, two = read_run(made(home)), read_run(made(home, "two"))
    other = one.model_copy(update={"folder": "x", "title": "Other"})
    assert run_labels([one, other]) == {one.folder: "Tour", "x": "Other"}
    assert run_labels([one, two]) == {one.folder: "one", two.folder: "two"}  # begun in the same minute
    later = two.model_copy(update={"started": one.started + 3600})
    assert run_labels([one, later])[one.folder] == f"Tour, {one.when}"


def test_machines_are_told_apart(home: Home):
    one, two = read_run(made(home)), read_run(made(home, "two", machine="another"))
    assert mixed_conditions([one, two]) and not mixed_conditions([one, one])
    page = as_html([one, two], all_rows([one, two]), [METRICS["top1"]])
    assert "different machines" in page


def test_the_same_test_images_are_recognised_whatever_the_training(home: Home):
    one, two = read_run(made(home)), read_run(made(home, "two", ratio=0.5))
    assert one.images and one.images == two.images
    np.save(two_labels(home), LABELS[::-1].copy())
    assert read_run(RunFolder.open(home.runs / "two")).images != one.images


def two_labels(home: Home) -> Path:
    return home.runs / "two" / "stages" / "fp32" / "artefacts" / "labels.npy"


def test_reports_in_every_format(home: Home, tmp_path: Path):
    runs = [read_run(made(home)), read_run(made(home, "two", ratio=0.5))]
    rows = all_rows(runs)
    page = as_format("html", runs, rows)
    assert (
        "Tour: 2 runs" in page and "Learning curves" in page and "0.5" in page and "Note on pruned." in page
    )
    assert as_format("latex", runs, rows).count(r" \\") == 1 + len(rows)
    assert as_format("markdown", runs, rows).startswith("| Stage | Top-1 [%] |")
    assert as_format("csv", runs, rows).splitlines()[1].endswith(",one,,,")
    assert "one: Fp32 (baseline)" in as_format("table", runs, rows)
    write(tmp_path / "page.html", page)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    with pytest.raises(EspalierError, match="could not be written"):
        write(tmp_path / "nowhere" / "page.html", page)


def test_a_baseline_is_found_by_its_name(home: Home):
    runs = [read_run(made(home)), read_run(made(home, "two"))]
    assert baseline_row_id("pruned", runs) == f"{runs[0].folder}|pruned|float32"
    assert baseline_row_id("two:pruned", runs) == f"{runs[1].folder}|pruned|float32"
    with pytest.raises(EspalierError, match="Expected a stage of these runs"):
        baseline_row_id("nothing", runs)


def test_a_run_with_several_baselines_says_in_every_format_which(home: Home, tmp_path: Path, capsys):
    text = f"{TINY}baseline: [fp32, pruned]\n{CLAIM}"
    run = made_run(documents.loads(text), home, tmp_path)
    compared = read_run(run)
    rows = compared.rows()
    assert [(row.baseline, row.against) for row in rows] == [(True, ""), (True, ""), (False, "Pruned")]
    assert rows[2].change["size_mb"].value == 0.0  # 2 MB, as the pruned one; −50 % against FP32
    found = compared.answers()[0].ours
    assert found is not None and found.value == 0.0
    page = as_format("html", [compared], rows)
    assert "against Pruned" in page and page.count("baseline</small>") == 2
    parts = headline(compared, rows)
    assert parts is not None and parts.about.startswith("Taught against Pruned")
    assert "Taught (against Pruned)" in as_format("table", [compared], rows)
    assert "| Taught (against Pruned) |" in as_format("markdown", [compared], rows)
    assert "Taught (against Pruned)" in as_format("latex", [compared], rows)
    plain = run_as_json(run, ["fp32", "pruned", "taught"])
    assert [(stage["id"], stage["baseline"]) for stage in plain["stages"]] == [
        ("fp32", "fp32"), ("pruned", "pruned"), ("taught", "pruned"),
    ]  # fmt: skip
    assert plain["stages"][1]["change"] == {} and plain["stages"][2]["change"]["size_mb"]["value"] == 0.0
    print_results(run)
    assert "Taught (against Pruned)" in capsys.readouterr().out


def test_columns_are_chosen_by_their_ids(home: Home):
    rows = all_rows([read_run(made(home))])
    assert [kind.id for kind in columns_of(None, rows)] == ["top1", "latency_ms"]
    assert [kind.id for kind in columns_of("latency_ms, top1", rows)] == ["latency_ms", "top1"]
    with pytest.raises(EspalierError, match="received speed"):
        columns_of("speed", rows)


def test_titles(home: Home):
    run = read_run(made(home))
    others = [run.model_copy(update={"title": name}) for name in "ABCD"]
    assert title([run]) == "Tour" and title([run, run]) == "Tour: 2 runs"
    assert title(others[:2]) == "A, B" and title(others) == "Comparison of 4 runs"


def test_the_command_line_writes_a_page(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # fmt: skip
    from core.commands.main import main

    monkeypatch.setenv("ESPALIER_HOME", str(home.folder))
    made(home)
    assert main(["compare", "one", "--format", "html", "--out", str(tmp_path / "page.html")]) == 0
    assert "<!DOCTYPE html>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert main(["compare", "one", "--baseline", "pruned", "--columns", "top1"]) == 0
    assert "Pruned (baseline)" in capsys.readouterr().out
    assert main(["compare", "one", "--baseline", "nothing"]) == 2
