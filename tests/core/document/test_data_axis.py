"""An axis over data sets: a pipeline for each, its rules, and the runs that it is."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.commands import run as commands
from core.common.errors import EspalierError, Problem
from core.document import edits, stage_tree
from core.document import pipeline as documents
from core.document.data_axis import data_sets, per_data_set
from core.document.fixes import fix_for
from core.document.pipeline import Pipeline, PipelineError
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from core.runs.series import folders, new_series, series_of

TEXT = """\
espalier: 1
name: Collections
data: {source: fashion-mnist-sample, image_size: 32, augmentation: {rotation: 5}}
sources:
  - {id: network, settings: {backbone: resnet20}}
stages:
  - {id: fp32, kind: train, name: FP32}
  - {id: pruned, kind: prune-channels, name: Pruned, settings: {round_to: 4}}
  - {id: student, kind: distil, from: network, settings: {teacher: fp32}}
baseline: fp32
axes:
  seed: [1, 2]
  data:
    values:
      Ten: {}
      Shirts: {classes: "Pullover, Shirt", augmentation: {shift: 2}}
    set:
      Shirts: {stages.pruned.ratio: 0.6, stages.student.enabled: false}
paper:
  - {source: Both, rows: [{name: A, stage: fp32, values: {top1: 90}}], claims: [{says: Nothing is lost, stage: pruned, metric: top1, at_least: -1}]}
  - {source: Shirts alone, data: Shirts, rows: [{name: B, stage: fp32, values: {top1: 80}}]}
"""
WITHOUT_SWITCH = TEXT.replace(", stages.student.enabled: false", "").replace("baseline: fp32\n", "")


@pytest.fixture
def pipeline() -> Pipeline:
    return documents.loads(TEXT.replace("baseline: fp32", "baseline: fp32\nfinal: pruned"))


def problems(text: str) -> list[Problem]:
    with pytest.raises(PipelineError) as caught:
        documents.loads(text)
    return caught.value.problems


def test_each_data_set_has_a_pipeline_of_its_own(pipeline: Pipeline) -> None:
    ten, shirts = per_data_set(pipeline)
    assert (ten.name, shirts.name) == ("Collections · Ten", "Collections · Shirts")
    assert all(
        documents.check(one) == [] and one.axes.data is None and one.axes.seed == (1, 2)
        for one in (ten, shirts)
    )
    assert (ten.data.classes, ten.data.image_size, ten.data.augmentation.shift) == ("", 32, 0)
    assert (shirts.data.classes, shirts.data.image_size) == ("Pullover, Shirt", 32)
    assert (shirts.data.augmentation.shift, shirts.data.augmentation.rotation) == (2, 5)
    ratios = [one.stage("pruned").parameters.ratio for one in (ten, shirts)]  # type: ignore[attr-defined]
    assert ratios == [0.3, 0.6] and shirts.stage("pruned").settings["round_to"] == 4
    assert (len(ten.active), len(shirts.active)) == (3, 2)
    assert [[paper.source for paper in one.paper] for one in (ten, shirts)] == [
        ["Both"],
        ["Both", "Shirts alone"],
    ]
    assert all(one.paper[0].claims for one in (ten, shirts))
    assert per_data_set(ten) == (ten,) and data_sets(ten) == ()


def test_the_file_survives_saving(pipeline: Pipeline) -> None:
    assert documents.loads(documents.dumps(pipeline)) == pipeline
    assert documents.loads(documents.dumps(pipeline.resolved())) == pipeline.resolved()
    long = edits.set_key(pipeline, "name", "x" * 120)
    assert all(len(one.name) == 120 and documents.check(one) == [] for one in per_data_set(long))


@pytest.mark.parametrize(
    ("before", "after", "place", "words"),
    [
        ("classes:", "klasses:", "data.values.Shirts.klasses", "Expected only known keys, received 'klasses'."),
        ("{shift: 2}", "{shift: 200}", "data.values.Shirts.augmentation.shift", "Expected at most 64, received 200"),
        ("Ten: {}", "Ten: {source: nowhere}", "data.values.Ten.source", "Expected a data set, received 'nowhere'"),
        ("      Shirts: {stages", "      Socks: {stages", "data.set.Socks", "Expected one of the data sets of this axis, received 'Socks'. Choose one of: Ten, Shirts."),
        ("ratio: 0.6", "ratio: 6", "data.set.Shirts.stages.pruned.ratio", "Expected less than 1.0, received 6."),
        ("pruned.ratio: 0.6", "nobody.ratio: 6", "data.set.Shirts.stages.nobody.ratio", "nobody"),
        ("student.enabled", "fp32.enabled", "data.set.Shirts.stages.fp32.enabled", "'FP32' is the baseline or the final stage, which every data set has."),
        ("  - {source: Shirts alone, data: Shirts", "  - {source: Shirts alone, data: Socks", "paper.1.data", "Expected the name of a data set of axes.data, received 'Socks'."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_found_in_its_place(before: str, after: str, place: str, words: str) -> None:
    text = TEXT.replace("baseline: fp32", "baseline: fp32\nfinal: pruned")
    assert before in text
    found = problems(text.replace(before, after))
    expected = place if place.startswith("paper") else f"axes.{place}"
    assert ".".join(map(str, found[0].place)) == expected and found[0].line > 0
    assert words in str(found[0])


def test_a_paper_names_no_data_set_where_there_is_no_axis() -> None:
    text = TEXT.partition("axes:")[0] + "paper: [{source: A, data: Ten, rows: []}]\n"
    assert "received 'Ten'. Take this line out." in str(problems(text)[0])


def test_a_problem_of_one_data_set_names_it_and_one_of_all_is_said_once() -> None:
    text = WITHOUT_SWITCH.replace("backbone: resnet20", "backbone: plain-cnn-tiny").replace(
        "round_to: 4", "scope: block-internal"
    )
    (problem,) = problems(text.replace("stages.pruned.ratio: 0.6", "stages.pruned.ratio: 0.5"))
    assert problem.place[:2] == ("stages", 1) and not problem.message.startswith("With")
    one = text.replace(", settings: {scope: block-internal}", ", settings: {scope: whole-groups}")
    (problem,) = problems(one.replace("stages.pruned.ratio: 0.6", "stages.pruned.scope: block-internal"))
    assert problem.message.startswith("With Shirts: ")


def test_a_search_beside_it_is_refused() -> None:
    text = (
        WITHOUT_SWITCH + "search: {free: {stages.pruned.ratio: {low: 0.1, high: 0.5}}, objectives: [top1]}\n"
    )
    assert "A pipeline has a search or an axis over data sets" in str(problems(text)[0])


def test_edits_keep_the_axis_in_step(pipeline: Pipeline, tmp_path: Path) -> None:
    fewer = edits.set_data_axis(pipeline, {**(edits.plain_data_axis(pipeline) or {}), "values": {"Ten": {}}})
    assert edits.plain_data_axis(fewer) == {"values": {"Ten": {}}}
    changed = edits.set_data_of(pipeline, "Ten", ("augmentation", "rotation"), 9.0)
    assert changed.axes.data is not None and changed.axes.data.values["Ten"] == {
        "augmentation": {"rotation": 9.0}
    }
    assert per_data_set(changed)[0].data.augmentation.rotation == 9
    again = edits.set_data_of(changed, "Ten", ("augmentation", "rotation"), 5.0)  # as the data section has it
    assert again == edits.set_data_of(changed, "Ten", ("augmentation", "rotation"), None, True) == pipeline
    without = stage_tree.remove_stage(pipeline, "pruned")
    assert without.axes.data is not None and list(without.axes.data.own["Shirts"]) == [
        "stages.student.enabled"
    ]
    moved = edits.with_absolute_paths(edits.set_data_of(pipeline, "Ten", ("path",), "images"), tmp_path)
    assert moved.axes.data is not None and moved.axes.data.values["Ten"]["path"] == str(tmp_path / "images")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"values": {"Ten": {}, "Shirts": {"source": "nowhere"}}, "set": {}}, "Remove this data set"),
        (
            {"set": {"Shirts": {"stages.pruned.ratio": 7, "stages.fp32.training.epochs": 3}}},
            "Remove this setting",
        ),
        ({"set": {"Socks": {"stages.pruned.ratio": 0.5}}}, "Remove this setting"),
        ({"values": {"Shirts": {"source": "nowhere"}}, "set": {}}, "Remove the axis over data sets"),
    ],
)
def test_mistakes_are_mended_by_one_click(pipeline: Pipeline, change: dict[str, Any], words: str) -> None:
    axis = {**(edits.plain_data_axis(pipeline) or {}), **change}
    content = {key: value for key, value in pipeline.as_dict().items() if key != "paper"}
    broken = Pipeline.parse({**content, "axes": {"data": axis}})
    (problem,) = documents.check(broken)
    fix = fix_for(broken, problem)
    assert fix is not None and fix.words == words and documents.check(fix.pipeline) == []


def test_a_run_is_on_one_data_set_and_knows_the_others(pipeline: Pipeline, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(EspalierError, match="on one data set for a run, received one over several"):
        create_run(pipeline, tmp_path, home)
    series = new_series(pipeline)
    made = [create_run(one, tmp_path, home, series=series) for one in per_data_set(pipeline)]
    alone = create_run(per_data_set(pipeline)[0], tmp_path, home)
    assert [run.folder for run in series_of(home, made[1])] == [run.folder for run in made]
    assert [run.folder for run in series_of(home, alone)] == [alone.folder]
    assert new_series(alone.pipeline) == "" and alone.info.series == ""
    names = Pipeline.parse(
        {**pipeline.as_dict(), "paper": [], "axes": {"data": {"values": {"A b": {}, "a-B": {}, "é": {}}}}}
    )
    assert [folder.name for folder in folders(names, tmp_path)] == ["a-b", "a-b-2", "data"]


def test_the_command_line_runs_one_after_the_other_and_goes_on_where_it_was(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs is the engine's matter; here it is which runs begin, in what order, and which are done already."""
    said: list[str] = []
    monkeypatch.setattr(commands, "say", said.append)
    monkeypatch.setattr(commands, "say_command", said.append)
    file, home = tmp_path / "both.yaml", Home(tmp_path / "home")
    file.write_text(documents.dumps(pipeline))
    options = SimpleNamespace(file=str(file), out=None, resume=False, json=False)
    begun: list[str] = []

    def work(how: dict[str, int]) -> Any:
        def run(run: RunFolder, _show: Any) -> int:
            begun.append(run.pipeline.name)
            status = how.get(run.pipeline.name, 0)
            run.update_info(status="stopped" if status else "completed")
            return status

        return run

    assert commands._run_series(options, home, pipeline, work({"Collections · Ten": 130})) == 130  # type: ignore[arg-type]
    assert begun == ["Collections · Ten"] and said[-1].endswith("both.yaml --resume")
    options.resume = True
    assert commands._run_series(options, home, pipeline, work({})) == 0  # type: ignore[arg-type]
    assert begun[1:] == ["Collections · Ten", "Collections · Shirts"] and len(list(home.runs.iterdir())) == 2
    assert said[-1].startswith("espalier compare ") and said[-1].count("collections-") == 2
    assert commands._run_series(options, home, pipeline, work({})) == 0  # type: ignore[arg-type]
    assert len(begun) == 3, "both are complete"
    options.out = tmp_path / "out"
    options.resume = False
    assert commands._run_series(options, home, pipeline, work({"Collections · Ten": 1})) == 1  # type: ignore[arg-type]
    assert sorted(place.name for place in options.out.iterdir()) == ["shirts", "ten"], (
        "a failure leaves the others"
    )
