"""Command lines that can be copied."""

import sys
from pathlib import Path

import pytest

from core.common.command_lines import command_line


@pytest.mark.parametrize(
    ("platform", "line"),
    [("linux", "espalier trust '/my networks/net.py'"), ("win32", 'espalier trust "/my networks/net.py"')],
)
def test_paths_with_spaces_are_quoted(platform: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert command_line("trust", Path("/my networks/net.py").as_posix()) == line
    assert command_line("run", "tour.yaml", "--resume") == "espalier run tour.yaml --resume"
