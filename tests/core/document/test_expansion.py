"""An axis over backbones, written out: a tree for each, what they have in common once, and its rules."""

from pathlib import Path
from typing import Any

import pytest

from core.common.errors import Problem
from core.document import edits, stage_tree
from core.document import pipeline as documents
from core.document.expansion import expand, expanded, labels
from core.document.fixes import fix_for
from core.document.pipeline import Pipeline, PipelineError
from core.document.stage_keys import stage_keys
from core.document.valid_part import valid_part
from core.engine.preflight import reduced
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.open_document import open_document
from core.runs.resuming import check_same_pipeline
from core.whatif import WhatIf

TEXT = """\
espalier: 1
name: Axis
data: {source: fashion-mnist-sample, image_size: 32}
sources:
  - {id: network, name: Plain, settings: {backbone: resnet18, fem: {place: pooled}}}
  - {id: other, settings: {backbone: resnet20}}
stages:
  - {id: fp32, kind: train, from: network, name: FP32}
  - {id: pruned, kind: prune-channels, name: Pruned, settings: {scope: block-internal}}
  - {id: teacher, kind: train, name: Teacher, from: other}
  - {id: student, kind: distil, name: Student, from: other, settings: {teacher: pruned}}
axes:
  backbone:
    source: network
    values: [resnet20, resnet56]
    set:
      resnet56: {stages.pruned.ratio: 0.6, stages.fp32.training.epochs: 3, sources.network.fem.place: none}
  grid: {stage: pruned, settings: {ratio: [0.1, 0.2]}}
"""


@pytest.fixture
def pipeline() -> Pipeline:
    return documents.loads(TEXT)


def problems(text: str) -> list[Problem]:
    with pytest.raises(PipelineError) as caught:
        documents.loads(text)
    return caught.value.problems


def test_every_backbone_has_its_own_tree_and_what_is_shared_stands_once(pipeline: Pipeline) -> None:
    whole = expanded(pipeline)
    assert documents.check(whole) == [] and whole.axes.backbone is None
    assert [source.parameters.backbone for source in whole.sources] == ["resnet20", "resnet56", "resnet20"]  # type: ignore[attr-defined]
    assert {node.id: (node.title, whole.parent(node)) for node in whole.stages} == {
        "fp32": ("FP32 · ResNet-20", "network"),
        "pruned": ("Pruned · ResNet-20", "fp32"),
        "teacher": ("Teacher", "other"),
        "student": ("Student · ResNet-20", "other"),
        "fp32-resnet56": ("FP32 · ResNet-56", "network-resnet56"),
        "pruned-resnet56": ("Pruned · ResNet-56", "fp32-resnet56"),
        "student-resnet56": ("Student · ResNet-56", "other"),
    }
    assert whole.stage("student-resnet56").settings["teacher"] == "pruned-resnet56"
    assert whole.stage("student").settings["teacher"] == "pruned"
    assert whole.final_id == "student" and expanded(whole) is whole


def test_each_is_compared_with_its_own_baseline_and_tried_over_its_own_grid(pipeline: Pipeline) -> None:
    whole = expanded(pipeline)
    assert whole.baselines == ("fp32", "fp32-resnet56")
    assert whole.baseline_of("pruned-resnet56") == "fp32-resnet56"
    assert whole.baseline_of("student-resnet56") == "fp32-resnet56"  # by its teacher
    assert whole.baseline_of("student") == whole.baseline_of("teacher") == "fp32"
    assert [grid.stage for grid in whole.axes.grids] == ["pruned", "pruned-resnet56"]


def test_settings_may_hold_for_one_backbone_only(pipeline: Pipeline) -> None:
    whole = expanded(pipeline)
    ratios = [whole.stage(id).parameters.ratio for id in ("pruned", "pruned-resnet56")]  # type: ignore[attr-defined]
    assert ratios == [0.3, 0.6] and whole.stage("pruned-resnet56").settings["scope"] == "block-internal"
    assert whole.stage("fp32-resnet56").parameters.training.epochs == 3  # type: ignore[attr-defined]
    assert [whole.source(id).parameters.fem.place for id in ("network", "network-resnet56")] == [
        "pooled",
        "none",
    ]  # type: ignore[attr-defined]
    off = documents.loads(TEXT.replace("stages.pruned.ratio: 0.6", "stages.teacher.enabled: false").replace("from: other", "from: pruned", 1))  # fmt: skip
    assert [node.id for node in expanded(off).active] == [
        "fp32", "pruned", "teacher", "student", "fp32-resnet56", "pruned-resnet56", "student-resnet56",
    ]  # fmt: skip


def test_one_backbone_is_the_pipeline_itself(pipeline: Pipeline) -> None:
    one = documents.loads(TEXT.replace("[resnet20, resnet56]", "[resnet20]").partition("    set:")[0])
    whole = expanded(one)
    assert [(node.id, node.title) for node in whole.stages] == [(node.id, node.title) for node in one.stages]
    assert [node.parameters for node in whole.stages] == [node.parameters for node in one.stages]


def test_names_are_as_short_as_they_can_be() -> None:
    assert labels(["resnet20", "mobilenet-v2", "timm:resnet18.a1_in1k"]) == (
        "ResNet-20",
        "MobileNetV2",
        "resnet18.a1_in1k",
    )
    assert labels(["convnext-tiny", "timm-convnext-atto"]) == ("ConvNeXt-Tiny", "ConvNeXt-Atto")


def test_ids_stay_valid_and_distinct() -> None:
    long = "a" * 58
    text = TEXT.replace("pruned", long).replace("teacher, kind", "fp32-resnet56, kind")
    whole = expanded(documents.loads(text.replace("resnet56:", "timm:x.y_z:").replace("resnet56]", "timm:x.y_z]").partition("    set:")[0]))  # fmt: skip
    assert documents.check(whole) == [] and len({node.id for node in whole.stages}) == 7
    again = expanded(documents.loads(text.partition("    set:")[0]))
    assert documents.check(again) == [] and "fp32-resnet56-2" in again.stage_ids


def test_the_file_survives_saving_and_a_run_keeps_it_as_it_was_written(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    assert documents.loads(documents.dumps(pipeline)) == pipeline
    assert documents.loads(documents.dumps(pipeline.resolved())) == pipeline.resolved()
    home = Home(tmp_path / "home")
    run = create_run(pipeline, tmp_path, home)
    assert run.pipeline == expanded(pipeline.resolved()) and run.written == pipeline.resolved()
    assert stage_keys(run.pipeline)[-1] == "student-resnet56"
    assert open_document(run.folder).pipeline == pipeline
    check_same_pipeline(run, pipeline)


@pytest.mark.parametrize(
    ("before", "after", "line", "place", "words"),
    [
        ("source: network\n", "source: nobody\n", 14, "source", "Expected the id of a source with a backbone, received 'nobody'. Choose one of: network, other."),
        ("resnet20, resnet56]", "resnet56, resnet57]", 15, "values.1", "Expected a backbone, received 'resnet57'."),
        ("resnet20, resnet56]", "resnet56, resnet56]", 15, "values", "The same backbone stands here twice"),
        ("resnet56: {", "resnet32: {", 17, "set.resnet32", "Expected one of the backbones of this axis, received 'resnet32'. Choose one of: resnet20, resnet56."),
        ("ratio: 0.6", "ratio: 6", 17, "set.resnet56.stages.pruned.ratio", "Expected less than 1.0, received 6."),
        ("ratio: 0.6", "ration: 6", 17, "set.resnet56.stages.pruned.ration", "Expected a setting of 'pruned', received 'ration'."),
        ("pruned.ratio: 0.6", "teacher.training.epochs: 3", 17, "set.resnet56.stages.teacher.training.epochs", "'Teacher' is the same for every backbone"),
        ("sources.network.fem.place: none", "sources.network.backbone: vgg", 17, "set.resnet56.sources.network.backbone", "The axis says which backbone it is."),
        ("pruned.ratio: 0.6", "pruned.enabled: 3", 17, "set.resnet56.stages.pruned.enabled", "Expected true or false, received 3."),
        ("pruned.ratio: 0.6", "fp32.enabled: false", 17, "set.resnet56.stages.fp32.enabled", "'FP32' is the baseline or the final stage"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_found_in_its_line(
    before: str, after: str, line: int, place: str, words: str
) -> None:
    assert before in TEXT
    found = problems(TEXT.replace(before, after))
    assert (found[0].line, ".".join(map(str, found[0].place))) == (line, f"axes.backbone.{place}")
    assert words in str(found[0])


def test_a_problem_of_one_backbone_stands_at_the_stage_and_names_it() -> None:
    text = TEXT.replace("values: [resnet20, resnet56]", "values: [resnet20, plain-cnn-tiny]").partition(
        "    set:"
    )[0]
    whole = "{ratio: 0.3, scope: one-per-block}"
    (problem,) = problems(text.replace("{scope: block-internal}", whole))
    assert problem.place[:2] == ("stages", 1) and problem.message.startswith("With Plain CNN")
    both = text.replace("resnet20, plain", "plain-cnn-small, plain").replace("{scope: block-internal}", whole)
    first, *more = problems(both)
    assert more == [] and not first.message.startswith("With")  # said once


def test_a_search_beside_it_is_refused() -> None:
    search = "search: {free: {stages.pruned.ratio: {low: 0.1, high: 0.5}}, objectives: [top1]}\n"
    text = TEXT.replace("  grid: {stage: pruned, settings: {ratio: [0.1, 0.2]}}\n", search)
    assert "A pipeline has a search or an axis over backbones" in str(problems(text)[0])


def test_edits_keep_the_axis_in_step(pipeline: Pipeline) -> None:
    def axis(of: Pipeline) -> Any:
        return edits.plain_backbones(of)

    assert (
        axis(edits.set_seeds(pipeline, [1, 2])) == axis(edits.set_grid(pipeline, 0, None)) == axis(pipeline)
    )
    fewer = edits.set_backbones(pipeline, {**axis(pipeline), "values": ["resnet32", "resnet20"]})
    assert axis(fewer) == {"source": "network", "values": ["resnet32", "resnet20"]}
    assert fewer.source("network").settings["backbone"] == "resnet32"
    other = edits.set_setting(pipeline, "network", ("backbone",), "resnet32")
    assert axis(other)["values"] == ["resnet32", "resnet56"] and "set" in axis(other)
    again = edits.set_setting(pipeline, "network", ("backbone",), "resnet56")
    assert axis(again)["values"] == ["resnet56"] and documents.check(again) == []
    assert axis(edits.set_setting(pipeline, "other", ("backbone",), "resnet32")) == axis(pipeline)
    without = stage_tree.remove_stage(pipeline, "pruned")
    assert list(axis(without)["set"]["resnet56"]) == [
        "stages.fp32.training.epochs",
        "sources.network.fem.place",
    ]
    assert axis(stage_tree.remove_source(pipeline, "network")) is None
    assert axis(edits.set_backbones(pipeline, None)) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "nobody"}, "Remove the axis over backbones"),
        ({"values": ["resnet20", "nothing", "resnet56"]}, "Remove this backbone"),
        (
            {"set": {"resnet56": {"stages.pruned.ratio": 7, "stages.fp32.training.epochs": 3}}},
            "Remove this setting",
        ),
    ],
)
def test_mistakes_are_mended_by_one_click(pipeline: Pipeline, change: dict[str, Any], words: str) -> None:
    axis = {**edits.plain_backbones(pipeline), **change}  # type: ignore[dict-item]
    broken = Pipeline.parse({**pipeline.as_dict(), "axes": {"backbone": axis}})
    (problem,) = documents.check(broken)
    fix = fix_for(broken, problem)
    assert fix is not None and fix.words == words and documents.check(fix.pipeline) == []


def test_a_broken_stage_leaves_the_axis_of_the_others(pipeline: Pipeline) -> None:
    broken = edits.set_setting(pipeline, "pruned", ("ratio",), 7.0)
    sound = valid_part(broken, documents.check(broken))
    assert sound is not None and sound.stage_ids == ("fp32", "teacher")
    assert sound.axes.backbone is not None and list(sound.axes.backbone.own["resnet56"]) == [
        "stages.fp32.training.epochs", "sources.network.fem.place",
    ]  # fmt: skip


def test_what_if_counts_every_backbone(pipeline: Pipeline, tmp_path: Path) -> None:
    found = {one.id: one for one in WhatIf(Home(tmp_path)).forecasts(pipeline, tmp_path)}
    assert {"fp32", "fp32-resnet56", "pruned-resnet56", "network-resnet56"} <= set(found)
    plain = documents.loads(TEXT.partition("axes:")[0].replace("resnet18, fem: {place: pooled}", "resnet56"))
    alone = {one.id: one for one in WhatIf(Home(tmp_path)).forecasts(plain, tmp_path)}
    assert found["fp32-resnet56"].params == alone["fp32"].params != found["fp32"].params


def test_a_rehearsal_tries_every_backbone(pipeline: Pipeline) -> None:
    little = reduced(expand(pipeline).pipeline)
    assert len(little.active) == 7 and little.axes.backbone is None
