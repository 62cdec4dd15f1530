"""Stages copied as text and put into the same or another pipeline."""

from pathlib import Path

import pytest

from core.common.errors import EspalierError
from core.document import copied_stages
from core.document import pipeline as documents
from core.document.pipeline import Pipeline

FIRST = """
espalier: 1
name: First
data: {source: fashion-mnist-sample}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: base, kind: train, name: Base}
  - {id: small, kind: distil, name: Small, settings: {teacher: base, training: {epochs: 3}}}
  - {id: int8, kind: quantize-static, name: INT8}
  - {id: other, kind: prune-channels, name: Other, from: base}
"""
SECOND = FIRST.replace("name: First", "name: Second").replace("base", "start").replace("other", "cut")


def parents(pipeline: Pipeline) -> dict[str, str]:
    return {node.id: pipeline.written_parent(node) for node in pipeline.stages}


def test_a_stage_is_copied_behind_another_and_what_followed_goes_on_behind_it() -> None:
    pipeline = documents.loads(FIRST)
    text = copied_stages.copied(pipeline, ("small",), Path())
    changed, ids = copied_stages.pasted(pipeline, text, "base")
    assert ids == ("small-2",)
    assert parents(changed) == {
        "base": "net", "small-2": "base", "small": "small-2", "int8": "small", "other": "base",
    }  # fmt: skip
    assert changed.stage("small-2").settings == {"teacher": "base", "training": {"epochs": 3}}
    assert changed.stage("small-2").title == "Small 2"
    assert documents.check(changed) == []


def test_several_keep_their_order_their_branches_and_their_teacher() -> None:
    text = copied_stages.copied(documents.loads(FIRST), ("base", "small", "int8", "other"), Path())
    changed, ids = copied_stages.pasted(documents.loads(SECOND), text, "int8")
    assert documents.check(changed) == []
    there = parents(changed)
    base, small, int8, other = ids
    assert there[small] == base and there[int8] == small and there[other] == base
    assert changed.stage(small).settings["teacher"] == base
    assert there[base] == "small"  # a file cannot be trained: the network before it is


def test_a_teacher_that_the_other_pipeline_lacks_becomes_its_baseline() -> None:
    text = copied_stages.copied(documents.loads(FIRST), ("small",), Path())
    changed, ids = copied_stages.pasted(documents.loads(SECOND), text, "start")
    assert changed.stage(ids[0]).settings["teacher"] == "start"


def test_paths_are_written_in_full(tmp_path: Path) -> None:
    pipeline = documents.loads(FIRST.replace("teacher: base", "teacher: runs/old"))
    text = copied_stages.copied(pipeline, ("small",), tmp_path)
    assert str(tmp_path / "runs" / "old") in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", "Expected stages in the clipboard, received something else."),
        ("espalier: 2\nstages: []", "Expected stages in format 1, received 2."),
        ("espalier: 1\nstages: [{id: a, kind: shrink}]", "no stage of the kind 'shrink'"),
        ("espalier: 1\nstages: [{id: a, kind: prune-channels, settings: {ratio: 7}}]", "have a problem"),
        ("espalier: 1\nstages: {a: [}", "have a problem"),
        ("espalier: 1\nstages: {a: 1}", "have a problem"),
        ("espalier: 1\nstages: []", "have a problem"),
        ("- espalier: 1\n- a\nstages:", "have a problem"),
        ("[espalier: 1,\nstages: 1]", "Expected stages"),
    ],
)
def test_what_is_no_stage_is_refused_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(EspalierError) as refused:
        copied_stages.pasted(documents.loads(FIRST), text, "base")
    assert words in refused.value.message
