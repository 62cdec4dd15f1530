"""Command lines that can be copied."""

import shlex
import subprocess
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


AWKWARD = ["it's", 'a "name"', "two words", "$HOME", "a&b", "semi;colon", "[1]", "{x}", "#1", "", "tick`s"]


@pytest.mark.parametrize("word", AWKWARD)
def test_a_shell_reads_every_word_as_it_was(word: str) -> None:
    assert shlex.split(command_line("run", word, "--resume")) == ["espalier", "run", word, "--resume"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_real_shell_passes_them_on() -> None:
    line = command_line(*AWKWARD).replace("espalier", "printf '<%s>'", 1)
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == "".join(f"<{word}>" for word in AWKWARD)


@pytest.mark.parametrize("word", ["C:\\my runs\\", "C:\\my runs\\a", 'say "so" \\"', "", "two words"])
def test_windows_reads_them_back(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the standard library's own quoting: a folder's last backslash would take the quote with it."""
    monkeypatch.setattr(sys, "platform", "win32")
    assert command_line(word) == f"espalier {subprocess.list2cmdline([word])}"


@pytest.mark.parametrize(
    "word", ["C:\\runs\\a", "--resume", "tcp://host:8786", "C:\\a#1", "C:\\{x}", "C:\\a&b"]
)
def test_windows_quotes_what_its_shells_would_read(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    plain = not any(sign in word for sign in "#{&")
    assert command_line(word) == (f"espalier {word}" if plain else f'espalier "{word}"')
