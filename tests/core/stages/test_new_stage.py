"""A stage is one file and one line: two that a test adds are seen everywhere, with nothing else edited."""

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from additions import quick_run, register_in_children
from new_stages import NameFile, RoundWeights

from core.analysis.layers import difference
from core.analysis.table import table_rows
from core.analysis.why import ChainStage, Evidence, explain
from core.commands.main import main
from core.common.errors import EspalierError
from core.comparison.compared_runs import read_run
from core.comparison.report import as_format
from core.comparison.same_files import all_rows
from core.document import overrides, stage_tree
from core.document import pipeline as documents
from core.engine.cost_estimate import estimate
from core.engine.coverage import coverage, document, methods
from core.engine.options import Options
from core.export.export import model_card
from core.models.catalogue import backbone
from core.records.reports import Artefact, Metric, StageReport
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from core.stages.catalogue import STAGES
from core.whatif import WhatIf

ONE = Options("cpu", 1)
IN_CHILDREN = """
from core.stages.catalogue import STAGES
from new_stages import NameFile, RoundWeights

STAGES |= {"round-weights": RoundWeights(), "name-file": NameFile()}
"""
TEXT = """
espalier: 1
name: New stages
data: {source: fashion-mnist-sample, image_size: 16, train_images: 200, validation_images: 100, test_images: 100}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 1, batch_size: 32}}}
  - {id: rounded, kind: round-weights, settings: {levels: 12, training: {batch_size: 32}}}
  - {id: named, kind: name-file}
"""


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for stage in (RoundWeights(), NameFile()):
            patch.setitem(STAGES, stage.id, stage)  # the one line
        scratch = tmp_path_factory.mktemp("children")
        register_in_children(patch, scratch, Path(__file__).parent, IN_CHILDREN)
        yield


@pytest.fixture(scope="module")
def finished(registered: None, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A real run of both."""
    return quick_run(TEXT, Home(tmp_path_factory.mktemp("home")))


def test_the_pipeline_file_loads_fills_defaults_and_names_every_fault() -> None:
    pipeline = documents.loads(TEXT)
    assert documents.loads(documents.dumps(pipeline)) == pipeline
    assert pipeline.stage("rounded").parameters.model_dump()["exact"] == ""
    assert documents.check(pipeline) == []
    wrong = pipeline.with_settings("rounded", {"levels": 0})
    [problem] = documents.check(wrong)
    assert problem.message == "Expected at least 1, received 0."
    assert problem.place == ("stages", 1, "settings", "levels")


def test_its_family_decides_what_may_follow() -> None:
    with pytest.raises(
        EspalierError, match="changes the network, but 'named' has gone on to the exported file"
    ):
        documents.loads(TEXT + "  - {id: late, kind: round-weights}\n")
    pipeline, id = stage_tree.add_stage(documents.loads(TEXT), "round-weights", "fp32")
    assert pipeline.parent(pipeline.stage(id)) == "fp32" and documents.check(pipeline) == []


def test_what_if_knows_nothing_of_it_before_the_run(tmp_path: Path) -> None:
    forecasts = {
        forecast.id: forecast
        for forecast in WhatIf(Home(tmp_path)).forecasts(documents.loads(TEXT), tmp_path)
    }
    assert forecasts["fp32"].params is not None
    rounded, named = forecasts["rounded"], forecasts["named"]
    assert (rounded.params, rounded.macs, rounded.bytes, rounded.latency_ms) == (None,) * 4
    assert rounded.remark == "Known after the run." and rounded.sure == "unknown"
    assert (named.params, named.macs, named.bytes) == (None,) * 3 and not named.impossible


def test_a_file_stage_behind_a_known_network_is_not_forecast_as_unchanged(tmp_path: Path) -> None:
    text = TEXT.replace("id: named, kind: name-file", "id: named, kind: name-file, from: fp32")
    forecasts = {
        forecast.id: forecast
        for forecast in WhatIf(Home(tmp_path)).forecasts(documents.loads(text), tmp_path)
    }
    assert (forecasts["named"].params, forecasts["named"].bytes) == (None, None)
    assert forecasts["named"].remark == "Known after the run."


def test_the_estimate_measures_it(tmp_path: Path) -> None:
    estimates = {
        stage.id: stage
        for stage in estimate(documents.loads(TEXT), tmp_path, Home(tmp_path / "home"), ONE).stages
    }
    assert (
        estimates["rounded"].steps > 0 and estimates["rounded"].seconds > 0 and estimates["named"].seconds > 0
    )


def test_a_run_reports_what_it_did(finished: RunFolder) -> None:
    rounded, named = finished.report("rounded"), finished.report("named")
    assert rounded is not None and named is not None and rounded.main is not None and named.main is not None
    assert "Weights take 25 values a layer." in rounded.notes and rounded.history and rounded.pytorch
    assert rounded.main.metrics["nonzero_params"].value < rounded.main.metrics["params"].value
    assert named.main.label == "ONNX, named"
    assert named.main.metrics["params"].value == rounded.main.metrics["params"].value
    assert onnx.load(finished.folder / named.main.path).doc_string == "named"


def test_the_comparison_shows_its_row_and_its_settings(finished: RunFolder) -> None:
    run = read_run(finished)
    rows = all_rows([run])
    assert [row.label for row in rows] == ["fp32", "rounded", "named"] and rows[1].report is not None
    assert "named" in as_format("table", [run], rows)
    page = as_format("html", [run], rows)
    assert "The file is named." in page and "Weights take 25 values a layer." in page
    lines = [(line.group, line.label, line.value) for line in run.settings_of(rows[1].report)]
    assert ("Round weights", "Levels", "12") in lines
    rows_of_run = table_rows(finished.reports(), "fp32")
    assert [row.label for row in rows_of_run] == ["fp32", "rounded · 12 levels", "named"]


def test_the_inspector_compares_its_layers_and_offers_it_what_a_scan_found(finished: RunFolder) -> None:
    before, after = (finished.stage_folder(key).checkpoint for key in ("fp32", "rounded"))
    comparison = difference(before, after)
    assert comparison.params_before == comparison.params_after and any(
        change.zeros > 0.05 for change in comparison.changes
    )
    pipeline = documents.loads(TEXT)
    targets = overrides.targets(pipeline, "quantize", "fp32")
    assert [(target.id, target.field) for target in targets[:-1]] == [("rounded", "exact")]
    changed, _ = overrides.with_override(pipeline, targets[0], "head", "fp32")
    assert changed.stage("rounded").settings["exact"] == "head"


def test_causes_carry_its_own_change() -> None:
    def report(nonzero: float) -> StageReport:
        metrics = {
            "params": Metric(value=100.0),
            "nonzero_params": Metric(value=nonzero),
            "macs": Metric(value=5.0),
        }
        artefact = Artefact(
            id="f", label="F", precision="float32", path="", sha256="", bytes=1, metrics=metrics
        )
        return StageReport(
            key="r",
            id="r",
            source="",
            seed=1,
            name="R",
            kind="round-weights",
            headline="f",
            artefacts=[artefact],
        )

    graph = {"layers": [{"layer": "a", "kind": "conv", "given": 8, "made": 8, "zeros": 0, "scales": "", "faint": 0}],
             "rows": [], "activations": "", "total_ms": 1.0}  # fmt: skip
    settings = RoundWeights.Settings().model_dump(mode="json")
    chain = [ChainStage("r", "round-weights", settings)]
    [cause] = explain(Evidence(report(40.0), report(100.0), chain, graph, frozenset())).causes
    assert cause.id == "mask-not-cut" and cause.fix is not None
    assert (cause.fix.stage, cause.fix.settings) == ("r", {"levels": 64})


def test_coverage_has_a_row_for_each_and_finds_that_they_work(tmp_path: Path) -> None:
    rows = methods()
    assert rows["round-weights"].case.title == "Round weights" and "name-file" in rows
    text = documents.dumps(document(backbone("plain-cnn-tiny"), [rows["round-weights"]]))
    assert "kind: round-weights" in text
    cells = coverage(("plain-cnn-tiny",), ("round-weights", "name-file"), Home(tmp_path), ONE)
    assert [cell.state for cell in cells] == ["works", "works"], [cell.sentence for cell in cells]


def test_the_model_card_tells_its_part(finished: RunFolder) -> None:
    card = model_card(finished, "named")
    for words in ("3. rounded: Round weights", "4. named: Name the file", "| Round weights | Levels | 12 |"):
        assert words in card, words


def test_the_reference_documents_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reference"]) == 0
    assert "Rounds every weight to a coarse grid." in capsys.readouterr().out
