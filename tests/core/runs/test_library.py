"""The list of runs, their names, tags and notes, and the trash."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from made_runs import TINY, made_run

from core.analysis.wording import format_metric
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.records.metrics import METRICS
from core.records.reports import Metric
from core.runs import library, trash
from core.runs.final_figures import FinalFigures
from core.runs.home import Home
from core.runs.index import index_run
from core.runs.library import RunLine, last_time, list_runs, matches, parse_tags, with_figures
from core.runs.run_folder import RunFolder


@pytest.fixture
def tiny() -> Pipeline:
    return documents.loads(TINY)


@pytest.fixture
def home(own_home: Path) -> Home:
    return Home(own_home)


@pytest.fixture
def runs(tiny: Pipeline, home: Home, tmp_path: Path) -> list[RunFolder]:
    """Three runs: complete, stopped, complete; started a day after each other."""
    made = [made_run(tiny, home, tmp_path, stages) for stages in (3, 1, 3)]
    for number, run in enumerate(made):
        run.update_info(started=1_790_000_000 + number * 86_400, seconds=60.0 * (number + 1))
    return made


def test_a_time_of_another_machine_does_not_count(home: Home, runs: list[RunFolder]) -> None:
    for run in runs:
        run.update_info(machine={"processor": "another", "logical_cores": 99})
    assert last_time("Tiny", list_runs(home)) == "Not complete on this machine yet"


def test_only_a_cached_time_says_so(home: Home, runs: list[RunFolder]) -> None:
    for run in runs:
        for path in (run.folder / "stages").glob("*/report.json"):
            path.write_text(json.dumps({"cached": True}))
    assert last_time("Tiny", list_runs(home)) == "Took 3 min 00 s on this machine, with kept stages"


def test_matching_wants_every_word() -> None:
    line = RunLine(Path("/runs/x"), "Best", "Tiny", ("paper",), "with warm-up", "completed", 0.0, None)
    assert matches(line, "") and matches(line, "best PAPER warm") and not matches(line, "best worst")
    assert parse_tags(" a,  b c , a,, ") == ("a", "b c")


def test_the_trash_forgets_after_its_days(home: Home, runs: list[RunFolder]) -> None:
    lines = list_runs(home)
    for line, days in zip(lines[:2], (29, 31), strict=True):
        deleted = trash.delete(home, [line])[0]
        RunFolder(deleted.folder).update_info(deleted=deleted.at - days * 86_400)
    trash.empty_trash(home)
    assert [one.folder.name for one in trash.trashed(home)] == [lines[0].folder.name]


def test_a_killed_run_is_called_interrupted(home: Home, runs: list[RunFolder]) -> None:
    runs[0].update_info(status="running")
    with runs[0].locked():
        assert list_runs(home)[2].status == "running"
    assert list_runs(home)[2].status == "interrupted"


def test_a_run_that_is_gone_is_called_so(home: Home, runs: list[RunFolder], tmp_path: Path) -> None:
    away = tmp_path / "stick"
    shutil.copytree(runs[0].folder, away)
    assert library.register(home, away) and not library.register(home, runs[0].folder)
    shutil.rmtree(away)
    assert [line.status for line in list_runs(home) if line.elsewhere] == ["missing"]


def test_the_list_reads_a_run_again_only_when_its_run_json_changed(
    home: Home, runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = list_runs(home)
    with monkeypatch.context() as patched:
        patched.setattr("core.runs.library._listed", lambda run: pytest.fail("read again"))
        assert list_runs(home) == first
    runs[1].update_info(notes="of today", status="failed")
    assert [(line.notes, line.status) for line in list_runs(home)][1] == ("of today", "failed")
    with sqlite3.connect(home.index) as database:
        database.execute("UPDATE listed SET content = '{}'")
    assert [line.notes for line in list_runs(home)] == ["", "of today", ""]
    shutil.rmtree(runs[0].folder)
    assert len(list_runs(home)) == 2
    with sqlite3.connect(home.index) as database:
        assert len(database.execute("SELECT folder FROM listed").fetchall()) == 2


def test_a_running_run_is_never_listed_from_before(home: Home, runs: list[RunFolder]) -> None:
    runs[0].update_info(status="running")
    with runs[0].locked():
        assert list_runs(home)[-1].status == "running"
    assert list_runs(home)[-1].status == "interrupted"


def test_writing_one_run_into_the_index_does_not_read_the_others(home: Home, runs: list[RunFolder]) -> None:
    index_run(home, runs[0])
    with sqlite3.connect(home.index) as database:
        database.execute("DROP INDEX metrics_of_a_run")  # as versions before left it
    index_run(home, runs[0])
    with sqlite3.connect(home.index) as database:
        plan = database.execute("EXPLAIN QUERY PLAN DELETE FROM metrics WHERE folder = 'x'").fetchall()
    assert "USING INDEX" in plan[0][-1]


@pytest.mark.parametrize(("low", "high"), [(0.7, 6.5), (123.4, 187.0)])
def test_a_latency_is_the_range_that_tables_show(low: float, high: float) -> None:
    metric = Metric(value=low, low=low, high=high, unit="ms")
    shown = f"⚠ {format_metric(METRICS['latency_ms'], metric)}"
    assert FinalFigures(latency_ms=low, latency_range=(low, high)).latency == shown
    assert FinalFigures(latency_ms=1234.5).latency == "1\u202f230"


def test_figures_of_results_are_kept_and_read_again_when_they_change(
    home: Home, runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = with_figures(home, list_runs(home))
    assert [line.figures.top1 for line in lines] == [76.0, None, 76.0]
    assert lines[0].figures.network == "ResNet-20 (CIFAR)" and lines[0].figures.data == "Fashion-MNIST sample"
    report = runs[2].report("taught")
    assert report is not None and report.main is not None
    top1 = report.main.metrics["top1"].model_copy(update={"value": 90.0})
    busy = report.main.metrics["latency_ms"].model_copy(update={"value": 1.81, "low": 1.6, "high": 2.2})
    metrics = {**report.main.metrics, "top1": top1, "latency_ms": busy}
    changed = report.main.model_copy(update={"metrics": metrics})
    runs[2].write_report(report.model_copy(update={"artefacts": [changed]}))
    assert [line.figures.top1 for line in with_figures(home, list_runs(home))] == [90.0, None, 76.0]
    figures = [line.figures.latency for line in with_figures(home, list_runs(home))]
    assert figures == ["⚠ 1.6 to 2.2", "", "0.660"]  # from the index, too
    monkeypatch.setattr("core.runs.final_figures._read", lambda folder: pytest.fail("nothing has changed"))
    assert [line.figures.top1 for line in with_figures(home, list_runs(home))] == [90.0, None, 76.0]
