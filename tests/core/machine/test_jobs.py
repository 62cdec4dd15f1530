"""Jobs of child processes are given as functions; each of them can be named, found again, and imported for nothing."""

import ast
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import core
from core.common.errors import EspalierError
from core.machine.jobs import job_named, name_of

ROOT = Path(core.__file__).resolve().parents[1]
FILES = sorted(path for name in ("core", "gui") for path in (ROOT / name).rglob("*.py"))
GIVEN = (
    "call",
    "job",
    "step",
    "_ask",
    "_in_child",
    "use",
)  # what a job is given to, as its first or second argument


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def jobs() -> list[str]:
    """Every public function of `core` that takes (arguments, progress), as text."""
    functions = []
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                names = [argument.arg for argument in node.args.args]
                if (
                    names == ["arguments", "progress"]
                    and ast.unparse(node.returns or node) == "dict[str, Any]"
                ):
                    functions.append(f"{module_of(path)}:{node.name}")
    return functions


@cache
def jobs_in_calls() -> set[str]:
    """The functions that are handed to a child somewhere, by their name alone."""
    names: set[str] = set()
    aliases: dict[str, str] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                aliases |= {name.asname: name.name for name in node.names if name.asname}
            if isinstance(node, ast.Call):
                name = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                if name in GIVEN:
                    names |= {
                        each.attr if isinstance(each, ast.Attribute) else each.id
                        for each in node.args[:2]
                        if isinstance(each, ast.Attribute | ast.Name)
                    }
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Name):
                names.add(node.value.id)  # a format's own job
    return {aliases.get(name, name) for name in names}


def test_the_jobs_are_found():
    assert {
        "core.deploy.onnx_export:export_onnx", "core.deploy.verify:predict", "core.deploy.quantization.static:quantize",
        "core.profiling.session:time_block", "core.analysis.tryout:classify", "core.doctor.checks:load_libraries",
        "core.models.fetching:fetch_weights", "core.analysis.histograms:of_files",
    } <= set(jobs())  # fmt: skip
    assert len(jobs()) >= 25


@pytest.mark.parametrize("name", jobs())
def test_a_job_travels_by_its_name_and_is_asked_for_somewhere(name: str):
    module, _, function = name.partition(":")
    job = getattr(importlib.import_module(module), function)
    assert name_of(job) == name and job_named(name) is job
    assert list(inspect.signature(job).parameters) == ["arguments", "progress"]
    assert function in jobs_in_calls(), f"nobody asks for {name}"


def test_no_job_is_given_as_text():
    text = re.compile(r"[\"'](?:core(?:\.\w+)+|\{\w+\}):\w+[\"']")
    texts = {
        path.relative_to(ROOT).as_posix() for path in FILES if text.search(path.read_text(encoding="utf-8"))
    }
    assert texts <= {
        "core/models/architecture.py",
        "core/machine/jobs.py",
    }  # types by name, and what a name looks like


def test_importing_the_jobs_loads_nothing_heavy():
    modules = sorted({name.partition(":")[0] for name in jobs()})
    code = "".join(f"import {module}\n" for module in modules)
    code += "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT, check=True, env=os.environ
    )  # fmt: skip
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "core" in loaded
    assert not loaded & {"torch", "torchvision", "torch_pruning", "timm", "onnx", "onnxruntime", "openvino"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("os:system", "Expected a job of the form core.module:function, received 'os:system'"),
        ("corelike.thing:run", "Expected a job of the form"),
        ("core.deploy.onnx_export", "Expected a job of the form"),
        ("core.deploy.onnx_export:_hidden", "Expected a job of the form"),
        ("core.deploy.onnx_export:os.system", "Expected a job of the form"),
        ("core.deploy.onnx_export:nothing", "has no job 'nothing'"),
    ],
)
def test_other_names_are_refused_by_the_child(name: str, says: str):
    with pytest.raises(EspalierError, match=says):
        job_named(name)


@pytest.mark.parametrize("job", [os.system, lambda arguments, progress: {}, jobs, ROOT.exists])
def test_what_is_no_job_is_refused_by_who_asks(job):
    with pytest.raises(TypeError, match="Expected a public function at the top of a module of core"):
        name_of(job)
