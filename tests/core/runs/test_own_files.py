"""A run folder from somebody else: nothing outside it is read, written or removed because of what is in it."""

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.common.errors import EspalierError
from core.document import pipeline as documents
from core.records.reports import Artefact, StageReport
from core.records.stage_outcome import OwnFile
from core.runs.home import Home
from core.runs.library import list_runs
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from core.runs.trash import delete, empty_trash

TEXT = "espalier: 1\nname: Small\nsources: [{id: network}]\nstages: [{id: fp32, kind: train}]\n"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need a right on Windows")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def run(home: Home, tmp_path: Path) -> RunFolder:
    return create_run(documents.loads(TEXT), tmp_path, home)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    (tmp_path / "precious" / "export").mkdir(parents=True)
    (tmp_path / "precious" / "export" / "file").write_text("precious")
    return tmp_path / "precious"


@pytest.mark.parametrize(
    "place", ["scratch", "stages", "inputs/x-net", "model.onnx", "events.jsonl", "stages/a/b/c"]
)
def test_a_run_with_a_link_in_it_is_not_opened(place, run, precious):
    link = run.folder / place
    if link.is_dir():
        link.rmdir()
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(precious)
    with pytest.raises(EspalierError, match=f"but {place} is a symbolic link"):
        RunFolder.open(run.folder)


def test_a_run_with_a_pipe_in_it_is_not_opened(run):
    os.mkfifo(run.folder / "events.jsonl")
    with pytest.raises(EspalierError, match=r"but events\.jsonl is a named pipe, a device or a socket"):
        RunFolder.open(run.folder)


def test_a_run_with_links_in_it_can_be_listed_and_deleted_and_what_they_lead_to_stays(home, run, precious):
    (run.folder / "scratch").rmdir()
    (run.folder / "scratch").symlink_to(precious)
    (run.folder / ".lock").unlink(missing_ok=True)
    (run.folder / ".lock").symlink_to(precious / "export" / "file")
    [line] = list_runs(home)
    assert line.status == "new" and not run.active
    delete(home, [line])
    empty_trash(home, days=0)
    assert not list((home.folder / "trash").iterdir())
    assert (precious / "export" / "file").read_text() == "precious"


ARTEFACT = {
    "id": "int8",
    "label": "INT8",
    "precision": "int8",
    "path": "stages/a/artefacts/int8.onnx",
    "sha256": "",
    "bytes": 1,
}
REPORT = {"key": "a@1", "id": "a", "source": "n", "seed": 1, "name": "A", "kind": "train"}


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "/etc/passwd", "stages/../../x", "C:\\x", "..\\x", "\\\\host\\x", "a\0"]
)
def test_a_path_in_a_report_stays_in_its_run(path):
    assert Artefact.model_validate(ARTEFACT).path == ARTEFACT["path"]
    with pytest.raises(ValidationError, match="expected a path within the folder"):
        Artefact.model_validate({**ARTEFACT, "path": path})


@pytest.mark.parametrize("name", ["../a", "a/b", "..", "a\\b", "/a", "C:a"])
def test_names_that_folders_are_made_of_name_no_other_folder(name):
    assert StageReport.model_validate(REPORT).key == "a@1"
    for field in ("key", "id", "source", "headline"):
        with pytest.raises(ValidationError):
            StageReport.model_validate({**REPORT, field: name})
    with pytest.raises(ValidationError):
        OwnFile(precision=name, label="")


def test_the_record_of_a_stages_files_names_files_beside_it(tmp_path):
    from core.deploy.artefact_folder import ArtefactFolder
    from core.deploy.artefact_record import ArtefactRecord

    one = {"path": "../../x.onnx", "logits": "l", "reference": "r", "labels": "l", "verification": {}}
    (tmp_path / "made.json").write_text(json.dumps({"made": [one], "counts": {}, "notes": []}))
    with pytest.raises(EspalierError, match=r"made\.json is damaged") as caught:
        ArtefactRecord.read(ArtefactFolder(tmp_path))
    assert "expected a name without folders" in str(caught.value.__cause__)
