"""Plans of a cluster: what two pipelines have in common is asked for once, and what differs is not."""

from pathlib import Path

import pytest

from core.cluster.packed_results import packed, settle, settled_in, taken_in
from core.cluster.plans import Plan, plans_of
from core.common.content_hashes import seal_folder, write_sealed
from core.common.errors import EspalierError
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.engine.options import Options
from core.runs.cache import Store
from core.runs.home import Home
from core.runs.new_run import create_run

TREE = """
espalier: 1
name: A tree
data: {source: fashion-mnist-sample, train_images: 256, validation_images: 128, test_images: 128}
sources:
  - {id: network, settings: {backbone: resnet20}}
stages:
  - {id: base, kind: train, name: Base, settings: {training: {epochs: 1}}}
  - {id: cut, kind: prune-channels, from: base, settings: {ratio: 0.5, training: {epochs: 1}}}
  - {id: taught, kind: distil, from: cut, settings: {teacher: base, training: {epochs: 1}}}
  - {id: int8, kind: quantize-static, from: base}
"""
CPU = Options("cpu", 1)


def tree(text: str = TREE) -> Pipeline:
    return documents.loads(text)


def plans(text: str = TREE, options: Options = CPU) -> dict[str, Plan]:
    return {list(plan.ids.values())[-1]: plan for plan in plans_of(tree(text), Path("/data"), options)}


def test_a_plan_is_a_pipeline_of_what_its_stage_is_made_from():
    made = plans()
    taught = documents.loads(made["taught"].document)
    assert [node.kind for node in taught.active] == ["train", "prune-channels", "distil"]
    assert taught.active[-1].settings["teacher"] == taught.active[0].id
    assert made["taught"].needs == (made["base"].key, made["cut"].key)
    assert [node.kind for node in documents.loads(made["int8"].document).active] == [
        "train",
        "quantize-static",
    ]
    assert not any(plan.options["measures"] for plan in made.values())


def test_names_and_other_branches_change_no_plan():
    renamed = (
        TREE.replace("name: A tree", "name: Another").replace("name: Base", "name: First")
        .replace("base", "first").replace("ratio: 0.5", "ratio: 0.4")
    )  # fmt: skip
    one, other = plans(), plans(renamed)
    assert one["base"].key == other["first"].key and one["int8"].key == other["int8"].key
    assert one["cut"].key != other["cut"].key and one["taught"].key != other["taught"].key


@pytest.mark.parametrize(
    ("old", "new"),
    [("epochs: 1", "epochs: 2"), ("resnet20", "resnet32"), ("train_images: 256", "train_images: 200")],
)
def test_what_decides_a_result_changes_its_plan(old, new):
    assert plans()["base"].key != plans(TREE.replace(old, new))["base"].key


def test_seeds_and_threads_are_plans_of_their_own():
    several = plans_of(tree(TREE + "axes: {seed: [1, 2]}"), Path("/data"), CPU)
    assert len(several) == len({plan.key for plan in several}) == 8
    assert several[0].title == "Base (seed 1)"
    assert plans(options=Options("cpu", 2))["base"].key != plans()["base"].key


def test_another_file_under_the_same_name_is_another_plan(tmp_path):
    weights = tmp_path / "w.safetensors"
    text = TREE.replace("backbone: resnet20", f"backbone: resnet20, weights: file, weights_file: {weights}")
    weights.write_bytes(b"one")
    before = plans(text)["base"].key
    assert plans(text)["base"].key == before
    weights.write_bytes(b"three")
    assert plans(text)["base"].key != before


def entry(home: Home, key: str, content: bytes) -> None:
    folder = home.folder / "made"
    (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint" / "weights").write_bytes(content)
    seal_folder(folder)
    Store(home.cache / "models").put(key, folder)


def test_a_parcel_brings_entries_whole(tmp_path):
    here, there = Home(tmp_path / "here"), Home(tmp_path / "there")
    entry(here, "0a1b", b"weights" * 10_000)
    parcel = packed(here, [("models", "0a1b")], {"precision_trials.json": {"s0": {"chosen": 1}}})
    entries, decisions = taken_in(there, parcel)
    assert entries == [("models", "0a1b")] and decisions["precision_trials.json"] == {"s0": {"chosen": 1}}
    assert Store(there.cache / "models").copy_to("0a1b", tmp_path / "out")
    assert (tmp_path / "out" / "checkpoint" / "weights").read_bytes() == b"weights" * 10_000
    with pytest.raises(EspalierError, match="no longer"):
        packed(here, [("models", "ffff")], {})


def test_a_parcel_that_was_changed_on_the_way_is_refused(tmp_path):
    here, there = Home(tmp_path / "here"), Home(tmp_path / "there")
    entry(here, "0a1b", b"weights" * 10_000)
    parcel = bytearray(packed(here, [("models", "0a1b")], {}))
    at = parcel.index(b"weightsweights") + 5000
    parcel[at] ^= 1
    with pytest.raises(EspalierError, match="damaged"):
        taken_in(there, bytes(parcel))
    assert not Store(there.cache / "models").copy_to("0a1b", tmp_path / "out")
    with pytest.raises(EspalierError, match="damaged"):
        taken_in(there, b"no parcel")


def test_what_was_settled_by_timing_comes_under_the_runs_own_names(tmp_path):
    run = create_run(tree(), tmp_path, Home(tmp_path / "home"))
    write_sealed(run.folder / "precision_trials.json", {"cut": {"mine": 1}})
    settle(
        run,
        {"precision_trials.json": {"s0": {"theirs": 1}, "s1": {"theirs": 2}}},
        {"s0": "base", "s1": "cut"},
    )
    assert settled_in(run) == {"precision_trials.json": {"base": {"theirs": 1}, "cut": {"mine": 1}}}
