"""A whole search on few images: what is refused, shared, served, stopped and gone on with, and confirmed."""

import json
import time
from pathlib import Path

import pytest

from core.common.content_hashes import read_sealed
from core.common.control import RunControl
from core.document import pipeline as documents
from core.engine.engine import Engine
from core.engine.options import Options
from core.engine.run_follower import start_run
from core.records.events import Event, PhaseStarted, RunDone, RunStarted, TrialDone
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from core.search.records import TrialRecord, is_study, read_study, trial_folder, wish
from core.search.text import as_plain, as_text, confirmed

pytestmark = pytest.mark.slow

TEXT = """
espalier: 1
name: Small search
data: {source: fashion-mnist-sample, image_size: 32, train_images: 100, validation_images: 60, test_images: 40}
sources: [{id: net, settings: {backbone: plain-cnn-tiny}}]
stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 1, learning_rate: 0.01}}}
  - {id: pruned, kind: prune-channels, settings: {ratio: 0.5, scope: whole-groups, training: {epochs: 2, learning_rate: 0.01}}}
  - {id: half, kind: half-precision, enabled: false}
search:
  free: {stages.pruned.ratio: {choices: [0.25, 0.5, 0.75]}, stages.half.enabled: {}}
  limits: {params: LIMIT}
  sampler: grid
  fidelity: {epochs: 0.5}
  finalists: 1
"""


class Stopper:
    """Stops a run when a second trial begins to prune."""

    def __init__(self, control: RunControl):
        self.control, self.pruned = control, 0

    def __call__(self, event: Event) -> None:
        self.pruned += isinstance(event, PhaseStarted) and event.text == "Pruning channels"
        if self.pruned == 2:
            self.control.stop()


def run(folder: Path, home: Home, listener=lambda event: None, control: RunControl | None = None) -> RunDone:
    return Engine(RunFolder.open(folder), home, Options("cpu", 1), control or RunControl(), listener).run()


def settings_of(trials: tuple[TrialRecord, ...]) -> list[tuple[object, ...]]:
    return [(one.number, one.values, one.state, one.file, one.same_as) for one in trials]


def test_a_search_is_stopped_gone_on_with_asked_for_more_and_served_again(tmp_path: Path):
    home, folder = Home(tmp_path / "home"), tmp_path / "run"
    document = documents.loads(TEXT.replace("LIMIT", "40000"))
    create_run(document, tmp_path, home, folder)
    control = RunControl()
    assert run(folder, home, Stopper(control), control).status == "stopped"
    study = read_study(RunFolder.open(folder))
    assert study is not None and 0 < (before := len(study.trials)) < 6
    events: list[Event] = []
    done = run(folder, home, events.append)
    assert done.status == "completed", done
    study = read_study(RunFolder.open(folder))
    assert study is not None and len(study.trials) == 6 and study.counted <= 6
    assert [one.trial for one in events if isinstance(one, TrialDone)] == list(range(before + 1, 7))
    records = list(RunFolder.open(folder).events())
    assert [record["number"] for record in records] == list(range(1, len(records) + 1))
    finished = RunFolder.open(folder)
    assert is_study(finished) and finished.written.search is not None and finished.pipeline.search is None
    (number, stage), *rest = confirmed(study).items()
    assert not rest and finished.pipeline.final_id == stage
    report = finished.finished_report(stage)
    assert report.metric("top1").n == 40, "on the test images"  # type: ignore[union-attr]
    for trial in study.trials:
        if trial.state == "done":
            assert trial.metrics["top1"].n == 60, "on validation images alone"
            assert not (folder / "trials" / f"{trial.number:04d}" / "stages").exists()
    told = [event.stages for event in events if isinstance(event, RunStarted)][-1]
    assert told == tuple(node.id for node in finished.pipeline.active)
    assert (
        "## Search" in finished.markdown_report.read_text()
        and f"Trial {number}" in finished.markdown_report.read_text()
    )
    assert "Ratio" in as_text(study) and json.dumps(as_plain(study))

    other = next(one.number for one in study.trials if one.state == "done" and one.number != number)
    wish(finished, confirm=[other])
    assert run(folder, home).status == "completed"
    study = read_study(RunFolder.open(folder))
    assert study is not None and list(confirmed(study)) == [number, other]
    assert RunFolder.open(folder).finished_report(confirmed(study)[other]).main is not None

    create_run(document, tmp_path, home, tmp_path / "again")
    assert run(tmp_path / "again", home).status == "completed"
    again = read_study(RunFolder.open(tmp_path / "again"))
    assert again is not None and settings_of(again.trials) == settings_of(study.trials)
    assert all(one.served for one in again.trials if one.state == "done" and one.same_as is None)


def test_a_search_that_is_killed_comes_to_the_same(tmp_path: Path):
    document = documents.loads(TEXT.replace("LIMIT", "40000"))
    for name in ("whole", "killed"):
        create_run(document, tmp_path, Home(tmp_path / name), tmp_path / f"run-{name}")
    assert run(tmp_path / "run-whole", Home(tmp_path / "whole")).status == "completed"
    killed, home = RunFolder.open(tmp_path / "run-killed"), Home(tmp_path / "killed")
    for trial in (1, 2):
        follower = start_run(killed, home, Options("cpu", 1), stay=False)
        deadline = time.monotonic() + 120
        while not any(trial_folder(killed, trial).glob("scratch/*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        follower.kill()
    assert run(killed.folder, home).status == "completed"
    studies = [read_study(RunFolder.open(tmp_path / f"run-{name}")) for name in ("whole", "killed")]
    whole, again = (settings_of(study.trials) for study in studies if study is not None)
    assert whole == again


def test_what_limits_rule_out_is_never_trained(tmp_path: Path):
    home, folder = Home(tmp_path / "home"), tmp_path / "run"
    create_run(documents.loads(TEXT.replace("LIMIT", "10")), tmp_path, home, folder)
    done = run(folder, home)
    assert done.status == "failed" and "None of 6 candidates could be made" in done.message
    study = read_study(RunFolder.open(folder))
    assert study is not None and {one.state for one in study.trials} == {"refused"} and study.counted == 0
    assert all("the limit is" in one.reason for one in study.trials)
    assert read_sealed(folder / "trials/0001/trial.json")["state"] == "refused"
    assert not any((home.cache / "models").rglob("complete"))
