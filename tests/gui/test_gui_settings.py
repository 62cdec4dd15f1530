"""The settings: what is remembered, what reaches a run, storage, downloads, trusted files."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from PySide6.QtCore import QSettings, Qt
from PySide6.QtGui import QDesktopServices

from core.common.errors import EspalierError
from core.common.logs import start_logging
from core.machine.site_policy import Policy
from core.machine.trusted_files import TrustList
from core.runs.home import Home
from core.runs.storage import clear, used
from gui.settings.dialog import SettingsDialog
from gui.settings.parts import size
from gui.settings.store import Settings
from gui.settings.stored_file import set_aside_damaged
from gui.shell.main_window import MainWindow


@pytest.fixture
def dialog(qtbot: Any, window: MainWindow) -> SettingsDialog:
    made = window.dialogs.show_settings()
    qtbot.waitExposed(made)
    return made


def fill(home: Home) -> None:
    for name, count in (
        ("runs/r/model.onnx", 1000), ("cache/data/k/images", 200), ("cache/models/ab/w", 30),
        ("cache/artefacts/cd/a", 4), ("trash/old/run.json", 5),
    ):  # fmt: skip
        path = home.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * count)


def test_used_space_by_kind(home: Home) -> None:
    fill(home)
    assert {one.kind.id: (one.bytes, one.files) for one in used(home)} == {
        "runs": (1000, 1), "data": (200, 1), "cache": (34, 2), "trash": (5, 1),
    }  # fmt: skip
    assert clear(home, "cache") == 34
    assert not (home.cache / "models").exists() and (home.cache / "data/k/images").exists()
    assert clear(home, "trash") == 5 and clear(home, "trash") == 0
    with pytest.raises(EspalierError, match="cannot be cleared"):
        clear(home, "runs")


def test_caches_stay_while_a_run_goes_on(home: Home) -> None:
    fill(home)
    with FileLock(home.runs / "r" / ".lock"), pytest.raises(EspalierError, match="The run r goes on"):
        clear(home, "data")
    assert (home.cache / "data/k/images").exists()


def test_sizes_in_words() -> None:
    assert [size(n) for n in (0, 1_500_000, 2_340_000_000)] == ["empty", "1.5 MB", "2.34 GB"]


def test_only_what_was_chosen_goes_to_the_engine(qapp: Any) -> None:
    settings = Settings()
    assert settings.options() == {"device": "auto"}
    settings.set("compute/threads", 3)
    settings.set("compute/core_watts", 6.5)
    settings.set("compute/device", "cpu")
    assert Settings().options() == {"device": "cpu", "threads": 3, "core_watts": 6.5}
    QSettings().setValue("compute/threads", "many")
    QSettings().setValue("compute/device", "abacus")
    assert Settings().options() == {"device": "auto", "core_watts": 6.5}


def test_a_change_counts_at_once_and_is_remembered(
    qtbot: Any, window: MainWindow, dialog: SettingsDialog
) -> None:
    dialog.show_page("Computing")
    assert dialog.threads.text() == "one per core"
    dialog.threads.setFocus()
    dialog.threads.selectAll()
    qtbot.keyClicks(dialog.threads, "2")
    qtbot.keyClick(dialog.threads, Qt.Key.Key_Tab)
    assert window.session.options() == {"device": "auto", "threads": 2}
    dialog.show_page("General")
    dialog.awake.click()
    assert not window.dialogs.settings.keep_awake and window.dialogs.settings.notify


def test_theme_in_the_settings_and_in_the_menu_agree(window: MainWindow, dialog: SettingsDialog) -> None:
    dialog.theme.setCurrentIndex(dialog.theme.findData("dark"))
    window.theme.finish()
    assert window.theme.choice == "dark"
    assert window.findChild(object, "menu-theme-dark").isChecked()
    dialog.theme.setCurrentIndex(dialog.theme.findData("light"))


def test_a_policy_limits_the_threads(qtbot: Any, window: MainWindow) -> None:
    dialogs = window.dialogs
    made = SettingsDialog(
        window, dialogs.settings, window.theme, dialogs.jobs, window.messages, Policy(threads=4, device="cpu")
    )
    assert made.threads.maximum() == 4
    made.deleteLater()


def test_clearing_asks_and_adds_up_again(qtbot: Any, window: MainWindow, home: Home) -> None:
    fill(home)
    asked: list[str] = []

    def answer(dialog: Any) -> str:
        asked.append(dialog.message)
        dialog.deleteLater()
        return "Clear caches"

    window.messages.ask_with = answer
    made = window.dialogs.show_settings("Storage")
    page = made.storage
    qtbot.waitUntil(lambda: page.sizes["runs"].text() != "…", timeout=5000)
    assert page.buttons["cache"].isEnabled() and page.folder.text() == str(home.folder)
    qtbot.mouseClick(page.buttons["cache"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.sizes["cache"].text() == "empty", timeout=5000)
    assert asked == ["Remove 0.0 MB in 2 files for good?"]
    assert not page.buttons["cache"].isEnabled() and (home.runs / "r/model.onnx").exists()


def test_a_data_set_is_fetched_with_progress_and_cancel(
    qtbot: Any, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(name: str, folder: Path, control: Any, on_progress: Callable[[float, str], None]) -> Path:
        on_progress(0.25, "Downloading CIFAR-10: 25 %")
        while True:
            control.checkpoint()

    monkeypatch.setattr("core.data.download.download", download)
    monkeypatch.setattr(window.dialogs.jobs, "list_weights", lambda: None)
    page = window.dialogs.show_settings("Downloads").downloads
    page.folder.setText(str(tmp_path))
    button = page.buttons["set-cifar-10"]
    button.setFocus()
    qtbot.keyClick(button, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: page.words.whole == "Downloading CIFAR-10: 25 %", timeout=5000)
    assert (
        page.bar.value() == 250 and page.cancel.isVisible() and not page.buttons["set-cifar-100"].isEnabled()
    )
    assert page.window().focusWidget() is page.cancel
    qtbot.keyClick(page.cancel, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: not page.box.isVisible(), timeout=5000)
    assert button.isEnabled() and page.window().focusWidget() is button


def test_weights_say_whether_they_are_here(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window.dialogs.jobs, "list_weights", lambda: None)
    page = window.dialogs.show_settings("Downloads").downloads
    window.dialogs.jobs.weights_found.emit([
        {"id": "resnet50", "title": "ResNet-50", "path": "/w/a.pth", "bytes": 102_000_000},
        {"id": "resnet18", "title": "ResNet-18", "path": "/w/b.pth", "bytes": 0},
    ])  # fmt: skip
    assert page.states["weights-resnet50"].text() == "✓ on this machine, 102.0 MB"
    assert page.states["weights-resnet18"].text() == "not here"
    assert not page.buttons["weights-resnet50"].isVisible() and page.buttons["weights-resnet18"].isEnabled()


def test_trust_can_be_taken_back(qtbot: Any, window: MainWindow, tmp_path: Path) -> None:
    file = tmp_path / "own_net.py"
    file.write_text("x = 1")
    TrustList.default().trust(file)
    page = window.dialogs.show_settings("Trusted files").trust
    assert page.tree.topLevelItem(0).text(0) == "own_net.py" and not page.off.isEnabled()
    page.tree.setCurrentItem(page.tree.topLevelItem(0))
    qtbot.mouseClick(page.off, Qt.MouseButton.LeftButton)
    assert not TrustList.default().knows(file.read_bytes()) and page.none.isVisible()


def test_the_level_of_the_log_counts_at_once(
    dialog: SettingsDialog, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_logging("window", home.logs, Settings().log_level)
    dialog.log.level.setCurrentIndex(dialog.log.level.findData("debug"))
    assert Settings().log_level == "debug" and logging.getLogger("core").level == logging.DEBUG
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()) or True)
    dialog.log.open.click()
    assert opened == [str(home.logs)] and home.logs.is_dir()


@pytest.mark.parametrize("content", [b"[compute]\nthreads=3\n\x00\x00\x00\x00", b"\xff\xfe\x80"])
def test_a_damaged_file_of_settings_is_set_aside_and_said(qapp: Any, content: bytes) -> None:
    Settings().set("compute/threads", 3)
    QSettings().sync()
    path = Path(QSettings().fileName())
    assert set_aside_damaged() == "" and Settings().threads == 3
    path.write_bytes(content)
    said = set_aside_damaged()
    aside = path.with_name(f"{path.name}.damaged")
    assert str(aside) in said and aside.read_bytes() == content
    assert Settings().threads == 0 and set_aside_damaged() == ""
    Settings().set("compute/threads", 2)
    assert Settings().threads == 2
