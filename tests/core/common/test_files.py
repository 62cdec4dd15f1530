"""Files and folders arrive whole or not at all, and what kills leave behind goes, but never what somebody writes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.common import partial_files
from core.common.files import copy_file, folder_beside, put_in_place, written_beside
from core.common.partial_files import part_beside, remove_abandoned

DAY = 24 * 3600


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path):
    target = tmp_path / "model.onnx"
    target.write_text("old")
    with pytest.raises(OSError, match="full"), written_beside(target) as part:
        assert part.suffix == ".onnx" and part.name.startswith(".model.part-")
        part.write_text("ne")
        raise OSError("full")
    assert names(tmp_path) == ["model.onnx"] and target.read_text() == "old"


def test_a_folder_arrives_whole(tmp_path):
    target = tmp_path / "stage"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(OSError, match="full"), folder_beside(target) as part:
        raise OSError("full")
    assert names(target) == ["old"]
    with folder_beside(target) as part:
        (part / "new").touch()
        assert names(target) == ["old"]
    assert names(target) == ["new"] and names(tmp_path) == ["stage"]
    with pytest.raises(OSError), folder_beside(target, replace=False) as part:
        (part / "newer").touch()
    assert names(target) == ["new"] and names(tmp_path) == ["stage"]


def test_what_cannot_be_replaced_comes_back(tmp_path):
    (tmp_path / "stage").mkdir()
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "nothing", tmp_path / "stage")
    assert names(tmp_path) == ["stage"]


def test_long_names_have_parts_too(tmp_path):
    (tmp_path / "source").touch()
    copy_file(tmp_path / "source", tmp_path / ("ä" * 110 + ".onnx"))
    assert len(names(tmp_path)) == 2


def killed_while_writing(folder: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from core.common.files import folder_beside, written_beside\n"
        "with folder_beside(Path(sys.argv[1]) / 'stage') as stage, written_beside(stage / 'result.json') as part:\n"
        "    part.write_text('{'); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=Path(__file__).parents[3], check=False)


def test_what_a_killed_process_left_goes_and_what_lives_stays(tmp_path):
    killed_while_writing(tmp_path / "cache" / "aa")
    [left] = names(tmp_path / "cache" / "aa")
    assert left.startswith(".stage.part-")
    with folder_beside(tmp_path / "cache" / "aa" / "mine"):
        remove_abandoned(tmp_path, levels=1)
        assert len(names(tmp_path / "cache" / "aa")) == 2  # not so deep
        remove_abandoned(tmp_path, levels=2)
        [part] = names(tmp_path / "cache" / "aa")
        assert part.startswith(".mine.part-")


@pytest.mark.parametrize("age, stays", [(0.5 * DAY, True), (1.5 * DAY, False)])
def test_what_other_machines_left_goes_after_a_day(tmp_path, monkeypatch, age, stays):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(partial_files, "_machine", lambda: "01234567")
        part = part_beside(tmp_path / "entry")
    old = [part, tmp_path / ".part-x1", tmp_path / ".run.12.part.json", tmp_path / ".3f.partial"]
    for path in [*old, tmp_path / ".profile", tmp_path / "part-1"]:
        path.touch()
        os.utime(path, times=(time.time() - age,) * 2)
    remove_abandoned(tmp_path, ours=True)
    expected = {".profile", "part-1"} | ({path.name for path in old} if stays else set())
    assert set(names(tmp_path)) == expected


def test_among_a_persons_files_only_our_own_parts_go(tmp_path):
    (tmp_path / ".paper.12.part.tex").touch()
    os.utime(tmp_path / ".paper.12.part.tex", times=(0, 0))
    remove_abandoned(tmp_path)
    assert names(tmp_path) == [".paper.12.part.tex"]
