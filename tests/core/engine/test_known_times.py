"""Times of an estimate stand for the stages of an edited pipeline whose steps are the same ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.document import edits
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.engine.cost_estimate import StageEstimate
from core.engine.known_times import KnownTimes

TEXT = """
espalier: 1
name: Times
data: {source: fashion-mnist-sample, image_size: 16}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: base, kind: train, settings: {training: {epochs: 2}}}
  - {id: small, kind: prune-channels, settings: {ratio: 0.3, training: {epochs: 1}}}
  - {id: taught, kind: distil, settings: {teacher: base, training: {epochs: 4}}}
  - {id: int8, kind: quantize-static}
"""
SECONDS = {"base": 25.0, "small": 15.0, "taught": 45.0, "int8": 35.0}
EPOCH = {"base": 10.0, "small": 10.0, "taught": 10.0, "int8": 0.0}
FIRST = documents.loads(TEXT)


def known(pipeline: Pipeline, base: Path = Path()) -> dict[str, float]:
    stages = [StageEstimate(id, id, seconds, 1.0, 4, EPOCH[id]) for id, seconds in SECONDS.items()]
    return KnownTimes(FIRST, Path(), stages).of(pipeline, base)


def training(stage: str, name: str, value: object) -> Callable[[Pipeline], Pipeline]:
    return lambda pipeline: edits.set_setting(pipeline, stage, ("training", name), value)


def test_of_the_pipeline_itself_every_time_is_known() -> None:
    assert known(FIRST) == SECONDS
    assert known(documents.loads(TEXT.replace("name: Times", "name: Others"))) == SECONDS
    assert known(FIRST, Path("elsewhere")) == {}  # where its paths lead to other files


@pytest.mark.parametrize(
    ("edit", "changed", "gone"),
    [
        (training("base", "epochs", 5), {"base": 55.0}, ""),
        (training("taught", "epochs", 1), {"taught": 15.0}, ""),
        (training("base", "learning_rate", 0.01), {}, ""),
        (training("base", "batch_size", 7), {}, "base"),
        (lambda p: edits.set_setting(p, "small", ("ratio",), 0.5), {}, "small taught int8"),
        (lambda p: edits.set_setting(p, "net", ("backbone",), "resnet56"), {}, "base small taught int8"),
        (lambda p: edits.set_data(p, ("image_size",), 24), {}, "base small taught int8"),
        (lambda p: edits.set_setting(p, "taught", ("teacher",), "small"), {}, "taught int8"),
    ],
)
def test_what_takes_other_steps_has_no_time(
    edit: Callable[[Pipeline], Pipeline], changed: dict[str, float], gone: str
) -> None:
    left = {id: seconds for id, seconds in {**SECONDS, **changed}.items() if id not in gone.split()}
    assert known(edit(FIRST)) == left


def test_a_stage_that_is_switched_off_leaves_the_others_what_they_start_from() -> None:
    off = documents.loads(TEXT.replace("id: small,", "id: small, enabled: false,"))
    assert known(off) == {"base": 25.0}
