"""Keeps the computer from going to sleep while a run goes on.

Linux: the desktop is asked over D-Bus, and where it does not answer, logind through
`systemd-inhibit`. Windows: SetThreadExecutionState. macOS: `caffeinate`. Where nothing works, the run
goes on all the same, and `words` says so.
"""

import contextlib
import ctypes
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication

from core.common.logs import in_a_line, passed_over

_log = logging.getLogger(__name__)

_REASON = "A run is going on"
_CONTINUOUS, _SYSTEM_REQUIRED = 0x80000000, 0x00000001
_UNSEEN = ("offscreen", "minimal")


class SleepBlocker(Protocol):
    """One way to keep a computer awake."""

    def hold(self, done: Callable[[bool], None]) -> None:
        """Ask for it; `done` is called with whether it was granted."""

    def release(self) -> None:
        """Take it back."""


class KeepAwake(QObject):
    """Held while a run goes on.

    Args:
        ways: tried in this order; None takes the platform's.

    Signals:
        changed: `words` are others.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None, ways: Sequence[SleepBlocker] | None = None):
        super().__init__(parent)
        self._ways = list(platform_ways() if ways is None else ways)
        self._held: SleepBlocker | None = None
        self._requested = False
        self.words = ""

    @property
    def held(self) -> bool:
        """Whether the computer is kept awake now."""
        return self._held is not None

    def hold(self) -> None:
        """Keep the computer awake from now on, if it can be done."""
        if not self._requested:
            self._requested = True
            self._try(0)

    def release(self) -> None:
        """Let it sleep again."""
        self._requested = False
        if self._held is not None:
            self._held.release()
            self._held = None
        self._say("")

    def _try(self, index: int) -> None:
        if index >= len(self._ways):
            self._say(
                "This system offers no way to keep the computer awake; switch its sleep off for long runs."
            )
            return
        way = self._ways[index]

        def done(granted: bool) -> None:
            if not self._requested:
                if granted:
                    way.release()
            elif granted:
                self._held = way
                self._say("The computer is kept from sleeping while the run goes on.")
            else:
                self._try(index + 1)

        way.hold(done)

    def _say(self, words: str) -> None:
        if words != self.words:
            self.words = words
            self.changed.emit()


def platform_ways() -> list[SleepBlocker]:
    """What may work here; nothing where nobody sees the window."""
    if QGuiApplication.platformName() in _UNSEEN:
        return []
    if sys.platform == "win32":
        return [ExecutionState()]
    if sys.platform == "darwin":
        return [Command(("caffeinate", "-i", "-w", str(os.getpid())))]
    inhibit = ("systemd-inhibit", "--what=idle:sleep", "--who=Espalier", f"--why={_REASON}", "cat")
    return [ScreenSaver(), Command(inhibit)]


class Command:
    """A program that keeps the computer awake as long as it runs; its input closes when we end."""

    def __init__(self, command: Sequence[str]):
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    def hold(self, done: Callable[[bool], None]) -> None:
        if shutil.which(self._command[0]) is None:
            return done(False)
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            _log.warning("%s does not keep the computer awake: %s", self._command[0], in_a_line(error))
            return done(False)
        with contextlib.suppress(subprocess.TimeoutExpired):  # it stays: that is what it is for
            self._process.wait(0.15)
        done(self._process.poll() is None)

    def release(self) -> None:
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.terminate()
            with passed_over(_log, "What keeps the computer awake does not end", subprocess.TimeoutExpired):
                self._process.wait(1)
            self._process = None


class ScreenSaver:
    """The desktop's service on the session bus.

    The request goes over a connection of its own, and closing that takes it back: every service
    drops the requests of a closed connection, while Python's numbers do not have the type that `UnInhibit` takes.
    """

    _SERVICE = ("org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver", "org.freedesktop.ScreenSaver")
    _NAME = "espalier-awake"
    _LIMIT_MS = 2000

    def __init__(self) -> None:
        self._watcher: Any = None

    def hold(self, done: Callable[[bool], None]) -> None:
        try:
            from PySide6.QtDBus import QDBusConnection, QDBusMessage, QDBusPendingCallWatcher
        except ImportError as error:
            _log.debug("The desktop cannot be asked to stay awake: %s", in_a_line(error))
            return done(False)
        bus = QDBusConnection.connectToBus(QDBusConnection.BusType.SessionBus, self._NAME)
        if not bus.isConnected():
            return done(False)
        call = QDBusMessage.createMethodCall(*self._SERVICE, "Inhibit")
        call.setArguments(["Espalier", _REASON])
        self._watcher = QDBusPendingCallWatcher(bus.asyncCall(call, self._LIMIT_MS))

        def answered() -> None:
            granted = self._watcher.reply().type() == QDBusMessage.MessageType.ReplyMessage
            self._watcher.deleteLater()
            if not granted:
                self.release()
            done(granted)

        self._watcher.finished.connect(lambda _watcher: answered())

    def release(self) -> None:
        from PySide6.QtDBus import QDBusConnection

        QDBusConnection.disconnectFromBus(self._NAME)


class ExecutionState:
    """Windows."""

    def hold(self, done: Callable[[bool], None]) -> None:
        done(self._set(_CONTINUOUS | _SYSTEM_REQUIRED))

    def release(self) -> None:
        self._set(_CONTINUOUS)

    def _set(self, state: int) -> bool:
        try:
            kernel: Any = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
            return bool(kernel.SetThreadExecutionState(ctypes.c_uint(state)))
        except (AttributeError, OSError) as error:
            _log.debug("Windows was not asked to stay awake: %s", in_a_line(error))
            return False
