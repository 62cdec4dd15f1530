"""A data source is one file and one line: one that a test adds is seen everywhere, with nothing else edited."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from additions import quick_run, register_in_children
from new_data_sources import CLASSES, STACK

from core.comparison.compared_runs import read_run
from core.data.catalogue import SOURCES, register
from core.data.inspection import inspect_data
from core.data.store import open_data
from core.data.survey import file_listing
from core.document import edits
from core.document import pipeline as documents
from core.document.reference import reference
from core.engine.cost_estimate import estimate
from core.engine.options import Options
from core.engine.preflight import preflight
from core.export.export import model_card
from core.runs.home import Home
from core.whatif import WhatIf

ONE = Options("cpu", 1)
IN_CHILDREN = """
from core.data.catalogue import SOURCES
from new_data_sources import STACK

SOURCES["stack"] = STACK
"""
TEXT = """
espalier: 1
name: New data
data: {source: stack, path: images.npy, image_size: 16}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 1, batch_size: 16}}}
"""


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SOURCES, "stack", STACK)  # the one line
        tests = Path(__file__).parents[2]
        register_in_children(patch, tmp_path_factory.mktemp("children"), tests, IN_CHILDREN)
        yield


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with 96 images of three shades."""
    shades = np.array([220, 20, 120])[np.arange(96) % 3]
    noise = np.random.default_rng(1).integers(0, 20, (96, 16, 16, 1))
    np.save(tmp_path / "images.npy", (shades[:, None, None, None] + noise).astype(np.uint8))
    return tmp_path


def test_an_id_is_used_once() -> None:
    with pytest.raises(ValueError, match="'stack'"):
        register([STACK, STACK])


def test_the_document_knows_it_and_names_it_among_the_others() -> None:
    pipeline = documents.loads(TEXT)
    assert documents.loads(documents.dumps(pipeline)) == pipeline
    assert edits.set_data(pipeline, ("source",), "stack").data.source == "stack"
    with pytest.raises(documents.PipelineError) as caught:
        documents.loads(TEXT.replace("source: stack", "source: stick"))
    assert "stack" in caught.value.problems[0].advice
    assert "| `stack` | A NumPy file with all images behind each other. | file |" in reference()


def test_it_opens_and_is_inspected(base: Path, tmp_path: Path) -> None:
    settings = documents.loads(TEXT).data
    data = open_data(settings, tmp_path / "cache", base)
    assert data.classes == CLASSES and data.source == "stack" and data.title == "Stack"
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [32, 32, 32]
    assert inspect_data(data, settings, []) and file_listing(settings, base) is None


def test_check_estimate_and_what_if_open_it(base: Path, tmp_path: Path) -> None:
    pipeline, home = documents.loads(TEXT), Home(tmp_path / "home")
    found = list(WhatIf(home).forecasts(pipeline, base))
    assert all(each.params for each in found)
    assert preflight(pipeline, base, home, ONE).problems == ()
    [stage] = estimate(pipeline, base, home, ONE).stages
    assert stage.steps > 0


def test_a_run_reports_it(base: Path) -> None:
    run = quick_run(TEXT, Home(base))
    report = run.report("fp32")
    assert report is not None and report.main is not None and report.main.metrics["top1"].n == 32
    assert "Stack of images, from" in model_card(run, "fp32")
    assert "Data: its licence is not known" in model_card(run, "fp32")
    told = read_run(run).settings_of(report)
    assert ("Data", "Data set", "stack") in [(line.group, line.label, line.value) for line in told]
