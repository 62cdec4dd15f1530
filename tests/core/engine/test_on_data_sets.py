"""Pre-flight and estimate over several data sets: what is found on each, put together."""

from pathlib import Path
from typing import Any

import pytest

from core.document import pipeline as documents
from core.engine import on_data_sets
from core.engine.cost_estimate import Estimate, StageEstimate
from core.engine.on_data_sets import estimate_on_each, preflight_on_each
from core.engine.options import Options
from core.engine.preflight import Trial, Watcher
from core.runs.home import Home

TEXT = """\
espalier: 1
name: Two
data: {source: fashion-mnist-sample, train_images: 60, validation_images: 20, test_images: 20}
sources:
  - {id: net, settings: {backbone: resnet20}}
stages:
  - {id: base, kind: train, name: Base, settings: {training: {epochs: 0}}}
axes:
  data:
    values:
      All: {}
      Few: {train_images: 5}
"""


def test_what_stops_one_data_set_names_it_and_its_place(tmp_path: Path) -> None:
    heard: list[Trial] = []
    progress: list[float] = []
    said: list[str] = []

    def hear(done: float, text: str) -> None:
        progress.append(done)
        said.append(text)

    watcher = Watcher(hear, heard.append)
    pipeline = documents.loads(TEXT)
    flight = preflight_on_each(pipeline, tmp_path, Home(tmp_path), Options("cpu", 1), None, watcher)
    assert [(trial.id, trial.name, trial.state) for trial in flight.trials] == [
        ("base", "Base · All", "passed")
    ]
    assert heard == list(flight.trials) and not flight.passed
    (problem,) = flight.problems
    assert problem.place == ("axes", "data", "values", "Few", "train_images")
    assert (
        problem.message == "With Few: Expected at least one training image of each of 10 classes, received 5."
    )
    assert progress == sorted(progress) and max(progress) < 1
    assert said[0] == "All: Opening the data set" and said[-1] == "Few: Opening the data set"
    assert said.count("All: Base: exporting and verifying") == 1  # it was said twice, and of no data set


def test_times_and_disk_of_a_stage_are_those_of_every_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measuring itself is `estimate`'s; here two known estimates are put together."""
    costs = {
        "Two · All": Estimate((StageEstimate("base", "Base", 10.0, 5.0, 4),), 1, 300.0, "cpu"),
        "Two · Few": Estimate((StageEstimate("base", "Base", 2.0, 1.0, 4),), 1, 400.0, "cpu"),
    }

    def known(pipeline: Any, *_others: Any) -> Estimate:
        return costs[pipeline.name]

    monkeypatch.setattr(on_data_sets, "estimate", known)
    whole = estimate_on_each(documents.loads(TEXT), tmp_path, Home(tmp_path), Options("cpu", 1))
    assert [(stage.id, stage.seconds, stage.disk_mb) for stage in whole.stages] == [("base", 12.0, 6.0)]
    assert (whole.memory_mb, whole.data_sets, whole.seconds) == (400.0, 2, 12.0)
    assert whole.lines()[-1].endswith("(2 data sets); measured on a few training steps per stage.")
