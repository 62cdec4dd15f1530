"""`espalier runs` through the command line's own function."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_runs import TINY, made_run

from core.commands.main import main
from core.document import pipeline as documents
from core.runs.home import Home
from core.runs.library import list_runs
from core.runs.run_folder import RunFolder


@pytest.fixture
def home(own_home: Path) -> Home:
    return Home(own_home)


@pytest.fixture
def runs(home: Home, tmp_path: Path) -> list[RunFolder]:
    """A complete run and, a day later, a stopped one."""
    runs = [made_run(documents.loads(TINY), home, tmp_path, stages) for stages in (3, 1)]
    for number, (run, word) in enumerate(zip(runs, ("whole", "part"), strict=True)):
        folder = run.folder.rename(home.runs / f"2026-{word}")
        runs[number] = RunFolder(folder)
        runs[number].update_info(started=1_790_000_000 + number * 86_400, seconds=60.0)
    return runs


def output_of(capsys: Any, *arguments: str) -> str:
    assert main(["runs", *arguments]) == 0
    return str(capsys.readouterr().out)


def test_runs_are_listed_with_their_result(runs: list[RunFolder], capsys: Any) -> None:
    head, _rule, first, second = output_of(capsys).splitlines()
    assert head.split()[:4] == ["Run", "Name", "Tags", "Status"]
    assert first.startswith("2026-part") and "Stopped" in first and first.split()[-3:] == ["–", "–", "–"]
    assert second.startswith("2026-whole") and "Complete" in second
    assert second.split()[-3:] == ["76.00", "0.660", "2.000"]


def test_the_list_as_json(runs: list[RunFolder], capsys: Any) -> None:
    part, whole = json.loads(output_of(capsys, "--json"))
    assert whole["run"] == str(runs[0].folder) and whole["status"] == "completed"
    assert (whole["top1"], whole["latency_ms"], whole["size_mb"]) == (76.0, 0.66, 2.0)
    assert part["status"] == "stopped" and part["top1"] is None and part["tags"] == []
    assert json.loads(output_of(capsys, "--find", "nowhere", "--json")) == []


def test_words_choose_runs(runs: list[RunFolder], capsys: Any) -> None:
    assert "2026-part" not in output_of(capsys, "--find", "complete", "TINY")
    assert main(["runs", "--find", "nowhere"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == "No run fits.\n"


def test_a_run_whose_process_died_is_interrupted(runs: list[RunFolder], capsys: Any) -> None:
    runs[0].update_info(status="running")
    with runs[0].locked():
        assert "Running" in output_of(capsys)
    assert "Interrupted" in output_of(capsys)


def test_a_run_gets_a_name_and_tags(runs: list[RunFolder], capsys: Any) -> None:
    assert output_of(capsys, "rename", "2026-whole", "Best so far") == "2026-whole: Best so far\n"
    assert output_of(capsys, "tag", "Best so far", "paper", "to show") == "2026-whole: paper, to show\n"
    assert output_of(capsys, "tag", "2026-w", "paper", "new") == "2026-whole: paper, to show, new\n"
    assert output_of(capsys, "tag", "2026-w", "paper", "--remove") == "2026-whole: to show, new\n"
    info = runs[0].info
    assert (info.name, info.pipeline_name, info.tags) == ("Best so far", "Tiny", ("to show", "new"))
    assert main(["runs", "tag", "2026-w", "paper", "--remove"]) == 2
    assert "has no tag 'paper'" in capsys.readouterr().err


def test_a_deleted_run_can_be_put_back(runs: list[RunFolder], home: Home, capsys: Any) -> None:
    assert main(["runs", "delete", "2026-whole", "2026-part"]) == 0
    captured = capsys.readouterr()
    assert "2026-whole: in the trash for 30 days." in captured.out
    assert "espalier runs restore 2026-whole" in captured.err
    assert list_runs(home) == []
    assert len(output_of(capsys, "restore").splitlines()) == 4
    assert output_of(capsys, "restore", "2026-whole", "2026-p").count("back among the runs") == 2
    assert {line.folder.name for line in list_runs(home)} == {"2026-whole", "2026-part"}
    assert main(["runs", "restore", "2026-whole"]) == 2
    assert "Expected one run of the trash, found none" in capsys.readouterr().err


def test_a_run_that_is_being_written_stays(runs: list[RunFolder], capsys: Any) -> None:
    with runs[0].locked():
        assert main(["runs", "delete", "2026-whole"]) == 2
    assert runs[0].folder.is_dir() and "being written" in capsys.readouterr().err


def test_a_run_from_elsewhere_only_leaves_the_list(
    runs: list[RunFolder], home: Home, tmp_path: Path, capsys: Any
) -> None:
    away = tmp_path / "stick"
    shutil.copytree(runs[0].folder, away)
    assert "on the list" in output_of(capsys, "restore", str(away))
    assert output_of(capsys, "tag", str(away), "theirs") == "stick: theirs\n"
    assert str(away) in output_of(capsys, "--find", "theirs")
    assert "off the list" in output_of(capsys, "delete", str(away))
    assert away.is_dir() and RunFolder(away).info.tags == () and len(list_runs(home)) == 2


def test_several_or_no_runs_of_a_name_are_told(runs: list[RunFolder], capsys: Any) -> None:
    assert main(["runs", "rename", "2026", "x"]) == 2
    assert "found several for '2026'" in capsys.readouterr().err
    assert main(["runs", "rename", "1999", "x"]) == 2
    assert "found none for '1999'" in capsys.readouterr().err
