"""The frozen program itself: it starts, its children work, it exports, the window shows; no source tree in reach.

Builds the program first (minutes, and a network for the libraries the first time), or takes the folder that
ESPALIER_PACKAGE_FOLDER names.
"""

import ast
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only the Linux package has been built"),
]

EXTRAS = {"openvino"}  # Espalier works without them, and its package leaves them out

PIPELINE = """
espalier: 1
name: Few images
data: {source: fashion-mnist-sample, train_images: 256, validation_images: 128, test_images: 200}
sources:
  - {id: network, settings: {backbone: resnet20}}
stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 1, learning_rate: 0.005}}}
  - {id: mixed, kind: train-mixed, settings: {training: {epochs: 1}}}
  - {id: pruned, kind: prune-channels, settings: {ratio: 0.5, training: {epochs: 1}}}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frozen folder, made read-only and moved away from the checkout."""
    given = os.environ.get("ESPALIER_PACKAGE_FOLDER")
    if not given:
        dist = tmp_path_factory.mktemp("dist")
        command = [sys.executable, ROOT / "dev.py", "package", "--only", "folder", "--dist", dist]
        assert subprocess.run(command, check=False).returncode == 0
        given = str(ROOT / "build" / "package" / "cpu" / "espalier")
    folder = tmp_path_factory.mktemp("installed") / "espalier"
    shutil.copytree(given, folder, symlinks=True, copy_function=_link)
    return folder


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copy2(source, target)


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """A fresh home and nothing else: no PYTHONPATH, no virtual environment."""
    home = tmp_path / "home"
    home.mkdir()
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


def espalier(
    program: Path, surroundings: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    command = [str(program / "espalier"), *arguments]
    return subprocess.run(
        command, env=surroundings, cwd=surroundings["HOME"], capture_output=True, text=True, timeout=900, check=False
    )  # fmt: skip


def test_the_recipes_are_inside(program, surroundings):
    done = espalier(program, surroundings, "recipes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("quick-tour: Quick tour") and str(program) in done.stdout


def test_everything_that_the_engine_imports_is_inside(program, surroundings):
    """Imports inside functions are easily missed: a child of the frozen program loads every one."""
    names: set[str] = set()
    for file in (ROOT / "core").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module)
    names = {name for name in names if name.split(".")[0] not in {*sys.stdlib_module_names, *EXTRAS}}
    assert {"torch", "onnx", "core.engine.engine"} <= names
    request = {"id": 1, "job": "core.doctor.checks:load_libraries", "arguments": {"names": sorted(names)}}
    process = subprocess.Popen(
        [program / "espalier", "--espalier-child", "tool"],
        env=surroundings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    replies = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.stdin.close()
    process.wait(10)
    process.stdout.close()
    found = replies[-1]["result"]["libraries"]
    assert {name: answer["error"] for name, answer in found.items() if answer["error"]} == {}


def test_a_run_to_the_exported_model(program, surroundings):
    home = Path(surroundings["HOME"])
    (home / "few.yaml").write_text(PIPELINE)
    before = {path: path.stat().st_mtime_ns for path in program.rglob("*")}
    done = espalier(program, surroundings, "run", "few.yaml", "--out", "run", "--json")
    assert done.returncode == 0, done.stderr
    stages = json.loads(done.stdout)["stages"]
    assert [stage["id"] for stage in stages] == ["fp32", "mixed", "pruned"]
    assert all(artefact["verified"] for stage in stages for artefact in stage["artefacts"])
    assert all(stage["metrics"]["memory_mb"] < 60 for stage in stages)  # the measuring child has no PyTorch
    done = espalier(program, surroundings, "export", "run", "--stage", "pruned", "--out", "model.onnx")
    assert done.returncode == 0 and (home / "model.onnx").stat().st_size > 100_000, done.stderr
    assert {path: path.stat().st_mtime_ns for path in program.rglob("*")} == before
    assert {path.name for path in home.iterdir()} <= {"few.yaml", "run", "model.onnx", ".local", ".cache"}


def test_the_doctor_finds_nothing_bad(program, surroundings):
    done = espalier(program, surroundings, "doctor")
    assert done.returncode == 0, done.stdout
    assert f"installed program in {program}" in done.stdout


def test_children_use_the_programs_own_libraries(program, surroundings):
    """What we give back to the system's programs, the loader sets again for our own children."""
    parent = psutil.Popen(
        [program / "espalier", "doctor"],
        env=surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    paths: list[str] = []
    while not paths and parent.poll() is None:
        for child in parent.children():
            with contextlib.suppress(psutil.Error):
                if "--espalier-child" in child.cmdline():
                    paths.append(child.environ().get("LD_LIBRARY_PATH", ""))
        paths = [path for path in paths if path]
        time.sleep(0.02)
    parent.wait(120)
    assert paths and paths[0].startswith(str(program / "_internal"))


@pytest.mark.skipif(
    not shutil.which("xvfb-run") or not shutil.which("xwininfo"), reason="needs xvfb and x11-utils"
)
def test_the_window_shows(program, surroundings, tmp_path):
    script = tmp_path / "show.sh"
    script.write_text(
        f'"{program}/espalier-window" & pid=$!\n'
        "for _ in $(seq 1 600); do\n"
        "  id=$(xwininfo -root -tree | sed -n 's/^ *\\(0x[0-9a-f]*\\) \".* — Espalier\".*/\\1/p' | head -n 1)\n"
        '  [ -n "$id" ] && xwininfo -id "$id" | grep -q IsViewable && echo visible && break\n'
        "  sleep 0.1\n"
        "done\n"
        "sleep 1; kill -INT $pid; wait $pid; echo ended $?\n"
    )
    done = subprocess.run(
        ["xvfb-run", "-a", "sh", str(script)], env=surroundings, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.stdout.split() == ["visible", "ended", "0"], done.stderr


def test_the_window_starts_without_a_display(program, surroundings):
    process = subprocess.Popen(
        [program / "espalier-window"], env={**surroundings, "QT_QPA_PLATFORM": "offscreen"},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(8)
    assert process.poll() is None, process.communicate()[1]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert process.stderr is not None
    process.stderr.close()
