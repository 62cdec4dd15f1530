"""Fixtures of tests with the window: fresh settings and folders, and no Qt warning or thread left over.

Modules outside `tests/gui` import what they need of them by name.
"""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from made_runs import TINY
from PySide6.QtCore import (
    QCoreApplication,
    QEvent,
    QSettings,
    QThread,
    QTimer,
    QtMsgType,
    qInstallMessageHandler,
)
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow, QWidget

from core.document import pipeline as documents
from core.document import recipes
from core.document.pipeline import Pipeline
from core.machine.child import Child
from core.runs.home import Home
from core.runs.open_document import OpenedDocument, open_document
from gui.app import make_application
from gui.base.messages import MessageDialog, Messages
from gui.base.theme import Theme
from gui.base.worker import Worker
from gui.shell.main_window import MainWindow

_HARMLESS = (  # about the test's platform, not about the window
    "propagateSizeHints",
    "plugin does not support raise",
    "plugin does not support grabbing",
    "QFontDatabase: Cannot find font directory",
)


_UNANSWERED = 60.0  # seconds


def close_all(*workers: Worker) -> None:
    """End workers as a window does that closes: none first begins what another one's end asks for."""
    for worker in workers:
        worker.retired = True
    assert all(worker.close(10) for worker in workers)


class Told(Messages):
    """Keeps what a person would be told, and opens no dialog."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def _open(self, kind: str, title: str, message: str, advice: str, details: str) -> MessageDialog:
        self.said.append(message)
        return MessageDialog(None, kind, title, message, advice, details)


@contextmanager
def qt_warnings() -> Iterator[list[str]]:
    """What Qt complains about, as it comes."""
    said: list[str] = []

    def handler(kind: QtMsgType, _context: Any, text: str) -> None:
        if kind != QtMsgType.QtDebugMsg and not any(words in text for words in _HARMLESS):
            said.append(text)

    previous = qInstallMessageHandler(handler)
    try:
        yield said
    finally:
        qInstallMessageHandler(previous)


def show_alone(qtbot: Any, window: QMainWindow, view: QWidget) -> None:
    """A place in a window of its own, as large as the whole window at 1280 × 800 leaves it."""
    window.setCentralWidget(view)
    window.resize(1186, 746)
    window.show()
    qtbot.waitExposed(window)


def close(window: MainWindow, seconds: float = 30) -> None:
    """End a window's work and the window itself, without a question."""
    for worker in window.findChildren(Worker):
        assert worker.close(seconds), f"still working: {worker.title}"
    window.document.undo_stack.setClean()
    window.close()
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


@pytest.fixture(scope="session")
def qapp() -> QApplication:
    """The application; tests without a window go on collecting garbage in any thread, see `garbage_of_windows`."""
    made = make_application()
    gc.enable()
    return made


@pytest.fixture(autouse=True)
def fresh_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Own home, own settings: nothing of the person's is read or written."""
    for name, folder in (("HOME", "home"), ("ESPALIER_HOME", "espalier"), ("XDG_CONFIG_HOME", "config")):
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(name, str(tmp_path / folder))
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    for scope in (QSettings.Scope.UserScope, QSettings.Scope.SystemScope):
        QSettings.setPath(QSettings.Format.IniFormat, scope, str(tmp_path / "config"))
    own = QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "Espalier", "Espalier")
    own.setValue("check-before-run", "false")  # tests of the check switch it on
    own.sync()
    yield


@pytest.fixture(autouse=True)
def no_warnings_no_threads() -> Iterator[None]:
    """What Qt complains about, and what threads are left, fails the test."""
    before = {thread.ident for thread in threading.enumerate()}
    with qt_warnings() as said:
        yield
        QApplication.processEvents()
    left = [t.name for t in threading.enumerate() if t.ident not in before and not t.daemon]
    assert not said, said
    assert not left, left
    application = QApplication.instance()
    assert application is None or application.thread() is QThread.currentThread()


@pytest.fixture(scope="module", autouse=True)
def garbage_of_windows(qapp: QApplication) -> Iterator[None]:
    """Windows left over are deleted here, and not by a thread of a later test that has no window; that one collects as usual."""
    gc.disable()  # as the application does when it is made
    yield
    gc.collect()
    gc.enable()


@pytest.fixture(autouse=True)
def no_unanswered_dialog(qapp: QApplication) -> Iterator[None]:
    """A dialog or menu that nobody answers is closed after a minute, and fails the test: it would wait for ever."""
    since: dict[QWidget, float] = {}
    closed: list[str] = []

    def look() -> None:
        open_now = QApplication.activePopupWidget() or QApplication.activeModalWidget()
        if open_now is None:
            since.clear()
        elif time.monotonic() - since.setdefault(open_now, time.monotonic()) > _UNANSWERED:
            labels = [label.text() for label in open_now.findChildren(QLabel)]
            closed.append(f"{type(open_now).__name__} “{open_now.windowTitle()}”: {labels}")
            open_now.close()

    timer = QTimer()
    timer.timeout.connect(look)
    timer.start(1000)
    yield
    timer.stop()
    assert not closed, closed


@pytest.fixture
def tiny() -> Pipeline:
    return documents.loads(TINY)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "espalier")


@pytest.fixture(scope="session")
def theme(qapp: QApplication) -> Theme:
    return Theme(qapp)


@pytest.fixture(scope="session")
def tool() -> Iterator[Child]:
    """The tool process of all windows: each of its own would load PyTorch again."""
    with Child("tool", patience=10) as child:
        yield child


@pytest.fixture
def make_window(qtbot: Any, theme: Theme, home: Home, tool: Child) -> Iterator[Callable[..., MainWindow]]:
    """Makes windows that are closed, workers and all, when the test ends."""
    made: list[MainWindow] = []

    def make(opened: OpenedDocument | None = None) -> MainWindow:
        window = MainWindow(opened or open_document(recipes.FIRST), home, theme, tool)
        window.messages.ask_with = lambda dialog: dialog.deleteLater() or ""  # type: ignore[func-returns-value]
        made.append(window)
        window.show()
        qtbot.waitExposed(window)
        return window

    yield make
    for window in made:
        close(window)


@pytest.fixture
def window(make_window: Callable[..., MainWindow]) -> MainWindow:
    """The window on the Quick tour."""
    return make_window()


@pytest.fixture
def tiny_window(make_window: Callable[..., MainWindow], tiny: Pipeline, tmp_path: Path) -> MainWindow:
    """The window on a pipeline of three small stages."""
    return make_window(OpenedDocument(tiny, None, tmp_path))
