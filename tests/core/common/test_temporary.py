"""Folders for scratch: gone at the end, and after a kill with the next program that wants one."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from core.common import temporary
from core.common.temporary import make_temporary_folder, temporary_folder

ROOT = Path(temporary.__file__).parents[2]
_KILLED = (
    "import os, signal; from core.common.temporary import temporary_folder\n"
    "with temporary_folder() as folder:\n"
    "    (folder / 'large').write_text('x'); print(folder, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
)


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    temporary._looked.clear()


def test_a_folder_is_gone_at_the_end_and_nobody_elses_meanwhile(tmp_path: Path) -> None:
    with temporary_folder() as folder:
        assert folder.parent == tmp_path and folder.stat().st_mode & 0o077 == 0
        (folder / "file").touch()
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="the kill is a signal")
def test_what_a_killed_program_left_goes_with_the_next_one(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    left = Path(killed.stdout.strip())
    assert (left / "large").is_file()
    (tmp_path / "somebody-elses").mkdir()
    own = make_temporary_folder()
    assert sorted(tmp_path.iterdir()) == sorted([own, tmp_path / "somebody-elses"])
