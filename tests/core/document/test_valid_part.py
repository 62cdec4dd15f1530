"""What of a document can be counted while something in it is broken."""

from core.document import edits
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.document.valid_part import valid_part

TEXT = """
espalier: 1
name: X
data: {source: fashion-mnist-sample}
sources: [{id: net, settings: {backbone: resnet20}}]
baseline: small
stages:
  - {id: base, kind: train}
  - {id: small, kind: prune-channels}
  - {id: more, kind: train}
  - {id: side, kind: prune-weights, from: base}
  - {id: taught, kind: distil, from: base, settings: {teacher: more}}
axes: {grid: {stage: small, settings: {ratio: [0.1, 0.2]}}}
"""


def part(pipeline: Pipeline) -> tuple[str, ...] | None:
    found = valid_part(pipeline, documents.check(pipeline))
    assert found is None or documents.check(found) == []
    return None if found is None else found.stage_ids


def test_a_broken_stage_takes_what_follows_it_and_what_learns_from_that() -> None:
    pipeline = documents.loads(TEXT)
    assert part(pipeline) == pipeline.stage_ids
    broken = edits.set_setting(pipeline, "small", ("ratio",), 7.0)
    assert part(broken) == ("base", "side")


def test_of_several_grids_those_of_sound_stages_stay() -> None:
    other = {"stage": "side", "settings": {"linear_amount": [0.1]}}
    two = edits.set_grid(documents.loads(TEXT), 1, other)
    assert [grid.stage for grid in two.axes.grids] == ["small", "side"]
    broken = edits.set_setting(two, "small", ("ratio",), 7.0)
    found = valid_part(broken, documents.check(broken))
    assert found is not None and [grid.stage for grid in found.axes.grids] == ["side"]


def test_where_nothing_is_left_nothing_is_counted() -> None:
    pipeline = documents.loads(TEXT)
    assert part(edits.set_setting(pipeline, "base", ("training", "epochs"), -1)) is None
    assert part(edits.set_data(pipeline, ("source",), "nowhere")) is None
