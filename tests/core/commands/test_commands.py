"""Every command of `espalier --help` is a file of its name, and every such file is a command."""

import argparse
import re
from importlib import import_module
from pathlib import Path

import pytest

import core.commands
from core.commands.main import COMMANDS, main

FOLDER = Path(core.commands.__file__).parent


def test_every_command_of_the_help_has_a_file_of_its_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    named = re.findall(r"^    ([a-z][a-z-]*)", capsys.readouterr().out, re.MULTILINE)
    files = {file.stem for file in FOLDER.glob("*.py") if "\ndef add_parser(" in file.read_text("utf-8")}
    assert [module.__name__ for module in COMMANDS] == [f"core.commands.{name}" for name in named]
    assert set(named) == files and len(named) > 20


@pytest.mark.parametrize("name", [module.__name__.rpartition(".")[2] for module in COMMANDS])
def test_a_file_adds_its_command_alone_and_does_it(name: str) -> None:
    module = import_module(f"core.commands.{name}")
    commands = argparse.ArgumentParser().add_subparsers()
    module.add_parser(commands)
    assert list(commands.choices) == [name]
    done_by = commands.choices[name].get_default("do")
    assert done_by is getattr(module, name, None), (
        "the function is called as the command; `cluster` has only parts"
    )
