import json

import pytest

from core.common.errors import EspalierError
from core.records.run_info import RunInfo, changed
from core.runs.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    content = {"format": 1, "name": "Tiny", "base": "/", "started": 5, "status": "queued", "from": {"a": [1]}}
    (tmp_path / "run.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def kept(folder):
    content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    content.pop("sha256", None)
    return content


def test_what_is_missing_has_a_default_and_an_unknown_status_counts_as_new():
    info = RunInfo.model_validate({"status": "queued", "machine": None, "seconds": None, "started": None})
    assert (info.status, info.machine, info.seconds, info.started, info.tags) == ("new", {}, None, 0.0, ())
    assert RunInfo(name="Tiny").pipeline_title == "Tiny"
    assert RunInfo(name="Best", pipeline_name="Tiny").pipeline_title == "Tiny"


def test_writing_back_keeps_what_this_version_does_not_know_and_the_order(folder):
    before = kept(folder)
    run = RunFolder.open(folder)
    run.update_info(notes="warm-up helped", tags=["paper"])
    assert kept(folder) == {**before, "notes": "warm-up helped", "tags": ["paper"]}
    assert list(kept(folder))[:6] == list(before)
    run.update_info(notes=None, tags=None)
    assert kept(folder) == before


def test_a_misspelled_entry_and_a_value_that_does_not_fit_are_refused(folder):
    run, before = RunFolder.open(folder), kept(folder)
    with pytest.raises(TypeError, match=r"^Expected entries of run\.json, received nots\.$"):
        run.update_info(nots="x")
    with pytest.raises(
        ValueError, match="Expected one of new, running, completed, stopped, failed, received 'over'"
    ):
        run.update_info(status="over")
    with pytest.raises(ValueError):
        run.update_info(seconds="long")
    assert kept(folder) == before


def test_a_file_that_is_no_run_info_is_no_run(folder):
    (folder / "run.json").write_text('{"format": 1, "started": "yesterday"}', encoding="utf-8")
    with pytest.raises(EspalierError, match=r"^Expected a run folder \(with run\.json\)"):
        _ = RunFolder(folder).info


def test_taking_out_what_is_not_there_changes_nothing():
    assert changed({"format": 1}, deleted=None) == {"format": 1}
