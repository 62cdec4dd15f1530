"""Registering what a test adds to a catalogue, here and in the child processes that the test starts."""

import os
from functools import partial
from pathlib import Path

import pytest

from core.document import pipeline as documents
from core.engine import evaluator, measuring
from core.engine.engine import Engine
from core.engine.options import Options
from core.profiling.protocol import Budget
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder

QUICK = Budget(
    blocks=2,
    most_blocks=2,
    few_blocks=1,
    runs=5,
    block_seconds=0.0,
    seconds=0.0,
    memory_processes=1,
    patience=0.0,
)


def register_in_children(patch: pytest.MonkeyPatch, scratch: Path, definitions: Path, lines: str) -> None:
    """Every child runs `lines` when it starts; they may import modules from the folder `definitions`."""
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / "sitecustomize.py").write_text(lines, encoding="utf-8")
    paths = (str(scratch), str(definitions), os.environ.get("PYTHONPATH", ""))
    patch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))


def quick_run(text: str, home: Home) -> RunFolder:
    """A finished run of a pipeline, really made, verified and measured; the measurements are as short as can be."""
    run = create_run(documents.loads(text), home.folder, home)
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((measuring, "profile_artefact"), (evaluator, "profile_checkpoint")):
            patch.setattr(module, name, partial(getattr(module, name), budget=QUICK))
        done = Engine(run, home, Options("cpu", 1)).run()
    assert done.status == "completed", done.message
    return run
