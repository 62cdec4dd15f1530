"""Closing: at any moment after the start, with every worker at rest and none forgotten."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from made_runs import made_run
from PySide6.QtGui import QCloseEvent

from core.document.pipeline import Pipeline
from core.runs.home import Home
from gui.base.worker import Worker
from gui.runs.run_queue import QueuedRun
from gui.shell.main_window import MainWindow

ROOT = Path(__file__).resolve().parents[2]
_CLOSING = """
import sys
from PySide6.QtCore import QTimer
from gui import app

make = app.make_window

def closing(*arguments):
    window = make(*arguments)
    QTimer.singleShot({moment}, window.close)
    return window

app.make_window = closing
sys.exit(app.main([]))
"""


def _finish(program: subprocess.Popen[str]) -> None:
    said = program.communicate(timeout=120)[1]
    assert program.returncode == 0, said
    assert "QThread" not in said and "Traceback" not in said, said


def _start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ.copy(), text=True, stderr=subprocess.PIPE
    )


def test_a_window_that_is_closed_at_once_leaves_in_order() -> None:
    _finish(_start("-c", _CLOSING.format(moment=0)))


@pytest.mark.slow
@pytest.mark.parametrize("moment", [1, 15, 40, 90, 200, 450, 1000, 2500, 5000])
def test_a_window_can_be_closed_at_any_moment(
    moment: int, tiny: Pipeline, tmp_path: Path, own_home: Path
) -> None:
    for number in range(3):  # with runs, the window opens on the list of them, which is read beside it
        run = made_run(tiny, Home(tmp_path / "espalier"), tmp_path)
        run.folder.rename(run.folder.with_name(f"run-{number}"))
    _finish(_start("-c", _CLOSING.format(moment=moment)))


@pytest.mark.slow
def test_ctrl_c_in_the_terminal_closes_the_window() -> None:
    program = _start("-m", "gui.app")
    time.sleep(6)
    program.send_signal(signal.SIGINT)
    _finish(program)


def test_nothing_starts_in_a_window_that_is_closing(
    window: MainWindow, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    window.queue_runner.queue.add(QueuedRun(tiny, tmp_path))
    event = QCloseEvent()
    window.closeEvent(event)
    assert event.isAccepted()
    window.warm_up()
    window.start.refresh()
    window.queue_runner.start_next()
    window.run_controller.start()
    assert not any(worker.running for worker in window.findChildren(Worker))
    assert len(window.queue_runner.queue.entries) == 1
    assert not home.runs.is_dir() or not any(home.runs.iterdir())


def test_every_worker_belongs_to_the_window(
    make_window: Any, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    made: list[Worker] = []
    begin = Worker.__init__

    def noted(self: Worker, *arguments: Any, **words: Any) -> None:
        begin(self, *arguments, **words)
        made.append(self)

    monkeypatch.setattr(Worker, "__init__", noted)
    window = make_window()
    assert len(made) > 10 and set(made) == set(window.findChildren(Worker))
