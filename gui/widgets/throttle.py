"""Redraws at most so often, and always once more after the last change."""

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer


class Throttle(QObject):
    """Calls `redraw` at once when it has rested long enough, otherwise a little later.

    While held (latency is being measured) nothing is drawn; `release` draws what was missed.
    """

    def __init__(self, redraw: Callable[[], None], milliseconds: int = 100, parent: QObject | None = None):
        super().__init__(parent)
        self._redraw, self._every = redraw, milliseconds
        self._last = 0.0
        self._held = self._missed = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._now)

    @property
    def held(self) -> bool:
        return self._held

    def call(self) -> None:
        """Something changed."""
        if self._held:
            self._missed = True
            return
        rested = (time.monotonic() - self._last) * 1000
        if rested >= self._every:
            self._now()
        elif not self._timer.isActive():
            self._timer.start(round(self._every - rested) + 1)

    def hold(self) -> None:
        """Draw nothing until `release`."""
        self._missed = self._missed or self._timer.isActive()
        self._timer.stop()
        self._held = True

    def release(self) -> None:
        """Go on, and draw what was missed."""
        self._held = False
        if self._missed:
            self._missed = False
            self.call()

    def _now(self) -> None:
        self._timer.stop()
        self._last = time.monotonic()
        self._redraw()
