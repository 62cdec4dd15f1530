"""The section `search`: what is free, the pipeline at a point, and what is refused with its place."""

import pytest

from core.document import dimensions
from core.document import pipeline as documents
from core.document.pipeline import Pipeline, PipelineError

TEXT = """
espalier: 1
name: Small
data: {source: fashion-mnist-sample, image_size: 16}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train}
  - {id: mixed, kind: train-mixed, settings: {training: {epochs: 2}}}
  - {id: pruned, kind: prune-channels, settings: {ratio: 0.5}}
  - {id: int8, kind: quantize-static}
  - {id: mix8, kind: quantize-mixed, enabled: false}
search:
  free:
    stages.pruned.ratio: {low: 0.2, high: 0.8, step: 0.1}
    stages.pruned.training.learning_rate: {low: 1.0e-5, high: 0.01, log: true}
    stages.pruned.budget: {low: 0.2, high: 0.5}
    stages.mixed.enabled: {}
    stages.mixed.training.epochs: {low: 1, high: 3, when: stages.mixed.enabled=true}
    stages.pruned.importance: {choices: [l1, taylor]}
  slots: {last: [int8, mix8, null]}
  objectives: [top1, size_mb]
  limits: {size_mb: 0.4}
"""


def pipeline(text: str = TEXT) -> Pipeline:
    return documents.loads(text)


def test_a_search_is_read_and_written():
    document = pipeline()
    assert documents.loads(documents.dumps(document)) == document
    assert documents.check(document.resolved()) == []
    assert documents.loads(documents.dumps(document.resolved())).search == document.search


def test_switches_and_slots_come_first():
    paths = [one.path for one in dimensions.dimensions(pipeline())]
    assert paths[:2] == ["slots.last", "stages.mixed.enabled"]
    assert set(paths) == {"slots.last", *pipeline().search.free}  # type: ignore[union-attr]


def test_only_what_matters_is_free():
    document = pipeline()
    by_path = {one.path: one for one in dimensions.dimensions(document)}
    assert not dimensions.matters(
        document, by_path["stages.pruned.budget"]
    )  # of another target than the ratio
    assert dimensions.matters(document, by_path["stages.mixed.training.epochs"])
    without = dimensions.with_value(document, by_path["stages.mixed.enabled"], False)
    assert not dimensions.matters(without, by_path["stages.mixed.training.epochs"])


def test_the_pipeline_at_a_point_is_an_ordinary_one():
    at = dimensions.at(
        pipeline(), {"slots.last": "mix8", "stages.mixed.enabled": False, "stages.pruned.ratio": 0.3}
    )
    assert at.search is None and documents.check(at) == []
    assert [node.id for node in at.active] == ["fp32", "pruned", "mix8"]
    assert at.stage("pruned").settings["ratio"] == 0.3 and at.final_id == "mix8"
    bare = dimensions.at(pipeline(), {"slots.last": dimensions.NONE})
    assert bare.final_id == "pruned"


def test_a_final_stage_that_is_off_is_stood_in_for():
    text = TEXT.replace("search:", "final: int8\nsearch:").replace("[int8, mix8, null]", "[int8, null]")
    assert dimensions.at(pipeline(text), {"slots.last": dimensions.NONE}).final_id == "pruned"


def test_where_the_file_itself_stands():
    written = dimensions.as_written(pipeline())
    assert written is not None
    assert written["stages.pruned.ratio"] == 0.5 and written["slots.last"] == "int8"
    assert "stages.pruned.budget" not in written
    assert dimensions.as_written(pipeline(TEXT.replace("ratio: 0.5", "ratio: 0.55"))) is None


def test_what_trials_share_and_what_they_need():
    document = pipeline()
    assert dimensions.varying(document) == {"mixed", "pruned", "int8", "mix8"}
    assert [node.id for node in dimensions.needed(dimensions.at(document, {}))] == [
        "fp32", "mixed", "pruned", "int8",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("high: 0.8, step", "high: 1.8, step", "search.free.stages.pruned.ratio.high", "Expected less than 1.0, received 1.8"),
        ("stages.pruned.importance", "stages.prund.importance", "stages.prund.importance", "Expected the path of a setting"),
        ("pruned.importance:", "pruned.importanc:", "stages.pruned.importanc", "Expected a setting of 'pruned'"),
        ("[l1, taylor]", "[l1, taylr]", "importance.choices.1", "received 'taylr'"),
        ("[int8, mix8, null]", "[int8, gone]", "search.slots.last", "Expected ids of stages in the slot 'last', received 'gone'"),
        ("[int8, mix8, null]", "[int8, mixed]", "stages.mixed.enabled", "switches the stage 'mixed' already"),
        ("[int8, mix8, null]", "[int8]", "search.slots", "at least two different stages"),
        ("[top1, size_mb]", "[top2]", "search.objectives", "'top2' is none of them"),
        ("{size_mb: 0.4}", "{agreement: 99}", "search.limits", "'agreement' is none of them"),
        ("mixed.enabled: {}", "mixed.enabled: {low: 1, high: 2}", "stages.mixed.enabled", "on or off"),
        ("low: 1.0e-5, high: 0.01", "low: 0.1, high: 0.01", "learning_rate", "low end of the range below the high end"),
        ("high: 0.01, log: true", "high: 0.01, log: true, step: 0.1", "learning_rate", "a step or log, received both"),
        ("when: stages.mixed.enabled=true", "when: stages.foo=1", "training.epochs", "received 'stages.foo'"),
        ("limits: {size_mb: 0.4}", "sampler: grid", "learning_rate", "a grid tries every value"),
        ("limits: {size_mb: 0.4}", "trials: 0", "search.trials", "at least 1"),
        ("kind: quantize-mixed, enabled: false", "kind: distil, settings: {teacher: mixed}, enabled: false", "search", "With last mix8, mixed: on off: Expected the id of an active stage"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_with_its_place(old: str, new: str, place: str, words: str):
    assert old in TEXT
    with pytest.raises(PipelineError) as caught:
        pipeline(TEXT.replace(old, new))
    problem = caught.value.problems[0]
    assert words in str(problem) and place in str(problem), str(problem)
    assert problem.line > 1


def test_a_grid_beside_a_search_is_refused():
    grid = "axes: {grid: {stage: pruned, settings: {ratio: [0.1, 0.2]}}}\nsearch:"
    with pytest.raises(PipelineError, match="has both"):
        pipeline(TEXT.replace("search:", grid, 1))
