"""What a path in a document means."""

from pathlib import Path

import pytest

import core
from core.common.errors import EspalierError
from core.common.paths import existing, resolved


def test_relative_absolute_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    base = tmp_path / "base"
    assert resolved("a/b.pth", base) == base / "a" / "b.pth"
    assert resolved(tmp_path / "b.pth", base) == tmp_path / "b.pth"
    assert resolved("~/b.pth", base) == tmp_path / "person" / "b.pth"


def test_links_and_parents_stay_in_the_text(tmp_path: Path) -> None:
    """Copies in run folders are named by it, and the name of a Python file is part of a cache key."""
    assert str(resolved("../w.pth", tmp_path)) == f"{tmp_path}/../w.pth"


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EspalierError, match=r"Expected a file or folder at .*w\.pth, found none"):
        existing("w.pth", tmp_path)


def test_nobody_else_knows_of_the_home_sign() -> None:
    root = Path(core.__file__).parents[1]
    files = [*(root / "core").rglob("*.py"), *(root / "gui").rglob("*.py")]
    knowing = [file for file in files if "expanduser" in file.read_text(encoding="utf-8")]
    assert [file.name for file in knowing] == ["paths.py"]
