"""A window that is killed leaves its run alone; another window shows the whole of it. Real processes, really killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from window_fixtures import (  # noqa: F401
    fresh_folders,
    garbage_of_windows,
    home,
    make_window,
    no_warnings_no_threads,
    qapp,
    theme,
    tiny,
    tool,
)

from core.common.files import sha256_of
from core.document import edits
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.runs.finding import find_runs
from core.runs.home import Home
from core.runs.open_document import OpenedDocument
from core.runs.run_folder import RunFolder
from gui.shell.main_window import MainWindow

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 300  # seconds
_WINDOW = """
import sys
from pathlib import Path
from PySide6.QtCore import QTimer
from gui import app

make = app.make_window

def running(*arguments):
    window = make(*arguments)
    QTimer.singleShot(500, window.run_controller.start)
    return window

app.make_window = running
sys.exit(app.main([{file!r}]))
"""


def wait(until: Callable[[], Any], seconds: float = LIMIT) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := until()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def epochs(run: RunFolder) -> int:
    return sum(1 for record in run.events() if record["event"] == "EpochDone")


def started_window(pipeline: Pipeline, folder: Path) -> "subprocess.Popen[bytes]":
    """A window in a process of its own that runs `pipeline`."""
    file = folder / "killed.yaml"
    file.write_text(documents.dumps(pipeline), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-c", _WINDOW.format(file=str(file))], cwd=ROOT, env=dict(os.environ)
    )


@pytest.fixture
def long(tiny: Pipeline) -> Pipeline:  # noqa: F811
    """Three stages of some seconds each."""
    for node in tiny.stages:
        tiny = edits.set_setting(tiny, node.id, ("training", "epochs"), 3)
    return tiny


def test_the_run_goes_on_and_a_new_window_shows_the_whole_curve(
    qtbot: Any,
    make_window: Callable[..., MainWindow],  # noqa: F811
    long: Pipeline,
    home: Home,  # noqa: F811
    tmp_path: Path,
) -> None:
    window = started_window(long, tmp_path)
    run = wait(lambda: next(iter(find_runs(home)), None))
    wait(lambda: epochs(run) >= 2)
    window.send_signal(signal.SIGKILL)
    window.wait()
    known = epochs(run)
    assert run.status == "running"

    other = make_window()
    other.warm_up()
    qtbot.waitUntil(lambda: other.session.steered == "running", timeout=LIMIT * 1000)
    with qtbot.waitSignal(other.session.run_ended, timeout=LIMIT * 1000) as ended:
        pass
    assert ended.args == ["completed"] and run.status == "completed" and known < 9
    for stage in other.session.state.stages.values():
        assert stage.status == "done" and len(stage.series["val_top1"].steps) == 3
    assert other.compare.model.rowCount() == 3


def test_a_killed_run_is_said_within_two_seconds_and_ends_with_the_same_weights(
    qtbot: Any,
    make_window: Callable[..., MainWindow],  # noqa: F811
    long: Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = []
    for place in ("whole", "killed"):
        window = make_window(OpenedDocument(long, None, tmp_path))
        window.session.home = Home(tmp_path / place)  # nothing comes from the other's cache
        monkeypatch.setattr(window.messages, "_open", lambda *words: None)
        window.run_controller.start()
        run = window.session.run
        assert run is not None
        if place == "killed":
            wait_for_epochs(qtbot, run, 2)
            before = time.monotonic()
            assert (
                ending(qtbot, window, lambda run=run: os.kill(run.info.process["pid"], signal.SIGKILL))
                == "interrupted"
            )
            assert time.monotonic() - before < 2
            window.actions_.resume_run.trigger()
        assert ending(qtbot, window) == "completed"
        weights.append([
            sha256_of(run.folder / "stages" / id / "checkpoint" / "weights.safetensors")
            for id in ("fp32", "pruned", "taught")
        ])  # fmt: skip
    assert weights[0] == weights[1]


def wait_for_epochs(qtbot: Any, run: RunFolder, count: int) -> None:
    qtbot.waitUntil(lambda: epochs(run) >= count, timeout=LIMIT * 1000)


def ending(qtbot: Any, window: MainWindow, act: Callable[[], None] = lambda: None) -> str:
    """How the run ends, once `act` is done."""
    with qtbot.waitSignal(window.session.run_ended, timeout=LIMIT * 1000) as ended:
        act()
    return str(ended.args[0])
