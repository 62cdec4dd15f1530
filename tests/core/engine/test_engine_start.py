"""What a run finds out before its first stage: files that are missing, a home that takes nothing."""

from pathlib import Path

import pytest
from made_runs import TINY, made_run

from core.common.errors import EspalierError
from core.document import pipeline as documents
from core.engine.engine import Engine
from core.engine.options import Options
from core.models.checkpoint import content_hash
from core.records.events import Event, Note, StageStarted
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder

HEAD = """
espalier: 1
name: Tiny
data: {source: fashion-mnist-sample, image_size: 32, train_images: 64, validation_images: 32, test_images: 32}
"""
MISSING_TEACHER = """
sources: [{id: network, settings: {backbone: plain-cnn-tiny}}]
stages:
  - {id: fp32, kind: train}
  - {id: small, kind: distil, settings: {teacher: ./gone}}
"""
MISSING_FILE = """
sources:
  - {id: network, settings: {backbone: plain-cnn-tiny}}
  - {id: other, kind: checkpoint, settings: {path: ./gone}}
stages:
  - {id: fp32, kind: train, from: network}
  - {id: again, kind: train, from: other}
"""


def started(text: str, folder: Path, home: Home) -> tuple[list[Event], Engine]:
    """The events of a run that fails at once."""
    run = create_run(documents.loads(HEAD + text), folder, home, folder / "run")
    events: list[Event] = []
    engine = Engine(run, home, Options("cpu", 1), None, events.append)
    done = engine.run()
    assert done.status == "failed" and str(folder / "gone") in done.message, done
    assert not any(isinstance(event, StageStarted) for event in events)
    return events, engine


@pytest.mark.parametrize("text", [MISSING_TEACHER, MISSING_FILE], ids=["teacher", "checkpoint"])
def test_a_missing_file_is_noticed_before_the_first_stage(text: str, tmp_path: Path) -> None:
    started(text, tmp_path, Home(tmp_path / "home"))


AXIS = """
sources: [{id: network, settings: {backbone: plain-cnn-tiny}}]
stages: [{id: fp32, kind: train, name: FP32, settings: {training: {epochs: 1}}}]
"""


def made(text: str, folder: Path, home: Home) -> tuple[RunFolder, list[Event]]:
    """A finished run that measures nothing, and its events."""
    run = create_run(documents.loads(HEAD + text), folder, home)
    events: list[Event] = []
    done = Engine(run, home, Options("cpu", 1, measures=False), None, events.append).run()
    assert done.status == "completed", done
    return run, events


def test_a_backbone_of_an_axis_is_what_it_is_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    alone, _ = made(AXIS.replace("plain-cnn-tiny", "resnet20"), tmp_path, home)
    stages = home.cache / "models"
    before = set(stages.iterdir())
    axis = "axes: {backbone: {source: network, values: [plain-cnn-tiny, resnet20]}}\n"
    run, events = made(AXIS + axis, tmp_path, home)
    names = {event.stage: event.name for event in events if isinstance(event, StageStarted)}
    assert names == {"fp32": "FP32 · Plain CNN, tiny", "fp32-resnet20": "FP32 · ResNet-20"}
    assert len(set(stages.iterdir()) - before) == 1, "the stage of ResNet-20 comes from the cache"
    one, other = alone.stage_folder("fp32").checkpoint, run.stage_folder("fp32-resnet20").checkpoint
    assert content_hash(one) == content_hash(other)


def test_a_complete_run_stays_complete_where_going_on_with_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")

    def refuse(*_: object) -> None:
        raise EspalierError("The data set has changed.")

    monkeypatch.setattr("core.engine.engine.check_same_pipeline", refuse)
    for stages, status in ((3, "completed"), (2, "failed")):
        run = made_run(documents.loads(TINY), home, tmp_path, stages)
        run.update_info(status="completed")
        assert Engine(run, home, Options("cpu", 1)).run().status == "failed"
        assert run.info.status == status


@pytest.mark.parametrize(("epochs", "status"), [(0, "completed"), (1, "failed")])
def test_classes_without_training_images_stop_a_run_that_trains(
    epochs: int, status: str, tmp_path: Path
) -> None:
    """Published weights are measured, and quantized, without an image of every class."""
    text = HEAD.replace("train_images: 64", "train_images: 8") + AXIS.replace(
        "epochs: 1", f"epochs: {epochs}"
    )
    run = create_run(documents.loads(text), tmp_path, Home(tmp_path / "home"))
    done = Engine(run, Home(tmp_path / "home"), Options("cpu", 1, measures=False)).run()
    assert done.status == status and ("training image of every class" in done.message) is (epochs > 0)


def test_a_home_that_takes_nothing_stops_no_run(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder was to be")
    events, engine = started(MISSING_TEACHER, tmp_path, Home(tmp_path / "home"))
    said = [event.text for event in events if isinstance(event, Note) and event.level == "warning"]
    assert any("They are kept in the run folder while the run goes on." in text for text in said)
    assert not (engine.folder.scratch / "images").exists()
