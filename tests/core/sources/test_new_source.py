"""A kind of source is one file and one line: one that a test adds is seen everywhere, with nothing else edited."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from additions import quick_run, register_in_children
from new_sources import ScaledSource

from core.analysis.table import table_rows
from core.common.declarations import declarations
from core.comparison.compared_runs import read_run
from core.comparison.same_files import all_rows
from core.data.store import open_data
from core.document import edits, stage_tree
from core.document import pipeline as documents
from core.document.reference import reference
from core.engine.cost_estimate import estimate
from core.engine.options import Options
from core.engine.preflight import preflight
from core.export.export import ladder_of, model_card
from core.models.checkpoint import load_checkpoint
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from core.sources.catalogue import SOURCE_KINDS, register
from core.whatif import WhatIf

ONE = Options("cpu", 1)
IN_CHILDREN = """
from core.sources.catalogue import SOURCE_KINDS
from new_sources import ScaledSource

SOURCE_KINDS["scaled"] = ScaledSource()
"""
TEXT = """
espalier: 1
name: New source
data: {source: fashion-mnist-sample, image_size: 16, train_images: 64, validation_images: 32, test_images: 32}
sources: [{id: net, kind: scaled, settings: {scale: 2.0}}]
stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 1, batch_size: 32}}}
  - {id: half, kind: half-precision}
"""


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SOURCE_KINDS, "scaled", ScaledSource())  # the one line
        tests = Path(__file__).parents[2]
        register_in_children(patch, tmp_path_factory.mktemp("children"), tests, IN_CHILDREN)
        yield


@pytest.fixture(scope="module")
def finished(registered: None, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A real run."""
    return quick_run(TEXT, Home(tmp_path_factory.mktemp("home")))


def test_an_id_is_used_once() -> None:
    with pytest.raises(ValueError, match="'scaled'"):
        register([ScaledSource(), ScaledSource()])


def test_the_pipeline_file_loads_and_names_every_fault() -> None:
    pipeline = documents.loads(TEXT)
    assert documents.loads(documents.dumps(pipeline)) == pipeline
    assert documents.loads(documents.dumps(pipeline.resolved())).source("net").settings == {"scale": 2.0}
    wrong = TEXT.replace("scale: 2.0", "scale: 20, colour: red")
    with pytest.raises(documents.PipelineError) as caught:
        documents.loads(wrong)
    assert [problem.message for problem in caught.value.problems] == [
        "Expected at most 10.0, received 20.",
        "Expected only known keys, received 'colour'.",
    ]
    with pytest.raises(documents.PipelineError) as caught:
        documents.loads(TEXT.replace("kind: scaled", "kind: scalded"))
    assert "scaled" in caught.value.problems[0].advice
    assert "### `scaled`" in reference()


def test_the_editor_adds_it_names_it_and_takes_it_in_place_of_another() -> None:
    pipeline = documents.loads(TEXT)
    assert edits.titles(pipeline)["net"] == "Scaled network"
    added, id = stage_tree.add_source(pipeline, "scaled")
    assert added.source(id).title == "Scaled network 2"
    changed = edits.set_source_kind(pipeline, "net", "backbone")
    assert edits.set_source_kind(changed, "net", "scaled").source("net").kind == "scaled"
    assert [field.name for field in declarations(SOURCE_KINDS["scaled"].Settings)] == ["scale"]
    assert pipeline.source("net").source.summary({"scale": 2.0}) == ["Scale: 2.0"]


def test_its_family_decides_what_may_follow() -> None:
    [problem] = documents.check(edits.set_enabled(documents.loads(TEXT), "fp32", False))
    assert "no stage before it exports one" in problem.message


def test_what_if_knows_nothing_of_it_before_the_run(tmp_path: Path) -> None:
    forecasts = {
        forecast.id: forecast
        for forecast in WhatIf(Home(tmp_path)).forecasts(documents.loads(TEXT), tmp_path)
    }
    for id in ("net", "fp32", "half"):
        assert (forecasts[id].params, forecasts[id].macs, forecasts[id].bytes) == (None, None, None), id
        assert forecasts[id].remark == "Known after the run." and not forecasts[id].impossible, id


def test_the_check_tries_it_and_measures_its_steps(tmp_path: Path) -> None:
    pipeline, home = documents.loads(TEXT), Home(tmp_path / "home")
    assert preflight(pipeline, tmp_path, home, ONE).problems == ()
    [fp32, half] = estimate(pipeline, tmp_path, home, ONE).stages
    assert fp32.steps > 0 and fp32.seconds > 0 and half.seconds > 0


def test_the_inspection_of_data_knows_how_its_images_are_normalised(tmp_path: Path) -> None:
    pipeline = documents.loads(TEXT)
    node, data = pipeline.source("net"), open_data(pipeline.data, tmp_path)
    applied = node.source.applied("", node.parameters, pipeline.data, data)
    assert applied is not None and applied.network == "Scaled network"
    assert applied.normalisation[0] == pytest.approx(data.mean * 3)


def test_a_run_starts_from_it_and_reports_it(finished: RunFolder) -> None:
    started = load_checkpoint(finished.folder / "sources" / "net@42")
    assert started.network.backbone == "resnet20"
    texts = [event.get("text") for event in finished.events()]
    assert "The classifier was scaled by 2." in texts
    fp32, half = finished.report("fp32"), finished.report("half")
    assert fp32 is not None and half is not None and half.main is not None
    assert [row.label for row in table_rows(finished.reports(), "fp32")] == ["fp32", "half"]
    assert (finished.folder / "report.md").is_file()


def test_comparison_and_model_card_name_it(finished: RunFolder) -> None:
    run = read_run(finished)
    [row, _] = all_rows([run])
    assert row.report is not None
    lines = [(line.group, line.label, line.value) for line in run.settings_of(row.report)]
    assert ("Network", "Scale", "2") in lines
    card = model_card(finished, "fp32")
    assert "1. net: Scaled network" in card and "its licence is not known to Espalier" in card
    assert ladder_of(finished, "half")[0].label == "PyTorch network"
