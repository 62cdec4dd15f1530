"""Random valid actions on the real window: no exception, no Qt warning, no state that it cannot leave.

Ten thousand actions with runs in their own processes are done in ten pieces, each with a window of its own; `-k "piece-3"`
does one of them. The seed is printed, and every action is kept in `actions.jsonl` of the test's folder. `ACTIONS_SEED`
draws the same actions again (a piece adds its number), `ACTIONS_COUNT` so many; `ACTIONS_REPLAY`, the path of such a file,
does exactly those.
"""
# ruff: noqa: F401, F811 (fixtures are imported by name)

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QApplication, QFileDialog
from random_hands import RandomHands, Stuck
from window_fixtures import (
    TINY,
    close,
    fresh_folders,
    garbage_of_windows,
    home,
    no_warnings_no_threads,
    qapp,
    qt_warnings,
    theme,
)

from core.document import pipeline as documents
from core.runs.finding import find_runs
from core.runs.home import Home
from core.runs.open_document import OpenedDocument
from gui.base.theme import Theme
from gui.shell.main_window import MainWindow


@pytest.fixture
def window(qtbot: Any, theme: Theme, home: Home, tmp_path: Path) -> Iterator[MainWindow]:
    made = MainWindow(OpenedDocument(documents.loads(TINY), None, tmp_path), home, theme)
    made.session.options = lambda: {"device": "cpu", "threads": 1}
    made.show()
    qtbot.waitExposed(made)
    yield made
    close(made, 60)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What Qt complains about, as it comes."""
    with qt_warnings() as said:
        yield said


@pytest.fixture
def hands(
    window: MainWindow,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> RandomHands:
    """Hands with a seed of their own; the system's dialogs answer at random, nothing leaves the machine."""
    piece = getattr(request.node, "callspec", None)
    seed = int(os.environ.get("ACTIONS_SEED") or random.SystemRandom().randrange(10**6))
    seed += piece.params["piece"] if piece is not None else 0
    print(f"ACTIONS_SEED={seed}")  # noqa: T201
    made = RandomHands(window, seed, tmp_path / "actions.jsonl")
    pictures = tmp_path / "pictures"
    for name in ("cat", "dog", "owl"):
        (pictures / name).mkdir(parents=True)
        for number in range(12):
            pixels = np.random.default_rng(number).integers(0, 255, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(pictures / name / f"{number}.png")
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")

    def folder(*_words: Any) -> str:
        runs = sorted(home.runs.iterdir()) if home.runs.is_dir() else []
        return str(made.random.choice(["", pictures, *runs]))

    def file(*_words: Any) -> tuple[str, str]:
        return str(made.random.choice(["", tmp_path / "tiny.yaml", pictures / "cat" / "1.png"])), ""

    def target(_parent: Any, _title: str, _start: str, filters: str = "") -> tuple[str, str]:
        return str(made.random.choice(["", tmp_path / f"saved-{made.done}"])), filters.split(";;")[0]

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", folder)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", file)
    monkeypatch.setattr(
        QFileDialog, "getOpenFileNames", lambda *words: ([file()[0]] if file()[0] else [], "")
    )
    monkeypatch.setattr(QFileDialog, "getSaveFileName", target)
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda _url: True)
    return made


def act(qtbot: Any, hands: RandomHands, warnings: list[str], count: int) -> None:
    """So many actions, each looked at; then everything ends and the window closes."""
    replay = os.environ.get("ACTIONS_REPLAY")
    planned = [json.loads(line) for line in Path(replay).read_text().splitlines()] if replay else []
    count = int(os.environ.get("ACTIONS_COUNT", count))
    slowest = 0.0
    with qtbot.captureExceptions() as raised:
        try:
            for number in range(len(planned) or count):
                since = time.monotonic()
                if planned:
                    hands.do(*planned[number])
                else:
                    hands.step()
                slowest = max(slowest, time.monotonic() - since)
                assert not raised and not warnings
            if hands.runs:
                with hands.refusing():
                    run_to_the_end(qtbot, hands.window)
            hands.leave()
            assert not raised and not warnings
        except (AssertionError, Stuck) as error:
            told = "".join(str(one[2]) + repr(one[1]) for one in raised)
            raise AssertionError(f"{error}\n{warnings} {told}\n{hands.story()}") from (
                raised[0][1] if raised else error
            )
    assert not hands.window.isVisible()
    assert slowest < 20, f"an action held the window for {slowest:.0f} s\n{hands.story()}"


def run_to_the_end(qtbot: Any, window: MainWindow) -> None:
    """After all that, the tiny pipeline still runs until it is complete."""
    while (waiting := QApplication.activePopupWidget() or QApplication.activeModalWidget()) is not None:
        waiting.close()
        QApplication.processEvents()
    window.check_before_run.checking.stop()  # at its end it may start a run
    qtbot.waitUntil(lambda: not window.check_before_run.checking.worker.running, timeout=120_000)
    window.session.stop()
    qtbot.waitUntil(lambda: window.session.steered == "idle", timeout=120_000)
    window.document.apply(documents.loads(TINY), "The tiny pipeline")
    with qtbot.waitSignal(window.session.run_ended, timeout=600_000) as ended:
        window.run_controller.start()
    assert ended.args == ["completed"], window.session.state.done


@pytest.mark.slow
def test_a_hundred_and_fifty_random_actions(qtbot: Any, hands: RandomHands, warnings: list[str]) -> None:
    act(qtbot, hands, warnings, 150)


@pytest.mark.slow
@pytest.mark.parametrize("piece", range(10), ids=lambda piece: f"piece-{piece}")
def test_a_thousand_random_actions_with_runs(
    qtbot: Any, hands: RandomHands, warnings: list[str], home: Home, piece: int
) -> None:
    hands.window.warm_up()
    hands.runs = True
    act(qtbot, hands, warnings, 1000)
    states = [run.info.status for run in find_runs(home)]
    print(hands.story().splitlines()[0], states)  # noqa: T201
    assert states and "completed" in states
    assert not [run.name for run in find_runs(home) if run.active], "every run has ended with its window"
