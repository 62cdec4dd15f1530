"""What is hashed into cache keys, by name: another part would make every kept stage anew, one less would mix them up."""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from core.common.control import RunControl
from core.common.files import sha256_of
from core.common.keys import make_key
from core.data.store import open_data
from core.document import pipeline as documents
from core.engine import stage_runner
from core.engine.stage_inputs import RunContext, StageInput
from core.engine.stage_runner import StageRunner
from core.machine.child import Child
from core.runs.cache import Store
from core.runs.home import Home
from core.runs.new_run import create_run

TEXT = """
espalier: 1
name: Keys
data: {source: fashion-mnist-sample, image_size: 32, train_images: 64, validation_images: 20, test_images: 20}
sources: [{id: network, settings: {backbone: plain-cnn-tiny}}]
stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 1}}}
  - {id: student, kind: distil, from: network, settings: {teacher: fp32, training: {epochs: 1}}}
  - {id: static, kind: quantize-static, from: fp32}
"""


@pytest.fixture
def maker(tmp_path: Path) -> StageRunner:
    home, pipeline = Home(tmp_path / "home"), documents.loads(TEXT)
    run = create_run(pipeline, Path(), home)
    tool = cast(Child, None)  # none is needed for a key
    data = open_data(pipeline.data, home.data)
    return StageRunner(
        RunContext(run, home, pipeline, data, "cpu", 1, RunControl(), lambda event: None, tool, 10.0)
    )


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Everything that is hashed for a key."""
    seen: list[dict[str, Any]] = []

    def keep(parts: dict[str, Any]) -> str:
        seen.append(parts)
        return make_key(parts)

    monkeypatch.setattr(stage_runner, "make_key", keep)
    return seen


def test_the_parts_of_a_network_stages_key(maker: StageRunner, hashed: list[dict[str, Any]]):
    node = maker.context.pipeline.stage("fp32")
    stage_input = maker.inputs.stage_input(node, 0)
    key = maker.cache_key(node, 0, stage_input)
    (parts,) = hashed
    assert set(parts) == {
        "stage", "version", "settings", "data", "seed",
        "input", "references", "preprocess", "augmentation", "balance", "device", "mixed", "torch", "threads",
    }  # fmt: skip
    assert parts["stage"] == "train" and parts["version"] == node.stage.version and parts["seed"] == 0
    assert parts["settings"] == node.parameters.for_key()
    assert parts["data"] == maker.context.data.fingerprint and parts["threads"] == 1
    assert stage_input.preprocess is not None and parts["preprocess"] == stage_input.preprocess.as_dict()
    assert parts["augmentation"] == maker.context.pipeline.data.augmentation.for_key()
    assert (parts["references"], parts["device"], parts["torch"]) == ({}, "cpu", torch.__version__)
    assert key == make_key(json.loads(json.dumps(parts)))  # plain data: hashed alike when read from a file


def test_a_teacher_enters_by_its_bytes_and_not_by_its_name(
    maker: StageRunner, hashed: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
):
    node = maker.context.pipeline.stage("student")
    stage_input = maker.inputs.stage_input(node, 0)
    monkeypatch.setattr(maker.inputs, "reference_folder", lambda reference, seed: stage_input.checkpoint)
    maker.cache_key(node, 0, stage_input)
    assert "teacher" not in hashed[0]["settings"]
    assert hashed[0]["references"] == {"teacher": hashed[0]["input"]}


def test_the_parts_of_a_deployment_stages_key(
    maker: StageRunner, hashed: list[dict[str, Any]], tmp_path: Path
):
    node = maker.context.pipeline.stage("static")
    file = tmp_path / "float32.onnx"
    file.write_bytes(b"a graph")
    maker.cache_key(node, 0, StageInput(None, file=file))
    (parts,) = hashed
    assert set(parts) == {
        "stage", "version", "settings", "data", "seed", "input", "onnx", "onnxruntime",
    }  # fmt: skip
    assert parts["input"] == sha256_of(file) and parts["stage"] == "quantize-static"
    assert parts["settings"] == node.parameters.for_key()


@pytest.mark.parametrize(
    ("id", "device", "matter"),
    [("fp32", "cpu", True), ("fp32", "cuda", False), ("static", "cpu", False), ("static", "cuda", False)],
)
def test_threads_are_in_the_key_where_they_change_the_result(
    maker: StageRunner, tmp_path: Path, id: str, device: str, matter: bool
):
    node, file = maker.context.pipeline.stage(id), tmp_path / "float32.onnx"
    file.write_bytes(b"a graph")
    given = maker.inputs.stage_input(node, 0) if id == "fp32" else StageInput(None, file=file)
    keys = set()
    for threads in (1, 2):
        maker.context = replace(maker.context, device=device, threads=threads)
        keys.add(maker.cache_key(node, 0, given))
    assert (len(keys) == 2) == matter


@pytest.mark.parametrize(("device", "matter"), [("cpu", False), ("cuda", True)])
def test_kernels_that_do_not_repeat_are_in_the_key_on_a_gpu(maker: StageRunner, device: str, matter: bool):
    node = maker.context.pipeline.stage("fp32")
    given, keys = maker.inputs.stage_input(node, 0), set()
    for deterministic in (True, False):
        maker.context = replace(maker.context, device=device, deterministic=deterministic)
        keys.add(maker.cache_key(node, 0, given))
    assert (len(keys) == 2) == matter


@pytest.mark.parametrize(
    ("change", "device", "id", "matter"),
    [
        ({"processes": 2}, "cpu", "fp32", True),
        ({"processes": 2}, "cuda", "fp32", True),
        ({"processes": 2}, "cpu", "given", False),  # it trains nothing
        ({"processes": 2}, "cpu", "static", False),
        ({"compiled": True}, "cuda", "fp32", True),
        ({"compiled": True}, "cuda", "static", False),
    ],
)
def test_processes_and_compiling_are_in_the_keys_of_what_they_train(
    maker: StageRunner, tmp_path: Path, change: dict[str, Any], device: str, id: str, matter: bool
):
    file = tmp_path / "float32.onnx"
    file.write_bytes(b"a graph")
    node = maker.context.pipeline.stage("fp32" if id == "given" else id)
    if id == "given":
        node = node.model_copy(update={"settings": {"training": {"epochs": 0}}})
    given = StageInput(None, file=file) if id == "static" else maker.inputs.stage_input(node, 0)
    maker.context = replace(maker.context, device=device)
    before = maker.cache_key(node, 0, given)
    maker.context = replace(maker.context, **change)
    assert (maker.cache_key(node, 0, given) != before) == matter


def test_what_was_made_with_threads_in_every_key_is_found(maker: StageRunner, tmp_path: Path):
    """Versions up to 0.1.0 had them in the keys of files, too."""
    node, file = maker.context.pipeline.stage("static"), tmp_path / "float32.onnx"
    file.write_bytes(b"a graph")
    given = StageInput(None, file=file)
    parts = {
        "stage": node.kind, "version": node.stage.version, "settings": node.parameters.for_key(),
        "data": maker.context.data.fingerprint, "seed": 0, "threads": 1, "input": sha256_of(file),
        **{name: version(name) for name in ("onnx", "onnxruntime")},
    }  # fmt: skip
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "result.json").write_text("{}")
    Store(maker.context.home.cache / "models").put(make_key(parts), kept)
    maker.inputs.stage_input = lambda node, seed: given  # type: ignore[method-assign]
    assert maker.make(node, 0, lambda fraction: None)
    assert maker.context.run.stage_folder("static").complete
