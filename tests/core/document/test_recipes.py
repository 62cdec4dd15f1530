"""Recipes by name: their relative paths start in the person's own folder, not in the program's."""

from pathlib import Path

import pytest

from core.commands.main import main
from core.document.recipes import FOLDER, base_folder
from core.runs.open_document import open_document


def test_paths_of_a_recipe_start_where_the_program_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check", "r5-cifar10"]) != 0
    assert f"at {tmp_path / 'cifar10-jpeg.zip'} " in capsys.readouterr().err.replace("\n", " ")
    assert open_document(FOLDER / "r5-cifar10.yaml").base == tmp_path


def test_paths_of_a_file_start_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "folder" / "mine.yaml"
    assert base_folder(mine) == mine.parent
    mine.parent.mkdir()
    mine.write_bytes((FOLDER / "quick-tour.yaml").read_bytes())
    opened = open_document(mine)
    assert (opened.base, opened.path) == (mine.parent, mine)
