"""A plugin for pytest (`-p no_torch`): a test fails when it leaves PyTorch in this process, and says who loaded it."""

import importlib.abc
import sys
import traceback
from typing import Any

import pytest


class _Recorder(importlib.abc.MetaPathFinder):
    """Remembers from where torch was asked for."""

    def __init__(self) -> None:
        self.stacks: list[str] = []

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == "torch":
            self.stacks.append("".join(line for line in traceback.format_stack() if "importlib" not in line))


@pytest.fixture(autouse=True)
def no_torch() -> Any:
    recorder = _Recorder()
    sys.meta_path.insert(0, recorder)
    yield
    sys.meta_path.remove(recorder)
    assert "torch" not in sys.modules, "\n\n".join(recorder.stacks)
