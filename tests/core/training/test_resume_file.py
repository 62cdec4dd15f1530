"""The state that a training goes on from: whole, or refused."""

from pathlib import Path

import pytest
import torch

from core.common.content_hashes import DamagedError
from core.training.resume_file import read_state, write_state

STATE = {"format": 1, "key": "k", "modules": {"weight": torch.arange(500.0)}, "best_top1": 91.5}


def same(state: dict) -> bool:
    weight = state["modules"]["weight"]
    return torch.equal(weight, STATE["modules"]["weight"]) and state["best_top1"] == 91.5


def test_what_was_written_comes_back_also_from_a_version_that_wrote_no_hash(tmp_path: Path) -> None:
    write_state(tmp_path / "a.resume", STATE)
    torch.save(STATE, tmp_path / "b.resume")
    assert same(read_state(tmp_path / "a.resume", "cpu")) and same(read_state(tmp_path / "b.resume", "cpu"))


def test_no_changed_bit_is_trained_on_with(tmp_path: Path) -> None:
    path = tmp_path / "a.resume"
    write_state(path, STATE)
    whole = path.read_bytes()
    for place in range(0, len(whole), 41):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            assert same(read_state(path, "cpu")), place  # the mark of the hash itself was hit
        except DamagedError:
            continue


@pytest.mark.parametrize("length", [0, 10, 71, 1500])
def test_a_file_cut_short_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.resume"
    write_state(path, STATE)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DamagedError):
        read_state(path, "cpu")
