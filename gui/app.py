"""Starts the window: it is visible first, the heavy imports come after."""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QSettings, QTimer
from PySide6.QtWidgets import QApplication

import core
from core.common.errors import EspalierError
from core.common.logs import start_logging
from core.document import recipes
from core.runs.home import Home
from core.runs.open_document import open_document
from gui.base import garbage
from gui.base.messages import install_crash_hook
from gui.base.theme import Theme, app_icon
from gui.base.translation import install_language
from gui.settings.store import Settings
from gui.settings.stored_file import set_aside_damaged
from gui.shell import session_memory
from gui.shell.main_window import MainWindow

_log = logging.getLogger("gui.app")  # also where it is run as a program


def main(argv: Sequence[str] | None = None) -> int:
    """Open the window on a pipeline file or a run folder; the exit status."""
    parser = argparse.ArgumentParser(prog="espalier-window", description="The window of Espalier.")
    parser.add_argument("what", nargs="?", type=Path, help="a pipeline file or a run folder")
    arguments = parser.parse_args(argv)
    app = make_application()
    damaged = set_aside_damaged()
    start_logging("window", Home.default().logs, Settings().log_level)
    _log.info("The window opens: Espalier %s.", core.__version__)
    window = make_window(app, arguments.what)
    crashes = install_crash_hook(window.messages)
    window.show()
    if damaged:
        QTimer.singleShot(0, window, lambda: window.messages.error(EspalierError(damaged)))
    QTimer.singleShot(0, window.warm_up)
    QTimer.singleShot(0, garbage.keep_what_is_there)
    _quit_on_interrupt(window)
    status = app.exec()
    crashes.deleteLater()
    _log.info("The window is closed.")
    return status


def make_application() -> QApplication:
    """The one application object, with its names set before any setting is read."""
    QApplication.setOrganizationName("Espalier")
    QApplication.setApplicationName("Espalier")
    QApplication.setApplicationVersion(core.__version__)
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    app.setApplicationDisplayName("Espalier")
    app.setDesktopFileName("espalier")
    app.setWindowIcon(app_icon())
    install_language(app)
    garbage.collect_in_this_thread()
    return app


def make_window(app: QApplication, what: Path | None = None) -> MainWindow:
    """The window on `what`, as it was left, or on Start with the quick tour; what cannot be opened is said in a message."""
    problem = None
    last = session_memory.recall() if what is None else None
    try:
        opened = last or open_document(what or recipes.FIRST)
    except EspalierError as error:
        problem, opened = error, open_document(recipes.FIRST)
    home = Home.default()
    run = opened.run if last is not None else None
    if run is not None:  # its events are read when the window is visible
        opened = replace(opened, run=None)
    window = MainWindow(opened, home, Theme(app))
    place = session_memory.go_back(window.editor) if last is not None else ""
    if place in window.places.views:
        window.go(place)
    elif what is None:
        window.go("start")
    if run is not None:
        QTimer.singleShot(0, window, lambda: window.run_controller.show(run, replay=True))
    if problem is not None:
        QTimer.singleShot(0, window, lambda error=problem: window.messages.error(error))
    return window


def _quit_on_interrupt(window: MainWindow) -> None:
    """Ctrl+C in the terminal closes the window; Python looks for it whenever the timer fires."""
    signal.signal(signal.SIGINT, lambda *_: window.close())
    timer = QTimer(window)
    timer.timeout.connect(lambda: None)
    timer.start(300)


if __name__ == "__main__":
    raise SystemExit(main())
