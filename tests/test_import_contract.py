"""`core` knows neither the window nor Qt, documents can be read without torch, and imports make no circle."""

import ast
import json
import pkgutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import core

ROOT = Path(core.__file__).resolve().parents[1]


def modules_after(code: str) -> set[str]:
    """The names in `sys.modules` of a fresh Python that ran `code`."""
    code += "\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def packages(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_core_imports_neither_the_window_nor_qt():
    names = [module.name for module in pkgutil.walk_packages(core.__path__, "core.")]
    assert {"core.engine.engine", "core.commands.main", "core.stages.distil", "core.data.store"} <= set(names)
    loaded = modules_after("\n".join(f"import {name}" for name in names))
    assert set(names) <= loaded
    assert not packages(loaded) & {"gui", "PySide6", "shiboken6", "pyqtgraph", "qtpy", "PyQt6"}


def test_catalogues_and_documents_are_read_without_torch():
    loaded = modules_after(
        "from core.models.catalogue import BACKBONES\n"
        "from core.stages.catalogue import STAGES\n"
        "from core.data.catalogue import SOURCES\n"
        "from core.document.recipes import recipes\n"
        "from core.document import pipeline\n"
        "for recipe in recipes(): pipeline.dumps(recipe.load().resolved())\n"
        "for stage in STAGES.values(): stage.Settings.model_json_schema()\n"
    )
    assert "core.document.pipeline" in loaded
    assert not packages(loaded) & {"torch", "torchvision", "torch_pruning", "onnx", "onnxruntime"}


# the layout of packages and modules; floors and their order stand in pyproject.toml


def imports(package: str) -> dict[str, set[str]]:
    """What every module of `core` or `gui` imports of it, inside functions and for types included."""
    files = {name_of(path): path for path in (ROOT / package).rglob("*.py")}
    found: dict[str, set[str]] = {name: set() for name in files}
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module, f"{name} imports relatively"
                for each in node.names:
                    inner = f"{node.module}.{each.name}"
                    found[name].add(inner if inner in files else node.module)
            elif isinstance(node, ast.Import):
                found[name] |= {each.name for each in node.names}
        found[name] &= files.keys() - {name}
    return found


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that lead to each other."""
    reached = {name: reachable(graph, name) for name in graph}
    groups = {tuple(sorted(other for other in reached[name] if name in reached[other])) for name in graph}
    return sorted(list(group) for group in groups if group)


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


def between_packages(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same between the packages right below `core` or `gui`."""
    found: dict[str, set[str]] = {}
    for name, others in graph.items():
        parts = name.split(".")
        if len(parts) > 1:
            own = found.setdefault(parts[1], set())
            own |= {other.split(".")[1] for other in others if "." in other} - {parts[1]}
    return found


def floor(graph: Mapping[str, set[str]], package: str) -> int:
    """How many packages lie below each other, this one included."""
    return 1 + max((floor(graph, other) for other in graph[package]), default=0)


def test_a_circle_would_be_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["b", "c"]]
    assert floor({"a": {"b", "c"}, "b": {"c"}, "c": set()}, "a") == 3


@pytest.mark.parametrize("package", ["core", "gui"])
def test_no_modules_import_each_other(package: str):
    assert circles(imports(package)) == []


@pytest.mark.parametrize("package", ["core", "gui"])
def test_no_packages_import_each_other(package: str):
    assert circles(between_packages(imports(package))) == []


def test_nothing_lies_directly_in_core():
    assert [path.name for path in (ROOT / "core").glob("*.py")] == ["__init__.py"]


def test_the_engine_has_at_most_thirteen_floors():
    graph = between_packages(imports("core"))
    assert max(floor(graph, package) for package in graph) <= 13
