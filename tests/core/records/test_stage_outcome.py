import json

import pytest

from core.common.content_hashes import DamagedError
from core.records.stage_outcome import OwnFile, StageOutcome

CONTENT = {
    "notes": ["a note"], "skipped": [["conv1", "too small"]], "facts": {"channels": {"conv1": [16, 8]}, "ratio": 0.5},
    "history": [{"epoch": 1, "train_loss": 2.0, "val_top1": 50.0}], "training_seconds": 1.5,
    "params": 100, "nonzero_params": 90,
}  # fmt: skip


@pytest.mark.parametrize("own", [{}, {"deployed": {"precision": "int8", "label": "ONNX int8"}}])
def test_the_file_is_written_as_it_was_read(tmp_path, own):
    text = json.dumps({**CONTENT, **own})
    (tmp_path / "result.json").write_text(text, encoding="utf-8")
    outcome = StageOutcome.read(tmp_path / "result.json")
    assert outcome.deployed == (OwnFile(**own["deployed"]) if own else None)
    outcome.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text(encoding="utf-8") == text


def test_what_the_tables_need_is_never_missing(tmp_path):
    (tmp_path / "result.json").write_text('{"notes": []}', encoding="utf-8")
    with pytest.raises(DamagedError, match=r"result\.json is damaged"):
        StageOutcome.read(tmp_path / "result.json")
