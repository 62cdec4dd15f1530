"""Modules that people's scripts import under the names of the first version, which had no packages.

`import core.cli` gives `core.commands.main`, with a `DeprecationWarning`; nothing in the program imports them.
"""

import importlib
import importlib.abc
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

FORMER = {"core.cli": "core.commands.main", "core.checkpoint": "core.models.checkpoint"}


class FormerNames(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module by its former name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname in FORMER else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        name = FORMER[spec.name]
        warnings.warn(f"{spec.name} is called {name} now.", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(name)
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It was executed under its name of today."""
        module.__spec__ = self._own_spec


def install() -> None:
    """Let former names be imported; once is enough."""
    if not any(isinstance(finder, FormerNames) for finder in sys.meta_path):
        sys.meta_path.append(FormerNames())
