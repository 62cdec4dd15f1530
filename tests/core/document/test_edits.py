"""Edits keep what other stages continue, and every result is a document that loads again."""

import random
from pathlib import Path

import pytest

from core.document import edits, stage_tree
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.models.network_facts import NetworkFacts
from core.models.settings import BackboneSettings
from core.stages.catalogue import STAGES
from core.training.settings import TrainingSettings

FACTS = NetworkFacts(BackboneSettings(backbone="resnet20"))

BRANCHED = """
espalier: 1
name: Branched
sources: [{id: net}]
stages:
  - {id: base, kind: train}
  - {id: a1, kind: train-mixed}
  - {id: a2, kind: train-mixed}
  - {id: b1, kind: prune-channels, from: base}
  - {id: b2, kind: train-mixed}
"""


@pytest.fixture
def branched() -> Pipeline:
    return documents.loads(BRANCHED)


def parents(pipeline: Pipeline) -> dict[str, str]:
    return {node.id: pipeline.written_parent(node) for node in pipeline.stages}


def test_removing_hands_the_children_on(branched: Pipeline) -> None:
    assert parents(stage_tree.remove_stage(branched, "b1"))["b2"] == "base"
    after = parents(stage_tree.remove_stage(branched, "base"))
    assert after == {"a1": "net", "a2": "a1", "b1": "net", "b2": "b1"}


def test_the_last_stage_stays() -> None:
    single = documents.loads("espalier: 1\nname: One\nsources: [{id: net}]\nstages: [{id: a, kind: train}]")
    with pytest.raises(stage_tree.RefusedEdit):
        stage_tree.remove_stage(single, "a")


def test_moving_within_a_chain_changes_the_order_of_work(branched: Pipeline) -> None:
    moved = stage_tree.move_stage(branched, "a2", -1)
    assert moved.stage_ids == ("base", "a2", "a1", "b1", "b2")
    assert parents(moved) == {"base": "net", "a2": "base", "a1": "a2", "b1": "base", "b2": "b1"}


def test_moving_past_another_branch_changes_only_the_order(branched: Pipeline) -> None:
    moved = stage_tree.move_stage(branched, "b1", -1)
    assert moved.stage_ids == ("base", "a1", "b1", "a2", "b2")
    assert parents(moved) == parents(branched)


def test_a_duplicate_is_a_branch(branched: Pipeline) -> None:
    copied, id = stage_tree.duplicate_stage(branched, "a1")
    assert id == "a1-2" and parents(copied)[id] == "base"
    assert parents(copied)["a2"] == "a1"
    assert copied.stage(id).settings == branched.stage("a1").settings


def test_a_distillation_gets_a_likely_teacher(branched: Pipeline) -> None:
    added, id = stage_tree.add_stage(branched, "distil")
    assert added.stage(id).settings == {"teacher": "base"}
    assert documents.check(added) == []


@pytest.mark.parametrize("kind", STAGES)
def test_every_kind_can_be_added_anywhere(branched: Pipeline, kind: str) -> None:
    if kind == "merge-tokens":  # for transformers only
        branched = edits.set_setting(branched, "net", ("backbone",), "vit-tiny")
    for after in ("", *branched.stage_ids):
        added, id = stage_tree.add_stage(branched, kind, after)
        assert id in added.stage_ids
        assert Pipeline.parse(added.as_dict()) == added
        assert documents.check(added) == []


def test_switching_off_and_on_leaves_the_file_as_it_was(branched: Pipeline) -> None:
    off = edits.set_enabled(branched, "a1", False)
    assert not off.stage("a1").enabled
    assert documents.dumps(edits.set_enabled(off, "a1", True)) == documents.dumps(branched)


def test_paths_become_absolute_for_another_folder(tmp_path: Path, branched: Pipeline) -> None:
    changed = edits.set_data(edits.set_data(branched, ("source",), "folder"), ("path",), "pictures")
    assert edits.with_absolute_paths(changed, tmp_path).data.path == str(tmp_path / "pictures")


def test_random_edits_always_give_a_document_that_loads(branched: Pipeline) -> None:
    draw, pipeline = random.Random(7), branched
    for _ in range(120):
        id = draw.choice(pipeline.stage_ids)
        choice = draw.randrange(6)
        if choice == 0 and len(pipeline.stages) < 12:
            pipeline, _new = stage_tree.add_stage(pipeline, draw.choice(list(STAGES)), id)
        elif choice == 1 and len(pipeline.stages) > 1:
            pipeline = stage_tree.remove_stage(pipeline, id)
        elif choice == 2 and len(pipeline.stages) < 12:
            pipeline, _new = stage_tree.duplicate_stage(pipeline, id)
        elif choice == 3 and stage_tree.can_move(pipeline, id, 1):
            pipeline = stage_tree.move_stage(pipeline, id, 1)
        elif choice == 4:
            pipeline = stage_tree.set_parent(
                pipeline, id, draw.choice(stage_tree.possible_parents(pipeline, id))
            )
        else:
            pipeline = edits.set_enabled(pipeline, id, draw.random() < 0.7)
        again = Pipeline.parse(pipeline.as_dict())
        assert again == pipeline
        for node in pipeline.stages:
            assert pipeline.written_parent(node) in stage_tree.possible_parents(pipeline, node.id)


def test_a_preset_is_filled_in_and_another_takes_back_what_it_set(branched: Pipeline) -> None:
    presets = {preset.id: preset.values for preset in TrainingSettings.presets}
    kept = edits.set_setting(branched, "base", ("training", "batch_size"), 32)
    strong = edits.fill_settings(kept, "base", ("training",), presets["from-scratch-strong"])
    training = strong.stage("base").stage.Settings.parse(strong.stage("base").settings).training
    assert (training.batch_size, training.cutmix, training.optimiser) == (32, 1.0, "sgd")
    tuned = edits.fill_settings(strong, "base", ("training",), presets["fine-tune"])
    assert tuned == edits.fill_settings(kept, "base", ("training",), presets["fine-tune"])
    written = tuned.stage("base").settings["training"]
    assert written["layer_decay"] == 0.8 and "cutmix" not in written  # nothing is written for a default


def test_presets_name_the_same_settings_and_are_sound() -> None:
    first, *others = TrainingSettings.presets
    assert all(preset.values.keys() == first.values.keys() for preset in others)
    for preset in TrainingSettings.presets:
        made = TrainingSettings.parse(dict(preset.values))
        assert {name: getattr(made, name) for name in preset.values} == dict(preset.values)
        assert TrainingSettings.parse({}) != made


def test_a_stages_own_defaults_give_way_to_a_preset() -> None:
    text = "espalier: 1\nname: One\nsources: [{id: net}]\nstages: [{id: a, kind: only-train-once}]"
    pipeline = documents.loads(text)
    strong = next(preset.values for preset in TrainingSettings.presets if preset.id == "from-scratch-strong")
    filled = edits.fill_settings(pipeline, "a", ("training",), strong).stage("a")
    training = filled.stage.Settings.parse(filled.settings).training
    assert {name: getattr(training, name) for name in strong} == dict(strong)
    problems = [
        problem.place for problem in filled.stage.check(filled.stage.Settings.parse(filled.settings), FACTS)
    ]
    assert problems == [("training", "averaging")]
