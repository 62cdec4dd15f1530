"""A path means the same in the check of a document, what-if, estimate, pre-flight and run.

Checkpoints, teachers, weights, ONNX files, Python files and data: relative to the document, absolute, from the
person's own folder, and, where a checkpoint is wanted, the folder of a stage that holds one.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from new_data_sources import STACK

from core.common.control import RunControl
from core.data.catalogue import SOURCES
from core.data.preprocess import make_preprocess
from core.data.settings import DataSettings
from core.data.store import open_data
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.engine.options import Options
from core.engine.preflight import preflight
from core.engine.stage_inputs import RunContext, StageInputs
from core.engine.step_timer import StepTimer
from core.machine.child import Child
from core.machine.trusted_files import TrustList
from core.models.checkpoint import Checkpoint, content_hash, save_checkpoint
from core.models.settings import BackboneSettings
from core.models.source import build_network
from core.runs.home import Home
from core.runs.new_run import create_run
from core.sources.catalogue import SOURCE_KINDS
from core.whatif import WhatIf

SETTINGS = DataSettings(image_size=16, train_images=40, validation_images=20, test_images=20)
HEAD = """
espalier: 1
name: Paths
data: {source: fashion-mnist-sample, image_size: 16, train_images: 40, validation_images: 20, test_images: 20}
"""
CODE = """
from torch import nn

def make_network(num_classes):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))
"""
PLACES = ("{name}", "./{name}", "~/{name}", "{person}/{name}")
FOLDERS = ("run/stages/fp32", "~/run/stages/fp32", "{person}/run/stages/fp32", "~/run/stages/fp32/checkpoint")


@pytest.fixture(scope="module")
def tool() -> Iterator[Child]:
    with Child("tool") as tool:
        yield tool


@pytest.fixture(scope="module")
def person(tool: Child, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's own folder, which is the document's as well, with one thing of each kind."""
    person = tmp_path_factory.mktemp("person")
    data = open_data(SETTINGS, person / "cache")
    network = BackboneSettings(backbone="resnet20")
    model, _ = build_network(network, 10, person, 7, 16)
    save_checkpoint(person / "ck", Checkpoint(model, network, make_preprocess(SETTINGS, data), data.classes))
    shutil.copytree(person / "ck", person / "run" / "stages" / "fp32" / "checkpoint")
    torch.save(model.state_dict(), person / "w.pth")
    (person / "net.py").write_text(CODE, encoding="utf-8")
    from core.deploy.onnx_export import export_onnx

    tool.call(export_onnx, {"checkpoint": str(person / "ck"), "target": str(person / "m.onnx")})
    return person


@pytest.fixture(autouse=True)
def at_home(person: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(person))
    TrustList.default().trust(person / "net.py")


def everywhere(text: str, person: Path, home: Home, tool: Child) -> tuple[str, int | None]:
    """What the run continues from, hashed, and what-if's parameters, of a document that passes its check."""
    pipeline = documents.loads(HEAD + text)
    assert documents.check(pipeline) == []
    forecast = next(iter(WhatIf(home).forecasts(pipeline, person)))
    assert not forecast.impossible, forecast.remark
    data = open_data(pipeline.data, home.data, person)
    node = pipeline.active[0]
    scratch = home.folder / "scratch"
    scratch.mkdir(parents=True)
    trial = StepTimer(pipeline, data, person, "cpu", scratch).stage(node)
    assert trial["disk_mb"] > 0
    return _continued(pipeline, person, home, tool), forecast.params


def _continued(pipeline: Pipeline, person: Path, home: Home, tool: Child) -> str:
    data, run = open_data(pipeline.data, home.data, person), create_run(pipeline, person, home)
    context = RunContext(
        run, home, pipeline, data, "cpu", 1, RunControl(), lambda event: None, tool, 5.0, rehearsal=True
    )
    inputs, node = StageInputs(context), pipeline.active[0]
    stage_input = inputs.stage_input(node, 42)
    named = list(node.stage.references(node.parameters).values())
    if named:
        return content_hash(inputs.reference_folder(named[0], 42))
    if stage_input.checkpoint is not None:
        return content_hash(stage_input.checkpoint)
    assert stage_input.file is not None
    return stage_input.file.name.partition("-")[2]


def _filled(places: tuple[str, ...], name: str, person: Path) -> list[str]:
    return [place.format(name=name, person=person) for place in places]


SOURCE = "sources: [{id: net, kind: %s, settings: {%s}}]\nstages: [{id: s, kind: %s, settings: {%s}}]\n"
UNTRAINED = "training: {epochs: 0}"


def _documents(kind: str, person: Path) -> list[str]:
    if kind == "checkpoint":
        paths = _filled(PLACES, "ck", person) + _filled(FOLDERS, "", person)
        return [SOURCE % ("checkpoint", f"path: {path}", "train", UNTRAINED) for path in paths]
    if kind == "weights":
        settings = [
            f"backbone: resnet20, weights: file, weights_file: {p}" for p in _filled(PLACES, "w.pth", person)
        ]
        return [SOURCE % ("backbone", each, "train", UNTRAINED) for each in settings]
    if kind == "python":
        return [
            SOURCE % ("python", f"path: {p}", "train", UNTRAINED) for p in _filled(PLACES, "net.py", person)
        ]
    if kind == "onnx":
        return [SOURCE % ("onnx", f"path: {p}", "as-given", "") for p in _filled(PLACES, "m.onnx", person)]
    paths = _filled(PLACES[1:], "ck", person) + _filled(FOLDERS, "", person)
    learns = [f"teacher: {path}, {UNTRAINED}" for path in paths]
    return [SOURCE % ("backbone", "backbone: resnet20", "distil", each) for each in learns]


@pytest.mark.parametrize("kind", ["checkpoint", "weights", "python", "onnx", "teacher"])
def test_every_spelling_names_the_same_thing_everywhere(
    kind: str, person: Path, tool: Child, tmp_path: Path
) -> None:
    results = [
        everywhere(text, person, Home(tmp_path / str(number)), tool)
        for number, text in enumerate(_documents(kind, person))
    ]
    if kind == "python":  # its copy in the run, whose name stands in its key, is named by where it lies
        results = [("", params) for _, params in results]
    assert len(set(results)) == 1 and results[0][1]


@pytest.mark.slow
def test_the_rehearsal_takes_what_the_run_takes(person: Path, tmp_path: Path) -> None:
    """A document of all of them."""
    stage = f"{UNTRAINED[:-1]}, batch_size: 16}}"
    sources, stages = ["{id: plain}"], []
    for number, path in enumerate([*_filled(FOLDERS, "", person), "~/ck"]):
        sources.append(f"{{id: c{number}, kind: checkpoint, settings: {{path: {path}}}}}")
        stages.append(f"{{id: s{number}, kind: train, from: c{number}, settings: {{{stage}}}}}")
    for name, setting in (("w", "weights: file, weights_file: ~/w.pth"), ("p", "path: ~/net.py")):
        kind = "python" if name == "p" else "backbone"
        sources.append(f"{{id: {name}, kind: {kind}, settings: {{{setting}}}}}")
        stages.append(f"{{id: s{name}, kind: train, from: {name}, settings: {{{stage}}}}}")
    sources.append("{id: m, kind: onnx, settings: {path: ~/m.onnx}}")
    stages.append("{id: sm, kind: as-given, from: m}")
    teacher = f"teacher: ~/run/stages/fp32, {stage}"
    stages.append(f"{{id: st, kind: distil, from: plain, settings: {{{teacher}}}}}")
    text = f"sources: [{', '.join(sources)}]\nstages: [{', '.join(stages)}]\n"
    outcome = preflight(documents.loads(HEAD + text), person, Home(tmp_path / "home"), Options("cpu", 1))
    assert outcome.problems == ()


def test_a_path_to_nothing_is_refused_with_the_same_place(person: Path, tmp_path: Path) -> None:
    pipeline = documents.loads(HEAD + SOURCE % ("onnx", "path: ~/none.onnx", "as-given", ""))
    message = f"Expected a file or folder at {person}/none.onnx, found none."
    assert next(iter(WhatIf(Home(tmp_path)).forecasts(pipeline, person))).remark == message
    [problem] = preflight(pipeline, person, Home(tmp_path / "home"), Options("cpu", 1)).problems
    assert problem.message == message


@pytest.mark.parametrize("place", PLACES)
def test_data(place: str, person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "stack", STACK)
    np.save(person / "images.npy", np.arange(30 * 64, dtype=np.uint8).reshape(30, 8, 8, 1))
    path = place.format(name="images.npy", person=person)
    data = open_data(DataSettings(source="stack", path=path), tmp_path, person)
    assert (
        data.fingerprint
        == open_data(DataSettings(source="stack", path=f" {path} "), tmp_path, person).fingerprint
    )


def test_the_feature_enhancement_module_is_named_where_somebody_wrote_of_it() -> None:
    """Every card of a network said "no FEM", which nobody had asked about."""
    summary = SOURCE_KINDS["backbone"].summary
    assert summary({"backbone": "resnet20"}) == ["ResNet-20 (CIFAR)", "random weights"]
    assert "no FEM" in summary({"backbone": "resnet20", "fem": {"place": "none"}})
    assert "FEM map" in summary({"backbone": "resnet20", "fem": {"place": "map"}})
