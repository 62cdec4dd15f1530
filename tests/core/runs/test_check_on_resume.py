"""A run that goes on believes of its own folder what fits its manifests; the rest is set aside, said, and made again."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from core.common.content_hashes import MANIFEST, DamagedError, seal_folder, write_sealed
from core.common.files import sha256_of
from core.document import pipeline as documents
from core.records.events import Note
from core.records.reports import Artefact, StageReport
from core.records.stage_outcome import StageOutcome
from core.runs.check_on_resume import check_own_documents, check_stage, made_from
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from core.runs.stage_folder import StageFolder

PIPELINE = "espalier: 1\nname: Small\nsources: [{id: network}]\nstages: [{id: fp32, kind: train}]\n"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return create_run(documents.loads(PIPELINE), tmp_path, Home(tmp_path / "home"))


@pytest.fixture
def stage(run: RunFolder) -> StageFolder:
    """A finished stage, by its files."""
    folder = run.stage_folder("fp32")
    folder.deployed.mkdir(parents=True)
    folder.deployed_as("int8").write_bytes(b"the stage's own file")
    folder.write_outcome(StageOutcome(training_seconds=1.0, params=10, nonzero_params=10))
    seal_folder(folder.path, made_from={"input": "abc"})
    files = folder.artefacts
    files.path.mkdir()
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", [], [])
    onnx.save(helper.make_model(graph), files.float32)
    np.save(files.logits("float32"), np.eye(4, dtype=np.float32))
    np.save(files.labels, np.arange(4))
    one = {"path": files.float32.name, "sha256": sha256_of(files.float32)}
    files.record.write_text(json.dumps({"made": [one], "counts": {}, "notes": []}))
    seal_folder(files.path)
    artefact = Artefact(
        id="float32", label="f", precision="float32", path="stages/fp32/artefacts/float32.onnx",
        sha256=sha256_of(files.float32), bytes=16,
    )  # fmt: skip
    run.write_report(StageReport(key="fp32", id="fp32", source="network", seed=1, name="FP32", kind="train",
                                 headline="float32", artefacts=[artefact]))  # fmt: skip
    return folder


def bit(content: bytes) -> bytes:
    return content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]


CHANGES: dict[str, Callable[[bytes], bytes] | None] = {
    "bit": bit, "emptied": lambda content: b"", "cut": lambda content: content[: len(content) // 2], "removed": None,
}  # fmt: skip


def hurt(file: Path, change: str) -> None:
    new = CHANGES[change]
    file.unlink() if new is None else file.write_bytes(new(file.read_bytes()))


def test_a_whole_stage_is_believed(run, stage):
    said: list[str] = []
    check_stage(run, "fp32", said.append)
    assert not said and run.report("fp32") and made_from(stage) == {"input": "abc"}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("name", "aside"),
    [
        ("deployed/int8.onnx", "../fp32"),
        ("result.json", "../fp32"),
        ("artefacts/float32.onnx", "artefacts"),
        ("artefacts/float32.logits.npy", "artefacts"),
        ("artefacts/labels.npy", "artefacts"),
        ("artefacts/made.json", "artefacts"),
        ("report.json", "report.json"),
    ],
)
def test_what_is_damaged_is_set_aside_and_nothing_else(run, stage, name, aside, change):
    said: list[str] = []
    hurt(stage.path / name, change)
    check_stage(run, "fp32", said.append)
    if (name, change) == ("report.json", "removed"):  # as of a run that was ended before it
        assert not said and run.report("fp32") is None
        return
    place = (stage.path / aside).resolve()
    assert not place.exists() and place.with_name(f"{place.name}.damaged").exists()
    assert run.report("fp32") is None, "its figures are those of another file"
    assert len(said) == 1 and Path(name).name in said[0] and "made again" in said[0]
    assert stage.complete == (aside != "../fp32")
    assert [folder.path.name for folder in run.stage_folders()] == (["fp32"] if stage.complete else [])


def test_a_stage_of_a_version_before_is_adopted_once_its_files_have_their_form(run, stage):
    said: list[str] = []
    for folder in (stage.path, stage.artefacts.path):
        (folder / MANIFEST).unlink()
    stage.deployed_as("int8").unlink()
    check_stage(run, "fp32", said.append)
    assert not said and (stage.path / MANIFEST).is_file() and made_from(stage) is None
    hurt(stage.artefacts.labels, "bit")
    (stage.artefacts.path / MANIFEST).unlink()
    hurt(stage.artefacts.float32, "bit")  # its hash stands in made.json
    check_stage(run, "fp32", said.append)
    assert len(said) == 1 and "float32.onnx" in said[0]


def test_a_report_about_another_file_is_not_believed(run, stage):
    said: list[str] = []
    stage.artefacts.float32.write_bytes(b"remade, otherwise")
    seal_folder(stage.artefacts.path)
    check_stage(run, "fp32", said.append)
    assert len(said) == 1 and "report.json" in said[0] and run.report("fp32") is None


@pytest.mark.parametrize("change", ["bit", "emptied", "cut"])
def test_reading_a_damaged_report_names_it(run, stage, change):
    hurt(stage.report_file, change)
    with pytest.raises(DamagedError, match=r"stages/fp32/report\.json is damaged"):
        run.reports()


def test_sources_copies_from_outside_and_decisions_are_looked_at(run):
    said: list[str] = []
    for folder in ("sources/network@1", "inputs/0123-teacher", "inputs/4567-weights"):
        (run.folder / folder).mkdir()
        (run.folder / folder / "w.bin").write_bytes(b"weights")
    seal_folder(run.folder / "sources/network@1")
    seal_folder(run.folder / "inputs")
    write_sealed(run.folder / "latency_targets.json", {"fp32": {"ratio": 0.5}})
    run.record(Note("", "info", "a"))
    run.record(Note("", "info", "b"))
    run.close()
    check_own_documents(run, said.append)
    assert not said
    for name in ("sources/network@1/w.bin", "inputs/0123-teacher/w.bin", "latency_targets.json"):
        hurt(run.folder / name, "bit")
    events = run.folder / "events.jsonl"
    events.write_bytes(events.read_bytes().replace(b'"a"', b'"z"'))
    check_own_documents(run, said.append)
    assert len(said) == 4
    for name in ("sources/network@1", "inputs/0123-teacher", "latency_targets.json"):
        assert not (run.folder / name).exists() and (run.folder / f"{name}.damaged").exists()
    assert (run.folder / "inputs/4567-weights/w.bin").is_file()
    check_own_documents(run, said.append)
    assert len(said) == 5  # the line of the events stays, and is said again
