"""From an empty home to an INT8 file and a report of one's own images: with few clicks, and by keys alone.

What is counted are clicks and entries besides choosing the folder. Set ESPALIER_PICTURES to a folder to keep pictures
of every step.
"""
# ruff: noqa: F401, F811 (fixtures are imported by name)

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hands import Hands
from PIL import Image
from PySide6.QtCore import QSettings, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton
from window_fixtures import (
    close,
    fresh_folders,
    garbage_of_windows,
    home,
    no_warnings_no_threads,
    qapp,
    theme,
)

from core.common.files import RESOURCES
from core.runs.home import Home
from gui import app
from gui.base.actions import PLACES
from gui.shell.main_window import MainWindow

_CLASSES = {1: "trousers", 8: "bags", 9: "boots"}
_MOST = 12


@pytest.fixture
def clothes(tmp_path: Path) -> Path:
    """Three classes of the bundled sample as PNG files, in a folder with a space in its name."""
    with np.load(RESOURCES / "data" / "fashion-mnist-sample" / "fashion-mnist-sample.npz") as sample:
        images, labels = sample["train_images"], sample["train_labels"]
    for label, name in _CLASSES.items():
        (tmp_path / "my clothes" / name).mkdir(parents=True)
        for number, row in enumerate(np.flatnonzero(labels == label)[:50]):
            Image.fromarray(images[row]).save(tmp_path / "my clothes" / name / f"{number}.png")
    return tmp_path / "my clothes"


@pytest.fixture
def window(qtbot: Any, qapp: QApplication, home: Home) -> Iterator[MainWindow]:
    """The window as it opens on an empty home."""
    QSettings().setValue("check-before-run", "true")
    made = app.make_window(qapp)
    made.session.options = lambda: {"device": "cpu", "threads": 1}
    made.resize(1280, 800)
    made.show()
    qtbot.waitExposed(made)
    made.warm_up()
    yield made
    close(made, 60)


class Counted:
    """Hands that count what they do, and keep a picture after each step."""

    def __init__(self, hands: Hands, window: MainWindow, name: str):
        self.hands, self.window, self.name, self.steps = hands, window, name, 0

    def click(self, name: str) -> None:
        self.did(lambda: self.hands.click(name))

    def did(self, act: Callable[[], object]) -> None:
        act()
        self.steps += 1
        self.picture()

    def picture(self) -> None:
        folder = os.environ.get("ESPALIER_PICTURES")
        if folder:
            QTest.qWait(300)
            shown = QApplication.activeModalWidget() or self.window
            shown.grab().save(str(Path(folder) / f"{self.name}-{self.steps:02}.png"))


def the_run_ends(hands: Hands, window: MainWindow) -> None:
    """The check comes through, the run starts by itself, and Compare opens at its end."""
    hands.wait(lambda: window.session.steered == "running", 600)
    hands.wait(lambda: window.session.steered == "idle", 1800)
    assert window.session.state.done is not None and window.session.state.done.status == "completed"
    hands.wait(lambda: window.places.current == "compare")
    hands.wait(lambda: hands.find("save-report").isEnabled())


def both_are_written(folder: Path, report: Path) -> None:
    [model] = folder.glob("*.onnx")
    kinds = {node.op_type for node in onnx.load(model).graph.node}
    assert "QuantizeLinear" in kinds, kinds
    assert "my clothes" in report.read_text(encoding="utf-8")


@pytest.mark.slow
def test_by_mouse_in_at_most_twelve_clicks_and_entries(
    qtbot: Any, window: MainWindow, clothes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_chosen = lambda *_words: str(clothes)  # noqa: E731 (the platform's dialog, which is not counted)
    monkeypatch.setattr("gui.start.images_box.QFileDialog.getExistingDirectory", folder_chosen)
    hands = Hands(qtbot)
    counted = Counted(hands, window, "mouse")
    assert window.places.current == "start"
    counted.picture()
    counted.click("way-images")
    counted.click("own-folder")
    hands.wait(lambda: hands.find("own-make").isEnabled())
    counted.picture()
    counted.click("own-make")
    counted.click("button-run")
    the_run_ends(hands, window)
    counted.picture()
    hands.name_file(str(tmp_path / "report.html"))
    counted.click("save-report")
    counted.steps += 1  # its name
    counted.click("go-export")
    counted.click("export")
    home_folder = Path(os.environ["HOME"])
    hands.wait(lambda: window.export.result is not None, 300)
    counted.picture()
    hands.wait((tmp_path / "report.html").is_file)
    both_are_written(home_folder, tmp_path / "report.html")
    assert counted.steps <= _MOST, counted.steps


@pytest.mark.slow
def test_by_keys_alone(qtbot: Any, window: MainWindow, clothes: Path, tmp_path: Path) -> None:
    hands = Hands(qtbot)
    counted = Counted(hands, window, "keys")
    go_by_tab(hands, "way-images")
    counted.did(lambda: hands.key(Qt.Key.Key_Space))
    hands.wait(lambda: hands.find("own-images").hasFocus())
    counted.did(lambda: QTest.keyClicks(QApplication.focusWidget(), str(clothes)))
    counted.did(lambda: hands.key(Qt.Key.Key_Return))
    hands.wait(lambda: hands.find("own-make").hasFocus())
    counted.did(lambda: hands.key(Qt.Key.Key_Return))
    counted.did(lambda: hands.key(Qt.Key.Key_F5, at=window))
    the_run_ends(hands, window)
    hands.name_file(str(tmp_path / "report.html"))
    go_by_tab(hands, "save-report")
    counted.did(lambda: hands.key(Qt.Key.Key_Space))
    counted.steps += 1  # its name
    number = Qt.Key(Qt.Key.Key_1 + [place for place, _ in PLACES].index("export"))
    counted.did(lambda: hands.key(number, Qt.KeyboardModifier.ControlModifier, at=window))
    go_by_tab(hands, "export")
    counted.did(lambda: hands.key(Qt.Key.Key_Space))
    hands.wait(lambda: window.export.result is not None, 300)
    hands.wait((tmp_path / "report.html").is_file)
    both_are_written(Path(os.environ["HOME"]), tmp_path / "report.html")
    assert counted.steps <= _MOST, counted.steps


def go_by_tab(hands: Hands, name: str) -> None:
    """Press Tab until a button has the focus."""
    wanted = hands.find(name, QPushButton)
    for _ in range(80):
        if wanted.hasFocus():
            return
        hands.key(Qt.Key.Key_Tab)
    raise AssertionError(f"Tab does not lead to {name}")
