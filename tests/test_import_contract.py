"""`core` knows neither the window nor Qt, and documents can be read without torch."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

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
