"""What the version before left is opened, compared, exported, resumed and found in the caches.

A test here that fails says that people's files no longer open, or that all that they have computed would be
computed again. Where a key changes on purpose (a stage's version, the protocol's), the archive stays and
the test says what is still found.
"""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from home_before import Before

from core.commands.main import main
from core.common.content_hashes import MANIFEST
from core.data.entry import read_entry
from core.document import pipeline as documents
from core.engine.engine import Engine
from core.engine.options import Options
from core.machine.child import Child
from core.records.events import event_from
from core.records.run_info import RunInfo
from core.runs import cache
from core.runs.event_log import EventLog
from core.runs.finding import find_runs, unfinished_run
from core.runs.library import list_runs
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from core.runs.trash import restore, trashed

STAGES = {
    "whole": ["fp32", "pruned", "distilled", "int8"],
    "seeds": ["fp32@0", "fp32@1"],
    "stopped": ["fp32"],
}


def raw(path: Path) -> dict[str, Any]:
    """A file as plain JSON, past the classes under test."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def entries(home: Path) -> set[str]:
    """Every file of the caches but decoded images, whose keys hold where and when their files were written."""
    caches = (path for path in (home / "cache").iterdir() if path.name != "data")
    files = (path for cache in caches for path in cache.rglob("*") if path.is_file())
    return {
        str(path.relative_to(home)) for path in files if path.name != MANIFEST
    }  # which they get when found


def run_on(before: Before, run: RunFolder) -> Any:
    return Engine(run, before.home, Options("cpu", before.threads)).run()


@pytest.mark.parametrize("name", ["whole", "seeds", "stopped"])
def test_pipeline_files_open_and_are_checked(
    before: Before, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(before.work / f"{name}.yaml"), "--no-estimate"]) == 0
    assert "no broken rules" in capsys.readouterr().out
    stored = RunFolder.open(before.home.runs / name)
    assert documents.dumps(documents.load(before.work / f"{name}.yaml")) == stored.info.document
    assert documents.dumps(stored.pipeline) == (stored.folder / "pipeline.yaml").read_text(encoding="utf-8")


def test_runs_are_listed_with_all_that_was_written_of_them(before: Before) -> None:
    runs = {run.name: run for run in find_runs(before.home)}
    assert runs.keys() == STAGES.keys()
    for name, run in runs.items():
        info, plain = run.info, raw(run.folder / "run.json")
        assert plain.keys() <= RunInfo.model_fields.keys(), "an entry has another name now"
        assert json.loads(info.model_dump_json(include=set(plain))) == plain
        assert [report.key for report in run.reports()] == STAGES[name]
    assert (runs["whole"].info.name, runs["whole"].info.tags) == ("The whole way", ("kept", "paper"))
    assert (runs["stopped"].info.status, runs["whole"].info.status) == ("stopped", "completed")


@pytest.mark.parametrize("name", STAGES)
def test_reports_say_what_they_said(before: Before, name: str) -> None:
    run = RunFolder.open(before.home.runs / name)
    for key in STAGES[name]:
        report, plain = run.finished_report(key), raw(run.folder / "stages" / key / "report.json")
        assert not lost(plain, json.loads(report.model_dump_json())), "an entry has another name or value now"


def lost(before: Any, now: Any, place: str = "report") -> list[str]:
    """Where something that stood in a file of before is missing or different; additions are none."""
    if isinstance(before, dict):
        shared = now if isinstance(now, dict) else {}
        return [
            at for name, value in before.items() for at in lost(value, shared.get(name), f"{place}.{name}")
        ]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [at for i, value in enumerate(before) for at in lost(value, now[i], f"{place}[{i}]")]
    return [] if before == now else [place]


@pytest.mark.parametrize("name", STAGES)
def test_every_event_is_understood(before: Before, name: str) -> None:
    path = before.home.runs / name / "events.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line, told in zip(lines, EventLog(path).records(), strict=True):
        event = event_from(told)
        assert event is not None and not lost(line, {**told, **json.loads(json.dumps(event.as_dict()))})


def test_runs_are_compared(before: Before, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "whole", "seeds", "--format", "csv"]) == 0
    told = capsys.readouterr().out
    rows = {(line["stage"], line["seed"], line["run"]) for line in csv.DictReader(told.splitlines())}
    assert rows >= {(key, "42", "The whole way") for key in STAGES["whole"]}
    assert rows >= {("fp32", seed, "Two seeds") for seed in ("0", "1")}


def test_a_stage_is_exported_and_verified(
    before: Before, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.onnx"
    assert main(["export", "whole", "--stage", "int8", "--out", str(out)]) == 0
    assert main(["verify", str(out), "--data", "idx", "--path", str(before.work / "shapes")]) == 0
    top1 = RunFolder.open(before.home.runs / "whole").finished_report("int8").metric("top1")
    assert top1 is not None
    assert capsys.readouterr().out.strip().splitlines()[-1].startswith(f"{out}: top-1 {top1.value:.2f} %")


def epochs(run: RunFolder) -> list[int]:
    """The epochs of the stopped stage that are written down."""
    return [e["epoch"] for e in run.events() if e["event"] == "EpochDone" and e["stage"] == "pruned"]


def test_a_stopped_run_is_resumed_and_completes(before: Before, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = documents.load(before.work / "stopped.yaml")
    run = unfinished_run(before.home, pipeline)
    assert run is not None and run.name == "stopped"
    trained = epochs(run)
    measured = (
        run.finished_report("fp32").artefacts[0].metrics
    )  # measuring anew takes long, and is not what is asked here
    monkeypatch.setattr("core.engine.evaluator.profile_checkpoint", lambda *rest: {})
    monkeypatch.setattr("core.engine.measuring.profile_artefact", lambda *rest, **more: (measured, {}))
    done = run_on(before, run)
    assert done.status == "completed", (done.message, done.details)
    assert epochs(run) == list(range(1, len(epochs(run)) + 1)), "epochs are trained again, or left out"
    assert len(epochs(run)) > len(trained) > 0
    assert run.info.status == "completed" and run.final_model.is_file()


@pytest.mark.usefixtures("same_machine")
@pytest.mark.parametrize("name", ["whole", "seeds"])
def test_every_cache_entry_is_found_again(before: Before, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_needed(child: Child, job: str, *rest: Any, **more: Any) -> Any:
        raise AssertionError(f"{job} was computed again")

    monkeypatch.setattr(Child, "call", none_needed)
    monkeypatch.setattr(
        cache, "PROTOCOL_VERSION", 5
    )  # times are taken otherwise since; all else is found as it is
    kept = entries(before.home.folder)
    pipeline = documents.load(before.work / f"{name}.yaml")
    again = create_run(pipeline, before.work, before.home)
    done = run_on(before, again)
    assert done.status == "completed", (done.message, done.details)
    assert all(report.cached for report in again.reports())
    assert entries(before.home.folder) == kept, "something has another key now"
    first = RunFolder.open(before.home.runs / name)
    for key in STAGES[name]:
        then, now = (run.folder / "stages" / key for run in (first, again))
        for part in ("artefacts/made.json", "result.json"):
            assert (now / part).read_bytes() == (then / part).read_bytes()
        assert again.finished_report(key).metric("latency_ms") == first.finished_report(key).metric(
            "latency_ms"
        )


def test_decoded_images_are_read(before: Before) -> None:
    (folder,) = before.home.data.iterdir()
    entry = read_entry(folder)
    assert entry is not None and entry.images.shape == (144, 32, 32, 1)


def test_what_was_deleted_can_be_taken_back(before: Before) -> None:
    (deleted,) = trashed(before.home)
    assert deleted.name == "Two seeds"
    restore(before.home, deleted)
    assert {line.folder.name for line in list_runs(before.home)} == {*STAGES, "deleted"}
