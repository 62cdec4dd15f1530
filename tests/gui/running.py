"""Runs of the window whose process does what a test says."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.engine import run_follower
from gui.shell.main_window import MainWindow

SCRIPT = Path(__file__).parents[1] / "fake_run.py"
SOON = 20_000  # milliseconds: a process has to start


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says what the next run does: a name of `fake_run.WORK`."""
    monkeypatch.setattr(run_follower, "program", lambda: [sys.executable, str(SCRIPT)])
    return lambda name: monkeypatch.setenv("ESPALIER_TEST_WORK", name)


def training(window: MainWindow) -> bool:
    return window.session.state.phase == "Training"
